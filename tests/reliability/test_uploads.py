"""Files that visitors send: each its own, and gone once it was read or given up."""

import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT
from tests.document_files import pdf_of_streams
from tests.reliability.host import API, Host
from tests.reliability.test_safety import META
from ui.limits import MOST_PASSAGES, MOST_SENT
from ui.uploads import folder, keep_tidy

HEAD = (
    "POST {api}/upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    "{length}\r\n\r\n"
)
PART = '--b\r\nContent-Disposition: form-data; name="{field}"; filename="a.txt"\r\n\r\n'


def files(folder: Path) -> set[Path]:
    """Return the files below a folder. Folders that tests of never opened files leave may stay."""
    return {Path(at, name) for at, _, names in os.walk(folder) for name in names}


def until_as(before: set[Path], folder: Path) -> None:
    """Wait until a folder holds what it held before."""
    deadline = time.monotonic() + 10
    while files(folder) != before:
        assert time.monotonic() < deadline, files(folder) - before
        time.sleep(0.05)


def opened(host: Host, name: str, *paths: str) -> dict[str, Any]:
    """Open files that were sent, as a page does."""
    ((number, kinds),) = host.events(name)
    sent = [{"path": path, "orig_name": Path(path).name, "meta": META} for path in paths]
    value = sent if name == "_read_passages" else sent[0]
    return host.event(number, *[value if kind == "uploadbutton" else None for kind in kinds])


@pytest.mark.parametrize("name", ["_open_file", "_read_questions", "_read_passages"])
def test_equal_files_of_two_visitors(host: Host, uploads: Path, name: str) -> None:
    """Each opens their own, and then neither is there."""
    before = set(uploads.rglob("*"))
    sent = [host.upload("handout.txt", b"Who rang the bell? Mara Quill.") for _ in range(2)]
    for status, (path,) in sent:
        assert status == 200
        done = opened(host, name, path)
        assert "Mara Quill" in str(done["output"]["data"]), done
        assert not Path(path).exists()
    assert set(uploads.rglob("*")) == before


def test_a_path_of_the_host_is_not_said(host: Host, uploads: Path) -> None:
    _, (path,) = host.upload("handout.txt", b"Mara Quill.")
    assert "Mara Quill" in str(opened(host, "_open_file", path))
    again = str(opened(host, "_open_file", path)["output"]["data"])
    assert "handout.txt cannot be read" in again
    assert str(uploads) not in again


@pytest.mark.parametrize("whole", [True, False])
def test_what_was_sent_of_a_file_goes_with_whoever_hangs_up(
    host: Host, uploads: Path, whole: bool
) -> None:
    """While the part is sent, or after it, before the body has its end."""
    before = files(uploads)
    with socket.create_connection(("127.0.0.1", host.port)) as visitor:
        length = "Content-Length: 500000"
        visitor.sendall(HEAD.format(api=API, length=length).encode())
        visitor.sendall(PART.format(field="files").encode() + b"x" * 200_000)
        if whole:
            visitor.sendall(b"\r\n" + PART.format(field="files").encode())
        deadline = time.monotonic() + 10
        while files(uploads) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert files(uploads) != before  # it is being taken in
    until_as(before, uploads)


def test_what_was_sent_of_files_that_are_together_too_large_goes(host: Host, uploads: Path) -> None:
    before = files(uploads)
    part = PART.format(field="files").encode() + b"x" * 900_000 + b"\r\n"
    status, _, answer = host.send(
        "POST",
        f"{API}/upload",
        (b"%x\r\n" % len(part) + part + b"\r\n") * 4 + b"0\r\n\r\n",
        transfer_encoding="chunked",
        content_type="multipart/form-data; boundary=b",
    )
    assert status == 413, answer
    until_as(before, uploads)


def test_a_file_that_nobody_asked_for_goes(host: Host, uploads: Path) -> None:
    before = files(uploads)
    body = PART.format(field="others") + "x\r\n--b--\r\n"
    host.send("POST", f"{API}/upload", body, content_type="multipart/form-data; boundary=b")
    until_as(before, uploads)


