"""What was read lately, so that another answer to the same question can be looked at without
reading again. Bounded; safe to share between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict

from qa import Reader
from qa.inside import Reading
from ui.asking import Asked

KEPT_TOKENS = 1_000_000  # of the passages kept, together: about 50 MB with their logits

Key = tuple[Reader, Asked]  # the model as it was loaded; nobody finds another visitor's text


class Readings:
    """Finished readings, of which the oldest give way."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Key, Reading] = OrderedDict()
        self._keeping = threading.Lock()

    def find(self, key: Key) -> Reading | None:
        with self._keeping:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: Key, reading: Reading) -> None:
        with self._keeping:
            self._kept[key] = reading
            while sum(map(len, self._kept.values())) > KEPT_TOKENS:
                self._kept.popitem(last=False)
