"""How many questions a second one process answers, and how many several do behind nginx.

    python -m benchmarks.replicas [--replicas 1 2] [--visitors 8] [--questions 40]

The machine's processors are dealt out to the replicas. The balancer (Debian's nginx-light) sends a
visitor to the same replica every time, since what is asked and its answers are two requests; here
every visitor has an address of their own on the loopback network. A short and a long passage are
asked about in turn. Arrangements take turns over three rounds; it reports medians. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from benchmarks.startup import ROOT, TEXT, free_port, served

ROUNDS = 3
SHORT = ROOT / "examples" / "lighthouse.txt"
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;
events {{}}
http {{
    access_log off; client_max_body_size 60m; client_body_buffer_size 2m;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream replicas {{ hash $remote_addr consistent; {servers} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://replicas; proxy_http_version 1.1; proxy_buffering off;
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--visitors", type=int, default=8)
    parser.add_argument("--questions", type=int, default=40, help="of each visitor")
    options = parser.parse_args()
    rates: dict[int, list[float]] = {count: [] for count in options.replicas}
    for _ in range(ROUNDS):
        for count in options.replicas:
            with tempfile.TemporaryDirectory() as name, balanced(count, Path(name)) as url:
                rates[count].append(rate(url, options.visitors, options.questions))
    for count, found in rates.items():
        print(f"{count} replicas: {statistics.median(found):.1f} questions/s  (of {found})")


@contextmanager
def balanced(count: int, folder: Path) -> Iterator[str]:
    """Serve from `count` processes behind nginx; return its address."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise SystemExit("There is no nginx here (Debian: apt install nginx-light).")
    processors = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        ports = [free_port() for _ in range(count)]
        processes = []
        for number, port in enumerate(ports):
            command = [sys.executable, "app.py", "--port", str(port)]
            processes.append(_start(stack, command, processors[number::count]))
        front = free_port()
        servers = " ".join(f"server 127.0.0.1:{port};" for port in ports)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            NGINX.format(folder=folder, servers=servers, port=front), encoding="utf-8"
        )
        processes.append(_start(stack, [nginx, "-c", str(configuration)], processors))
        while not all(served(f"http://127.0.0.1:{port}/") for port in (*ports, front)):
            if any(process.poll() is not None for process in processes):
                raise SystemExit("An app or nginx did not start; what it says stands above.")
            time.sleep(0.1)
        yield f"http://127.0.0.1:{front}"


def rate(url: str, visitors: int, questions: int) -> float:
    """Return questions answered a second, asked by so many visitors at once."""
    passages = [path.read_text(encoding="utf-8") for path in (SHORT, TEXT)]

    def visit(number: int) -> None:
        address = httpx.HTTPTransport(local_address=f"127.0.0.{number + 2}")
        with httpx.Client(transport=address, base_url=url, timeout=120) as visitor:
            for each in range(questions):
                asked = [f"Who was number {each}?", passages[each % 2], None, 3]
                call = visitor.post("/gradio_api/call/answer", json={"data": asked})
                event = call.raise_for_status().json()["event_id"]
                if "event: complete" not in visitor.get(f"/gradio_api/call/answer/{event}").text:
                    raise SystemExit("A question got no answer.")

    with ThreadPoolExecutor(visitors) as pool:
        started = time.perf_counter()
        list(pool.map(visit, range(visitors)))
        return visitors * questions / (time.perf_counter() - started)


def _start(
    stack: ExitStack, command: Sequence[str], processors: Sequence[int]
) -> subprocess.Popen[bytes]:
    """Run a command on these processors until the stack is closed."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, processors)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


if __name__ == "__main__":
    main()
