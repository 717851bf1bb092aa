"""The results table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from sreclip.errors import StoreError
from sreclip.plan import Plan
from sreclip.report.table import MINI_NOTE, render_table, table_cells, table_notes


def summary(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "sd": half, "low": mean - half, "high": mean + half, "n": 3}


def printed(source: Plan | Path, width: int = 80) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(render_table(source))
    return capture.get()


def test_cells_are_percent_and_mark_the_best() -> None:
    first = {"known": summary(0.5, 0.012), "ece": summary(0.2, 0.01)}
    second = {"known": summary(0.6, 0.04), "ece": summary(0.3, 0.01)}
    cells = table_cells([first, second], ["known", "ece"])
    assert [[cell.text for cell in row] for row in cells] == [
        ["50.0 ± 1.2", "20.0 ± 1.0"],
        ["60 ± 4", "30.0 ± 1.0"],
    ]
    assert [[cell.best for cell in row] for row in cells] == [[False, True], [True, False]]
    assert cells[1][0].mean == "60"
    assert cells[1][0].interval == "±\u202f4"
    assert "interval 56.0 to 64.0" in cells[1][0].detail


def test_a_metric_that_is_not_there_is_a_dash() -> None:
    (cell,), (other,) = table_cells([{}, {"h": summary(0.5, 0.1)}], ["h"])
    assert cell.text == "\u2013"
    assert not cell.best
    assert not other.best


def test_one_method_is_not_the_best_of_anything() -> None:
    ((cell,),) = table_cells([{"h": summary(0.5, 0.1)}], ["h"])
    assert not cell.best


def test_notes_say_what_applies() -> None:
    notes = "\n".join(table_notes("mini", 5, 0.95, transductive=True, best=True))
    for words in ("95 % Student-t interval over 5 seeds", "transductive", "no target label"):
        assert words in notes
    assert MINI_NOTE in notes
    notes = "\n".join(table_notes("ViT-B-16-openai", 1, 0.95, transductive=False, best=False))
    assert "one seed, so there is no interval" in notes
    assert "mini" not in notes
    assert "bold" not in notes
    assert "transductive" not in notes


def test_the_terminal_table_fits_in_80_columns(plan: Plan) -> None:
    text = printed(plan)
    assert max(map(len, text.splitlines())) <= 80
    for words in ("Method", "Known", "Unknown", "AUSUC", "ECE", "SRE-CLIP T", "CLIP-Adapter"):
        assert words in text
    assert " ".join(MINI_NOTE.split()[:6]) in text


def test_the_best_is_bold(plan: Plan) -> None:
    table = render_table(plan)
    known = list(table.columns[1].cells)
    assert [cell.style for cell in known].count("bold") == 1


def test_published_results_give_the_same_table(plan: Plan, tmp_path: Path) -> None:
    source = plan.comparison_dir / "metrics.json"
    (tmp_path / "metrics.json").write_text(source.read_text())
    methods = [
        {"name": "zero_shot", "title": "Zero-shot", "transductive": False},
        {"name": "clip_adapter", "title": "CLIP-Adapter", "transductive": False},
        {"name": "sre_clip", "title": "SRE-CLIP", "transductive": True},
    ]
    stamp = {"confidence": 0.95, "methods": methods}
    (tmp_path / "made-from-0123456789ab.json").write_text(json.dumps(stamp))
    assert printed(tmp_path) == printed(plan)


def test_without_a_stamp_methods_have_their_short_names(plan: Plan, tmp_path: Path) -> None:
    source = plan.comparison_dir / "metrics.json"
    (tmp_path / "metrics.json").write_text(source.read_text())
    assert "sre_clip" in printed(tmp_path)


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"task": 1}'])
def test_missing_or_foreign_metrics_are_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(StoreError, match=r"metrics\.json"):
        render_table(tmp_path)
