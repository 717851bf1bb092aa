"""The labelling page, by keys and by clicks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sreclip.data.label_file import NONE_OF_THESE, read_label_file
from sreclip.labelling.server import LabelServer
from sreclip.plan.plan import Plan
from tests.browser.conftest import WIDTHS, serious
from tests.labelling.serving import serving
from tests.report.conftest import CLASSES


@pytest.fixture
def server(make_results: Callable[..., Plan], tmp_path: Path) -> Iterator[LabelServer]:
    plan = make_results(tmp_path / "run", labelled=dict.fromkeys(CLASSES, 0))
    file = tmp_path / "labels.csv"
    with serving(plan, file, 4) as server:
        yield server


@pytest.mark.parametrize("width", WIDTHS)
def test_images_are_labelled(
    server: LabelServer, open_page: Callable[..., Page], width: int
) -> None:
    page = open_page(server.url, width)
    place = page.locator("#place")
    expect(place).to_have_text("Image 1 of 4, 0 labelled")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.keyboard.press("2")
    expect(place).to_have_text("Image 2 of 4, 1 labelled")
    page.keyboard.press("n")
    expect(place).to_have_text("Image 3 of 4, 2 labelled")
    page.keyboard.press("/")
    page.keyboard.type("ow")
    page.keyboard.press("Enter")
    expect(place).to_have_text("Image 4 of 4, 3 labelled")
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_role("button", name="owl", pressed=True)).to_be_visible()
    page.get_by_role("button", name="owl").click()
    expect(place).to_have_text("Image 3 of 4, 2 labelled")
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="saw").click()
    expect(place).to_contain_text("That was the last one")
    expect(page.locator("#summary")).to_contain_text("of 3 right")
    names = [row.name for row in read_label_file(server.session.file)]
    assert names == [sorted(CLASSES)[1], NONE_OF_THESE, "saw"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(
    server: LabelServer, open_page: Callable[..., Page], scheme: str
) -> None:
    page = open_page(server.url, 1280, color_scheme=scheme, bypass_csp=True)
    expect(page.locator("#place")).to_contain_text("Image 1")
    assert serious(page) == []
