"""Cells of the results table and the notes below it."""

from __future__ import annotations

import dataclasses
from typing import Any

from sreclip.report.table import MethodRow, ResultsTable, selection_note, table_cells


def summary(mean: float, half: float) -> dict[str, float]:
    return {"mean": mean, "sd": half, "low": mean - half, "high": mean + half, "n": 3}


def test_cells_are_percent_and_mark_the_best() -> None:
    first = {"known": summary(0.5, 0.012), "ece": summary(0.2, 0.01)}
    second = {"known": summary(0.6, 0.04), "ece": summary(0.3, 0.01)}
    cells = table_cells([first, second], ["known", "ece"])
    assert [[cell.text() for cell in row] for row in cells] == [
        ["50.0 ± 1.2", "20.0 ± 1.0"],
        ["60 ± 4", "30.0 ± 1.0"],
    ]
    assert [[cell.best for cell in row] for row in cells] == [[False, True], [True, False]]
    assert cells[1][0].mean == "60"
    assert cells[1][0].half == "4"
    assert cells[1][0].text("±") == "60±4"
    assert "interval 56.0 to 64.0" in cells[1][0].detail


def test_a_metric_that_is_not_there_is_a_dash() -> None:
    (cell,), (other,) = table_cells([{}, {"h": summary(0.5, 0.1)}], ["h"])
    assert cell.text() == "\u2013"
    assert not cell.best
    assert not other.best


def test_one_method_is_not_the_best_of_anything() -> None:
    ((cell,),) = table_cells([{"h": summary(0.5, 0.1)}], ["h"])
    assert not cell.best


def table(seeds: int = 5, **changes: Any) -> ResultsTable:
    metrics = {"h": {"mean": 0.5, "n": seeds}}
    rows = [MethodRow(name, name, False, metrics) for name in ("zero_shot", "sre_clip")]
    return dataclasses.replace(ResultsTable(rows, 0.95, "last"), **changes)


def test_notes_say_what_applies() -> None:
    transductive = MethodRow("sre_clip", "SRE-CLIP", True, {})
    shown = table(arrows={"sre_clip": "↑"})
    notes = dataclasses.replace(shown, methods=[*shown.methods, transductive]).notes()
    for words in (
        "95 % Student-t interval over 5 seeds",
        "bold: best mean",
        "T: transductive",
        "selection (last): last step of training; no target label",
        "Holm-adjusted p < 0.05",
    ):
        assert words in "\n".join(notes)
    shown = table(1, selection=None)
    notes = dataclasses.replace(shown, methods=shown.methods[:1]).notes()
    assert notes == ["percent; one seed, so there is no interval; ECE: lower is better"]


def test_the_warning_of_the_protocol_comes_first() -> None:
    notes = table(warning="never a result").notes()
    assert notes[0] == "WARNING: never a result"
    assert "selection" not in notes[-1].partition(":")[2]


def test_each_rule_of_selection_has_its_sentence() -> None:
    assert "no target label" in selection_note("last", "")
    assert "no target label" in selection_note("pseudo_unknown", "")
    assert "WITH target labels: an upper bound, not a result" in selection_note("oracle", "")
