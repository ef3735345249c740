"""How long a person waits at first, and how much memory it takes.

    python -m benchmarks.startup [--runs 5]

Each figure is the median of several runs, each in a process of its own: from `python app.py` to
the first page served, the model's loading, and from `python -m qa ask` to its answer. Peak memory
is that of the app's process after it has answered a question about the long example through its
API. Linux only (it reads /proc).
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.memory import peak

ROOT = Path(__file__).resolve().parent.parent
TEXT = ROOT / "examples" / "expedition.txt"
QUESTION = "Who led the expedition?"
LOAD = "import time; t = time.perf_counter(); from qa import Reader; u = time.perf_counter(); \
Reader.load(); print(u - t, time.perf_counter() - u)"
# What keeping the graph that ONNX Runtime optimizes would save.
OPTIMIZED = """
import tempfile, time
import onnxruntime as ort
from qa import catalog, engines
with tempfile.TemporaryDirectory() as folder:
    plain, ready = (engines.options(fits_16_bits=True) for _ in range(2))
    plain.optimized_model_filepath = copy = folder + "/model.onnx"
    ready.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    path = catalog.find(catalog.DEFAULT).folder / "model.onnx"
    ort.InferenceSession(path, plain)
    plain = engines.options(fits_16_bits=True)
    for each, options in ((path, plain), (copy, ready)):
        started = time.perf_counter()
        ort.InferenceSession(each, options)
        print(time.perf_counter() - started)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    app = [_app() for _ in range(runs)]
    loads = [tuple(map(float, _python("-c", LOAD).split())) for _ in range(runs)]
    sessions = [tuple(map(float, _python("-c", OPTIMIZED).split())) for _ in range(runs)]
    ask = ("-m", "qa", "ask", QUESTION, "--text", str(ROOT / "examples" / "lighthouse.txt"))
    figures = {
        "app.py until the page is served, s": [seconds for seconds, _ in app],
        "peak memory of the app after a long text, MB": [megabytes for _, megabytes in app],
        "import qa, s": [imported for imported, _ in loads],
        "Reader.load(), s": [loaded for _, loaded in loads],
        "its session, s": [session for session, _ in sessions],
        "its session from a graph optimized before, s": [copy for _, copy in sessions],
        "qa ask on a short text, process start to end, s": [
            _seconds(lambda: _python(*ask)) for _ in range(runs)
        ],
    }
    for name, values in figures.items():
        print(
            f"{name}: {statistics.median(values):.2f}  (of {', '.join(f'{v:.2f}' for v in values)})"
        )


def _python(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def _seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _app() -> tuple[float, float]:
    """Start the app, ask it about the long example; return seconds until it served and peak
    megabytes."""
    port = free_port()
    started = time.perf_counter()
    app = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        while not served(f"http://127.0.0.1:{port}/"):
            if app.poll() is not None:
                raise SystemExit("The app did not start; run python app.py to see why.")
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        _ask(port)
        return seconds, peak(app.pid)
    finally:
        app.terminate()
        app.wait()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def served(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _ask(port: int) -> None:
    """Ask through /answer, as any HTTP client would."""
    url = f"http://127.0.0.1:{port}/gradio_api/call/answer"
    data = json.dumps({"data": [QUESTION, TEXT.read_text(encoding="utf-8"), None, 3]}).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}", timeout=60) as stream:
        if b"event: complete" not in stream.read():
            raise SystemExit("The app gave no answer.")


if __name__ == "__main__":
    main()
