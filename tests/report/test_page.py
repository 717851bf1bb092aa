"""The page: whole, safe, the same each time, and plain where something is missing."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sreclip
from sreclip.data.grey import OWN_RANGE
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.stored import read_evaluations
from sreclip.features import planned
from sreclip.features.images import Reject
from sreclip.plan.plan import Plan
from sreclip.report import rejects
from sreclip.report.page import render_page, write_page
from sreclip.report.strip import make_strip
from tests.report.conftest import words

SECTIONS = (
    "results",
    "differences",
    "known-unknown",
    "curve",
    "reliability",
    "gains",
    "confusion",
    "shares",
    "map",
    "graph",
    "training",
    "images",
    "rejected",
    "made",
)
FIGURES = ("bars", "curve", "reliability", "gains", "confusion", "shares", "graph", "training")
LOADING = {"src", "srcset", "href", "data", "poster", "action", "background", "xlink:href"}


class Parsed(HTMLParser):
    """Elements, scripts and visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self.text = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        self._within = tag
        self.text += " "
        if tag == "script":
            self.scripts.append((attributes, ""))

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._within != "style":
            self.text += data

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]

    def views(self, name: str) -> Any:
        """Figures of a block."""
        return next(
            json.loads(text) for attrs, text in self.scripts if attrs.get("id") == f"{name}-views"
        )


def section(page: str, name: str) -> str:
    """Visible words of one section."""
    body = page[page.index(f'<section id="{name}">') :]
    return words(Parsed(body[: body.index("</section>")]).text)


@pytest.fixture
def small(make_results: Callable[..., Plan], tmp_path: Path) -> Callable[..., str]:
    """Make the page of a variant with few images and steps."""

    def make(**changes: Any) -> str:
        settings: dict[str, Any] = {"per_class": 3, "steps": 4, "seeds": (0, 1), **changes}
        return render_page(make_results(tmp_path, **settings))

    return make


def test_all_sections_and_figures_are_there(page: str) -> None:
    parsed = Parsed(page)
    ids = parsed.ids()
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    links = [attributes["href"] for tag, attributes in parsed.elements if tag == "a"]
    assert [f"#{name}" for name in SECTIONS] == links[: len(SECTIONS)]
    for name in FIGURES:
        assert parsed.views(name)[0][0]["data"], name
    assert len(parsed.views("gains")) == 2
    assert len(parsed.views("confusion")) == 3
    assert parsed.views("training")[0][0]["title"] == "source"


def test_what_the_head_says(page: str) -> None:
    text = words(Parsed(page).text)
    assert "8 classes: 5 known, with labelled source images, and 3 unknown, with nothing" in text
    assert "mini is a small offline substitute for CLIP" in text
    assert "Target images 64 64 scored, 1 of them unreadable" in text


def test_the_table_holds_every_method_and_metric(page: str) -> None:
    text = section(page, "results")
    for title in ("Zero-shot", "CLIP-Adapter", "SRE-CLIP", "Macro-F1", "ZSL"):
        assert title in text
    assert "95 % Student-t interval over 3 seeds" in text
    assert "last step of training; no target label is used" in text
    results = page[page.index('<section id="results">') : page.index('<section id="differences">')]
    assert results.count('class="interval"') == 3 * len(METRICS)
    for title in ("H max", "Top 5"):
        assert title in text
    meanings = [attrs.get("title", "") for tag, attrs in Parsed(results).elements if tag == "th"]
    assert any("that the target labels choose: an upper bound" in meaning for meaning in meanings)
    spans = [int(attrs["colspan"]) for tag, attrs in Parsed(results).elements if "colspan" in attrs]
    assert sum(spans) == len(METRICS)


