"""Keys of code: what imports reach, and what an edit of a module means."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sreclip.methods import METHODS
from sreclip.plan import code
from sreclip.plan.code import ENTRIES
from sreclip.plan.method_code import fit_code

REACHED = {
    "graph": {"graph.wordnet", "graph.senses", "graph.construct"},
    "fit": {"train.selection", "evaluate.accuracy", "refinement.zlap", "methods.losses"},
    "evaluation": {"evaluate.metrics", "evaluate.statistics", "evaluate.reference"},
    "comparison": {"evaluate.significance", "evaluate.literature"},
    "page": {"graph.draw", "graph.outline", "report.figures"},
    "model": {"model.card", "model.saved", "train.states"},
    "sweep": {"evaluate.sweep"},
}
NOT_REACHED = {
    "graph": {"graph.draw", "graph.outline", "methods.base"},
    "fit": {
        "graph.draw",
        "evaluate.metrics",
        "evaluate.comparison",
        "report.page",
        "methods.tip_adapter",
    },
    "evaluation": {"evaluate.comparison", "report.page"},
    "comparison": {"report.page"},
    "page": set(),
    "model": {"report.page", "model.model", "evaluate.comparison"},
    "sweep": {"report.page"},
}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that keys are made of."""
    folder = tmp_path / "sreclip"
    shutil.copytree(code.ROOT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "ROOT", folder)
    forget()
    yield folder
    forget()


def forget() -> None:
    for function in vars(code).values():
        if hasattr(function, "cache_clear"):
            function.cache_clear()


def key(stage: str) -> str:
    forget()
    return code.code_key(ENTRIES[stage])


@pytest.mark.parametrize("stage", ENTRIES)
def test_what_a_stage_imports_is_in_its_key(stage: str) -> None:
    entries = [ENTRIES[stage]] + [METHODS["sre_clip"].partition(":")[0]] * (stage == "fit")
    modules = {name.removeprefix("sreclip.") for name in code.closure(*entries)}
    assert modules >= REACHED[stage]
    assert not modules & NOT_REACHED[stage]
    assert not any(code.is_left_out(f"sreclip.{name}") for name in modules)


def test_a_fit_has_the_code_of_its_method_and_of_no_other() -> None:
    of_tsce = code.closure(METHODS["tsce"].partition(":")[0])
    assert "sreclip.methods.sre_clip_reference" in of_tsce
    assert "sreclip.methods.sre_clip" not in of_tsce
    assert len({fit_code(name) for name in METHODS}) == len(METHODS)


@pytest.mark.parametrize(
    ("edit", "changes"),
    [
        (lambda text: text + "# a comment\n", False),
        (lambda text: text.replace('"""', '"""Better prose. ', 1), False),
        (lambda text: text.replace("    ", "     ", 0) + "\n\n", False),
        (lambda text: text.replace("2 * a * b", "3 * a * b"), True),
        (lambda text: text + "NEW = 1\n", True),
    ],
    ids=["comment", "docstring", "blank lines", "formula", "name"],
)
def test_the_meaning_of_a_module_counts(copy: Path, edit, changes: bool) -> None:  # type: ignore[no-untyped-def]
    path = copy / "evaluate" / "accuracy.py"
    before, fits, graph = key("evaluation"), key("fit"), key("graph")
    edited = edit(path.read_text())
    assert edited != path.read_text()
    path.write_text(edited)
    assert (key("evaluation") != before) == changes
    assert (key("fit") != fits) == changes, "selection works with these metrics"
    assert key("graph") == graph


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("graph/resources/wordnet_nouns.tsv.gz", {"graph", "fit", "evaluation"}),
        ("report/templates/page.css", {"page"}),
        ("evaluate/literature.csv", {"comparison", "page"}),
    ],
)
def test_files_that_ship_beside_a_module_count(copy: Path, file: str, stages: set[str]) -> None:
    before = {stage: key(stage) for stage in ENTRIES}
    path = copy / file
    path.write_bytes(path.read_bytes() + b"\n")
    changed = {stage for stage in ENTRIES if key(stage) != before[stage]}
    assert changed >= stages
    if file.startswith("report"):
        assert changed == stages


def test_weights_that_ship_beside_a_backbone(copy: Path) -> None:
    before = code.shipped_files_key("sreclip.backbones.mini")
    path = copy / "backbones" / "mini_map.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    forget()
    assert code.shipped_files_key("sreclip.backbones.mini") != before


def test_imports_for_types_alone_are_not_followed() -> None:
    text = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from sreclip.report import page
def late():
    from sreclip.graph.draw import text_tree
"""
    assert list(code._imported_names(ast.parse(text).body)) == [
        "typing.TYPE_CHECKING",
        "sreclip.graph.draw.text_tree",
    ]


def test_every_left_out_name_is_there() -> None:
    for name in code.LEFT_OUT:
        assert code._find(name.removesuffix(".*")), name
