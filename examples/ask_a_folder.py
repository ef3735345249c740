"""Ask every text in a folder the same question: one line of CSV a file, the surest answer first.

Run it from the top of the repository:

    python -m examples.ask_a_folder examples "Who led it?"
    python -m examples.ask_a_folder FOLDER QUESTION > answers.csv

Reads what the page reads: text, Markdown, HTML, PDF and DOCX. A file that cannot be read is told of
on stderr and passed over.
"""

import argparse
import csv
import sys
from pathlib import Path

from qa import QAError, Reader, documents
from qa.answer_sheet import cell


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask every text in a folder a question.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("question")
    options = parser.parse_args()

    reader = Reader.load()
    rows = []
    for path in sorted(options.folder.rglob("*")):
        if path.suffix.lower() not in documents.SUFFIXES or not path.is_file():
            continue
        try:
            document = documents.read(path)
            answers = reader.answer(options.question, document.text, top_k=1).answers
        except QAError as error:
            print(f"{path}: {error}", file=sys.stderr)
            continue
        for answer in answers:
            page = document.page_at(answer.start) or ""
            rows.append((f"{answer.score:.4f}", path.as_posix(), page, cell(answer.text)))
    if not rows:
        sys.exit(f"{options.folder} holds no text that could be asked.")

    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["score", "file", "page", "answer"])
    table.writerows(sorted(rows, reverse=True))


if __name__ == "__main__":
    main()
