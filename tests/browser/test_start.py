"""Starting the app: flags, and what is said when it cannot start."""

import re
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, ROOT, App, Visit, await_replies
from tests.browser.test_page import ask
from tests.reliability.host import API, running
from ui.limits import REQUESTS_A_QUESTION

pytestmark = pytest.mark.browser


def run(*arguments: str) -> tuple[int, str, str]:
    """Run app.py, which is expected to give up; return its exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert run("--host", "127.0.0.1", "--port", str(port)) == (
            1,
            "",
            f"Port {port} is in use; choose another with --port.\n",
        )


@pytest.mark.parametrize(
    ("arguments", "code", "beginning"),
    [
        (["--model", "no-such-model"], 2, "There is no model 'no-such-model'; choose one"),
        (["--engine", "steam"], 2, "There is no engine 'steam' on this machine; choose one of"),
        (["--port", "0"], 2, "argument --port: '0' is not a port from 1 to 65535"),
        (["--port", "http"], 2, "argument --port: 'http' is not a port"),
        (["--max-chars", "0"], 2, "argument --max-chars: '0' is not a number of characters"),
        (["--max-chars", "1e6"], 2, "argument --max-chars: '1e6' is not a number"),
        (["--auth", "ada"], 2, "argument --auth: give a name and a password as USER:PASSWORD"),
        (["--colour"], 2, "unrecognized arguments: --colour"),
        (["--host", "192.0.2.1", "--port", "8000"], 1, "192.0.2.1 port 8000 cannot be listened on"),
        (["--host", "192.0.2.1"], 1, "192.0.2.1 cannot be listened on"),
        (["--host", "..."], 1, "... is no address; choose another with --host"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments: list[str], code: int, beginning: str) -> None:
    exit_code, output, errors = run(*arguments)
    assert exit_code == code
    assert output == ""
    assert errors.startswith(beginning)
    assert errors.count("\n") == 1


def test_a_damaged_model_is_one_sentence(tmp_path: Path) -> None:
    for file in ("model.onnx", "tokenizer.json"):
        (tmp_path / file).write_bytes(b"not what it should be")
    exit_code, output, errors = run("--model", str(tmp_path))
    assert (exit_code, output) == (1, "")
    assert re.search("install (the model|it) again", errors)
    assert errors.count("\n") == 1


def test_a_library_that_mcp_needs_is_named() -> None:
    without = "import app, sys; sys.modules['mcp'] = None; sys.exit(app.main(['--mcp']))"
    done = subprocess.run(
        [sys.executable, "-c", without], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == '--mcp needs one more library: pip install "mcp<2".\n'


def test_help_lists_the_flags() -> None:
    exit_code, output, _ = run("--help")
    assert exit_code == 0
    flags = ("--host", "--port", "--share", "--auth USER:PASSWORD", "--model", "--max-chars N")
    for flag in (*flags, "--mcp", "--no-fetch"):
        assert flag in output


def test_a_name_and_a_password_keep_others_out(app: App, tmp_path: Path) -> None:
    event = {"data": ["Who?", "Ada did.", None, 1]}
    joining = {**event, "fn_index": 0, "session_hash": "x"}
    with running(tmp_path, "--auth", "ada:a:secret") as host:
        assert log_in(f"{host.url}/", "ada", "wrong") == 400
        assert log_in(f"{host.url}/", "ada", "a:secret") == 200
        for path in ("/config", f"{API}/info", f"{API}/queue/data?session_hash=x"):
            assert host.get(path)[0] == 401, path
        for path, body in (
            ("call/answer", event),
            ("run/predict", joining),
            ("queue/join", joining),
        ):
            assert host.post(f"{API}/{path}", body)[0] == 401, path
        assert host.upload("a.txt", b"text")[0] == 401
        for path in ("/", "/questions", "/models"):
            status, page = host.get(path)
            assert (status, b'"auth_required":true' in page) == (200, True)
            assert b'"components":[],"dependencies":[]' in page
    with urllib.request.urlopen(app.url) as response:
        assert b'"auth_required":true' not in response.read()


def test_a_question_takes_as_many_requests_as_is_said(visit: Visit) -> None:
    page = visit()
    with page.expect_request("**/queue/join?"):  # sent once it is chosen
        page.locator(".vb-choose").nth(1).click()
    await_replies(page)  # to what the page asks when it is opened
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if sent.method == "POST" else None)
    ask(page, "Who slept?", "Nobody on the island slept that night.")
    expect(page.locator('mark[data-rank="1"]')).to_have_text("Nobody")
    for _ in range(PATIENCE // 100):
        page.wait_for_timeout(100)
        if len(asked) >= REQUESTS_A_QUESTION:
            break
    page.wait_for_timeout(500)
    assert len(asked) == REQUESTS_A_QUESTION, asked


def log_in(url: str, user: str, password: str) -> int:
    """Return the status of logging in."""
    body = urllib.parse.urlencode({"username": user, "password": password}).encode()
    try:
        with urllib.request.urlopen(f"{url}login", body) as response:
            status: int = response.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    return status
