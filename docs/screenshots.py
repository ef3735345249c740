"""Take the screenshots of a running app: python docs/screenshots.py http://127.0.0.1:7860

Every page, desktop and phone, light and dark, into docs/screenshots. Needs requirements-dev.txt and
Chromium.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).resolve().parent / "screenshots"
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


def ask(page: Page) -> None:
    page.wait_for_selector('mark[data-rank="1"]')


def tab(name: str) -> Callable[[Page], None]:
    """Return what opens a tab beside the marked passage and waits until it is drawn."""

    def open_tab(page: Page) -> None:
        ask(page)
        page.get_by_role("tab", name=name).click()
        page.wait_for_load_state("networkidle")

    return open_tab


def many(page: Page) -> None:
    page.get_by_text("A CSV with passages and answers").click()
    page.wait_for_selector("#vb-table [role=gridcell]")
    page.wait_for_load_state("networkidle")


def models(page: Page) -> None:
    page.wait_for_selector(".vb-models")


# What is shown: its address, and what makes it worth showing.
VIEWS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "ask": ("", ask),
    "inside": ("", tab("Look inside")),
    "compare": ("", tab("Compare")),
    "questions": ("questions", many),
    "models": ("models", models),
}


def main(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
        )
        for view, (path, prepare) in VIEWS.items():
            for size, options in SIZES.items():
                for scheme in ("light", "dark"):
                    page = browser.new_page(**options, color_scheme=scheme, reduced_motion="reduce")
                    page.goto(f"{url.rstrip('/')}/{path}")
                    prepare(page)
                    page.wait_for_timeout(500)  # fonts and the scroll to the answer
                    file = FOLDER / f"{view}-{size}-{scheme}.png"
                    page.screenshot(path=file, full_page=view != "ask")
                    page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
