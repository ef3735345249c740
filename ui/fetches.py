"""The fetches that visitors of this process asked for: each in a thread of its own, so that it goes
on when the visitor leaves and everybody who comes sees how far it is.

What is shown of them is in models_page.py; how a model is fetched is in qa.store.
"""

from __future__ import annotations

import threading

from qa import QAError, store
from qa.store import Progress


class _StoppedError(Exception):
    """The visitor wants no more of it."""


class Fetch:
    """One fetch: its latest `progress`, and once it has `ended` what went wrong, if anything."""

    def __init__(self, name: str) -> None:
        self.progress: Progress | None = None
        self.error: str | None = None
        self._name = name
        self._stop = threading.Event()
        # A daemon: ending the app ends the fetch, and the next one goes on from there.
        self._thread = threading.Thread(target=self._run, name=f"fetch {name}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def stoppable(self) -> bool:
        """Say whether bytes are still to come; what follows them takes only moments."""
        return self.progress is not None and self.progress.step == "fetch" and not self.stopping

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Stop when the next bytes arrive. What has arrived is kept for the next fetch."""
        self._stop.set()

    def _run(self) -> None:
        # Stands if anything unforeseen ends the thread, which then writes it on standard error.
        self.error = "It could not be fetched; what happened stands in the app's output."
        try:
            store.fetch(self._name, progress=self._note)
        except _StoppedError:
            self.error = None
        except QAError as error:
            self.error = str(error)
        else:
            self.error = None

    def _note(self, progress: Progress) -> None:
        self.progress = progress
        if self._stop.is_set() and progress.step == "fetch":
            raise _StoppedError


class Fetches:
    """The fetches under way by model. Safe to share between threads."""

    def __init__(self) -> None:
        self._fetches: dict[str, Fetch] = {}
        self._lock = threading.Lock()

    def start(self, name: str) -> Fetch:
        """Start to fetch a model, or return the fetch of it that is under way."""
        with self._lock:
            fetch = self._fetches.get(name)
            if fetch is None or fetch.ended:
                fetch = self._fetches[name] = Fetch(name)
            return fetch

    def running(self, name: str) -> Fetch | None:
        """Return the fetch of this model that is under way."""
        fetch = self._fetches.get(name)
        return None if fetch is None or fetch.ended else fetch
