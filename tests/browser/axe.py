"""What keeps people out of a page: axe-core, run in the browser that shows it."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()


def violations(page: Page, within: str | None = None) -> list[str]:
    """Return what axe-core, with all its rules, finds wrong on the page as it stands, or within one
    of its elements."""
    found = _AXE.run(page, within, {"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} ({rule['help']}): {node['html']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]
