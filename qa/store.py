"""Models on disk: fetch one from its publisher, a mirror or a folder, and remove it again.

A fetched model is checked and converted beside its place and moved there in one step, so that there
is never half a model; one process at a time works on a model. Nothing is fetched that nobody asked
for. How a file is brought here is in download.py, how a model is converted in openvino_ir.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from qa import catalog, published
from qa.catalog import ModelCard
from qa.download import BrokenOffError, sha384
from qa.errors import InputError, QAError
from qa.published import Published
from qa.source import Bring, Source

MODEL_GROWTH = 1.05  # a converted model's size over that of its weights
SLACK = 4_000_000  # bytes, for the tokenizer, the card and the file system's rounding
RATE_OVER = 5.0  # seconds; a longer memory makes the time left lag behind, a shorter one jump
REPORT_EVERY = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is: waiting for another process that fetches the same model, fetching `done`
    of `total` bytes (all files together), or converting. `rate` is in bytes per second, and with
    `seconds_left` None until it is known."""

    step: Literal["wait", "fetch", "convert"]
    done: int
    total: int
    rate: float | None = None
    seconds_left: float | None = None

    @property
    def amount(self) -> str:
        """How many bytes have come of how many, how fast, and how long the rest will take."""
        told = [f"{self.done / 1e6:,.1f} of {self.total / 1e6:,.1f} MB"]
        if self.rate:
            told.append(f"{self.rate / 1e6:,.1f} MB/s")
        if self.seconds_left:
            minutes, seconds = divmod(round(self.seconds_left), 60)
            told.append(f"{minutes}:{seconds:02} left")
        return ", ".join(told)


Report = Callable[[Progress], object]


def fetch(
    name: str,
    *,
    mirror: str | None = None,
    precision: str | None = None,
    progress: Report = lambda progress: None,
) -> ModelCard:
    """Install a published model by name or alias, and return its card; one that is installed and
    whole stays as it is.

    `mirror` is a folder or an http(s) address to take the files from, by default QA_MIRROR, else
    the publisher's. `precision` is one the model is published in, by default its first. What
    `progress` raises stops the fetch, and what has arrived is kept for the next one.

    Raises InputError where there is no such model, mirror or precision, QAError where it could not
    be fetched; then nothing is installed.
    """
    entry = published.find(name)
    if entry is None:
        known = ", ".join(entry.name for entry in published.PUBLISHED)
        raise InputError(f"There is no model {name!r} to fetch; choose one of {known}.")
    if precision is not None and precision not in entry.files:
        raise InputError(
            f"{entry.name} is not published as {precision!r}; choose {' or '.join(entry.files)}."
        )
    if card := _intact(entry, precision):
        return card
    source = Source(entry, mirror or os.environ.get("QA_MIRROR"))
    folder = _writable_folder()
    _check_seen(entry, folder)
    total = sum(file.size for file in entry.files[precision or entry.precision])
    with _alone(entry, folder, lambda: progress(Progress("wait", 0, total))):
        if card := _intact(entry, precision):  # by whom we waited for
            return card
        staging = _staging(entry, folder)
        try:
            with source.open() as bring:
                _install(entry, precision or entry.precision, bring, folder, progress)
        except BrokenOffError:
            raise
        except QAError:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        except OSError as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise _disk_error(error, entry, folder) from error
        shutil.rmtree(staging, ignore_errors=True)
        return catalog.read_card(folder / entry.name)


def remove(name: str) -> list[Path]:
    """Remove a fetched model by name or alias, and what an interrupted fetch of it left. Returns
    the folders that were removed.

    Raises InputError where it is not there or was not fetched, QAError where it is in use.
    """
    entry = published.find(name)
    if entry is None:
        card = catalog.find(name)
        raise InputError(f"{card.name} was not fetched; to be rid of it delete {card.folder}.")
    removed: list[Path] = []
    for folder in catalog.folders():
        place, staging = folder / entry.name, _staging(entry, folder)
        if not place.exists() and not staging.exists():
            continue
        try:
            with _alone(entry, folder, None):
                staging.mkdir(exist_ok=True)
                if place.exists():
                    place.rename(staging / "removed")
                shutil.rmtree(staging)
        except OSError as error:
            raise QAError(
                f"{place} could not be removed: {error.strerror}; close what uses it and try again."
            ) from error
        removed.append(place)
    if not removed:
        raise InputError(f"{entry.name} is not installed.")
    return removed


def preinstall(progress: Report = lambda progress: None) -> list[QAError]:
    """Fetch the models that QA_PREINSTALL names, separated by commas, where they are not installed.

    Returns what went wrong: one model that cannot be had keeps neither the others nor the app from
    starting.
    """
    errors: list[QAError] = []
    for name in os.environ.get("QA_PREINSTALL", "").split(","):
        try:
            if name.strip():
                fetch(name.strip(), progress=progress)
        except QAError as error:
            errors.append(error)
    return errors


def _writable_folder() -> Path:
    """Return the folder to install in: QA_MODELS_DIR if set, else the first that can be written."""
    folders = catalog.folders()
    if os.environ.get("QA_MODELS_DIR"):
        folders = folders[:1]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    raise QAError(
        f"No model can be kept: {' and '.join(map(str, folders))} cannot be written; "
        "name a folder that can with QA_MODELS_DIR."
    )


def _check_seen(entry: Published, folder: Path) -> None:
    """Raise QAError where a model of this name lies in a folder that is looked into before."""
    for earlier in takewhile(lambda other: other != folder, catalog.folders()):
        place = earlier / entry.name
        if catalog.is_folder(place) and (place / "model.json").exists():
            raise QAError(
                f"{place} would be used instead and cannot be replaced; delete it, "
                "or name another folder with QA_MODELS_DIR."
            )


