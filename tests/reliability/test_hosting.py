"""Where it is run for others: a Space, a container, behind nginx, on systems that are all IPv6."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

import app
from tests.browser.conftest import ROOT, free_port
from tests.reliability.apart import STRANGER, needs_root
from tests.reliability.browsers import with_browser
from tests.reliability.host import API, Host, running

PASSAGE = "The keeper lit the lamp at dusk. Nobody on the island slept that night."


def test_a_space(tmp_path: Path) -> None:
    """Only what a Space's environment has, bar HOME; port from the environment; public limits."""
    with a_space(tmp_path, sys.executable) as host:
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"][0]["text"] == "The keeper"
        names = {event["api_name"] for event in host.config()["dependencies"]}
        assert "_ask" in names
        assert "_fetch" not in names
        status, body = 200, {"detail": ""}
        for _ in range(40):
            status, body = host.post(f"{API}/call/models", {"data": []})
            if "waiting or worked on" in body.get("detail", ""):
                time.sleep(0.1)  # too many at once is another limit
            elif status != 200:
                break
        assert status == 429
        assert "More than 12 requests in a minute came from you" in body["detail"]
        # The last address is who came to the proxies; those before it, who they claim to be.
        assert call_from(host, "192.0.2.7") == 200
        assert 429 in [call_from(host, f"192.0.2.{i}, 192.0.2.8, 10.0.0.5") for i in range(40)]
        assert call_from(host, "192.0.2.8, 192.0.2.7") == 200
        assert host.get("/health")[0] == 200
        assert host.stop() == 0


def call_from(host: Host, forwarded: str) -> int:
    """Call as proxies do that say who comes; return the status."""
    named = {"x_forwarded_for": forwarded, "content_type": "application/json"}
    return host.send("POST", f"{API}/call/models", '{"data":[]}', **named)[0]


