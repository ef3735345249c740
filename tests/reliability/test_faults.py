"""Things that break around the app: models, disks, signals, ports, addresses, memory."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, free_port
from tests.conftest import BUNDLED, LARGER
from tests.reliability.apart import apart, needs_root, running_apart, stop, within
from tests.reliability.host import API, running
from tests.reliability.models import copy_of_the_model

PASSAGE = "The keeper lit the lamp at dusk. Nobody on the island slept that night."
LONG = " ".join(f"On day {i} the keeper of light {i * 7} rowed out." for i in range(20_000))


def test_models_deleted_or_damaged_while_the_app_runs(tmp_path: Path) -> None:
    used = copy_of_the_model(tmp_path / "models", "used")
    unused = copy_of_the_model(tmp_path / "models", "unused")
    gone = copy_of_the_model(tmp_path / "models", "gone")
    never = copy_of_the_model(tmp_path / "models", "never")
    large = copy_of_the_model(tmp_path / "models", "large", LARGER)
    with running(tmp_path, environment={"QA_MODELS_DIR": str(tmp_path / "models")}) as host:
        before = host.answer("Who lit the lamp?", PASSAGE, model="used")
        assert (
            host.answer("Who lit the lamp?", PASSAGE, model="gone")["answers"] == before["answers"]
        )
        by_large = host.answer("Who lit the lamp?", PASSAGE, model="large")
        for cut_short in (used / "model.onnx", *large.glob("model.onnx*")):
            with cut_short.open("r+b") as file:
                file.truncate(1000)
        with (unused / "model.onnx").open("r+b") as file:
            file.write(b"\xff" * 1_000_000)
        shutil.rmtree(gone)
        shutil.rmtree(never)
        for loaded in ("used", "gone"):
            after = host.answer("Who lit the lamp?", PASSAGE, model=loaded)
            assert after["answers"] == before["answers"]
        other_words = PASSAGE.replace("keeper", "guard")  # weights that no question needed so far
        assert host.answer("Who lit the lamp?", other_words, model="large")["answers"]
        after = host.answer("Who lit the lamp?", PASSAGE, model="large")
        assert after["answers"] == by_large["answers"]
        outcome, data = host.call("answer", "Who?", PASSAGE, "unused", 1)
        assert outcome == "error"
        assert "install it again" in data["error"]
        outcome, data = host.call("answer", "Who?", PASSAGE, "never", 1)
        assert outcome == "error"
        assert data["error"].startswith("There is no model 'never'")
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"]


@pytest.mark.long
def test_sigterm_lets_what_is_being_answered_finish(tmp_path: Path) -> None:
    with running(tmp_path) as host:
        told: list[bytes] = []
        listening = []
        for _ in range(4):  # two wait for the other two
            asked = {"data": ["Who rowed out?", LONG[:1_500], None, 1]}
            _, begun = host.post(f"{API}/call/answer", asked)
            path = f"{API}/call/answer/{begun['event_id']}"
            listening.append(
                threading.Thread(target=lambda path=path: told.append(host.send("GET", path)[2]))
            )
            listening[-1].start()
        assert host.stop() == 0
        for thread in listening:
            thread.join()
        assert [b"event: complete" in each for each in told] == [True] * 4
        assert "Traceback" not in host.wrote()


def test_sigterm_tells_whom_it_cannot_answer_any_more(tmp_path: Path) -> None:
    with running(tmp_path) as host:
        status, begun = host.post(f"{API}/call/answer", {"data": ["Who?", LONG, None, 1]})
        assert status == 200
        told: list[bytes] = []
        path = f"{API}/call/answer/{begun['event_id']}"
        listening = threading.Thread(target=lambda: told.append(host.send("GET", path)[2]))
        listening.start()
        time.sleep(0.5)
        host.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        status, body = host.post(f"{API}/call/answer", {"data": ["Who?", PASSAGE, None, 1]})
        assert (status, body["detail"]) == (
            503,
            "Verbatim is being stopped; try again in a minute.",
        )
        status, body_of_health = host.get("/health")
        assert (status, json.loads(body_of_health)["status"]) == (503, "stopping")
        assert host.process.wait(30) == 0
        listening.join()
        assert b"event: error" in told[0]
        assert b"Verbatim is being stopped; ask again in a minute." in told[0]
        assert "Traceback" not in host.wrote()


@pytest.mark.long
def test_killed_it_starts_again_on_the_same_port(tmp_path: Path) -> None:
    port = free_port()
    for _ in range(2):
        with running(tmp_path, port=port) as host:
            assert host.answer("Who lit the lamp?", PASSAGE)["answers"]
            host.process.kill()


# The clock as Python sees it, by so many seconds off as a file says. Python runs a module of this
# name before anything else.
CLOCK = """
import time
from pathlib import Path

