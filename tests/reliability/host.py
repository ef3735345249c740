"""The app as its owner runs it, and visitors who speak HTTP to it."""

import http.client
import json
import signal
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.browser.conftest import ROOT, START_SECONDS, free_port
from tests.conftest import persons_environment

API = "/gradio_api"


@dataclass(frozen=True)
class Host:
    """A running app: where it is, its process and what it wrote."""

    address: str
    port: int
    process: subprocess.Popen[bytes]
    output: Path
    prefix: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}{self.prefix}"

    def wrote(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def send(
        self, method: str, path: str, body: bytes | str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; return status, headers and body."""
        connection = http.client.HTTPConnection(self.address.strip("[]"), self.port, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, self.prefix + path, body, {**self.headers, **named})
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, bytes]:
        status, _, body = self.send("GET", path)
        return status, body

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        """Post JSON; return status and what came back, as JSON where it is some."""
        status, _, body = self.send(
            "POST", path, json.dumps(value), content_type="application/json"
        )
        try:
            return status, json.loads(body)
        except ValueError:
            return status, body

    def call(self, endpoint: str, *data: Any) -> tuple[str, Any]:
        """Call a named endpoint; return "complete" or "error" and its data."""
        status, begun = self.post(f"{API}/call/{endpoint}", {"data": list(data)})
        assert status == 200, begun
        path = f"{API}/call/{endpoint}/{begun['event_id']}"
        return next(self._events(path))

    def _events(self, path: str) -> Iterator[tuple[str, Any]]:
        status, _, body = self.send("GET", path)
        assert status == 200, body
        lines = body.decode().split("\n")
        for name, data in pairwise(lines):
            event = name.removeprefix("event: ")
            if event in ("complete", "error"):
                yield event, json.loads(data.removeprefix("data: "))

    def answer(self, question: str, passage: str, **named: Any) -> dict[str, Any]:
        """Ask as programs do; return the result."""
        outcome, data = self.call(
            "answer", question, passage, named.get("model"), named.get("top_k", 3)
        )
        assert outcome == "complete", data
        result: dict[str, Any] = data[0]
        return result

    def event(self, number: int, *data: Any) -> dict[str, Any]:
        """Let an event of the page happen, as the browser does; return its last message."""
        session = uuid.uuid4().hex
        body = {"data": list(data), "fn_index": number, "session_hash": session}
        status, begun = self.post(f"{API}/queue/join", body)
        if status != 200:
            return {"success": False, "output": begun}
        _, _, stream = self.send("GET", f"{API}/queue/data?session_hash={session}")
        messages = [
            json.loads(line.removeprefix("data: "))
            for line in stream.decode().split("\n")
            if line.startswith("data: ")
        ]
        done: dict[str, Any] = next(m for m in messages if m["msg"] == "process_completed")
        return done

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.get("/config")[1])
        return config

    def events(self, name: str) -> Iterator[tuple[int, list[str]]]:
        """Return the numbers of the page's events of this name, with the kinds of their inputs."""
        config = self.config()
        kinds = {component["id"]: component["type"] for component in config["components"]}
        for event in config["dependencies"]:
            if event["api_name"] == name:
                yield event["id"], [kinds.get(each, "state") for each in event["inputs"]]

    def upload(self, name: str, content: bytes) -> tuple[int, Any]:
        """Send a file as the browser does; return status and the paths it got."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; '
            f'filename="{urllib.parse.quote(name)}"\r\nContent-Type: text/plain\r\n\r\n'
        )
        body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
        status, _, answer = self.send(
            "POST",
            f"{API}/upload",
            body,
            content_type=f"multipart/form-data; boundary={boundary}",
        )
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer.decode()

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def running(
    folder: Path,
    *arguments: str,
    address: str = "127.0.0.1",
    command: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    root: Path = ROOT,
    port: int | None = None,
    python: str = sys.executable,
) -> Iterator[Host]:
    """Run app.py until the end of the block; what it writes goes to a file in `folder`."""
    port = port or free_port()
    output = folder / f"output-{port}"
    flags = [] if environment and "PORT" in environment else ["--port", str(port)]
    if address != "127.0.0.1":
        flags += ["--host", address.strip("[]")]
    with output.open("wb") as file:
        process = subprocess.Popen(
            [*command, python, "app.py", *flags, *arguments],
            cwd=root,
            env=persons_environment() | (environment or {}) if "env" not in command else None,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    host = Host(address, port, process, output)
    with process:
        try:
            _wait(host)
            yield host
        finally:
            process.kill()


def _wait(host: Host) -> None:
    deadline = time.monotonic() + START_SECONDS
    while host.process.poll() is None and time.monotonic() < deadline:
        try:
            if host.get("/health")[0] == 200 and "Verbatim is at" in host.wrote():
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"The app does not serve:\n{host.wrote()}")
