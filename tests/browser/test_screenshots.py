"""The screenshots of the documentation, made from the demo's page.

``SRECLIP_WRITE_SCREENSHOTS=1 pytest tests/browser/test_screenshots.py`` writes them anew.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "reports/index.html"
IMAGES = ROOT / "docs/images"
# Mean difference of grey values, of 255, over squares of so many pixels. Another processor moves a
# bar or a digit, and a line may be three pixels lower, which is 2; another part of the page is 6
# and more.
BLOCK = 16
MOST = 5
# Narrow enough to be read at the width of the site's text.
WIDTH = 900


@pytest.fixture
def demo(open_page: Callable[..., Page]) -> Page:
    if not PAGE.is_file():
        if os.environ.get("SRECLIP_REQUIRE_BROWSER"):
            pytest.fail("there is no page; make demo")
        pytest.skip("there is no page; make demo")
    return open_page(PAGE, WIDTH, reduced_motion="reduce")


def top(page: Page) -> bytes:
    """The answer, the tiles and the table."""
    page.set_viewport_size({"width": WIDTH, "height": 1000})
    end = page.locator("table.sortable").evaluate("each => each.getBoundingClientRect().bottom")
    page.set_viewport_size({"width": WIDTH, "height": round(end) + 16})
    return page.screenshot()


def images_behind(page: Page) -> bytes:
    """The confusion matrix, a cell chosen, and the images that it counts."""
    for name, chosen in (("true", "bird"), ("predicted", "sea animal")):
        page.locator(f"#behind-{name} option", has_text=chosen).first.evaluate(
            "each => { each.selected = true; each.parentNode.dispatchEvent(new Event('change')) }"
        )
    return section("confusion")(page)


def section(name: str, width: int = WIDTH) -> Callable[[Page], bytes]:
    """One section, its figures drawn."""

    def shown(page: Page) -> bytes:
        page.set_viewport_size({"width": width, "height": 900})
        found = page.locator(f"#{name}")
        for _ in range(2):  # figures are drawn when they come into view, and push others away
            found.scroll_into_view_if_needed()
            page.wait_for_timeout(800)
        return found.screenshot()

    return shown


SHOWN: dict[str, Callable[[Page], bytes]] = {
    "page": top,
    "confusion": images_behind,
    "graph": section("graph", 1060),
}


@pytest.mark.parametrize("name", SHOWN)
def test_the_documentation_shows_the_page_as_it_is(demo: Page, name: str) -> None:
    image = Image.open(io.BytesIO(SHOWN[name](demo))).convert("RGB")
    path = IMAGES / f"{name}.png"
    if os.environ.get("SRECLIP_WRITE_SCREENSHOTS"):
        image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    with Image.open(path) as shown:
        assert shown.width == image.width
        assert shown.height == pytest.approx(image.height, rel=0.05)
        height = min(shown.height, image.height)
        box = (0, 0, image.width, height)
        pair = [
            np.asarray(each.convert("L").crop(box).reduce(BLOCK), dtype=float)
            for each in (image, shown)
        ]
    assert abs(pair[0] - pair[1]).mean() < MOST