@pytest.mark.long
@needs_root
def test_a_space_with_nothing_but_its_requirements(tmp_path: Path) -> None:
    """Installed into an environment of their own, and run by a user that owns nothing."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "space"], check=True)
    python = str(tmp_path / "space" / "bin" / "python")
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "-r", ROOT / "requirements.txt"], check=True
    )
    installed = subprocess.run(
        [python, "-m", "pip", "list"], capture_output=True, text=True, check=True
    )
    assert "pytest" not in installed.stdout
    room = tmp_path / "room"
    room.mkdir()
    room.chmod(0o777)
    with a_space(tmp_path, python, *STRANGER, room=room) as host:
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"][0]["text"] == "The keeper"
        assert host.upload("a.txt", b"text")[0] == 200
        assert host.stop() == 0


@contextmanager
def a_space(folder: Path, python: str, *user: str, room: Path | None = None) -> Iterator[Host]:
    """Run the app as Spaces do, with this interpreter and as this user."""
    port = free_port()
    environment = {"PORT": str(port), "SYSTEM": "spaces", "SPACE_ID": "ada/verbatim"}
    environment |= {"QA_FLAGS": "--rate-limit 12"}
    environment |= {"PATH": os.environ["PATH"], "TMPDIR": str(room or folder)}
    command = (*user, "env", "-i", *(f"{name}={value}" for name, value in environment.items()))
    with running(
        folder, command=command, environment=environment, port=port, python=python
    ) as host:
        yield host


def test_hosts_that_anybody_can_visit_limit_how_often_they_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def limit(*arguments: str) -> int | None:
        return app._limits(app._parser().parse_args(arguments)).requests_a_minute

    monkeypatch.delenv("SPACE_ID", raising=False)
    assert limit() is None
    assert limit("--share") == 120
    assert limit("--share", "--rate-limit", "0") is None
    monkeypatch.setenv("SPACE_ID", "ada/verbatim")
    assert limit() == 120
    assert limit("--rate-limit", "7") == 7


@pytest.mark.long
def test_a_zero_gpu_space_finds_its_function(tmp_path: Path) -> None:
    """With a module in place of the one those Spaces have, which counts what is announced."""
    (tmp_path / "spaces.py").write_text("def GPU(function):\n    print(function.__name__)\n")
    script = "from ui import zero_gpu; zero_gpu.announce()"
    found = {}
    for setting in ("", "true"):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SPACES_ZERO_GPU": setting}
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found[setting] = done.stdout.strip()
    assert found == {"": "", "true": "_use_none"}


@pytest.mark.long
def test_the_steps_of_the_dockerfile(tmp_path: Path) -> None:
    """Copy what it copies, to a folder of its own; run what it runs; ask for its health."""
    steps = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
    image = tmp_path / "app"
    image.mkdir()
    for sources, target in re.findall(r"^COPY (.+) (\S+)$", steps, re.MULTILINE):
        for source in sources.split():
            ignored = shutil.ignore_patterns("__pycache__")
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, image / target, ignore=ignored)
            else:
                shutil.copy(ROOT / source, image / target)
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    for copied in image.iterdir():
        assert f"!{copied.name}" in allowed
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", steps, re.MULTILINE)
    (check,) = re.findall(r"^HEALTHCHECK .*?CMD (.+)$", steps, re.MULTILINE)
    (settings,) = re.findall(r"^ENV (.+)$", steps, re.MULTILINE)
    port = free_port()
    named = [*settings.split(), f"GRADIO_SERVER_PORT={port}"]
    environment = {"PORT": str(port)}
    command = ("env", "-i", f"PATH={os.environ['PATH']}", f"TMPDIR={tmp_path}", *named)
    program, script, *flags = json.loads(entry)
    assert (program, script) == ("python", "app.py")
    with running(
        tmp_path, *flags, command=command, environment=environment, port=port, root=image
    ) as host:
        assert host.answer("Who lit the lamp?", PASSAGE)["answers"]
        _, *arguments = json.loads(check)
        asked = subprocess.run(
            [sys.executable, *arguments], env={**os.environ, "GRADIO_SERVER_PORT": str(port)}
        )
        assert asked.returncode == 0
    asked = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "GRADIO_SERVER_PORT": str(port)},
        capture_output=True,
    )
    assert asked.returncode != 0


@pytest.mark.long
@pytest.mark.browser
def test_below_a_path_behind_nginx(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("There is no nginx here (Debian: apt install nginx-light).")
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    (location,) = re.findall(r"```nginx\n(.+?)```", page, re.DOTALL)
    front = free_port()
    environment = {"GRADIO_ROOT_PATH": "/verbatim"}
    with running(tmp_path, "--no-fetch", "--rate-limit", "120", environment=environment) as host:
        location = location.replace("127.0.0.1:7860", f"127.0.0.1:{host.port}")
        configuration = tmp_path / "nginx.conf"
        configuration.write_text(
            f"daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error;\n"
            f"events {{}}\nhttp {{ access_log off; client_body_temp_path {tmp_path}/body;\n"
            f"proxy_temp_path {tmp_path}/proxy; fastcgi_temp_path {tmp_path}/fastcgi;\n"
            f"uwsgi_temp_path {tmp_path}/uwsgi; scgi_temp_path {tmp_path}/scgi;\n"
            f"server {{ listen 127.0.0.1:{front};\n{location}}} }}\n",
            encoding="utf-8",
        )
        with subprocess.Popen([nginx, "-c", str(configuration)]) as server:
            try:
                behind = Host("127.0.0.1", front, host.process, host.output, "/verbatim")
                with_browser(lambda browser: ask_in(browser, behind.url))
                assert behind.answer("Who lit the lamp?", PASSAGE)["answers"]
                _, _, body = behind.send("GET", "/", x_forwarded_proto="https")
                assert f"http://127.0.0.1:{front}/verbatim".encode() in body
                told = {"X_Forwarded_Host": "ada.example", "X_Forwarded_Proto": "https"}
                _, _, body = host.send("GET", "/", **told)  # as nginx says where it ends TLS
                assert b"https://ada.example/verbatim" in body
                assert f":{host.port}".encode() not in body
                assert behind.upload("a.txt", b"text")[0] == 200
                assert behind.get(f"{API}/file=/etc/hostname")[0] == 404
            finally:
                server.terminate()


def ask_in(browser: Browser, url: str) -> None:
    """Ask and go to another page; fail where anything is requested from elsewhere."""
    page = browser.new_page()
    elsewhere: list[str] = []

    def note(address: str) -> None:
        if not address.startswith((f"{url}/", "data:", "blob:")):
            elsewhere.append(address)

    page.on("request", lambda request: note(request.url))
    page.goto(f"{url}/")
    page.get_by_label("Passage", exact=True).fill(PASSAGE)
    page.get_by_label("Question").fill("Who slept?")
    page.get_by_label("Question").press("Enter")
    expect(page.locator('mark[data-rank="1"]')).to_have_text("Nobody", timeout=60_000)
    page.get_by_role("link", name="Many questions").click()
    expect(page).to_have_url(f"{url}/questions")
    assert elsewhere == []
