"""Take the screenshots of a running app: python docs/screenshots.py http://127.0.0.1:7860

Every page, desktop and phone, light and dark, into docs/screenshots. Needs requirements-dev.txt and
Chromium.
"""

import shutil
import sys
from collections.abc import Callable
from io import BytesIO
from itertools import product
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

COLOURS = 128  # of a screenshot
FOLDER = Path(__file__).resolve().parent / "screenshots"
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


def ask(page: Page) -> None:
    page.wait_for_selector('mark[data-rank="1"]')


def inside(page: Page) -> None:
    ask(page)
    page.get_by_role("tab", name="Look inside").click()
    page.wait_for_selector(".vb-window")


def compare(page: Page) -> None:
    ask(page)
    page.get_by_role("tab", name="Compare").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.wait_for_selector(".vb-dots")


def many(page: Page) -> None:
    page.get_by_text("A CSV with passages and answers").click()
    page.wait_for_selector("#vb-downloads button")
    page.wait_for_selector("#vb-table [role=gridcell]")


def models(page: Page) -> None:
    page.wait_for_selector(".vb-models")


# What is shown: its address, what makes it worth showing, and in which forms.
ALL = tuple(product(SIZES, ("light", "dark")))
TWO = (("desktop", "light"), ("phone", "dark"))
VIEWS: dict[str, tuple[str, Callable[[Page], None], tuple[tuple[str, str], ...]]] = {
    "ask": ("", ask, ALL),
    "inside": ("", inside, TWO),
    "compare": ("", compare, TWO),
    "questions": ("questions", many, TWO),
    "models": ("models", models, TWO),
}


def small(screenshot: bytes) -> Image.Image:
    """Return a screenshot in as many colours as it takes: a quarter of the bytes."""
    return (
        Image.open(BytesIO(screenshot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    )


def main(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
        )
        for view, (path, prepare, forms) in VIEWS.items():
            for size, scheme in forms:
                page = browser.new_page(**SIZES[size], color_scheme=scheme, reduced_motion="reduce")
                page.goto(f"{url.rstrip('/')}/{path}")
                prepare(page)
                page.mouse.move(0, 0)
                page.wait_for_timeout(500)  # fonts and the scroll to the answer
                screenshot = page.screenshot(full_page=view != "ask")
                small(screenshot).save(FOLDER / f"{view}-{size}-{scheme}.png", optimize=True)
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