@pytest.mark.parametrize(
    "name",
    ["../../../escaped.txt", "/tmp/escaped.txt", "..\\escaped.txt", "..%2Fescaped", "..", "."],
)
def test_a_name_that_comes_as_it_is_leads_nowhere(host: Host, uploads: Path, name: str) -> None:
    """Browsers quote names, others need not."""
    before = files(uploads)
    body = PART.format(field="files").replace("a.txt", name) + "text\r\n--b--\r\n"
    status, _, answer = host.send(
        "POST", f"{API}/upload", body, content_type="multipart/form-data; boundary=b"
    )
    if status == 200:
        (path,) = json.loads(answer)
        assert files(uploads) - before == {Path(path)}
        opened(host, "_open_file", path)
    until_as(before, uploads)
    for above in (Path("/tmp"), ROOT, *uploads.resolve().parents):
        assert not list(above.glob("*escaped*"))


def test_files_that_are_sent_and_not_opened_have_a_bound(host: Host, uploads: Path) -> None:
    """Once they are opened, there is room again."""
    before = files(uploads)
    sent = []
    for _ in range(MOST_SENT + 1):
        status, answer = host.upload("long.txt", b"x" * 990_000)
        if status != 200:
            break
        sent += answer
    assert 0 < len(sent) <= MOST_SENT
    assert status == 507
    assert answer == "This host has no room for more files now; paste the text or try later."
    until_as(before | set(map(Path, sent)), uploads)
    opened(host, "_read_passages", *sent)
    until_as(before, uploads)
    for _ in range(MOST_SENT + 2):  # what comes to nothing takes no room
        body = PART.format(field="files") + "x" * 990_000 + "\r\n--b\r\nNo: name\r\n\r\n"
        status, _, _ = host.send(
            "POST", f"{API}/upload", body, content_type="multipart/form-data; boundary=b"
        )
        assert status == 400
    status, (path,) = host.upload("long.txt", b"x" * 990_000)
    assert status == 200
    opened(host, "_open_file", path)


def test_what_an_earlier_run_left_goes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    kept = [folder() / name for name in ("tmpnew", f"{'0' * 64}/new.txt", "notes.txt")]
    kept += [tmp_path / "tmpold", tmp_path / f"{'a' * 64}/old.txt"]  # of another app
    left = [folder() / name for name in ("tmpold", f"{'a' * 64}/old.txt")]
    for file in kept + left:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")
        if "new" not in file.name:
            for path in (file, file.parent):
                os.utime(path, (0, 0))
    keep_tidy(10**9, 3600, 900)
    until_as(set(kept), tmp_path)
    deadline = time.monotonic() + 10
    while left[1].parent.exists():  # a folder goes after what is in it
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_passages_that_are_open_have_a_bound(host: Host) -> None:
    """What is open stays; what is left out is said once."""
    names = [f"{number}.txt" for number in range(MOST_PASSAGES + 3)]
    sent = [host.upload(name, b"A bell. " * 37_000)[1][0] for name in names]
    shown = str(opened(host, "_read_passages", *sent)["output"]["data"])
    assert all(f"<code>{name}</code>" in shown for name in names[:MOST_PASSAGES])
    assert f"<code>{names[MOST_PASSAGES]}</code>" not in shown
    assert "Up to 1,000 files with 1,200,000 characters together may be open here" in shown
    assert shown.count(f"left out: 3 files, from {names[MOST_PASSAGES]} on.") == 1


def test_a_document_that_takes_its_time_keeps_no_other_waiting(host: Host) -> None:
    slow = pdf_of_streams([b"BT /F1 9 Tf (A) Tj ET\n" * 180_000], packed=True)
    _, (long,) = host.upload("long.pdf", slow)
    _, (short,) = host.upload("short.txt", b"Mara Quill.")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(opened, host, "_open_file", long)
        time.sleep(0.2)
        assert "Mara Quill" in str(opened(host, "_open_file", short))
        assert not opening.done()
        assert opening.result()["success"]
