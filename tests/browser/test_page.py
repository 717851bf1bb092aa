"""The results page as its reader uses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from sreclip.plan.plan import Plan
from sreclip.report.page import write_page
from tests.browser.conftest import WIDTHS, serious
from tests.report.conftest import CLASSES
from tests.report.test_map_images import made_up_map

Opener = Callable[..., Page]
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def plan(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A page with a class called like an element; the images' paths have quotes."""
    classes = {EVIL: "animal"} | {k: v for k, v in CLASSES.items() if k != "dog"}
    plan = make_results(tmp_path_factory.mktemp("page"), classes=classes)
    write_page(plan)
    return plan


@pytest.mark.parametrize("width", WIDTHS)
def test_every_control_works_and_nothing_is_logged(
    plan: Plan, open_page: Opener, width: int
) -> None:
    page = open_page(plan.page["index.html"], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".plot .main-svg").count() > 0
    for select in page.locator("select:visible").all():
        for at in range(select.locator("option").count()):
            select.select_option(index=at)
    for summary in page.locator("summary:visible").all():
        summary.click()
    assert page.locator("table.sortable th.more").first.is_hidden()
    page.get_by_label("All metrics").check()
    assert page.locator("table.sortable th.more").first.is_visible()
    for button in page.locator(".sort").all():
        button.click()
        button.click()
    assert page.get_by_text(EVIL).count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(plan: Plan, open_page: Opener, scheme: str) -> None:
    # axe-core is put into the page, which the page's own policy forbids.
    page = open_page(plan.page["index.html"], 1280, color_scheme=scheme, bypass_csp=True)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    assert serious(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_contents_are_folded_unless_they_stand_beside(
    plan: Plan, open_page: Opener, width: int
) -> None:
    page = open_page(plan.page["index.html"], width)
    assert page.locator("nav li").first.is_visible() == (width >= 1080)


def test_the_table_is_sorted_by_a_click(plan: Plan, open_page: Opener) -> None:
    page = open_page(plan.page["index.html"], 1280)
    table = page.locator("table.sortable")
    head = table.locator("thead tr").nth(1).locator("th").nth(2)
    assert head.inner_text().strip() == "H"

    def column() -> list[float]:
        cells = table.locator("tbody > tr > td:nth-child(4)").all()
        return [float(cell.inner_text().split("\n")[0]) for cell in cells]

    head.locator("button").click()
    assert column() == sorted(column(), reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert column() == sorted(column())


def test_a_cell_opens_the_images_behind_it(plan: Plan, open_page: Opener) -> None:
    page = open_page(plan.page["index.html"], 1280)
    area = page.locator('[data-views="confusion-views"] .nsewdrag').first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box
    # The upper left cell: images of the first known class that are right.
    page.mouse.move(box["x"] + 8, box["y"] + 8)
    page.mouse.click(box["x"] + 8, box["y"] + 8)
    count = page.locator("#behind-count")
    page.wait_for_function("document.querySelector('#behind-true').value !== ''")
    true, predicted = (page.locator(f"#behind-{name}") for name in ("true", "predicted"))
    assert true.input_value() == predicted.input_value() != ""
    cards = page.locator("#behind-images li")
    assert cards.count() > 0
    assert count.inner_text().startswith(str(cards.count()))
    assert set(cards.evaluate_all("all => all.map(each => each.className)")) == {"right"}


def test_gains_open_the_images_of_a_class(plan: Plan, open_page: Opener) -> None:
    page = open_page(plan.page["index.html"], 1280)
    page.evaluate(
        """() => {
          const plot = document.querySelector('[data-views="gains-views"] .plot');
          plot.emit('plotly_click', {points: [{x: 0, y: 1}]});
        }"""
    )
    assert page.locator("#behind-true").input_value() != ""
    assert page.locator("#behind-predicted").input_value() == ""
    # Eight images per class were made up, and one of all could not be read.
    assert page.locator("#behind-images li").count() in (7, 8)


def test_the_page_without_labels_is_quiet(
    make_results: Callable[..., Plan], open_page: Opener, tmp_path: Path
) -> None:
    plan = make_results(tmp_path, labelled=dict.fromkeys(CLASSES, 0))
    write_page(plan)
    for width in WIDTHS:
        page = open_page(plan.page["index.html"], width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.get_by_role("heading", name="Which images to label first").is_visible()


@pytest.fixture(scope="module")
def mapped(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A page with a map of all images, at places that mean nothing."""
    plan = make_results(tmp_path_factory.mktemp("mapped"), steps=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sreclip.report.page.read_maps", lambda plan, last: made_up_map(plan))
        write_page(plan)
    return plan


@pytest.mark.parametrize("width", WIDTHS)
def test_a_click_on_the_map_shows_the_image(mapped: Plan, open_page: Opener, width: int) -> None:
    page = open_page(mapped.page["index.html"], width)
    plot = page.locator("#map .plot")
    plot.scroll_into_view_if_needed()
    first = plot.locator(".points path").first
    box = first.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    card = page.locator("#point-shown li")
    card.wait_for()
    number = int(page.locator("#point-image").input_value())
    path = page.evaluate(
        "number => JSON.parse(document.getElementById('points').textContent).points[number][0]",
        number,
    )
    assert path in card.inner_text()
    assert card.locator("img").get_attribute("alt") == path
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ring = "document.querySelector('#map .plot').data.at(-1).x[0]"
    assert page.evaluate(ring) is not None
    # The ring stays where the colours change.
    before = page.evaluate(ring)
    page.locator("#map select").first.select_option(index=1)
    assert page.evaluate(ring) == before


def test_points_are_reached_by_keyboard(mapped: Plan, open_page: Opener) -> None:
    page = open_page(mapped.page["index.html"], 1280)
    page.locator("#point-domain").focus()
    page.keyboard.press("ArrowDown")  # source
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # the second class
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")  # its first image
    card = page.locator("#point-shown li")
    assert "source image" in card.inner_text()
    assert "cat" in card.inner_text()
    assert "predicted" not in card.inner_text()
    assert card.locator("img").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_keeps_nobody_out(mapped: Plan, open_page: Opener, scheme: str) -> None:
    page = open_page(mapped.page["index.html"], 1280, color_scheme=scheme, bypass_csp=True)
    page.locator("#point-image").select_option(index=1)
    assert serious(page) == []


def test_paper_is_light_and_holds_the_figures(plan: Plan, open_page: Opener) -> None:
    page = open_page(plan.page["index.html"], 1280, color_scheme="dark")
    text = "getComputedStyle(document.documentElement).getPropertyValue('--text')"
    dark = page.evaluate(text)
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(text) != dark
    widths = page.locator(".plot .main-svg").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right)"
    )
    left = page.locator(".page").evaluate("each => each.getBoundingClientRect().left")
    assert max(widths) - left <= 700
    assert min(width - left for width in widths) > 200
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(text) == dark


def test_a_cell_of_groups_opens_the_images_of_all_their_classes(
    make_results: Callable[..., Plan], open_page: Opener, tmp_path: Path
) -> None:
    classes = {f"class {n}": f"group {n % 4}" for n in range(70)}
    unknown = [f"class {n}" for n in range(0, 70, 7)]
    plan = make_results(tmp_path, classes=classes, unknown=unknown, per_class=2)
    write_page(plan)
    page = open_page(plan.page["index.html"], 1280)
    select = page.locator('[data-views="confusion-views"] select')
    names = select.locator("option").all_inner_texts()
    select.select_option(label=next(n for n in names if n.startswith("SRE-CLIP, in")))
    total = 0
    plot = page.locator('[data-views="confusion-views"] .plot')
    groups = plot.evaluate("each => each.layout.meta.groups")
    assert sorted(number for group in groups for number in group) == list(range(70))
    for row in range(len(groups)):
        for column in range(len(groups)):
            plot.evaluate(
                "(each, point) => each.emit('plotly_click', {points: [point]})",
                {"x": column, "y": row},
            )
            total += page.locator("#behind-images li").count()
    # Each of the images that could be read is behind one cell: two per class but a broken one.
    assert total == 139
