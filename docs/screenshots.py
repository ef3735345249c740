"""Take the screenshots of a running app: python docs/screenshots.py http://127.0.0.1:7860

Desktop and phone, light and dark, into docs/screenshots. Needs requirements-dev.txt and Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent / "screenshots"
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
}


def main(url: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu", "--hide-scrollbars"],
        )
        for size, options in SIZES.items():
            for scheme in ("light", "dark"):
                page = browser.new_page(**options, color_scheme=scheme, reduced_motion="reduce")
                page.goto(url)
                page.wait_for_selector('mark[data-rank="1"]')
                page.wait_for_timeout(500)  # fonts and the scroll to the answer
                page.screenshot(path=FOLDER / f"{size}-{scheme}.png")
                page.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
