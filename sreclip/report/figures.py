"""Figures of the page: numbers in, plotly figure out.

The figures carry no ground or text colour: the page adds those of the reader's light or dark
scheme, also where a mark is ``white`` (ground), ``gray`` (quiet) or ``black`` (text). Names go
through `label`, for plotly reads some HTML in its texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.report.inputs import MethodResult
from sreclip.report.numbers import NOISE, format_with_interval, half_width

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NEUTRAL = "#8a8f98"
# Of middling lightness, so that they stand out on a light and on a dark ground.
METHOD_COLOURS = (
    "#009e73",
    "#c65b9b",
    "#6f63d1",
    "#b8901f",
    "#2f93c7",
    "#c8553d",
    "#7a8b2c",
    "#a0643c",
)
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "pentagon", "hexagram")
DASHES = ("solid", "dash", "dot", "dashdot")
LONGEST_LABEL = 26
MOST_BARS = 40
BAR_PIXELS = 22


def label(name: str, longest: int = LONGEST_LABEL) -> str:
    """Make a name safe for plotly's texts, cut when it is long."""
    name = name.replace("_", " ")
    return escape(name if len(name) <= longest else name[: longest - 1] + "…", quote=False)


def percent(values: Sequence[float] | np.ndarray, decimals: int = 2) -> list[float]:
    """Shares as percent, rounded to keep the page small."""
    return np.round(100 * np.asarray(values, dtype=np.float64), decimals).tolist()


def empty_figure(height: int, **layout: Any) -> Figure:
    """Make a figure that leaves all colours but the traces' own to the page."""
    import plotly.graph_objects as go

    figure = go.Figure()
    figure.update_layout(
        template={},
        height=height,
        margin={"l": 10, "r": 10, "t": 10, "b": 10},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        hoverlabel={"align": "left"},
        dragmode=False,
        **layout,
    )
    figure.update_xaxes(automargin=True, title_standoff=8)
    figure.update_yaxes(automargin=True, title_standoff=8)
    return figure


def pattern_of(kind: str) -> dict[str, Any]:
    """Stripes for unknown classes, so that colour is not all that tells them apart."""
    if kind != "unknown":
        return {"shape": ""}
    return {"shape": "/", "fillmode": "overlay", "solidity": 0.15, "size": 7}


