"""The models this process has loaded: each once, shared by everybody who asks.

Visitors choose among the installed models by name; a folder is named by whoever starts the app, or
where visitors may change what is installed.
"""

from __future__ import annotations

import threading
from pathlib import Path

from anyio import CapacityLimiter

from qa import InputError, ModelCard, QAError, Reader, catalog, documents
from qa.errors import OutOfMemoryError
from ui.limits import Limits

DEFAULTS = Limits()


class Readers:
    """Loaded models by name. Safe to share between threads."""

    def __init__(
        self, default: str | Path, limits: Limits = DEFAULTS, engine: str | None = None
    ) -> None:
        """Load the model that answers when none is named; `engine` is that of `Reader.load`.
        Raises QAError where it cannot be loaded."""
        self.limits = limits
        # Who reads a passage for a page has one of these tokens for each step.
        self.turn = CapacityLimiter(limits.reading)
        self._engine = engine
        self.files = documents.Limits(bytes=limits.file_bytes, characters=limits.characters)
        self._closed = False
        self.default = self._load(default)
        self._loaded = {self.default.card.name: self.default}
        self._loading: dict[str, threading.Lock] = {}
        self._added: dict[str, ModelCard] = {}

    def cards(self) -> list[ModelCard]:
        """Return the models to choose from, the default first."""
        default = {self.default.card.name: self.default.card}  # perhaps of a folder elsewhere
        found = {card.name: card for card in catalog.models()}
        return [*(default | found | self._added | default).values()]

    def add(self, folder: Path) -> ModelCard:
        """Offer the model of a folder as long as this process lives.

        Raises InputError where there is none, or one of its name is offered already; QAError where
        it is damaged.
        """
        if not catalog.is_folder(folder):
            raise InputError(f"There is no folder {folder}; type the path of a model's folder.")
        reader = self._load(folder)
        card = reader.card
        if any(card.name == other.name or card.name in other.aliases for other in self.cards()):
            raise InputError(f"There is a model {card.name} already; give this one another name.")
        self._loaded[card.name] = reader
        self._added[card.name] = card
        return card

    def close(self) -> None:
        """End what is being read, each passage with a sentence for whoever asked."""
        self._closed = True
        for reader in [self.default, *self._loaded.values()]:
            reader.close()

    def forget(self, name: str) -> None:
        """Let go of a model that was removed; what is being answered with it is answered."""
        self._loaded.pop(name, None)

    def get(self, name: str | None = None) -> Reader:
        """Return a model by name or alias, loading it the first time.

        Raises InputError where none of that name is installed, OutOfMemoryError where memory does
        not suffice, QAError where it is damaged or cannot be run here.
        """
        if not name or name == self.default.card.name:
            return self.default
        if isinstance(name, str) and (reader := self._loaded.get(name)):
            return reader  # whatever became of its files
        cards = self.cards()
        card = next((card for card in cards if name == card.name or name in card.aliases), None)
        if card is None:
            known = ", ".join(card.name for card in cards)
            raise InputError(
                f"There is no model {name!r}; choose one of those installed: {known}.", "model"
            )
        # A lock for each model: loading one keeps nobody from asking another.
        with self._loading.setdefault(card.name, threading.Lock()):
            if card.name not in self._loaded:
                try:
                    self._loaded[card.name] = self._load(card.folder)
                except OutOfMemoryError:
                    raise
                except QAError as error:
                    # What exactly is wrong names a path of this host, which concerns its owner.
                    title = card.title or card.name
                    raise QAError(
                        f"The model {title} cannot be used; choose another one or install it again."
                    ) from error
            return self._loaded[card.name]

    def _load(self, model: str | Path) -> Reader:
        reader = Reader.load(model, engine=self._engine)
        reader.max_characters = self.limits.characters
        reader.max_seconds = self.limits.seconds
        if self._closed:
            reader.close()
        return reader
