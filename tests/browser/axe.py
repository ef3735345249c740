"""What keeps people out of a page: axe-core, run in the browser that shows it."""

from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_AXE = Axe()

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def violations(page: Page, within: str | None = None) -> list[str]:
    """Return what axe-core, with all its rules, finds wrong on the page as it stands, or within one
    of its elements."""
    found = _AXE.run(page, within, {"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']} ({rule['help']}): {node['html']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


Form = tuple[Scheme, int]
FORMS: tuple[Form, ...] = (("light", 1280), ("dark", 390))
OTHER_FORMS: tuple[Form, ...] = (("dark", 1280), ("light", 390))
# Each theme and each width once in `make test`, the others in `make test-long`.
in_both_forms = pytest.mark.parametrize(
    "forms",
    [
        pytest.param(FORMS, id="light wide, dark narrow"),
        pytest.param(OTHER_FORMS, id="dark wide, light narrow", marks=pytest.mark.long),
    ],
)


def violations_in(page: Page, forms: tuple[Form, ...]) -> list[str]:
    """Return what axe-core finds wrong on the page as it stands, in these themes and widths."""
    found = []
    for scheme, width in forms:
        page.set_viewport_size({"width": width, "height": 900})
        show_in(page, scheme)
        found += [f"{scheme}, {width} px: {violation}" for violation in violations(page)]
    return found


def show_in(page: Page, scheme: Scheme) -> None:
    """Show the page in one of its themes."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(
        """(dark) => document.body.classList.contains('dark') === dark
          && !document.getAnimations().some((each) => each instanceof CSSTransition)""",
        arg=scheme == "dark",
    )
