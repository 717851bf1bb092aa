"""The confusion matrix as a heat map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sreclip.evaluate.stored import Evaluation
from sreclip.report.figures import NEUTRAL, class_label, empty_figure, label

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_CLASSES = 60
MOST_NUMBERED = 25


def matrix_figure(result: Evaluation, colours: Mapping[str, str]) -> tuple[Figure, int]:
    """Draw which classes are predicted for the images of each class, in percent.

    Known classes come first, then unknown ones, then a column for rejected images if there are
    any. Of more than `MOST_CLASSES` classes those with the most mistakes are shown; the number is
    that of the classes left out.
    """
    import plotly.graph_objects as go

    counts = result.confusion_table
    n_classes = len(result.classes)
    shown = _shown_classes(result)
    order = [*shown[result.known[shown]], *shown[~result.known[shown]]]
    rejected = counts[:, n_classes].any()
    columns = [*order, n_classes] if rejected else order
    totals = counts.sum(axis=1, keepdims=True)
    # The row of a class without images stays blank.
    some = totals[order]
    z = np.where(some > 0, 100 * counts[np.ix_(order, columns)] / np.maximum(some, 1), np.nan)
    names = [*result.classes, "rejected"]
    numbered = len(order) <= MOST_NUMBERED
    cell = 26 if numbered else 16
    figure = empty_figure(150 + cell * len(order))
    texts = [[f"{v:.0f}" if v >= 0.5 else "" for v in row] for row in z]
    figure.add_trace(
        go.Heatmap(
            z=[[None if np.isnan(v) else round(float(v), 1) for v in row] for row in z],
            text=texts if numbered else None,
            texttemplate="%{text}" if numbered else None,
            textfont={"size": 10},
            zmin=0,
            zmax=100,
            xgap=1,
            ygap=1,
            customdata=[
                [
                    [label(names[a], 80), label(names[p], 80), int(counts[a, p]), int(totals[a, 0])]
                    for p in columns
                ]
                for a in order
            ],
            hovertemplate="true: %{customdata[0]}<br>predicted: %{customdata[1]}<br>"
            "%{z:.1f} % (%{customdata[2]} of %{customdata[3]})<extra></extra>",
            # No scale where the cells have room for numbers.
            showscale=not numbered,
            colorbar={"title": {"text": "%"}, "thickness": 10, "outlinewidth": 0},
        )
    )
    n_known = int(result.known[shown].sum())
    for axis, members, title, angle in (
        ("x", columns, "predicted class", -90),
        ("y", order, "true class", 0),
    ):
        edges = [n_known - 0.5] if 0 < n_known < len(order) else []
        if axis == "x" and rejected:
            edges.append(len(order) - 0.5)
        for edge in edges:
            _add_line(figure, axis, edge)
        figure.layout[f"{axis}axis"].update(
            tickvals=list(range(len(members))),
            ticktext=[_tick(names[c], result, c, colours) for c in members],
            showgrid=False,
            zeroline=False,
            automargin=True,
            tickangle=angle,
            title={"text": title, "standoff": 10},
        )
    figure.update_yaxes(range=[len(order) - 0.5, -0.5])
    cells = {"rows": [int(number) for number in order], "columns": list(map(int, columns))}
    figure.update_layout(margin={"t": 30}, meta={"width": cell * len(columns) + 260, **cells})
    return figure, n_classes - len(order)


def _add_line(figure: Figure, axis: str, at: float) -> None:
    """Draw a line across the whole matrix, between two groups of classes."""
    other = "y" if axis == "x" else "x"
    figure.add_shape(
        {
            "type": "line",
            f"{axis}0": at,
            f"{axis}1": at,
            f"{axis}ref": axis,
            f"{other}0": 0,
            f"{other}1": 1,
            f"{other}ref": "paper",
            "line": {"color": NEUTRAL, "width": 1.5},
        }
    )


def _shown_classes(result: Evaluation) -> np.ndarray:
    n_classes = len(result.classes)
    if n_classes <= MOST_CLASSES:
        return np.arange(n_classes)
    counts = result.confusion_table[:, :n_classes]
    right = np.diag(counts)
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * right
    return np.sort(np.argsort(-mistakes, kind="stable")[:MOST_CLASSES])


def _tick(name: str, result: Evaluation, number: int, colours: Mapping[str, str]) -> str:
    if number == len(result.classes):
        return f"<i>{label(name)}</i>"
    return class_label(name, bool(result.known[number]), colours)
