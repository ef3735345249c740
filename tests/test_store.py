"""Fetching from a server that misbehaves: the model is there whole and right, or not at all."""

import json
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from qa import InputError, QAError, Reader, catalog, download, published, store
from qa.__main__ import main
from qa.published import Published
from qa.store import Progress
from tests import tiny_ir
from tests.bad_server import BadServer, Fault, serving
from tests.tiny_ir import ALIAS, NAME

ROOT = Path(__file__).parent.parent
PASSAGE = "The lamp was lit in 1874 by Mara Quill."
XML, BIN = f"{NAME}.xml", f"{NAME}.bin"
SIZE = len(tiny_ir.files(np.float16)[1])  # of the .bin, in bytes
HALF = 100_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BadServer]:
    """The publisher, with one small model."""
    root = tmp_path / "publisher"
    (root / NAME).mkdir(parents=True)
    with serving(root) as server:
        yield server


@pytest.fixture
def entry(server: BadServer, monkeypatch: pytest.MonkeyPatch) -> Published:
    entry = tiny_ir.make(server.root / NAME, f"{server.url}/{NAME}")
    monkeypatch.setattr(published, "PUBLISHED", (entry,))
    monkeypatch.setattr(download, "BACK_OFF", 0.001)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return entry


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder models are installed in; not there yet."""
    folder = tmp_path / "models"
    monkeypatch.setenv("QA_MODELS_DIR", str(folder))
    for name in ("QA_MIRROR", "QA_PREINSTALL"):
        monkeypatch.delenv(name, raising=False)
    return folder


def assert_installed(models: Path) -> None:
    """The model is there, whole and right, and nothing else."""
    assert [path.name for path in models.iterdir()] == [NAME]
    reader = Reader.load(NAME)
    assert (
        reader.answer("Who lit the lamp?", f"{PASSAGE} {PASSAGE}").answers[0].text == "Mara Quill"
    )


def assert_nothing(models: Path) -> None:
    assert list(models.iterdir()) == []
    assert NAME not in [card.name for card in catalog.models()]


# ------------------------------------------------------------------------------------------------
# A server that behaves


def test_fetch_installs_what_answers(entry: Published, server: BadServer, models: Path) -> None:
    card = store.fetch(NAME)
    assert_installed(models)
    assert card == catalog.find(NAME)
    assert card.folder == models / NAME
    assert card.aliases == (ALIAS,)
    assert (card.exact_match, card.f1) == (84.4, 91.4)
    assert "publisher" in card.measured_on
    assert server.requests == [(f"/{NAME}/{file.path}", "") for file in entry.files["FP16-INT8"]]
    written = json.loads((card.folder / "model.json").read_text(encoding="utf-8"))
    assert written["precision"] == "FP16-INT8"
    assert written["inputs"] == list(tiny_ir.INPUTS)
    assert written["outputs"] == ["output_s", "output_e"]
    for name, file in written["files"].items():
        assert file["size"] == (card.folder / name).stat().st_size
        assert file["sha384"] == download.sha384(card.folder / name)


@pytest.mark.usefixtures("entry", "models")
def test_an_alias_is_as_good_as_the_name() -> None:
    with pytest.raises(InputError, match=f"is not installed; fetch it with.* fetch {ALIAS}"):
        Reader.load(ALIAS)
    assert store.fetch(ALIAS).name == NAME
    assert Reader.load(ALIAS).answer("Who?", PASSAGE).model == NAME
    store.remove(ALIAS)
    with pytest.raises(InputError, match="is not installed"):
        Reader.load(NAME)


@pytest.mark.usefixtures("entry")
def test_what_is_installed_is_not_fetched_again(
    server: BadServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.fetch(NAME)
    asked = len(server.requests)
    monkeypatch.setattr(store, "_writable_folder", lambda: pytest.fail("nothing is to be written"))
    assert store.fetch(NAME) == first
    assert store.fetch(ALIAS, precision="FP16-INT8") == first
    assert len(server.requests) == asked
    assert_installed(models)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "model.json"])
@pytest.mark.parametrize("how", ["byte", "length", "gone"])
def test_what_is_damaged_is_fetched_again(file: str, how: str, models: Path) -> None:
    whole = {path.name: path.read_bytes() for path in store.fetch(NAME).folder.iterdir()}
    path = models / NAME / file
    if how == "gone":
        path.unlink()
    elif how == "length":
        path.write_bytes(whole[file][:-10])
    elif file == "model.json":
        path.write_bytes(whole[file].replace(b'"sha384": "', b'"sha384": "0'))
    else:
        path.write_bytes(whole[file][:-1] + bytes([whole[file][-1] ^ 1]))
    if how != "byte":
        assert [card.installed for card in catalog.not_installed()] == [False]
    store.fetch(NAME)
    assert {path.name: path.read_bytes() for path in (models / NAME).iterdir()} == whole
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_another_precision_takes_the_place_of_the_first(server: BadServer, models: Path) -> None:
    store.fetch(NAME)
    card = store.fetch(NAME, precision="FP32-INT8")
    assert server.asked(f"FP32-INT8/{BIN}") == [""]
    assert json.loads((card.folder / "model.json").read_text())["precision"] == "FP32-INT8"
    assert_installed(models)
    with pytest.raises(InputError, match="choose FP16-INT8 or FP32-INT8"):
        store.fetch(NAME, precision="FP8")


@pytest.mark.usefixtures("models")
def test_progress_says_how_far_how_fast_and_how_long(entry: Published, server: BadServer) -> None:
    server.fails(BIN, Fault(pause=0.15))
    seen: list[Progress] = []
    store.fetch(NAME, progress=seen.append)
    total = sum(file.size for file in entry.files["FP16-INT8"])
    assert {progress.total for progress in seen} == {total}
    fetched = [progress for progress in seen if progress.step == "fetch"]
    done = [progress.done for progress in fetched]
    assert done == sorted(done)
    assert len(done) > 4
    assert done[-1] == total
    assert seen[-1] == Progress("convert", total, total)
    middle = fetched[-2]
    assert middle.rate is not None
    assert middle.seconds_left is not None
    assert 10_000 < middle.rate < 400_000  # 32 KB every 0.15 s at most
    assert middle.seconds_left == pytest.approx((total - middle.done) / middle.rate)


def test_the_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Progress] = []
    meter = store._Meter(seen.append, total=10_000)
    done = 0
    for second in range(20):
        monkeypatch.setattr(time, "monotonic", lambda now=float(second): now)
        done += 900 if second < 10 else 10
        meter.report(done)
    assert seen[5].rate == 900
    assert seen[-1].rate == 10
    assert seen[-1].seconds_left == (10_000 - done) / 10
    monkeypatch.setattr(time, "monotonic", lambda: 20.0)
    meter.report(100)  # the file is fetched from its start again
    assert seen[-1].rate is None


# ------------------------------------------------------------------------------------------------
# A server that does not


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault(replace=bytes(SIZE)), "its SHA-384 is another; choose another source"),
        (Fault(replace=bytes(1000)), f"its length is 1,000 bytes, not {SIZE:,}; choose another"),
        (Fault(replace=bytes(300_000)), f"its length is 300,000 bytes, not {SIZE:,}"),
        (Fault(replace=bytes(1000), lengthless=True), "its length is 1,000 bytes"),
        (Fault(replace=bytes(300_000), lengthless=True), f"it is longer than {SIZE:,} bytes"),
        (Fault(replace=b""), "its length is 0 bytes"),
        (Fault(status=404), f"There is no http.*/FP16-INT8/{BIN}; choose a source that has it"),
        (Fault(status=401), "the server answers 401 Unauthorized; choose another source"),
        (Fault(status=302, headers={"Location": "ftp://127.0.0.1/x"}), "redirects to ftp:"),
        (Fault(status=302, headers={"Location": "file:///etc/passwd"}), "redirects to file:"),
        (Fault(status=302, headers={"Location": BIN}), "Exceeded maximum allowed redirects"),
    ],
)
def test_what_is_wrong_for_good(
    fault: Fault, message: str, server: BadServer, models: Path
) -> None:
    server.fails(BIN, fault)
    with pytest.raises(QAError, match=message) as caught:
        store.fetch(NAME)
    assert "\n" not in str(caught.value)
    assert_nothing(models)
    server.fails(BIN)
    store.fetch(NAME)
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_a_file_without_end_is_not_read_to_it(server: BadServer, models: Path) -> None:
    server.fails(BIN, Fault(replace=bytes(30_000_000), lengthless=True))
    with pytest.raises(QAError, match="it is longer"):
        store.fetch(NAME)
    assert server.sent < 15_000_000  # what the system buffers
    assert_nothing(models)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_waited_out(status: int, server: BadServer, models: Path) -> None:
    server.fails(XML, Fault(status=status), Fault(status=status), Fault())
    store.fetch(NAME)
    assert len(server.asked(XML)) == 3
    assert_installed(models)


@pytest.mark.usefixtures("entry", "models")
def test_a_server_is_waited_for_as_long_as_it_asks(server: BadServer) -> None:
    server.fails(XML, Fault(status=503, headers={"Retry-After": "1"}), Fault())
    started = time.monotonic()
    store.fetch(NAME)
    assert time.monotonic() - started >= 1


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("etag", [None, ""])
def test_a_dropped_connection_is_gone_on_from(
    etag: str | None, server: BadServer, models: Path
) -> None:
    server.fails(BIN, Fault(cut=HALF, etag=etag), Fault(etag=etag))
    store.fetch(NAME)
    assert server.asked(BIN) == ["", f"bytes={HALF}-"]
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_a_server_without_ranges_starts_over(server: BadServer, models: Path) -> None:
    server.fails(BIN, Fault(cut=HALF), Fault(ranges=False))
    store.fetch(NAME)
    assert server.asked(BIN) == ["", f"bytes={HALF}-"]
    assert_installed(models)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    ("second", "then"),
    [
        (Fault(etag='"another"'), []),  # If-Range fails: the whole file comes at once
        (Fault(shift=7), [""]),  # a range, but another
        (Fault(headers={"ETag": '"another"'}), [""]),  # a range of another version
        (Fault(status=416), [""]),
    ],
)
def test_pieces_that_do_not_fit_are_fetched_whole(
    second: Fault, then: list[str], server: BadServer, models: Path
) -> None:
    server.fails(BIN, Fault(cut=HALF), second, Fault())
    store.fetch(NAME)
    assert server.asked(BIN) == ["", f"bytes={HALF}-", *then]
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_pieces_of_two_versions_without_etags_are_fetched_whole(
    server: BadServer, models: Path
) -> None:
    old = bytes(SIZE)
    server.fails(BIN, Fault(cut=HALF, replace=old, etag=""), Fault(etag=""))
    store.fetch(NAME)
    assert server.asked(BIN) == ["", f"bytes={HALF}-", ""]
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_a_server_that_breaks_off_for_good(server: BadServer, models: Path) -> None:
    server.fails(BIN, Fault(cut=HALF), Fault(cut=0))
    with pytest.raises(QAError, match="fetch again to go on from here"):
        store.fetch(NAME)
    assert len(server.asked(BIN)) == 1 + download.ATTEMPTS - 1
    assert NAME not in [card.name for card in catalog.models()]
    server.fails(BIN)
    store.fetch(NAME)
    assert server.asked(BIN)[-1] == f"bytes={HALF}-"
    assert len(server.asked(XML)) == 1
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_a_drop_now_and_then_ends_nothing(server: BadServer, models: Path) -> None:
    server.fails(BIN, *[Fault(cut=12_000)] * 20)
    store.fetch(NAME)
    assert len(server.asked(BIN)) == 18
    assert_installed(models)


@pytest.mark.usefixtures("models")
def test_a_server_that_is_not_there(entry: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = replace(entry, url="http://127.0.0.1:1/x")  # a port that nobody may listen on
    monkeypatch.setattr(published, "PUBLISHED", (nobody,))
    with pytest.raises(QAError, match=r"127\.0\.0\.1:1/x/.*refused.*another source"):
        store.fetch(NAME)


@pytest.mark.usefixtures("entry")
def test_a_server_that_stalls(
    server: BadServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", httpx.Timeout(0.5))
    server.fails(BIN, Fault(stall=2), Fault(cut=HALF), Fault())
    store.fetch(NAME)
    assert server.asked(BIN)[:3] == ["", "", f"bytes={HALF}-"]
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_a_slow_server_is_given_its_time(
    server: BadServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", httpx.Timeout(1))
    server.fails(BIN, Fault(pause=0.2))  # longer than the timeout in all
    store.fetch(NAME)
    assert server.asked(BIN) == [""]
    assert_installed(models)


def test_https_never_becomes_http() -> None:
    with download.client("https") as client:
        (check,) = client.event_hooks["request"]
        check(httpx.Request("GET", "https://example.org/x"))
        with pytest.raises(QAError, match="not trusted"):
            check(httpx.Request("GET", "http://example.org/x"))


# ------------------------------------------------------------------------------------------------
# Mirrors


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("layout", ["the publisher's", "without the model's folder", "flat"])
@pytest.mark.parametrize("over", ["http", "folder", "file URL", "QA_MIRROR"])
def test_a_mirror(
    layout: str, over: str, server: BadServer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = server.root
    if layout == "without the model's folder":
        root = (root / NAME).rename(root / "mirror")
    elif layout == "flat":
        mirror = root / "mirror"
        mirror.mkdir()
        for file in (XML, BIN):
            shutil.move(root / NAME / "FP16-INT8" / file, mirror)
        shutil.move(root / NAME / "vocab.txt", mirror)
        root = mirror
    where = {
        "http": f"{server.url}/{root.relative_to(server.root)}/",
        "folder": str(root),
        "file URL": root.as_uri(),
    }
    if over == "QA_MIRROR":
        monkeypatch.setenv("QA_MIRROR", str(root))
    store.fetch(NAME, mirror=where.get(over))
    assert_installed(models)
    assert bool(server.requests) == (over == "http")


@pytest.mark.usefixtures("entry")
def test_a_folder_that_lacks_a_file_or_has_another(server: BadServer, models: Path) -> None:
    folder = server.root / NAME
    right = (folder / "FP16-INT8" / BIN).read_bytes()
    for wrong in (None, right[:-1], bytes(len(right))):
        (folder / "FP16-INT8" / BIN).unlink()
        if wrong is not None:
            (folder / "FP16-INT8" / BIN).write_bytes(wrong)
        with pytest.raises(QAError, match=BIN):
            store.fetch(NAME, mirror=str(folder))
        assert_nothing(models)
        (folder / "FP16-INT8" / BIN).write_bytes(right)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize(
    "mirror",
    [
        *("/no/such/folder", "file:///no/such/folder", "ftp://user:secret@127.0.0.1/"),
        *(
            "s3://bucket",
            "http://",
            "http://[::1",
            "http://mirror:abc",
            "http://user:secret@mirror:0",
        ),
        *(
            "~nobody-of-this-name/models",
            "http://mirror:99999",
            "http://mirror..example",
            "http://mirror\t.example",
        ),
    ],
)
def test_what_is_no_mirror(mirror: str, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"The mirror .*(give a folder|no such folder)") as caught:
        store.fetch(NAME, mirror=mirror)
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("QA_MIRROR", mirror)
    monkeypatch.setenv("QA_PREINSTALL", NAME)
    assert [str(error) for error in store.preinstall()] == [str(caught.value)]
    assert not models.exists()


@pytest.mark.usefixtures("entry", "models")
def test_a_password_in_an_address_is_not_told(server: BadServer) -> None:
    mirror = server.url.replace("//", "//user:secret@") + "/nothing"
    with pytest.raises(QAError, match="There is no") as caught:
        store.fetch(NAME, mirror=mirror)
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------------------------------------
# The disk


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file system of 300 KB to install on: the files fit, the model beside them does not."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system lets this user mount no small file system")
    monkeypatch.setenv("QA_MODELS_DIR", str(disk))
    yield disk
    # Lazily: what failed may still be looked at, with its files open.
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.usefixtures("entry")
def test_space_is_checked_first(small_disk: Path, server: BadServer) -> None:
    with pytest.raises(QAError, match=r"needs 4 MB .* has 0 MB free; make room"):
        store.fetch(NAME)
    assert server.requests == []
    assert_nothing(small_disk)


@pytest.mark.usefixtures("entry")
@pytest.mark.parametrize("taken", [0, 150_000])
def test_a_disk_that_fills_up(
    taken: int, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the model is converted, and while it is fetched."""
    monkeypatch.setattr(store, "_check_space", lambda *_: None)  # another program was faster
    (small_disk / "taken").write_bytes(bytes(taken))
    with pytest.raises(QAError, match=r"filled up and nothing .* was kept; make room"):
        store.fetch(NAME)
    (small_disk / "taken").unlink()
    assert_nothing(small_disk)


