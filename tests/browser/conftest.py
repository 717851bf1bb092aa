"""A real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.report.conftest import make_results

__all__ = ["make_results"]

# Phone, tablet, desk.
WIDTHS = (400, 800, 1280)


@pytest.fixture(scope="module")  # while Playwright runs there can be no other event loop
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("SRECLIP_REQUIRE_BROWSER"):
            pytest.fail("there is no chromium")
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[[str, int], Page]]:
    """Give a function that opens an address at a width; at the end nothing may have been logged."""
    said: list[str] = []
    pages = []

    def opened(address: str | Path, width: int, **options: Any) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: refuse_network(request.url, said))
        page.goto(address if "://" in str(address) else f"file://{address}")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert said == []


def serious(page: Page) -> list[str]:
    """Return what axe-core finds that keeps people out: serious and critical violations."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


def refuse_network(url: str, said: list[str]) -> None:
    if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
        said.append(f"asked for {url}")
