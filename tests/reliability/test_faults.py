"""Things that break around the app: models, disks, signals, ports, addresses, memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from qa import catalog
from tests.browser.conftest import ROOT, free_port
from tests.reliability.host import API, Host, running

pytestmark = pytest.mark.long

PASSAGE = "The keeper lit the lamp at dusk. Nobody on the island slept that night."
LONG = " ".join(f"On day {i} the keeper of light {i * 7} rowed out." for i in range(20_000))
BUNDLED = catalog.BUNDLED / catalog.DEFAULT
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
needs_root = pytest.mark.skipif(
    os.getuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None,
    reason="only root may take rights and disks away (util-linux)",
)


def copy_of_the_model(folder: Path, name: str) -> Path:
    model = folder / name
    shutil.copytree(BUNDLED, model)
    card = json.loads((model / "model.json").read_text(encoding="utf-8"))
    card |= {"name": name, "aliases": []}
    (model / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return model


def test_models_deleted_or_damaged_while_the_app_runs(tmp_path: Path) -> None:
    used = copy_of_the_model(tmp_path / "models", "used")
    unused = copy_of_the_model(tmp_path / "models", "unused")
    gone = copy_of_the_model(tmp_path / "models", "gone")
    with running(tmp_path, environment={"QA_MODELS_DIR": str(tmp_path / "models")}) as host:
        before = host.answer("Who lit the lamp?", PASSAGE, model="used")
        with (used / "model.onnx").open("r+b") as file:
            file.truncate(1000)
        with (unused / "model.onnx").open("r+b") as file:
            file.write(b"\xff" * 1_000_000)
        shutil.rmtree(gone)
        after = host.answer("Who lit the lamp?", PASSAGE, model="used") if used.exists() else {}
        assert after["answers"] == before["answers"]
        outcome, data = host.call("answer", "Who?", PASSAGE, "unused", 1)
        assert outcome == "error"
        assert "install it again" in data["error"]
        outcome, data = host.call("answer", "Who?", PASSAGE, "gone", 1)
        assert outcome == "error"
        assert data["error"].startswith("There is no model 'gone'")
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"]


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
        assert host.stop() in (0, 143)
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
        assert json.loads(host.get("/health")[1])["status"] == "stopping"
        assert host.process.wait(30) in (0, 143)
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


def test_ipv6_alone(tmp_path: Path) -> None:
    with running(tmp_path, address="[::1]") as host:
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"]
        assert "Verbatim is at http://[::1]:" in host.wrote()
        assert host.stop() == 0


# In namespaces of its own: no network but loopback, every disk read-only (bar those named), a user
# without name or home, who may read what root may, since the tests' own libraries may be root's.
APART = """
ip link set lo up
mount --make-rprivate /
for disk in $(awk '$3 !~ /^(proc|sysfs|devpts|cgroup2?)$/ {print $2}' /proc/mounts | sort -u); do
    mount -o remount,bind,ro "$disk" 2>/dev/null
done
[ -z "$ROOM" ] || mount -t tmpfs -o size=$ROOM,mode=1777 tmpfs /tmp
exec setpriv --reuid=54321 --regid=54321 --clear-groups --inh-caps=+dac_read_search \
    --ambient-caps=+dac_read_search --bounding-set=-all,+dac_read_search \
    env -i PATH="$PATH" $VARIABLES "$@"
"""


def apart(room: str = "", **variables: str) -> tuple[str, ...]:
    """Return the beginning of a command that runs the rest of it apart from the world."""
    named = " ".join(f"{name}={value}" for name, value in variables.items())
    setting = ("env", f"ROOM={room}", f"VARIABLES={named}")
    return (*setting, "unshare", "--mount", "--net", "sh", "-c", APART, "sh")


def within(host: Host, script: str) -> str:
    """Run Python in the network of an app that is apart; return what it prints."""
    done = subprocess.run(
        ["nsenter", "--net", "--target", str(host.process.pid), sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


TALK = """
from tests.reliability.host import Host
from pathlib import Path
import json, sys, time
host = Host("127.0.0.1", {port}, None, Path("/dev/null"))
passage = "The keeper lit the lamp at dusk."
print(json.dumps({{
    "answer": host.answer("Who lit the lamp?", passage)["answers"][0]["text"],
    "many": host.call("answer_many", "Who lit the lamp?", passage)[1][0]["questions"],
    "models": len(host.call("models")[1][0]["models"]),
    "pages": [host.get(path)[0] for path in ("/", "/questions", "/models")],
    "small": host.upload("small.txt", b"a few words")[0],
    "large": host.upload("large.txt", b"word " * 1_500_000),
}}))
"""


@needs_root
def test_no_home_no_network_and_a_full_disk(tmp_path: Path) -> None:
    port = free_port()
    command = apart(room="3M")
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, sys.executable, "app.py", "--port", str(port)],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    host = Host("127.0.0.1", port, process, tmp_path / "output")
    with process:
        try:
            while not host.wrote():
                assert process.poll() is None
                time.sleep(0.1)
            said = json.loads(within(host, TALK.format(port=port)))
            assert said["answer"] == "The keeper"
            assert (said["many"], said["pages"]) == (1, [200, 200, 200])
            assert said["models"] >= 1
            assert said["small"] == 200
            assert said["large"][0] == 507
            assert said["large"][1]["detail"] == "This host has no room for files; paste the text."
            assert host.stop() == 0
        finally:
            process.kill()


@needs_root
def test_nowhere_to_write_at_all_is_one_sentence() -> None:
    done = subprocess.run(
        [*apart(), sys.executable, "app.py"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("There is no folder for temporary files; name one")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("spare", [25, 45])
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
