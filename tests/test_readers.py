"""The models of a process: added by folder, let go of once removed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qa import InputError, QAError, catalog
from ui import endpoint
from ui.limits import Limits
from ui.readers import Readers


@pytest.fixture
def readers() -> Readers:
    return Readers(catalog.DEFAULT, Limits(characters=100))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, with the default model under another name."""
    own = tmp_path / "own"
    shutil.copytree(catalog.find(catalog.DEFAULT).folder, own)
    card = json.loads((own / "model.json").read_text(encoding="utf-8"))
    card |= {"name": "own", "title": "My own", "aliases": []}
    (own / "model.json").write_text(json.dumps(card), encoding="utf-8")
    return own


def test_the_limits_hold_for_every_model(folder: Path) -> None:
    readers = Readers(catalog.DEFAULT, Limits(characters=100, seconds=7))
    readers.add(folder)
    for name in (None, "own"):
        assert (readers.get(name).max_characters, readers.get(name).max_seconds) == (100, 7)


def test_the_list_says_which_model_answers_by_default(folder: Path) -> None:
    listed = endpoint.models_with(Readers(folder))()["models"]
    assert {catalog.DEFAULT, "own"} <= {model["name"] for model in listed}
    assert [model["name"] for model in listed if model["default"]] == ["own"]


def test_a_folder_that_answers_by_default_is_shown_as_it_is(folder: Path) -> None:
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    card |= {"name": catalog.DEFAULT, "title": "Mine"}
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")
    default, *others = Readers(folder).cards()
    assert (default.name, default.title) == (catalog.DEFAULT, "Mine")
    assert catalog.DEFAULT not in {card.name for card in others}


def test_a_folder_is_offered_once_it_is_added(readers: Readers, folder: Path) -> None:
    before = readers.cards()
    with pytest.raises(InputError, match="There is no model 'own'"):
        readers.get("own")
    assert readers.add(folder).title == "My own"
    assert [card.name for card in readers.cards()] == [*(card.name for card in before), "own"]
    with pytest.raises(InputError, match="the limit is 100"):
        readers.get("own").answer("Who?", "x " * 60)
    with pytest.raises(InputError, match="There is a model own already"):
        readers.add(folder)


def test_a_folder_that_is_no_models(readers: Readers, folder: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        readers.add(folder / "deeper")
    with pytest.raises(QAError, match=r"has no model\.onnx"):
        readers.add(folder.parent)
    with pytest.raises(InputError, match=f"There is a model {catalog.DEFAULT} already"):
        readers.add(catalog.find(catalog.DEFAULT).folder)
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(QAError, match="install the model again"):
        readers.add(folder)
    assert "own" not in {card.name for card in readers.cards()}


def test_a_damaged_model_is_named_without_its_path(
    readers: Readers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_MODELS_DIR", str(folder.parent))
    size = (folder / "model.onnx").stat().st_size
    (folder / "model.onnx").write_bytes(bytes(size))
    with pytest.raises(QAError) as caught:
        readers.get("own")
    assert str(caught.value) == (
        "The model My own cannot be used; choose another one or install it again."
    )


def test_memory_that_does_not_suffice_is_no_damage(folder: Path) -> None:
    """From when one model is loaded the process may have fifteen megabytes more."""
    script = """
import resource
from qa import QAError
from ui.readers import Readers
readers = Readers("minilm-l6-squad-int8")
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 15_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for work in (lambda: readers.get("own"), lambda: readers.get().answer("Who?", "Ada did. " * 300)):
    try:
        work()
    except QAError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "QA_MODELS_DIR": str(folder.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    said = "There is not enough memory; close other programs or choose a smaller model."
    assert done.stdout.splitlines() == [said] * 2


def test_a_removed_model_is_let_go_of(
    readers: Readers, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_MODELS_DIR", str(folder.parent))
    loaded = readers.get("own")
    assert readers.get("own") is loaded
    shutil.rmtree(folder)
    readers.forget("own")
    with pytest.raises(InputError, match="There is no model 'own'"):
        readers.get("own")
    assert loaded not in readers._loaded.values()
