"""Accuracy of each class, and what a method gains over zero-shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sreclip.errors import counted
from sreclip.evaluate.stored import Evaluation, zero_shot_of
from sreclip.report.block import Block, View, optional
from sreclip.report.figures import (
    NEUTRAL,
    class_label,
    empty_figure,
    label,
    method_style,
    pattern_of,
    percent,
)
from sreclip.report.labels import FEW_OF_CLASS, label_counts

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

MOST_BARS = 40
BAR_PIXELS = 22
FEW_MARK = "*"


def gains_block(results: Sequence[Evaluation], colours: Mapping[str, str]) -> Block:
    """Return gains and accuracies of each method; accuracies alone where there is no gain."""
    baseline = zero_shot_of(results)
    others = [result for result in reversed(results) if result is not baseline]
    views, left_out = [], 0
    for result in others or results:
        rows = class_rows(result, baseline if others else None)
        shown = both_ends(rows)
        left_out = max(left_out, len(rows) - len(shown))
        columns = {"before": baseline, "after": result} if others else {"after": result}
        markers = [
            Marker(column, method.title, colour, symbol)
            for column, method in columns.items()
            if method is not None
            for colour, _, symbol in [method_style(method, results)]
        ]
        panels = [("Accuracy", accuracy_figure(shown, markers, colours))]
        if baseline and others:
            panels.insert(0, (f"Gain over {baseline.title}", gains_figure(shown, colours)))
        views.append(View(result.title, panels))
    if baseline and others:
        order = (
            f"Accuracy of each class minus that of {baseline.title}, mean over seeds, sorted; "
            "beside it both accuracies, in the same order. Bars to the left are classes that the "
            "method made worse."
        )
    else:
        why = (
            "no other method is in this run"
            if baseline
            else "zero_shot is not among the methods of this run"
        )
        order = (
            "Accuracy of each class, mean over seeds, sorted. Gains are shown over zero_shot, "
            f"and {why}."
        )
    return Block(
        "gains",
        "Charts of each class's gain in accuracy over zero-shot, and of both accuracies."
        if baseline and others
        else "Chart of each class's accuracy.",
        f"{order} In brackets is the number of labelled images of the class; {FEW_MARK} and hollow "
        f"markers are for fewer than {FEW_OF_CLASS}, where one image moves a class far."
        + optional(
            left_out,
            f"Only the {MOST_BARS} classes at both ends are shown, {left_out} in between are not.",
        ),
        views,
    )


def class_rows(result: Evaluation, baseline: Evaluation | None) -> pd.DataFrame:
    """Return ``name``, ``known``, ``images``, ``after``, and ``before`` and ``gain`` of a baseline.

    Classes with a labelled image alone, by number, those that gain most (without a baseline: the
    most accurate) first.
    """
    import pandas as pd

    rows = pd.DataFrame(
        {
            "name": result.classes,
            "known": result.known,
            "images": label_counts(result),
            "after": np.array(result.class_accuracy, dtype=float),
        }
    )
    order = "after"
    if baseline is not None:
        before = np.array(baseline.class_accuracy, dtype=float)
        rows, order = rows.assign(before=before, gain=rows["after"] - before), "gain"
    return rows.dropna().sort_values([order, "name"], ascending=[False, True])


def both_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Return at most `MOST_BARS` rows, those at both ends."""
    import pandas as pd

    if len(rows) <= MOST_BARS:
        return rows
    return pd.concat([rows[: MOST_BARS // 2], rows[-MOST_BARS // 2 :]])


def gains_figure(rows: pd.DataFrame, colours: Mapping[str, str]) -> Figure:
    """Draw the gains of `class_rows` as bars."""
    import plotly.graph_objects as go

    figure = _figure_of_classes(rows, colours)
    for kind, is_known in (("known", True), ("unknown", False)):
        places = np.flatnonzero(rows["known"] == is_known)
        if not len(places):
            continue
        picked = rows.iloc[places]
        figure.add_trace(
            go.Bar(
                name=f"{kind} class",
                orientation="h",
                y=places.tolist(),
                x=percent(picked["gain"].to_numpy()),
                # The line shows a bar also for a gain of zero.
                marker={
                    "color": colours[kind],
                    "pattern": pattern_of(kind),
                    "line": {"color": colours[kind], "width": 1},
                },
                customdata=[
                    [*words, 100 * before, 100 * after]
                    for words, before, after in zip(
                        _hover(picked), picked["before"], picked["after"], strict=True
                    )
                ],
                hovertemplate="%{customdata[0]}<br>%{customdata[2]:.1f} → %{customdata[3]:.1f} %"
                "%{customdata[1]}<extra></extra>",
            )
        )
    figure.update_xaxes(title="gain, percent points")
    return figure


class Marker(NamedTuple):
    """How the accuracies of a column are drawn."""

    column: str
    title: str
    colour: str
    symbol: str


def accuracy_figure(
    rows: pd.DataFrame, markers: Sequence[Marker], colours: Mapping[str, str]
) -> Figure:
    """Draw the accuracies of `class_rows` as markers, joined where there are two per class."""
    figure = _figure_of_classes(rows, colours)
    places = list(range(len(rows)))
    if len(markers) > 1:
        x: list[float | None] = []
        y: list[float | None] = []
        ends = (percent(rows[marker.column].to_numpy()) for marker in markers)
        for place, pair in enumerate(zip(*ends, strict=True)):
            x += [*pair, None]
            y += [place, place, None]
        line = {"color": NEUTRAL, "width": 2}
        figure.add_trace(
            {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": line}
            | {"hoverinfo": "skip", "showlegend": False}
        )
    few = [n is not None and n < FEW_OF_CLASS for n in _images(rows)]
    for marker in markers:
        title = label(marker.title)
        style = {
            "color": marker.colour,
            "symbol": [f"{marker.symbol}-open" if scarce else marker.symbol for scarce in few],
            "size": 9,
            "line": {"width": [2 * scarce for scarce in few]},
        }
        figure.add_trace(
            {
                "type": "scatter",
                "mode": "markers",
                "name": title,
                "legendgroup": title,
                "showlegend": False,
                "x": percent(rows[marker.column].to_numpy()),
                "y": places,
                "marker": style,
                "customdata": _hover(rows),
                "hovertemplate": f"%{{customdata[0]}}<br>{title} %{{x:.1f}} %%{{customdata[1]}}"
                "<extra></extra>",
            }
        )
        # Without a place, for the legend, which would show the first class's, hollow or not.
        shape = {"color": marker.colour, "symbol": marker.symbol, "size": 9}
        figure.add_trace(
            {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "marker": shape}
            | {"name": title, "legendgroup": title}
        )
    figure.update_xaxes(title="accuracy, %", range=[-4, 104])
    return figure


def _images(rows: pd.DataFrame) -> list[int | None]:
    """Return the labelled images of each class; None where they are not known."""
    return rows["images"].tolist() if "images" in rows else [None] * len(rows)


def _hover(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [label(name, 80), "" if n is None else f" of {counted(n, 'image')}"]
        for name, n in zip(rows["name"], _images(rows), strict=True)
    ]


def _figure_of_classes(rows: pd.DataFrame, colours: Mapping[str, str]) -> Figure:
    """Return a figure with a line per class, the first on top."""
    # The page opens the images of a class by these numbers.
    meta: dict[str, Any] = {"rows": rows.index.tolist()}
    figure = empty_figure(90 + BAR_PIXELS * len(rows), bargap=0.25, meta=meta)
    figure.update_yaxes(
        title={"text": "class (labelled images)" if "images" in rows else "class", "standoff": 16},
        tickvals=list(range(len(rows))),
        ticktext=[
            class_label(name, known, colours) + _in_brackets(n)
            for name, known, n in zip(rows["name"], rows["known"], _images(rows), strict=True)
        ],
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
    return figure


def _in_brackets(n: int | None) -> str:
    return "" if n is None else f" ({n}{FEW_MARK if n < FEW_OF_CLASS else ''})"