real, calendar, off = time.time, time.gmtime, Path({file!r})
time.time = lambda: real() + float(off.read_text() or 0)
time.gmtime = lambda seconds=None: calendar(time.time() if seconds is None else seconds)
"""


@pytest.mark.long
def test_the_clock_jumps(tmp_path: Path) -> None:
    """By ten years to either side, while a passage is read and between requests."""
    clock = tmp_path / "clock"
    clock.write_text("0", encoding="ascii")
    (tmp_path / "sitecustomize.py").write_text(CLOCK.format(file=str(clock)), encoding="utf-8")
    flags = ("--log", "--rate-limit", "60", "--time-limit", "60")
    environment = {"PYTHONPATH": str(tmp_path)}
    with running(tmp_path, *flags, environment=environment) as host, ThreadPoolExecutor(1) as pool:
        alone = host.answer("Who lit the lamp?", PASSAGE)["answers"]
        for jump in ("3e8", "-3e8", "0"):
            reading = pool.submit(host.answer, "Who rowed out?", LONG[:30_000])
            time.sleep(0.3)
            clock.write_text(jump, encoding="ascii")
            assert reading.result()["answers"]
            assert host.answer("Who lit the lamp?", PASSAGE)["answers"] == alone
            assert host.upload("a.txt", b"text")[0] == 200
        lines = [json.loads(line) for line in host.wrote().splitlines()[1:]]
        assert {line["outcome"] for line in lines} == {"answered"}
        assert len({line["time"][:4] for line in lines}) == 3
        assert host.stop() == 0


# All that visitors do.
TALK = """
passage = "The keeper lit the lamp at dusk."
told = {
    "answer": host.answer("Who lit the lamp?", passage)["answers"][0]["text"],
    "many": host.call("answer_many", "Who lit the lamp?", passage)[1][0]["questions"],
    "inside": host.call("look_inside", "Who lit the lamp?", passage)[1][0]["chosen"]["text"],
    "compared": [
        model["error"] for model in host.call("compare", "Who?", passage)[1][0]["models"]
    ],
    "models": len(host.call("models")[1][0]["models"]),
    "pages": [host.get(path)[0] for path in ("/", "/questions", "/models", "/health")],
    "small": host.upload("small.txt", b"a few words")[0],
    "large": host.upload("large.txt", b"word " * 1_500_000),
}
"""


def check_all_was_had(told: dict[str, Any]) -> None:
    assert (told["answer"], told["inside"]) == ("The keeper", "The keeper")
    assert (told["many"], told["pages"]) == (1, [200, 200, 200, 200])
    assert told["compared"] == [None] * len(BUNDLED)
    assert told["models"] >= 1
    assert told["small"] == 200


@pytest.mark.long
@needs_root
def test_no_home_no_network_and_a_full_disk(tmp_path: Path) -> None:
    with running_apart(tmp_path, room="3M") as host:
        told = within(host, TALK)
        check_all_was_had(told)
        status, body = told["large"]
        assert status == 507
        assert body == "This host has no room for files; paste the text."
        assert host.stop() == 0


@pytest.mark.long
@needs_root
def test_ipv6_alone(tmp_path: Path) -> None:
    """On a machine that has no IPv4 address, not even the loopback one."""
    with running_apart(tmp_path, room="20M", ipv4=False) as host:
        told = within(host, TALK + "import socket\n" + NO_IPV4)
        check_all_was_had(told)
        assert told["ipv4"].startswith("Cannot assign requested address")
        assert f"Verbatim is at http://[::1]:{host.port}" in host.wrote()
        assert host.stop() == 0


NO_IPV4 = """
try:
    socket.create_server(("127.0.0.1", 0))
except OSError as error:
    told["ipv4"] = error.strerror
"""


@pytest.mark.long
@needs_root
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace here")
def test_a_trace_of_its_system_calls_shows_no_connection_but_loopback(tmp_path: Path) -> None:
    """From start to end, of all its processes and libraries; nor does any of them try to write a
    file but in /tmp."""
    trace = tmp_path / "trace"
    calls = "execve,connect,sendto,sendmsg,sendmmsg,open,openat"
    tracer = ("strace", "-f", "--seccomp-bpf", "-o", str(trace), "-e", f"trace={calls}")
    with running_apart(tmp_path, room="20M", tracer=tracer) as host:
        check_all_was_had(within(host, TALK))
        assert stop(host) == 0
    lines = trace.read_text(encoding="utf-8", errors="replace")
    _, _, lines = lines.partition(f'execve("{sys.executable}"')  # before: what sets this up
    addresses = re.findall(r'inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"', lines)
    assert set(addresses) <= {"127.0.0.1", "::1"}
    assert "127.0.0.1" in addresses
    written = re.findall(r'open(?:at)?\([^"]*"([^"]+)", [A-Z_|]*O_(?:WRONLY|RDWR)', lines)
    # Python itself tries to keep what it compiles.
    written = [path for path in written if "/__pycache__/" not in path]
    assert {path for path in written if not path.startswith(("/tmp/", "/dev/null"))} == set()
    assert any(path.startswith("/tmp/gradio/") for path in written)


@needs_root
def test_nowhere_to_write_at_all_is_one_sentence() -> None:
    done = subprocess.run(
        [*apart(), sys.executable, "app.py"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no folder for temporary files; name one")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("spare", [25, pytest.param(45, marks=pytest.mark.long)])
def test_memory_that_does_not_suffice_is_one_sentence(spare: int) -> None:
    """The process may have so many megabytes more than its libraries take; no model fits."""
    script = f"""
import resource, sys, onnxruntime, numpy, tokenizers, qa.documents, ui.readers, app
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + {spare} * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(app.main([]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done
    assert done.stderr.startswith("There is not enough memory; close other programs")
    assert done.stderr.count("\n") == 1


def test_nothing_is_reported_to_the_makers_of_libraries(tmp_path: Path) -> None:
    """What ONNX Runtime reports goes past Python: seen by what it keeps in its folder until it is
    sent."""
    script = (
        "from qa import Reader; print(Reader.load().answer('Who?', 'Ada did.').answers[0].text)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "Ada\n"
    assert list(tmp_path.iterdir()) == []
