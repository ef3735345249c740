"""The models there are: a card each, installed or not, and where their folders lie.

A model is a folder with model.onnx (and the files of its weights, where it is large),
tokenizer.json and model.json (its card as data). Nothing is loaded or fetched here.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qa import published
from qa.calibration import Bin
from qa.errors import InputError, QAError

DEFAULT = "minilm-l6-squad-int8"
BUNDLED = Path(__file__).resolve().parent.parent / "models"
MODEL_FILES = ("model.onnx", "tokenizer.json")

# What reading a file can raise that is no model's card.
_NO_CARD = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Frame:
    """How a model family puts question and passage together (BERT's defaults: arXiv 1810.04805,
    figure 1)."""

    cls: str = "[CLS]"
    sep: str = "[SEP]"
    question_separators: int = 1  # MPNet and RoBERTa put two between question and passage
    max_sequence: int = 384
    max_question: int = 64


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model. Sizes in bytes, accuracy in percent (None where nobody measured
    it); `to_fetch` is 0 for a model that is installed."""

    name: str
    folder: Path
    title: str = ""
    description: str = ""
    aliases: tuple[str, ...] = ()
    base_model: str = ""
    licence: str = ""
    parameters: int | None = None
    gops_384: float | None = None
    exact_match: float | None = None
    f1: float | None = None
    measured_on: str = ""
    training_data: str = ""
    calibration_error: float | None = None  # expected, of the best answer's score; a share
    reliability: tuple[Bin, ...] = ()  # its bins
    area_under_roc: float | None = None  # of no_answer, answerable against unanswerable questions
    temperature: float = 1.0
    null_bias: float | None = None  # see SpanLogits.rank; None where no answer cannot be told
    frame: Frame = field(default_factory=Frame)
    fits_16_bits: bool = False  # sums of two neighbouring INT8 products, see engines.saturates
    file_sizes: Mapping[str, int] = field(default_factory=dict)
    to_fetch: int = 0

    @property
    def installed(self) -> bool:
        return not self.to_fetch and all((self.folder / file).is_file() for file in MODEL_FILES)

    @property
    def size(self) -> int:
        """Bytes on disk, all files together; where it is not installed, bytes to fetch."""
        return self.to_fetch or sum(
            file.stat().st_size for file in self.folder.glob("*") if file.is_file()
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `python -m qa models --json` lists."""
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "title": self.title,
            "installed": self.installed,
            "default": self.name == DEFAULT,
            "size": self.size,
            "parameters": self.parameters,
            "gops_384": self.gops_384,
            "exact_match": self.exact_match,
            "f1": self.f1,
            "measured_on": self.measured_on,
            "calibration_error": self.calibration_error,
            "area_under_roc": self.area_under_roc,
            "training_data": self.training_data,
            "base_model": self.base_model,
            "licence": self.licence,
        }


def folders() -> list[Path]:
    """Return where models are looked for, first come first served: QA_MODELS_DIR, the bundled ones,
    the user's data folder."""
    named = os.environ.get("QA_MODELS_DIR")
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        own = Path(data) if data else Path.home() / ".local" / "share"
    except RuntimeError:  # this user has no home directory
        return [*([Path(named)] if named else []), BUNDLED]
    return [*([Path(named)] if named else []), BUNDLED, own / "verbatim" / "models"]


def models() -> list[ModelCard]:
    """Return the installed models, the default first. A folder that cannot be read is left out."""
    found: dict[str, ModelCard] = {}
    for folder in _model_folders():
        try:
            card = read_card(folder)
        except QAError:
            continue
        if card.installed:
            found.setdefault(card.name, card)
    return sorted(found.values(), key=lambda card: (card.name != DEFAULT, card.name))


def is_folder(path: Path) -> bool:
    """Say whether this is a folder. Path.is_dir raises where it may not look and for names that are
    too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _model_folders() -> Iterator[Path]:
    """Give every folder that has a card, in the order in which they are looked for."""
    for folder in folders():
        with suppress(OSError):  # another user's home, say
            yield from sorted(card_file.parent for card_file in folder.glob("*/model.json"))


def not_installed() -> list[ModelCard]:
    """Return the cards of the models that can be fetched and are not there."""
    there = {card.name for card in models()}
    return [
        replace(
            _card(entry.card(), folders()[0] / entry.name),
            to_fetch=sum(file.size for file in entry.files[entry.precision]),
        )
        for entry in published.PUBLISHED
        if entry.name not in there
    ]


def find(name: str | Path) -> ModelCard:
    """Return the card of an installed model by name, alias or folder. Raises InputError where there
    is none, QAError where its folder is damaged."""
    cards = models()
    for card in cards:
        if name == card.name or name in card.aliases:
            return card
    # A bare word is a name, never a folder that happens to lie in the working directory.
    if isinstance(name, Path) or any(sep in name for sep in (os.sep, os.altsep) if sep):
        folder = Path(name)
        if is_folder(folder):
            return read_card(folder)
    if published.find(str(name)):
        raise InputError(f"{name} is not installed; fetch it with: python -m qa fetch {name}")
    for folder in _model_folders():
        if folder.name == name:
            read_card(folder)  # says what is wrong with it, if that is why
    known = ", ".join(card.name for card in cards) or "none"
    raise InputError(
        f"There is no model {str(name)!r}; choose one of those installed ({known}) "
        "or a model's folder, such as ./mine."
    )


def read_card(folder: Path) -> ModelCard:
    """Read a model's folder. One without model.json is taken for a BERT model of unknown accuracy.

    Raises QAError where a file is missing, cut short, or says what a card cannot say.
    """
    try:
        return _read_card(folder.resolve())
    except OSError as error:
        raise QAError(f"{folder} cannot be read: {error.strerror}.") from error


def _read_card(folder: Path) -> ModelCard:
    card_file = folder / "model.json"
    installed = card_file.is_file()  # by us; else a folder somebody made
    for file in MODEL_FILES:
        if not (folder / file).is_file():
            needed = f"a model's folder needs {' and '.join(MODEL_FILES)}"
            what_to_do = "install the model again" if installed else needed
            raise QAError(f"{folder} has no {file}; {what_to_do}.")
    if not installed:
        return ModelCard(name=folder.name, folder=folder, title=folder.name)
    try:
        card = _card(json.loads(card_file.read_text(encoding="utf-8")), folder)
    except _NO_CARD as error:
        raise QAError(f"{card_file} is not a model's card; install the model again.") from error
    for file, size in card.file_sizes.items():
        path = folder / file
        if not path.is_file() or path.stat().st_size != size:
            raise QAError(f"{path} is missing or not {size:,} bytes long; install the model again.")
    return card


def _card(data: Mapping[str, Any], folder: Path) -> ModelCard:
    """Build a card from model.json. Each figure is that of the first INT8 entry of `metrics` that
    has it."""
    entries = [entry for entry in data["metrics"] if entry["precision"] == "int8"]

    def measured(figure: str, otherwise: Any = None) -> Any:
        return next((entry[figure] for entry in entries if figure in entry), otherwise)

    temperature = float(data["temperature"])
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError("no temperature to divide by")
    special = data["special_tokens"]
    return ModelCard(
        name=str(data["name"]),
        folder=folder,
        title=str(data["title"]),
        description=str(data["description"]),
        aliases=tuple(data.get("aliases", ())),
        base_model=str(data["base_model"]),
        licence=", ".join(dict.fromkeys(entry["license"] for entry in data["licenses"])),
        parameters=int(data["parameters"]),
        gops_384=float(data["gops_384"]),
        exact_match=_number(measured("exact_match")),
        f1=_number(measured("f1")),
        measured_on=measured("dataset", ""),
        training_data=str(data.get("training_data", "")),
        calibration_error=_number(measured("expected_calibration_error")),
        reliability=tuple(Bin(**entry) for entry in measured("reliability", ())),
        area_under_roc=_number(measured("area_under_roc")),
        temperature=temperature,
        null_bias=_number(data.get("null_bias")),
        frame=Frame(
            cls=special["cls"],
            sep=special["sep"],
            question_separators=int(special["question_separators"]),
            max_sequence=int(data["max_sequence"]),
            max_question=int(data["max_question"]),
        ),
        # "pairs" and "half" of training/quantize.py; of other models nobody knows.
        fits_16_bits=data.get("quantization", {}).get("weights") in ("pairs", "half"),
        file_sizes={name: int(entry["size"]) for name, entry in data["files"].items()},
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
