"""One contender in a process of its own: told over standard input what to run, it says how long it
took. Used by benchmarks/peers.py, which lets one worker at a time run.

Each line is a JSON object: {"do": "load"}, {"do": "window", "tokens": N},
{"do": "question", "ids": [[…], …], "question": "…", "passage": "…"},
{"do": "text", "ids": [[…], …], "advance": A, "question": "…", "passage": "…", "seconds": S}; so is
each reply. A is how many tokens of the text a window adds to the one before.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender, Verbatim, entries
from benchmarks.memory import peak


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    entry = entries(folder)[name]
    started = time.perf_counter()
    contender = entry.make(folder)
    seconds = time.perf_counter() - started
    for line in sys.stdin:
        job = json.loads(line)
        reply = {"load": seconds} if job["do"] == "load" else _run(contender, job)
        reply["peak_megabytes"] = peak()
        reply["disk_megabytes"] = sum(file.stat().st_size for file in contender.files) / 1e6
        print(json.dumps(reply), flush=True)


def _run(contender: Contender, job: dict[str, Any]) -> dict[str, float]:
    started = time.perf_counter()
    tokens = 0
    match job["do"]:
        case "window":
            tokens = job["tokens"]
            contender.run([*range(1000, 1000 + tokens)])
        case "question" if isinstance(contender, Verbatim):
            contender.reader.answer(job["question"], job["passage"])
        case "question":
            for ids in job["ids"]:
                contender.run(ids)
        case "text" if isinstance(contender, Verbatim):
            result = contender.reader.answer(job["question"], job["passage"])
            tokens = result.tokens
        case "text":
            # What a window adds to those before it; a slow peer need not read to the end.
            for ids in job["ids"]:
                contender.run(ids)
                tokens += job["advance"]
                if time.perf_counter() - started > job["seconds"]:
                    break
    return {"milliseconds": 1000 * (time.perf_counter() - started), "tokens": tokens}


if __name__ == "__main__":
    main()
