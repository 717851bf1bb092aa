"""The page that compares runs, as its reader uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sreclip.plan.plan import Plan
from sreclip.report.compare_page import write_comparison
from sreclip.report.page import write_page
from sreclip.report.publish import publish
from tests.browser.conftest import WIDTHS, serious
from tests.browser.test_page import EVIL, Opener
from tests.report.conftest import CLASSES


@pytest.fixture(scope="module")
def compared(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with a class called like an element."""
    classes = {EVIL: "animal"} | {k: v for k, v in CLASSES.items() if k != "dog"}
    folders = []
    for seed in (0, 5):
        plan = make_results(tmp_path_factory.mktemp("run"), classes=classes, seeds=(seed,), steps=4)
        write_page(plan)
        publish(plan)
        folders.append(str(plan.folder))
    out = tmp_path_factory.mktemp("out") / "compare.html"
    write_comparison(folders, out)
    return out


@pytest.mark.parametrize("width", WIDTHS)
def test_every_control_works_and_nothing_is_logged(
    compared: Path, open_page: Opener, width: int
) -> None:
    page = open_page(compared, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".plot .main-svg").count() > 0
    select = page.locator("#classes select")
    for at in range(select.locator("option").count()):
        select.select_option(index=at)
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert page.get_by_text(EVIL).count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(compared: Path, open_page: Opener, scheme: str) -> None:
    page = open_page(compared, 1280, color_scheme=scheme, bypass_csp=True)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    assert serious(page) == []
