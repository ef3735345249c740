"""The models this process has loaded: each once, shared by everybody who asks.

Visitors choose among the installed models by name; only whoever starts the app may name a folder.
"""

from __future__ import annotations

import threading
from pathlib import Path

from qa import InputError, ModelCard, Reader, catalog


class Readers:
    """Loaded models by name. Safe to share between threads."""

    def __init__(self, default: str | Path) -> None:
        """Load the model that answers when none is named. Raises QAError where it cannot."""
        self.default = Reader.load(default)
        self._loaded = {self.default.card.name: self.default}
        self._loading: dict[str, threading.Lock] = {}

    def cards(self) -> list[ModelCard]:
        """Return the models to choose from, the default first."""
        default = self.default.card
        return [default, *(card for card in catalog.models() if card.name != default.name)]

    def get(self, name: str | None = None) -> Reader:
        """Return a model by name or alias, loading it the first time.

        Raises InputError where none of that name is installed, QAError where it is damaged.
        """
        if not name or name == self.default.card.name:
            return self.default
        cards = self.cards()
        card = next((card for card in cards if name == card.name or name in card.aliases), None)
        if card is None:
            known = ", ".join(card.name for card in cards)
            raise InputError(f"There is no model {name!r}; choose one of those installed: {known}.")
        # A lock for each model: loading one keeps nobody from asking another.
        with self._loading.setdefault(card.name, threading.Lock()):
            if card.name not in self._loaded:
                self._loaded[card.name] = Reader.load(card.folder)
            return self._loaded[card.name]
