"""Pages in a real browser: Chromium, driven by Playwright.

Its fixtures are those of all tests, also where only a few are tried and there is no
Playwright: it is imported where a page is opened.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start the system's Chromium, and end it after the tests of a file."""
    from playwright.sync_api import sync_playwright

    from conftest import require

    path = require("chromium")
    with sync_playwright() as playwright:
        # as root there is no sandbox
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opening(chromium: Any) -> Iterator[Callable[..., Page]]:
    """Give what opens a page; it fails in the end if any page has complained."""
    contexts, complaints = [], []

    def open_one(
        path: Path, fragment: str = "", *, width: int = 1440, dark: bool = False
    ) -> Page:
        scheme = "dark" if dark else "light"
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.goto(f"{Path(path).resolve().as_uri()}#{fragment}")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Page]]:
    """Return what opens a page; the test fails if any page has complained."""
    with opening(chromium) as open_one:
        yield open_one


def list_faults(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical: its rule, and the elements."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes']]}"
        for rule in Axe().run(page).response["violations"]
        if rule["impact"] in SERIOUS
    ]


def is_wider(page: Page) -> bool:
    """Return whether the page is wider than its window."""
    root = "document.documentElement"
    return bool(page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))
