"""The results table."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sreclip.errors import StoreError
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.significance import COLUMNS, read_significance
from sreclip.plan.plan import Plan
from sreclip.report.table import (
    MINI_NOTE,
    render_table,
    selection_note,
    table_cells,
    table_notes,
)


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
    shown = {"transductive": True, "best": True, "selection": "last", "arrows": True}
    notes = "\n".join(table_notes("mini", 5, 0.95, **shown))
    for words in (
        "95 % Student-t interval over 5 seeds",
        "transductive",
        "selection (last): last step of training; no target label",
        "Holm-adjusted p < 0.05",
    ):
        assert words in notes
    assert MINI_NOTE in notes
    plain = {"transductive": False, "best": False, "selection": None}
    notes = "\n".join(table_notes("ViT-B-16-openai", 1, 0.95, **plain))
    assert "one seed, so there is no interval" in notes
    for words in ("mini", "bold", "transductive", "selection", "Holm"):
        assert words not in notes


def test_each_rule_of_selection_has_its_sentence() -> None:
    assert "no target label" in selection_note("last")
    assert "no target label" in selection_note("pseudo_unknown")
    assert "WITH target labels: an upper bound, not a result" in selection_note("oracle")


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
    for name in ("metrics.json", "tables/significance.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(plan.comparison[Path(name).name], tmp_path / name)
    methods = [
        {"name": "zero_shot", "title": "Zero-shot", "transductive": False},
        {"name": "clip_adapter", "title": "CLIP-Adapter", "transductive": False},
        {"name": "sre_clip", "title": "SRE-CLIP", "transductive": True},
    ]
    stamp = {"confidence": 0.95, "selection": "last", "methods": methods}
    stamp_file = tmp_path / "made-from" / "0123456789ab.json"
    stamp_file.parent.mkdir()
    stamp_file.write_text(json.dumps(stamp))
    assert printed(tmp_path) == printed(plan)
    # A stamp from before there was a rule to choose: the last step was taken.
    del stamp["selection"]
    stamp_file.write_text(json.dumps(stamp))
    assert printed(tmp_path) == printed(plan)
    (tmp_path / "tables/significance.csv").unlink()
    text = printed(tmp_path)
    assert "SRE-CLIP T" in text
    assert "↑" not in text


def test_without_a_stamp_methods_have_their_short_names(plan: Plan, tmp_path: Path) -> None:
    source = plan.comparison["metrics.json"]
    (tmp_path / "metrics.json").write_text(source.read_text())
    text = printed(tmp_path)
    assert "sre_clip" in text
    assert "selection" not in text


def test_arrows_stand_beside_h_where_the_difference_is_clear(plan: Plan) -> None:
    rows = read_significance(plan.comparison["significance.csv"])
    adjusted = {
        row.method: row.p_holm
        for row in rows
        if (row.reference_kind, row.metric) == ("zero_shot", "h")
    }
    h = {str(cell) for cell in render_table(plan).columns[3].cells}
    assert sum(cell.endswith("↑") for cell in h) == sum(p < 0.05 for p in adjusted.values()) > 0
    assert all(cell[-1] in "↑↓ " for cell in h)
    assert "Holm-adjusted p < 0.05" in " ".join(printed(plan).split())


def test_the_widest_numbers_are_not_cut(plan: Plan, tmp_path: Path) -> None:
    wide = {name: summary(0.453, 0.0002) for name in METRICS}
    names = {"zero_shot": wide, "clip_adapter": wide}
    (tmp_path / "metrics.json").write_text(json.dumps({"task": {"mini": names}}))
    (tmp_path / "made-from").mkdir()
    (tmp_path / "made-from" / "0123456789ab.json").write_text('{"confidence": 0.95}')
    (tmp_path / "tables").mkdir()
    row = "zero_shot,zero_shot,clip_adapter,h,-0.1,-0.2,-0.05,0.001,0.001"
    (tmp_path / "tables/significance.csv").write_text(f"{','.join(COLUMNS)}\n{row}\n")
    text = printed(tmp_path)
    assert max(map(len, text.splitlines())) <= 80
    assert "45.3±<0.1↓" in text
    assert "…" not in text


def test_upper_bounds_are_called_so(make_results: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_results(tmp_path, selection="oracle", per_class=2, steps=2)
    text = " ".join(printed(plan).split())
    assert "upper bounds, not results" in text
    assert "selection (oracle): settings chosen WITH target labels" in text


@pytest.mark.parametrize("text", [None, "{}", "[]", '{"task": 1}'])
def test_missing_or_foreign_metrics_are_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(StoreError, match=r"metrics\.json"):
        render_table(tmp_path)
