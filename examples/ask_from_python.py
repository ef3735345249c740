"""Ask a text a question from Python: the answers, where they stand, and how long each step took.

Run it from the top of the repository:

    python -m examples.ask_from_python
    python -m examples.ask_from_python "Who voted against the offer?" --text examples/minutes.txt
"""

import argparse
import sys
from pathlib import Path

from qa import QAError, Reader
from ui.sentences import around


def main() -> None:
    parser = argparse.ArgumentParser(description="Ask a text a question.")
    parser.add_argument("question", nargs="?", default="When did the light first shine?")
    parser.add_argument("--text", type=Path, default=Path(__file__).with_name("lighthouse.txt"))
    parser.add_argument("--top-k", type=int, default=3)
    options = parser.parse_args()
    try:
        passage = options.text.read_text(encoding="utf-8")
        reader = Reader.load()  # once; then ask as often as you like, from any thread
        result = reader.answer(options.question, passage, top_k=options.top_k)
    except (OSError, UnicodeError):
        sys.exit(f"{options.text} cannot be read as UTF-8 text.")
    except QAError as error:
        sys.exit(str(error))

    for rank, answer in enumerate(result.answers, 1):
        # Offsets count code points of the passage as it was given.
        assert passage[answer.start : answer.end] == answer.text
        sentence = around(passage, answer.start, answer.end)
        print(f"{rank}. {answer.text}")
        print(f"   score {answer.score:.3f}, characters {answer.start} to {answer.end}")
        print(f"   in: {passage[sentence.start : sentence.end].strip()}")
    steps = ", ".join(f"{step} {time:.1f} ms" for step, time in result.milliseconds.items())
    print(f"{result.tokens} tokens, windows: {result.windows} ({steps})")


if __name__ == "__main__":
    main()
