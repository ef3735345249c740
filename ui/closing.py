"""Stopping: what is being answered is finished, or said to be ended, before the process ends."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

import gradio as gr

from ui.readers import Readers

# Together less than the ten seconds that Docker and others wait before they kill.
FINISH = 5  # seconds for what is being answered
TELL = 2  # seconds for telling the others
LOOK_EVERY = 0.05


class Closing:
    """Whether the app is being stopped, so that it takes on nothing new."""

    def __init__(self) -> None:
        self.begun = False
        self._asked = threading.Event()

    def heed_signals(self) -> None:
        """Take Ctrl+C and SIGTERM for the wish to stop; the same again stops at once."""
        before: dict[int, Any] = {}

        def stop(number: int, frame: FrameType | None) -> None:
            for each, handler in before.items():
                signal.signal(each, handler)
            self.begun = True
            self._asked.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, stop)

    def wait(self, blocks: gr.Blocks, readers: Readers) -> None:
        """Serve until somebody wishes to stop, then stop."""
        while not self._asked.wait(1):
            pass
        _wait_while_working(blocks, FINISH)
        readers.close()
        _wait_while_working(blocks, TELL)
        blocks.close(verbose=False)


def _wait_while_working(blocks: gr.Blocks, seconds: float) -> None:
    """Wait for Gradio to have nothing to do, but no longer than that."""
    queue, deadline = blocks._queue, time.monotonic() + seconds
    while (len(queue) or queue.get_active_worker_count()) and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    time.sleep(LOOK_EVERY)  # for the last words to be sent