def _staging(entry: Published, folder: Path) -> Path:
    """Return the folder in which a model is put together: on the same file system as its place;
    models are looked for less deep."""
    return folder / f".{entry.name}.fetching"


@contextmanager
def _alone(entry: Published, folder: Path, waiting: Callable[[], object] | None) -> Iterator[None]:
    """Keep every other process from working on this model, as long as this one lives.

    Where another does, calls `waiting` and waits for it; without `waiting` raises QAError.
    """
    path = folder / f".{entry.name}.lock"
    lock = FileLock(path, poll_interval=0.1)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is None:
            raise QAError(
                f"{entry.name} is being fetched by another process; try again when it is done."
            ) from None
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        # While it is still held: whoever waits for a lock that has lost its name takes a new one.
        # Windows does not let an open file be deleted; there an empty file stays.
        with suppress(OSError):
            path.unlink()
        lock.release()


def _intact(entry: Published, precision: str | None) -> ModelCard | None:
    """Return the card of the installed model if every byte of it is as it was installed, and it was
    made from this precision (None: any)."""
    card = next((card for card in catalog.models() if card.name == entry.name), None)
    if card is None:
        return None
    made = json.loads((card.folder / "model.json").read_text(encoding="utf-8"))
    if precision not in (None, made.get("precision")):
        return None
    sums = {name: file.get("sha384") for name, file in made["files"].items()}
    same = all(sha384(card.folder / name) == sums[name] for name in sums)
    return card if same else None


def _install(
    entry: Published, precision: str, bring: Bring, folder: Path, progress: Report
) -> None:
    """Fetch, convert, describe, and put the finished folder in its place."""
    # Importing onnx takes longer than everything else the app does before it listens.
    from qa.openvino_ir import convert
    from qa.session import Session

    files = entry.files[precision]
    staging, place = _staging(entry, folder), folder / entry.name
    ir, model, replaced = staging / precision, staging / "model", staging / "replaced"
    ir.mkdir(parents=True, exist_ok=True)
    for left_over in staging.iterdir():
        if left_over != ir:
            shutil.rmtree(left_over)
    _check_space(entry, precision, folder)

    meter = _Meter(progress, sum(file.size for file in files))
    for file in files:
        target = ir / file.name
        if not (target.exists() and sha384(target) == file.sha384):
            bring(file, target, meter.report)
        meter.finish(file.size)

    meter.converting()
    try:
        conversion = convert(next(ir.glob("*.xml")), model)
    except QAError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None  # about the disk there is more to say here
        raise
    if len(conversion.inputs) != len(entry.inputs):
        raise QAError(
            f"{entry.name} reads {', '.join(conversion.inputs)} where {', '.join(entry.inputs)} "
            "were expected, so it cannot be used."
        )
    try:
        Session(conversion.path)
    except QAError as error:
        raise QAError(
            f"{entry.name} was fetched and converted, but cannot be run here, so it is not "
            "installed; try another precision."
        ) from error
    card = entry.card() | {
        "precision": precision,
        "source": entry.url,
        "inputs": list(conversion.inputs),
        "outputs": list(conversion.outputs),
        "files": {
            path.name: {"size": path.stat().st_size, "sha384": sha384(path)}
            for path in sorted(model.iterdir())
        },
    }
    (model / "model.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    catalog.read_card(model)  # raises where it is not whole
    if place.exists():  # damaged, or made from another precision
        place.rename(replaced)
    model.rename(place)


def _check_space(entry: Published, precision: str, folder: Path) -> None:
    """Raise QAError where the disk has no room for what is still to be fetched, and the model."""
    files = entry.files[precision]
    there = (_staging(entry, folder) / precision).iterdir()
    to_fetch = sum(file.size for file in files) - sum(path.stat().st_size for path in there)
    weights = max(file.size for file in files)
    needed = to_fetch + int(MODEL_GROWTH * weights) + SLACK
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise QAError(
            f"{entry.name} needs {needed / 1e6:,.0f} MB to be fetched and converted, and {folder} "
            f"has {free / 1e6:,.0f} MB free; make room, or name another folder with QA_MODELS_DIR."
        )


def _disk_error(error: OSError, entry: Published, folder: Path) -> QAError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return QAError(
            f"The disk of {folder} filled up and nothing of {entry.name} was kept; make room, or "
            "name another folder with QA_MODELS_DIR."
        )
    return QAError(
        f"{entry.name} could not be kept in {folder}: {error.strerror}; see to that, or name "
        "another folder with QA_MODELS_DIR."
    )


class _Meter:
    """Turns the bytes of one file after another into progress over all of them."""

    def __init__(self, progress: Report, total: int) -> None:
        self._progress = progress
        self._total = total
        self._finished = 0
        self._marks: deque[tuple[float, int]] = deque()

    def report(self, bytes_of_file: int) -> None:
        done, now = self._finished + bytes_of_file, time.monotonic()
        if self._marks and now < self._marks[-1][0] + REPORT_EVERY and done < self._total:
            return
        if self._marks and done < self._marks[-1][1]:  # a file is fetched from its start again
            self._marks.clear()
        while self._marks and now > self._marks[0][0] + RATE_OVER:
            self._marks.popleft()
        self._marks.append((now, done))
        seconds, bytes_ = now - self._marks[0][0], done - self._marks[0][1]
        rate = bytes_ / seconds if bytes_ else None
        left = (self._total - done) / rate if rate else None
        self._progress(Progress("fetch", done, self._total, rate, left))

    def finish(self, bytes_of_file: int) -> None:
        self._finished += bytes_of_file

    def converting(self) -> None:
        self._progress(Progress("convert", self._total, self._total))