@pytest.mark.usefixtures("entry")
def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("QA_MODELS_DIR", str(tmp_path / "file" / "models"))
    with pytest.raises(QAError, match="cannot be written; name a folder that can"):
        store.fetch(NAME)


@pytest.mark.usefixtures("entry")
def test_a_read_only_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "file" / "models")
    monkeypatch.delenv("QA_MODELS_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store.fetch(NAME).folder == tmp_path / "data" / "verbatim" / "models" / NAME
    assert Reader.load(NAME).answer("Who?", PASSAGE).answers[0].text == "Mara Quill"


@pytest.mark.usefixtures("entry")
def test_a_model_that_another_folder_hides_is_not_fetched(
    server: BadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QA_MODELS_DIR", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    hiding = tmp_path / "image" / NAME / "model.json"
    hiding.parent.mkdir(parents=True)
    hiding.touch()
    monkeypatch.setattr(catalog, "BUNDLED", tmp_path / "image")
    # For root, who may run this, every folder can be written.
    monkeypatch.setattr(store, "_writable_folder", lambda: catalog.folders()[1])
    with pytest.raises(QAError, match="would be used instead and cannot be replaced"):
        store.fetch(NAME)
    assert server.requests == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('type="Squeeze"', 'type="Squash"', "Squash"),
        (r'<layer id="\d+" name="Result_(\d+)".*\n</layers>', "</layers>", "cannot be run here"),
    ],
)
def test_files_that_cannot_be_converted_or_run(
    before: str,
    after: str,
    message: str,
    entry: Published,
    server: BadServer,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    xml = server.root / NAME / "FP16-INT8" / XML
    text, changes = re.subn(before, after, xml.read_text(encoding="utf-8"))
    assert changes
    # The last layer's edge goes with it.
    text = re.sub(r"\n<edge.*\n</edges>", "\n</edges>", text) if after == "</layers>" else text
    xml.write_text(text, encoding="utf-8")
    _, *others = entry.files["FP16-INT8"]
    files = (tiny_ir.remote(server.root / NAME, f"FP16-INT8/{XML}"), *others)
    strange = replace(entry, files={"FP16-INT8": files})
    monkeypatch.setattr(published, "PUBLISHED", (strange,))
    with pytest.raises(QAError, match=message):
        store.fetch(NAME)
    assert_nothing(models)


def test_files_that_make_no_whole_model(
    entry: Published, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    xml, _, weights = entry.files["FP16-INT8"]
    mute = replace(entry, files={"FP16-INT8": (xml, weights)})
    monkeypatch.setattr(published, "PUBLISHED", (mute,))
    with pytest.raises(QAError, match=r"has no tokenizer\.json"):
        store.fetch(NAME)
    assert_nothing(models)


def test_a_graph_of_other_inputs_is_not_installed(
    entry: Published, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = replace(entry, inputs=tiny_ir.INPUTS[:3])
    monkeypatch.setattr(published, "PUBLISHED", (three,))
    with pytest.raises(QAError, match=r"reads input_ids, .*position_ids where"):
        store.fetch(NAME)
    assert_nothing(models)


# ------------------------------------------------------------------------------------------------
# Other processes


def command(entry: Published, *arguments: str, before: str = "pass") -> list[str]:
    """Return the command line that runs `python -m qa` with this one model published, and the
    statement `before` first."""
    script = (
        "import pickle, sys; from qa import published; "
        "published.PUBLISHED = (pickle.loads(bytes.fromhex(sys.argv.pop(1))),); "
        f"{before}; from qa.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-c", script, pickle.dumps(entry).hex(), *arguments]


@contextmanager
def started(entry: Published, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside the test, at most as long as that."""
    pipe = subprocess.PIPE
    line = command(entry, *arguments)
    with subprocess.Popen(line, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_until(server: BadServer, sent: int) -> None:
    end = time.monotonic() + 20
    while server.sent < sent:
        assert time.monotonic() < end, "nothing is fetched"
        time.sleep(0.01)


def test_killed_half_way_and_run_again(entry: Published, server: BadServer, models: Path) -> None:
    server.fails(BIN, Fault(pause=0.3))
    with started(entry, "fetch", NAME):
        wait_until(server, HALF)  # and then it is killed
    assert NAME not in [card.name for card in catalog.models()]
    server.fails(BIN)
    store.fetch(NAME)
    first, second = server.asked(BIN)
    assert first == ""
    assert int(second.removeprefix("bytes=").removesuffix("-")) > 0
    assert_installed(models)


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 on Windows")
def test_killed_while_it_converts_and_run_again(
    entry: Published, server: BadServer, models: Path
) -> None:
    die = (
        "import os, onnx; onnx.ModelProto.SerializeToString = lambda self: os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run(command(entry, "fetch", NAME, before=die), cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert NAME not in [card.name for card in catalog.models()]
    store.fetch(NAME)
    assert len(server.asked(BIN)) == 1
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_what_a_killed_fetch_left_does_no_harm(models: Path) -> None:
    staging = models / f".{NAME}.fetching"
    for left_over in (staging / "model", staging / "replaced", models / NAME):
        left_over.mkdir(parents=True)
        (left_over / "junk").touch()
    store.fetch(NAME)
    assert not (models / NAME / "junk").exists()
    assert_installed(models)


def test_two_processes_fetch_once(entry: Published, server: BadServer, models: Path) -> None:
    server.fails(BIN, Fault(pause=0.2))
    with (
        started(entry, "fetch", NAME, "--json") as one,
        started(entry, "fetch", NAME, "--json") as other,
    ):
        for process in (one, other):
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert json.loads(out) == {"model": NAME, "path": str(models / NAME)}
    assert len(server.requests) == 3
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_two_threads_fetch_once(server: BadServer, models: Path) -> None:
    fetching, waiting = threading.Event(), threading.Event()

    def hold(progress: Progress) -> None:
        fetching.set()
        assert waiting.wait(20)

    def release(progress: Progress) -> None:
        assert progress.step == "wait"
        waiting.set()

    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(store.fetch, NAME, progress=hold)
        assert fetching.wait(20)
        other = store.fetch(ALIAS, progress=release)
        assert one.result() == other
    assert waiting.is_set()
    assert len(server.requests) == 3
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_what_progress_raises_stops_the_fetch(server: BadServer, models: Path) -> None:
    class StopError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.done > HALF:
            raise StopError

    server.fails(BIN, Fault(pause=0.11))
    with pytest.raises(StopError):
        store.fetch(NAME, progress=stop)
    assert NAME not in [card.name for card in catalog.models()]
    server.fails(BIN)
    store.fetch(NAME)
    assert server.asked(BIN)[-1] != ""
    assert_installed(models)


# ------------------------------------------------------------------------------------------------
# Removing, preinstalling, the command line


@pytest.mark.usefixtures("entry")
def test_remove(server: BadServer, models: Path) -> None:
    store.fetch(NAME)
    assert store.remove(NAME) == [models / NAME]
    assert_nothing(models)
    with pytest.raises(InputError, match="is not installed"):
        store.remove(NAME)
    server.fails(BIN, Fault(cut=HALF), Fault(cut=0))
    with pytest.raises(QAError):
        store.fetch(NAME)
    store.remove(NAME)  # what has arrived, too
    assert_nothing(models)
    with pytest.raises(InputError, match=f"was not fetched; .*{catalog.DEFAULT}"):
        store.remove(catalog.DEFAULT)
    assert catalog.find(catalog.DEFAULT)
    with pytest.raises(InputError, match=r"There is no model .\.\./none-here"):
        store.remove("../none-here")


def test_what_is_being_fetched_is_not_removed(
    entry: Published, server: BadServer, models: Path
) -> None:
    server.fails(BIN, Fault(pause=0.3))
    with started(entry, "fetch", NAME) as process:
        wait_until(server, HALF)
        with pytest.raises(QAError, match="being fetched by another process; try again"):
            store.remove(NAME)
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert_installed(models)


@pytest.mark.usefixtures("entry")
def test_preinstall(server: BadServer, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.preinstall() == []
    assert server.requests == []
    monkeypatch.setenv("QA_PREINSTALL", f"no-such-model, {ALIAS},")
    (error,) = store.preinstall()
    assert "There is no model 'no-such-model' to fetch" in str(error)
    assert_installed(models)
    asked = len(server.requests)
    store.preinstall()
    assert len(server.requests) == asked


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command and returns its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


Cli = Callable[..., tuple[int, str, str]]


def test_the_command_line(
    cli: Cli, entry: Published, server: BadServer, models: Path, tmp_path: Path
) -> None:
    listed = {model["name"]: model for model in json.loads(cli("models", "--json")[1])["models"]}
    assert listed[NAME]["installed"] is False
    assert listed[NAME]["aliases"] == [ALIAS]
    assert listed[NAME]["size"] == sum(file.size for file in entry.files["FP16-INT8"])
    out = cli("models")[1]
    assert f"{NAME} or {ALIAS}" in out
    assert "not installed" in out

    code, out, err = cli("fetch", ALIAS, "--json")
    assert (code, json.loads(out)) == (0, {"model": NAME, "path": str(models / NAME)})
    assert "0.2 of 0.2 MB" in err
    text = tmp_path / "passage.txt"
    text.write_text(PASSAGE, encoding="utf-8")
    code, out, _ = cli("ask", "Who?", "--text", text, "--model", ALIAS, "--json")
    assert json.loads(out)["answers"][0]["text"] == "Mara Quill"
    assert "not installed" not in cli("models")[1]

    code, out, _ = cli("remove", ALIAS, "--json")
    assert (code, json.loads(out)) == (0, {"model": NAME, "removed": [str(models / NAME)]})
    assert_nothing(models)
    server.fails(XML, Fault(status=404))
    for arguments, expected in (
        (["fetch", NAME], 1),
        (["fetch", "no-such-model"], 2),
        (["fetch", NAME, "--mirror", "/no/such/folder"], 2),
        (["fetch", NAME, "--precision", "FP8"], 2),
        (["remove", NAME], 2),
    ):
        code, out, err = cli(*arguments)
        assert (code, out, err.count("\n")) == (expected, "", 1), arguments


@pytest.mark.usefixtures("entry", "models")
def test_a_person_watches_a_line_that_changes(
    cli: Cli, server: BadServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    server.fails(BIN, Fault(pause=0.11))
    _, _, err = cli("fetch", NAME)
    fetching, converting, rest = err.split("\n")
    *changing, last = (line.rstrip() for line in fetching.split("\r"))
    amount = rf"{NAME}: [\d.]+ of 0\.2 MB"
    assert len(changing) >= 5
    assert all(re.match(amount, line) for line in changing[1:])
    assert any(re.fullmatch(rf"{amount}, 0\.\d MB/s, 0:\d\d left", line) for line in changing)
    assert re.fullmatch(rf"{NAME}: 0\.2 of 0\.2 MB, 0\.\d MB/s", last)
    assert (converting, rest) == (f"\rConverting {NAME}", "")

    cli("remove", NAME)
    server.fails(BIN, Fault(cut=HALF), Fault(cut=0))
    code, _, err = cli("fetch", NAME)
    assert code == 1
    changing_line, error, rest = err.split("\n")
    assert "\r" in changing_line
    assert error.startswith(server.url)
    assert rest == ""


@pytest.mark.usefixtures("models")
def test_convert_on_the_command_line(
    cli: Cli, entry: Published, server: BadServer, tmp_path: Path
) -> None:
    folder = server.root / entry.name / "FP32-INT8"
    out_dir = tmp_path / "converted"
    code, _, err = cli("convert", folder / XML, out_dir)
    assert (code, err.count("\n")) == (0, 1)
    assert "put its vocab.txt beside" in err
    with pytest.raises(QAError, match=r"needs model\.onnx and tokenizer\.json"):
        Reader.load(out_dir)
    shutil.copy(server.root / NAME / "vocab.txt", folder)
    code, out, err = cli("convert", folder / XML, out_dir, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert report["inputs"] == list(tiny_ir.INPUTS)
    assert report["outputs"] == ["output_s", "output_e"]
    assert report["seconds"] > 0
    assert Path(report["path"]).is_relative_to(out_dir)
    assert Reader.load(out_dir).answer("Who?", PASSAGE).answers[0].text == "Mara Quill"
    for xml, folder_, expected in (
        (tmp_path / "none.xml", "a", 2),
        (folder / "vocab.txt", "a", 1),
        (folder / XML, folder / XML / "a", 1),
    ):
        code, out, err = cli("convert", xml, tmp_path / folder_)
        assert (code, out, err.count("\n")) == (expected, "", 1), xml


# ------------------------------------------------------------------------------------------------
# The catalog itself


def test_the_published_models_are_described_completely() -> None:
    for entry in published.PUBLISHED:
        assert entry.url == f"{entry.url.rpartition('/')[0]}/{entry.name}"
        assert entry.url.startswith("https://")
        assert list(entry.files) == ["FP16-INT8", "FP32-INT8"]
        assert ("position_ids" in entry.inputs) == ("small" in entry.name)
        for precision, files in entry.files.items():
            assert [file.path for file in files] == [
                f"{precision}/{entry.name}.xml",
                "vocab.txt",
                f"{precision}/{entry.name}.bin",
            ]
            for file in files:
                assert len(bytes.fromhex(file.sha384)) == 48
    names = [name for entry in published.PUBLISHED for name in (entry.name, *entry.aliases)]
    assert "bert-large-uncased-whole-word-masking-squad-int8-onnx-0001" in names
    assert "bert-large-uncased-whole-word-masking-squad-int8-0001" in names
    assert len(set(names)) == len(names) == 3


def test_what_can_be_fetched_is_listed() -> None:
    cards = {card.name: card for card in catalog.not_installed()}
    for entry in published.PUBLISHED:
        card = cards[entry.name].to_dict()
        assert card["installed"] is False
        assert card["size"] == sum(file.size for file in entry.files["FP16-INT8"])
        assert card["f1"] == entry.f1
        assert "publisher" in card["measured_on"]
