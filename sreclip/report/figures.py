"""Figures of the page: numbers in, plotly figure out.

The figures have no background or text colour: the page adds those of the reader's light or dark
scheme, and replaces the colours ``white`` (background), ``gray`` (muted text) and ``black`` (text).
Names go through `label`, since plotly reads some HTML in its texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.evaluate.stored import ZERO_SHOT, Evaluation
from sreclip.report.numbers import NOISE, half_width, percent_text

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NEUTRAL = "#8a8f98"
# Of medium lightness, to be visible on light and on dark.
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
UNKNOWN_MARK = "○ "
BAR_PIXELS = 22

# Known and unknown accuracies.
Points = Sequence[Sequence[float] | np.ndarray]


def label(name: str, longest: int = LONGEST_LABEL) -> str:
    """Make a name safe for plotly's texts, cut when it is long."""
    name = name.replace("_", " ")
    return escape(name if len(name) <= longest else name[: longest - 1] + "…", quote=False)


def class_label(name: str, known: bool, colours: Mapping[str, str]) -> str:
    """Return `label`, with the mark of unknown classes where the class is one."""
    mark = "" if known else f'<span style="color:{colours["unknown"]}">{UNKNOWN_MARK}</span>'
    return mark + label(name)


def percent(values: Sequence[float] | np.ndarray, decimals: int = 2) -> list[float]:
    """Return fractions as percent, rounded to keep the page small."""
    return np.round(100 * np.asarray(values, dtype=np.float64), decimals).tolist()


def empty_figure(height: int, **layout: Any) -> Figure:
    """Return a figure in the layout that all share."""
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
    """Return stripes for unknown classes, which colour alone should not mark."""
    if kind != "unknown":
        return {"shape": ""}
    return {"shape": "/", "fillmode": "overlay", "solidity": 0.15, "size": 7}


def bars_figure(results: Sequence[Evaluation], colours: Mapping[str, str]) -> Figure:
    """Draw known, unknown and H of each method with intervals; horizontal, so that names fit."""
    import plotly.graph_objects as go

    parts = (
        ("known", "known", colours["known"]),
        ("unknown", "unknown", colours["unknown"]),
        ("h", "H (harmonic mean)", NEUTRAL),
    )
    # The labels, which are the same for all methods, decide which metrics there are.
    shown = [part for part in parts if part[0] in results[0].metrics]
    figure = empty_figure(70 + (26 * len(shown) + 18) * len(results), barmode="group", bargap=0.22)
    places = list(range(len(results)))
    for kind, title, colour in shown:
        summaries = [result.metrics[kind] for result in results]
        means = [summary["mean"] for summary in summaries]
        whiskers = [half_width(summary) or 0.0 for summary in summaries]
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
                customdata=[percent_text(summary) for summary in summaries],
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


def curve_figure(results: Sequence[Evaluation]) -> Figure:
    """Draw known against unknown accuracy under a bias on unknown logits, with two markers."""
    figure = empty_figure(470)
    figure.update_layout(legend={"y": -0.18, "yanchor": "top"})
    for place, result in enumerate(results):
        figure.add_traces(_curve_traces(result, results, last=place == len(results) - 1))
    figure.update_xaxes(title="accuracy on known classes, %", rangemode="tozero")
    figure.update_yaxes(title="accuracy on unknown classes, %", rangemode="tozero")
    return figure


def _curve_traces(
    result: Evaluation, results: Sequence[Evaluation], *, last: bool
) -> list[dict[str, Any]]:
    """Return the curve, the method without a bias, and the best point if there is one."""
    colour, dash, symbol = method_style(result, results)
    name, curve = label(result.title), trimmed_curve(result.curve or {})

    def trace(points: Points, suffix: str, what: str, **style: Any) -> dict[str, Any]:
        return {
            "type": "scatter",
            "name": name + suffix,
            "x": percent(points[0]),
            "y": percent(points[1]),
            "legendgroup": result.method,
            "hovertemplate": f"{name}{what}<br>known %{{x:.1f}} %, unknown %{{y:.1f}} %"
            "<extra></extra>",
            **style,
        }

    def marker(points: Points, suffix: str, what: str, style: dict[str, Any]) -> dict[str, Any]:
        style = {"color": colour, **style}
        return trace(points, suffix, what, mode="markers", showlegend=False, marker=style)

    area = percent_text(result.metrics["ausuc"])
    as_it_is = [[result.metrics[kind]["mean"]] for kind in ("known", "unknown")]
    line = {"color": colour, "dash": dash, "width": 3 if last else 2}
    edge = {"color": "white", "width": 1.5}
    full = {"symbol": symbol, "size": 14 if last else 12, "line": edge}
    hollow = {"symbol": f"{symbol}-open", "size": 12 if last else 10, "line": {"width": 2}}
    traces = [
        trace(curve, f" (AUSUC {area})", "", mode="lines", line=line),
        marker(as_it_is, ", as it is", " without a bias", full),
    ]
    best = best_point(*curve)
    if best is not None:
        point = [values[[best]] for values in curve]
        what = " at the best bias, chosen with the labels: an upper bound"
        traces.append(marker(point, ", best bias", what, hollow))
    return traces


def method_style(result: Evaluation, results: Sequence[Evaluation]) -> tuple[str, str, str]:
    """Return colour, dash and marker of a method; zero-shot is grey and dotted."""
    if result.method == ZERO_SHOT:
        return NEUTRAL, "dot", "x"
    at = [other.method for other in results if other.method != ZERO_SHOT].index(result.method)
    dash = DASHES[(at // len(METHOD_COLOURS)) % len(DASHES)]
    return METHOD_COLOURS[at % len(METHOD_COLOURS)], dash, SYMBOLS[at % len(SYMBOLS)]


def trimmed_curve(curve: Mapping[str, Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve without its flat tail at zero, beyond the best known accuracy."""
    known, unknown = np.asarray(curve["known"]), np.asarray(curve["unknown"])
    above = np.flatnonzero(unknown > 0)
    stop = min(len(known), int(above[-1]) + 2) if len(above) else 1
    return known[:stop], unknown[:stop]


def best_point(known: np.ndarray, unknown: np.ndarray) -> int | None:
    """Return where along a curve the harmonic mean is highest; None if it is zero everywhere."""
    product, total = 2 * known * unknown, known + unknown
    means = np.divide(product, total, out=np.zeros_like(total), where=total > 0)
    return int(means.argmax()) if means.any() else None
