"""Which models are found where, and what is said of a damaged folder."""

import json
import shutil
from pathlib import Path

import pytest

from qa import InputError, QAError, Reader, catalog
from tests.conftest import LARGER

BUNDLED = catalog.BUNDLED / catalog.DEFAULT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the default model that a test may damage."""
    return shutil.copytree(BUNDLED, tmp_path / "models" / "copy")


def edit_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(card | changes), encoding="utf-8")


def test_the_bundled_model_is_the_default() -> None:
    first = catalog.models()[0]
    assert first.name == catalog.DEFAULT
    assert first.installed
    assert first.size < 24_000_000
    assert first.to_dict()["default"]
    assert catalog.find(catalog.DEFAULT) == first


def test_models_are_found_by_name_alias_and_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_card(folder, name="copy", aliases=["its-old-name"])
    monkeypatch.setenv("QA_MODELS_DIR", str(folder.parent))
    by_name = catalog.find("copy")
    assert by_name.folder == folder.resolve()
    assert catalog.find("its-old-name") == by_name
    assert catalog.find(folder) == by_name
    assert [card.name for card in catalog.models()] == [catalog.DEFAULT, "copy", LARGER]
    edit_card(folder, name="mine", aliases=[])
    with pytest.raises(InputError, match="There is no model 'copy'"):
        catalog.find("copy")  # a folder's name is none of its model's


def test_a_folder_in_the_working_directory_is_named_as_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    for name in ("./copy", "copy/", Path("copy")):
        assert catalog.find(name).folder == folder.resolve()
    with pytest.raises(InputError, match="There is no model 'copy'"):
        catalog.find("copy")


def test_a_folder_without_a_card_is_taken_for_a_bert_model(folder: Path) -> None:
    (folder / "model.json").unlink()
    card = catalog.read_card(folder)
    assert (card.name, card.f1, card.frame) == ("copy", None, catalog.Frame())
    assert Reader.load(folder).answer("Who sang?", "Mara sang.").answers[0].text == "Mara"


def test_a_folder_that_cannot_be_looked_into_takes_no_model_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = catalog.models()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ("a" * 300)))  # refused to root, too
    assert catalog.models() == usual
    with pytest.raises(QAError, match="cannot be read"):
        catalog.read_card(tmp_path / ("a" * 300))


@pytest.mark.parametrize(
    "name", ["", "no-such-model", "../models", "/no/such/folder", "\x00", "tests"]
)
def test_an_unknown_model_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="There is no model"):
        Reader.load(name)


def damage(folder: Path, how: str) -> None:
    model, tokenizer = folder / "model.onnx", folder / "tokenizer.json"
    match how:
        case "no model":
            model.unlink()
        case "no tokenizer":
            tokenizer.unlink()
        case "model cut short":
            model.write_bytes(model.read_bytes()[:-1000])
        case "model emptied":
            model.write_bytes(b"")
        case "card cut short":
            card = folder / "model.json"
            card.write_bytes(card.read_bytes()[:-10])
        case "foreign card":
            (folder / "model.json").write_text('["no card"]', encoding="utf-8")
        case "card of endless depth":
            (folder / "model.json").write_text("[" * 100_000, encoding="utf-8")
        case str(field):
            name, value = field.split("=")
            card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
            card[name] = json.loads(value)
            (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("no model", "has no model.onnx; install the model again"),
        ("no tokenizer", "has no tokenizer.json"),
        ("model cut short", "bytes long"),
        ("model emptied", "bytes long"),
        ("card cut short", "not a model's card"),
        ("foreign card", "not a model's card"),
        ("card of endless depth", "not a model's card"),
        ('files={"model.onnx": {"size": "many"}}', "not a model's card"),
        ('files={"model.onnx": {"size": null}}', "not a model's card"),
        ('files={"model.onnx": {"size": "1"}}', "not 1 bytes long"),
        ("temperature=0", "not a model's card"),
        ("temperature=NaN", "not a model's card"),
        ('null_bias="much"', "not a model's card"),
    ],
)
def test_a_damaged_folder_is_refused(folder: Path, how: str, message: str) -> None:
    damage(folder, how)
    with pytest.raises(QAError, match=message):
        Reader.load(folder)


@pytest.mark.parametrize("part", ["model.onnx.data-1", "model.onnx.data-2"])
def test_a_damaged_part_of_a_large_model_is_refused(tmp_path: Path, part: str) -> None:
    large = shutil.copytree(catalog.BUNDLED / LARGER, tmp_path / "large")
    with (large / part).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(QAError, match=f"{part} is missing or not .* bytes long"):
        Reader.load(large)
    (large / "model.json").unlink()
    with pytest.raises(QAError, match="not a model ONNX Runtime can run"):
        Reader.load(large)
    (large / part).unlink()
    with pytest.raises(QAError, match="not a model ONNX Runtime can run"):
        Reader.load(large)


def test_the_figures_of_bundled_models_are_measured() -> None:
    default, larger = (catalog.find(name) for name in (catalog.DEFAULT, LARGER))
    for card in (default, larger):
        # What is to be filled in stands between these.
        assert "@" not in (card.folder / "model.json").read_text(encoding="utf-8")
        assert card.calibration_error
        assert card.area_under_roc
    assert (larger.f1 or 0) > (default.f1 or 0) > 0
    assert larger.size < 112_000_000


@pytest.mark.parametrize("how", ["model cut short", "model emptied"])
def test_a_damaged_model_without_a_card_is_refused(folder: Path, how: str) -> None:
    (folder / "model.json").unlink()
    damage(folder, how)
    with pytest.raises(QAError, match="not a model ONNX Runtime can run"):
        Reader.load(folder)


def test_a_damaged_folder_is_not_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(folder, "model cut short")
    edit_card(folder, name="copy")
    monkeypatch.setenv("QA_MODELS_DIR", str(folder.parent))
    assert [card.name for card in catalog.models()] == [catalog.DEFAULT, LARGER]
    with pytest.raises(QAError, match="bytes long; install the model again"):
        catalog.find("copy")


def test_a_frame_without_room_is_refused(folder: Path) -> None:
    edit_card(folder, max_sequence=128)
    with pytest.raises(QAError, match="reads 128 tokens at once, too few"):
        Reader.load(folder)
    edit_card(folder, max_sequence=160)
    reader = Reader.load(folder)
    passage = "Nobody was there. " * 60 + "Mara sang. " + "Nobody was there. " * 60
    question = "Who sang, " + "and sang, " * 20 + "and sang?"
    assert reader.answer(question, passage).windows > 5
    assert reader.predict_squad(question, passage)


def test_a_user_without_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    for name in ("XDG_DATA_HOME", "LOCALAPPDATA", "QA_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert catalog.folders() == [catalog.BUNDLED]
