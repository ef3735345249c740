"""Ask a corpus of any size, on as many machines as Ray has: a Reader per worker, to Parquet.

    pip install "ray[data]"
    python -m examples.corpus_with_ray PASSAGES ANSWERS [--question "Who led it?"] [--workers 2]

PASSAGES is a file or folder of JSON lines or Parquet with a column `passage`, and a column
`question` where --question asks none of all. Each row comes back with `answer`, `start`, `end`,
`score` and `no_answer`; a row that cannot be asked has `error` instead. A worker that dies is
started again and its rows are asked again. On a cluster, run it where `ray` finds it
(RAY_ADDRESS) with this repository on every machine's PYTHONPATH.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ray

from qa import QAError, Reader

NOTHING = {"answer": "", "start": -1, "end": -1, "score": 0.0, "no_answer": None, "error": ""}


class Answerer:
    """A loaded model; Ray keeps one for each worker. Each runs on one processor, because workers
    side by side use several better than one window does."""

    def __init__(self, question: str | None) -> None:
        self._question = question
        self._reader = Reader.load(threads=1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self._reader.answer(
                self._question or str(row.get("question", "")), row["passage"], top_k=1
            )
        except QAError as error:
            return row | NOTHING | {"error": str(error)}
        found: dict[str, Any] = {"no_answer": result.no_answer}
        for best in result.answers:
            found |= {
                "answer": best.text,
                "start": best.start,
                "end": best.end,
                "score": best.score,
            }
        return row | NOTHING | found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("passages", type=Path)
    parser.add_argument("answers", type=Path, help="a folder, made if need be")
    parser.add_argument("--question", help="asked of every passage")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    path = options.passages.resolve()
    of_files = [path] if path.is_file() else sorted(path.iterdir())
    read = ray.data.read_parquet if of_files[0].suffix == ".parquet" else ray.data.read_json
    answered = read(str(path)).map(
        Answerer,
        fn_constructor_args=[options.question],
        compute=ray.data.ActorPoolStrategy(size=options.workers),
        num_cpus=0.5,  # leaves room to read and write on a machine with a processor per worker
        max_restarts=-1,
        max_task_retries=-1,
    )
    answered.write_parquet(str(options.answers.resolve()))


if __name__ == "__main__":
    main()
