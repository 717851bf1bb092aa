"""A page that compares runs: parameters, numbers, classes, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sreclip.config.models import ColourSettings
from sreclip.files import write_text
from sreclip.provenance.changes import DATA_KEYS, changes, flat_params
from sreclip.provenance.keys import flat_keys, versions
from sreclip.provenance.runs import read_run
from sreclip.report.block import Block, View, optional
from sreclip.report.changed_images import KINDS, SHOWN, Changes, changed_images, find_changes
from sreclip.report.compared import (
    NumberCell,
    Side,
    class_changes,
    class_notes,
    common_methods,
    number_cells,
    read_sides,
    shown_metrics,
)
from sreclip.report.figures import METHOD_COLOURS, NEUTRAL
from sreclip.report.gains import (
    FEW_MARK,
    MOST_BARS,
    Marker,
    accuracy_figure,
    both_ends,
    gains_figure,
)
from sreclip.report.labels import FEW_OF_CLASS
from sreclip.report.numbers import percent_text, signed
from sreclip.report.rendering import render
from sreclip.report.table import MEANINGS, TITLES

TITLE = "Comparison of runs"
FILE = Path("reports/compare.html")


@dataclass(frozen=True)
class Compared:
    """What keys say of one thing that runs were made from."""

    what: str
    known: bool
    changes: dict[Any, tuple[Any, ...]]


def write_comparison(names: Sequence[str], out: Path = FILE) -> None:
    """Compare runs, the others with the first, on one page.

    Raises as `read_run` and `read_sides`.
    """
    write_text(out, compare_page(names))


def compare_page(names: Sequence[str]) -> str:
    """Return the text of the page that compares runs, as `read_run` can be told them."""
    sides = read_sides([read_run(name) for name in names])
    methods, metrics = common_methods(sides), shown_metrics(sides)
    best = _best_common(sides, methods)
    pairs = [
        found
        for method in methods
        for side in sides[1:]
        if (found := find_changes(sides[0], side, method)) is not None
    ]
    return render(
        "compare.html.j2",
        {
            "title": TITLE,
            "report_key": "",
            "sides": sides,
            "same_task": len({side.run.task for side in sides}) == 1,
            "sentences": [_best_sentence(side, sides[0]) for side in sides],
            "params": changes(*(flat_params(side.run.params) for side in sides)),
            "params_known": all(side.run.params for side in sides),
            "made_from": _made_from(sides),
            "metrics": metrics,
            "metric_titles": TITLES,
            "metric_meanings": MEANINGS,
            "methods": [(_title(sides, m), number_cells(sides, m, metrics)) for m in methods],
            "alone": _alone(sides, methods),
            "class_notes": class_notes(sides),
            "classes": _classes_block(sides, methods),
            "pairs": [(f"{_title(sides, each.method)}, {_pair(each)}", each) for each in pairs],
            "no_predictions": [s.letter for s in sides if s.predictions is None],
            "kinds": KINDS,
            "shown": SHOWN,
            "images": [
                (f"{_title(sides, each.method)}, {_pair(each)}", each, changed_images(each))
                for each in pairs
                if each.method == best
            ],
            "version": versions()["sreclip"],
        },
    )


def _pair(found: Changes) -> str:
    return f"{found.a.letter} → {found.b.letter}"


def _title(sides: Sequence[Side], method: str) -> str:
    return next((s.run.titles[method] for s in reversed(sides) if method in s.run.titles), method)


def _best_common(sides: Sequence[Side], methods: Sequence[str]) -> str | None:
    """Return the best method of the last run that all have, or the last common one."""
    for side in reversed(sides):
        if side.best and side.best[1] in methods:
            return side.best[1]
    return methods[-1] if methods else None


def _best_sentence(side: Side, first: Side) -> str:
    if side.best is None:
        return f"{side.letter}: no target image has a label, so no method is best."
    metric, method = side.best
    name = "H" if metric == "h" else f"accuracy on {metric} classes"
    mine = side.run.numbers[method][metric]
    sentence = f"{side.letter}: {side.title(method)} is best, {name} {percent_text(mine)} %"
    if side is not first and first.best is not None and first.best[0] == metric:
        other = first.run.numbers[first.best[1]][metric]["mean"]
        points = signed(100 * (mine["mean"] - other), 1)
        sentence += f" ({points} points to the best of {first.letter})"
    return sentence + "."


def _made_from(sides: Sequence[Side]) -> list[Compared]:
    keys = [dict(flat_keys(side.run.keys)) for side in sides]
    codes = [dict(flat_keys(side.run.code)) for side in sides]
    packages = [side.run.versions for side in sides]
    found = changes(*keys)
    return [
        Compared("Data", all(keys), {n: each for n, each in found.items() if n in DATA_KEYS}),
        Compared("Code", all(codes), changes(*codes)),
        Compared(
            "Results", all(keys), {n: each for n, each in found.items() if n not in DATA_KEYS}
        ),
        Compared("Versions", all(packages), changes(*packages)),
    ]


def _alone(sides: Sequence[Side], methods: Sequence[str]) -> list[tuple[str, list[NumberCell]]]:
    """Return the numbers of methods that not all runs have, with the letter of the run."""
    metrics = shown_metrics(sides)
    return [
        (f"{side.title(method)}, {side.letter} alone", number_cells([side], method, metrics)[0])
        for side in sides
        for method in side.run.numbers
        if method not in methods
    ]


def _classes_block(sides: Sequence[Side], methods: Sequence[str]) -> Block:
    colours = ColourSettings().model_dump()
    first = sides[0]
    views, left_out, counted = [], 0, True
    for method in reversed(methods):
        for side in sides[1:]:
            rows = class_changes(first, side, method)
            if rows is None:
                continue
            shown = both_ends(rows)
            left_out = max(left_out, len(rows) - len(shown))
            counted = counted and "images" in rows
            markers = [
                Marker("before", first.letter, NEUTRAL, "x"),
                Marker("after", side.letter, METHOD_COLOURS[1], "square"),
            ]
            title = f"{_title(sides, method)}, {first.letter} → {side.letter}"
            panels = [
                (f"Gain of {side.letter} over {first.letter}", gains_figure(shown, colours)),
                ("Accuracy", accuracy_figure(shown, markers, colours)),
            ]
            views.append(View(title, panels))
    if not views:
        return Block(
            "classes-figure",
            missing="No method, or no class with a labelled image, is in the runs alike, or their "
            "tables/per_class.csv is not at hand.",
        )
    return Block(
        "classes-figure",
        "Charts of each class's gain between two runs, and of both accuracies.",
        f"Accuracy of each class minus that in {first.letter}, mean over seeds, sorted; beside it "
        "both accuracies, in the same order."
        + optional(
            counted,
            "In brackets is the number of labelled images of the class; "
            f"{FEW_MARK} and hollow markers are for fewer than {FEW_OF_CLASS}.",
        )
        + optional(
            left_out,
            f"Only the {MOST_BARS} classes at both ends are shown, {left_out} in between are not.",
        ),
        views,
    )