def test_the_differences_say_what_they_cover(page: str) -> None:
    text = section(page, "differences")
    assert "Against Zero-shot Method Known Unknown H CLIP-Adapter" in text
    assert "Against CLIP-Adapter, the best baseline Method Known Unknown H SRE-CLIP" in text
    for part in (
        "2,000 resamples of the labelled target images within each class",
        "adjusted for the number of methods in its column by Holm's method",
        "↑ and ↓ mark an adjusted p below 0.05",
        "No p alone can be below 0.0005",
        "does not cover other training seeds",
        "another choice of unknown classes",
        "that choice favours it",
    ):
        assert part in text
    assert "more favourable than they should be" not in text


def test_a_bootstrap_that_is_off_is_said(small: Callable[..., str]) -> None:
    text = section(small(evaluate={"bootstrap": 0}), "differences")
    assert "The bootstrap is off" in text
    assert "Holm" not in text


@pytest.mark.parametrize(
    ("rule", "words", "lead"),
    [
        ("last", "no target label is used in training or selection", "without any target label,"),
        ("pseudo_unknown", "holding out known classes", "without any target label,"),
        ("oracle", "WITH target labels: an upper bound", "without training on target labels,"),
    ],
)
def test_the_selection_rule_is_named(
    small: Callable[..., str], rule: str, words: str, lead: str
) -> None:
    page = small(selection=rule)
    assert lead in Parsed(page).text
    for name in ("results", "made"):
        assert f"Selection ({rule})" in section(page, name)
        assert words in section(page, name)
    oracle = rule == "oracle"
    assert ("Upper bounds, not results." in page) == oracle
    assert ("read by the evaluation alone" in page) != oracle
    assert ("more favourable than they should be" in page) == oracle


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    for tag, attributes in Parsed(page).elements:
        for name in LOADING & attributes.keys():
            value = attributes[name]
            plain_link = tag == "a" and value.startswith(("#", "https://"))
            assert plain_link or value.startswith("data:"), f"<{tag} {name}={value[:60]!r}>"
        assert "url(" not in attributes.get("style", "")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_pages_own_scripts_alone(page: str) -> None:
    parsed = Parsed(page)
    policy = next(
        attributes["content"]
        for tag, attributes in parsed.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    programs = [text for attributes, text in parsed.scripts if "type" not in attributes]
    assert len(programs) == 2
    for text in programs:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "'unsafe-inline'" not in policy[policy.index("script-src") :]
    assert not any(name.startswith("on") for _, attrs in parsed.elements for name in attrs)


def test_images_are_in_the_page(plan: Plan, page: str) -> None:
    images = [attributes for tag, attributes in Parsed(page).elements if tag == "img"]
    hardest = len(make_strip(plan, read_evaluations(plan.comparison.inputs)).hardest)
    assert len(images) == 24 + 12 + hardest  # drawn, the surest mistakes, wrong with all methods
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    assert page.count('<li class="right">') == 12
    assert page.count('<li class="wrong">') == 12 + 12 + hardest


def test_no_folder_of_this_machine_is_named(plan: Plan, page: str) -> None:
    assert str(plan.results.parent) not in page
    assert str(Path.home()) not in page


def test_the_same_inputs_give_the_same_bytes(plan: Plan, page: str) -> None:
    assert render_page(dataclasses.replace(plan)) == page


def test_write_page_writes_the_plans_page(plan: Plan, page: str) -> None:
    write_page(plan)
    assert plan.page["index.html"].read_text(encoding="utf-8") == page
    assert plan.page["index.html"].stat().st_size < 8_000_000


def test_everything_is_escaped(small: Callable[..., str]) -> None:
    attack = "<script>alert(1)</script>"
    names = {attack: "<i>up</i>", "\"quoted\" & 'x'": "<i>up</i>", "plain": "<i>up</i>"}
    page = small(
        classes=names,
        unknown=["plain"],
        report={"title": f"</title>{attack}"},
        credits=f"by {attack}",
    )
    parsed = Parsed(page)
    assert attack not in page
    assert len(parsed.scripts) == 2 + len(FIGURES) + 1  # the last: the images behind numbers
    assert not any(tag == "i" for tag, _ in parsed.elements)
    ticks = parsed.views("confusion")[0][0]["layout"]["xaxis"]["ticktext"]
    assert ticks[0] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    paths = [attrs["title"] for tag, attrs in parsed.elements if tag == "img"]
    assert any('it\'s "1".png' in path for path in paths)


def test_no_unknown_images(small: Callable[..., str]) -> None:
    page = small(only_known_targets=True)
    assert "No labelled target image is of an unknown class" in section(page, "curve")
    assert "no trade-off to draw" in section(page, "curve")
    assert 'data-views="curve-views"' not in page
    bars = Parsed(page).views("bars")[0][0]["data"]
    assert [trace["name"] for trace in bars] == ["known"]
    assert "so the bars of that kind and of H are left out" in section(page, "known-unknown")


def test_one_seed_one_method_nothing_rejected(small: Callable[..., str]) -> None:
    page = small(seeds=(3,), methods=("zero_shot",), n_broken=0)
    assert "one seed, so there is no interval" in section(page, "results")
    assert 'class="interval"' not in page
    assert "no pair of a method and a baseline" in section(page, "differences")
    assert "no intervals" in section(page, "known-unknown")
    assert "no other method is in this run" in section(page, "gains")
    assert "No method of this run is trained in steps" in section(page, "training")
    assert '<label class="choose">Method' not in page


def test_without_the_baseline_there_are_no_gains(small: Callable[..., str]) -> None:
    page = small(methods=("clip_adapter",), report={"images": 0})
    assert "zero_shot is not among the methods of this run" in section(page, "gains")
    assert "No images were asked for" in section(page, "images")


def test_rejected_images_without_features_are_counted(page: str) -> None:
    text = section(page, "rejected")
    assert "1 labelled target image could not be read and counts as wrong" in text
    assert "feature files of the source and target are not on this machine" in text


@pytest.mark.parametrize("count", [0, 1, 300])
def test_rejected_images_are_listed(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int
) -> None:
    rejected = [Reject(i, f"target/<b>{i}.jpg", "the file is truncated") for i in range(count)]
    monkeypatch.setattr(
        planned,
        "open_domain",
        lambda plan, domain: SimpleNamespace(
            rejects=rejected if domain == "target" else [],
            notes=Counter({OWN_RANGE: count} if count and domain == "source" else {}),
        ),
    )
    monkeypatch.setattr(Path, "exists", lambda path, **_: True)
    listed = rejects.list_rejects(plan)
    assert not listed.problem
    assert listed.count == count
    assert len(listed.rows) == min(count, rejects.MOST_ROWS)
    monkeypatch.undo()
    rejects.write_rejects(tmp_path / "rejects.csv", listed)
    with (tmp_path / "rejects.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["domain", "path", "reason"]
    assert lines[1:] == [["target", reject.path, reject.reason] for reject in rejected]
    line = rejects.rejects_line(tmp_path / "rejects.csv")
    assert line.startswith(f"Rejected images: {count} target;") if count else line == ""
    monkeypatch.setattr("sreclip.report.page.list_rejects", lambda plan: listed)
    text = section(render_page(plan), "rejected")
    if not count:
        assert "every image could be decoded" in text
    else:
        assert "target/<b>0.jpg the file is truncated" in text
        assert ("And 100 more, all in" in text) == (count > rejects.MOST_ROWS)
        assert f"{OWN_RANGE}." in text


def test_credits_become_paragraphs(small: Callable[..., str]) -> None:
    made = small(credits="By one.\n\n By two. ")
    assert "<p>By one.</p>\n<p>By two.</p>" in made


def test_keys_versions_and_parameters_are_listed(plan: Plan, page: str) -> None:
    text = section(page, "made")
    assert f"fits: sre_clip {plan.fit('sre_clip').key}" in text
    assert f"text nodes {plan.text('nodes').key}" in text
    assert f"sreclip {sreclip.__version__}" in text
    assert "relation_temperature" in text


def test_the_script_is_not_a_template() -> None:
    source = Path(render_page.__code__.co_filename).parent / "templates" / "figures.js.j2"
    assert not re.search(r"\{\{|\{%", source.read_text())
