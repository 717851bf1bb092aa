"""The confusion matrix as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.stored import Evaluation
from sreclip.report.class_groups import ClassGroup
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
    n_classes = len(result.classes)
    shown = _shown_classes(result)
    order = [*shown[result.known[shown]], *shown[~result.known[shown]]]
    ticks = [
        class_label(name, bool(known), colours)
        for name, known in zip(result.classes, result.known, strict=True)
    ]
    figure = _heat_map(result.confusion_table, order, list(result.classes), ticks)
    n_known = int(result.known[shown].sum())
    if 0 < n_known < len(order):
        for axis in ("x", "y"):
            _add_line(figure, axis, n_known - 0.5)
    cells = {"rows": list(map(int, order)), "columns": [*map(int, order), n_classes]}
    figure.update_layout(meta={**figure.layout.meta, **cells})
    return figure, n_classes - len(order)


def group_figure(result: Evaluation, groups: Sequence[ClassGroup]) -> Figure:
    """Draw which groups of classes are predicted for the images of each group, in percent."""
    n_classes = len(result.classes)
    group_of = np.zeros(n_classes + 1, dtype=np.int64)
    group_of[n_classes] = len(groups)  # rejected images
    for number, group in enumerate(groups):
        group_of[group.classes] = number
    counts = np.zeros((len(groups), len(groups) + 1), dtype=result.confusion_table.dtype)
    true, predicted = np.nonzero(result.confusion_table)
    np.add.at(
        counts,
        (group_of[true], group_of[predicted]),
        result.confusion_table[true, predicted],
    )
    names = [f"{group.name} ({len(group.classes):,})" for group in groups]
    figure = _heat_map(counts, range(len(groups)), names, [label(name) for name in names])
    about = {"method": result.title, "groups": [group.classes for group in groups]}
    figure.update_layout(meta={**figure.layout.meta, **about})
    return figure


def _heat_map(
    counts: NDArray[np.integer], order: Sequence[int], names: Sequence[str], ticks: Sequence[str]
) -> Figure:
    """Draw some rows and columns of counts; the last column, of rejected images, if it has any."""
    import plotly.graph_objects as go

    n = len(names)
    rejected = counts[:, n].any()
    columns = [*order, n] if rejected else list(order)
    names, ticks = [*names, "rejected"], [*ticks, "<i>rejected</i>"]
    totals = counts.sum(axis=1, keepdims=True)
    # The row of a class without images stays blank.
    some = totals[order]
    z = np.where(some > 0, 100 * counts[np.ix_(order, columns)] / np.maximum(some, 1), np.nan)
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
    for axis, members, title, angle in (
        ("x", columns, "predicted class", -90),
        ("y", order, "true class", 0),
    ):
        figure.layout[f"{axis}axis"].update(
            tickvals=list(range(len(members))),
            ticktext=[ticks[number] for number in members],
            showgrid=False,
            zeroline=False,
            automargin=True,
            tickangle=angle,
            title={"text": title, "standoff": 10},
        )
    if rejected:
        _add_line(figure, "x", len(order) - 0.5)
    figure.update_yaxes(range=[len(order) - 0.5, -0.5])
    figure.update_layout(margin={"t": 30}, meta={"width": cell * len(columns) + 260})
    return figure


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
