"""Chromium in a thread of its own: Playwright wants one for each that is open at a time."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, CHROMIUM_NAMES

Found = TypeVar("Found")


def with_browser(act: Callable[[Browser], Found]) -> Found:
    """Return what `act` does with a browser."""

    def run() -> Found:
        executable = next(filter(None, map(shutil.which, CHROMIUM_NAMES)))
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
            try:
                return act(chromium)
            finally:
                chromium.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()