def bars_figure(results: Sequence[MethodResult], colours: Mapping[str, str]) -> Figure:
    """Known, unknown and H of each method, with intervals; horizontal, so that names fit."""
    import plotly.graph_objects as go

    parts = (
        ("known", "known", colours["known"]),
        ("unknown", "unknown", colours["unknown"]),
        ("h", "H (harmonic mean)", NEUTRAL),
    )
    shown = [p for p in parts if any(p[0] in result.metrics for result in results)]
    figure = empty_figure(70 + (26 * len(shown) + 18) * len(results), barmode="group", bargap=0.22)
    places = list(range(len(results)))
    for kind, title, colour in shown:
        summaries = [result.metrics.get(kind) for result in results]
        halves = [half_width(summary) if summary else None for summary in summaries]
        means = [summary["mean"] if summary else 0.0 for summary in summaries]
        whiskers = [half or 0.0 for half in halves]
        texts = [
            format_with_interval(100 * mean, None if half is None else 100 * half)
            for mean, half in zip(means, halves, strict=True)
        ]
        figure.add_trace(
            go.Bar(
                name=title,
                orientation="h",
                y=places,
                x=percent(means),
                marker={"color": colour, "pattern": pattern_of(kind)},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": percent(whiskers),
                    # No accuracy is below zero, wherever the interval ends.
                    "arrayminus": percent([min(*p) for p in zip(whiskers, means, strict=True)]),
                    "color": "black",
                    "thickness": 1.5,
                    "visible": any(half > NOISE for half in whiskers),
                },
                customdata=texts,
                hovertemplate=f"{title}: %{{customdata}} %<extra></extra>",
            )
        )
    figure.update_xaxes(title="accuracy, %", rangemode="tozero")
    figure.update_yaxes(
        tickvals=places,
        ticktext=[label(result.title) for result in results],
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    return figure


def curve_figure(results: Sequence[MethodResult]) -> Figure:
    """Known against unknown accuracy under a bias on unknown logits, with operating points."""
    import plotly.graph_objects as go

    figure = empty_figure(470)
    figure.update_layout(legend={"y": -0.18, "yanchor": "top"})
    for place, result in enumerate(results):
        if result.curve is None:
            continue
        colour, dash, symbol = method_style(result, results)
        known, unknown = trimmed_curve(result.curve)
        name = label(result.title)
        area = result.metrics.get("ausuc")
        if area is not None:
            half = half_width(area)
            area_text = format_with_interval(
                100 * area["mean"], None if half is None else 100 * half
            )
            name += f" (AUSUC {area_text})"
        last = place == len(results) - 1
        figure.add_trace(
            go.Scatter(
                name=name,
                x=percent(known),
                y=percent(unknown),
                mode="lines",
                legendgroup=result.name,
                line={"color": colour, "dash": dash, "width": 3 if last else 2},
                hovertemplate=f"{label(result.title)}<br>known %{{x:.1f}} %, unknown %{{y:.1f}} %"
                "<extra></extra>",
            )
        )
        figure.add_trace(
            go.Scatter(
                name=f"{label(result.title)}, as it is",
                x=percent([result.metrics["known"]["mean"]]),
                y=percent([result.metrics["unknown"]["mean"]]),
                mode="markers",
                legendgroup=result.name,
                showlegend=False,
                marker={
                    "symbol": symbol,
                    "size": 14 if last else 12,
                    "color": colour,
                    "line": {"color": "white", "width": 1.5},
                },
                hovertemplate=f"{label(result.title)} without a bias<br>known %{{x:.1f}} %, "
                "unknown %{y:.1f} %<extra></extra>",
            )
        )
        best = best_point(known, unknown)
        if best is None:
            continue
        figure.add_trace(
            go.Scatter(
                name=f"{label(result.title)}, best bias",
                x=percent([known[best]]),
                y=percent([unknown[best]]),
                mode="markers",
                legendgroup=result.name,
                showlegend=False,
                marker={
                    "symbol": f"{symbol}-open",
                    "size": 12 if last else 10,
                    "color": colour,
                    "line": {"width": 2},
                },
                hovertemplate=f"{label(result.title)} at the best bias, chosen with the labels: "
                "an upper bound<br>known %{x:.1f} %, unknown %{y:.1f} %<extra></extra>",
            )
        )
    figure.update_xaxes(title="accuracy on known classes, %", rangemode="tozero")
    figure.update_yaxes(title="accuracy on unknown classes, %", rangemode="tozero")
    return figure


def method_style(result: MethodResult, results: Sequence[MethodResult]) -> tuple[str, str, str]:
    """Colour, dash and marker of a method; the baseline is grey and dotted."""
    if result.name == "zero_shot":
        return NEUTRAL, "dot", "x"
    others = [other.name for other in results if other.name != "zero_shot"]
    at = others.index(result.name)
    dash = DASHES[(at // len(METHOD_COLOURS)) % len(DASHES)]
    return METHOD_COLOURS[at % len(METHOD_COLOURS)], dash, SYMBOLS[at % len(SYMBOLS)]


def trimmed_curve(curve: Mapping[str, Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Cut the flat tail at zero: the curve is sampled beyond the best known accuracy."""
    known, unknown = np.asarray(curve["known"]), np.asarray(curve["unknown"])
    above = np.flatnonzero(unknown > 0)
    stop = min(len(known), int(above[-1]) + 2) if len(above) else 1
    return known[:stop], unknown[:stop]


def best_point(known: np.ndarray, unknown: np.ndarray) -> int | None:
    """Where along a curve the harmonic mean is highest; None where it is zero all along."""
    product, total = 2 * known * unknown, known + unknown
    means = np.divide(product, total, out=np.zeros_like(total), where=total > 0)
    return int(means.argmax()) if means.any() else None


def gains_figure(
    result: MethodResult, baseline: MethodResult, colours: Mapping[str, str]
) -> tuple[Figure, int]:
    """Accuracy of each class minus the baseline's, sorted.

    Returns
    -------
    Figure
        With at most `MOST_BARS` classes, those at both ends of the order.
    int
        Number of classes left out.
    """
    import plotly.graph_objects as go

    rows = [
        (after - before, before, after, at)
        for at, (before, after) in enumerate(
            zip(baseline.class_accuracy, result.class_accuracy, strict=True)
        )
        if before is not None and after is not None
    ]
    rows.sort(key=lambda row: (-row[0], result.classes[row[3]]))
    n_all = len(rows)
    if n_all > MOST_BARS:
        rows = rows[: MOST_BARS // 2] + rows[-MOST_BARS // 2 :]
    figure = empty_figure(90 + BAR_PIXELS * len(rows), bargap=0.25)
    for kind, is_known in (("known", True), ("unknown", False)):
        places = [i for i, row in enumerate(rows) if result.known[row[3]] == is_known]
        if not places:
            continue
        picked = [rows[i] for i in places]
        counts = [result.confusion[row[3]].sum() / len(result.seeds) for row in picked]
        figure.add_trace(
            go.Bar(
                name=f"{kind} class",
                orientation="h",
                y=places,
                x=percent([row[0] for row in picked]),
                # A gain of zero would be invisible, and its class look forgotten.
                marker={
                    "color": colours[kind],
                    "pattern": pattern_of(kind),
                    "line": {"color": colours[kind], "width": 1},
                },
                customdata=[
                    [label(result.classes[row[3]], 80), 100 * row[1], 100 * row[2], int(n)]
                    for row, n in zip(picked, counts, strict=True)
                ],
                hovertemplate="%{customdata[0]}<br>%{customdata[1]:.1f} → %{customdata[2]:.1f} % "
                "of %{customdata[3]} pictures<extra></extra>",
            )
        )
    figure.update_xaxes(title=f"gain over {label(baseline.title)}, percent points")
    figure.update_yaxes(
        tickvals=list(range(len(rows))),
        ticktext=[label(result.classes[row[3]]) for row in rows],
        range=[len(rows) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
    return figure, n_all - len(rows)
