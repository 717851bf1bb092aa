"""The relation graph in the page's colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import counted
from sreclip.evaluate.stored import Evaluation, zero_shot_of
from sreclip.graph.draw import LAYER_PIXELS, draw_figure, drawn_nodes
from sreclip.graph.outline import outline
from sreclip.graph.relation_graph import RelationGraph
from sreclip.report.block import Block, View, optional
from sreclip.report.figures import NEUTRAL, label
from sreclip.report.gains import class_rows
from sreclip.report.numbers import signed

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

MOST_NODES = 1200
# Brown and teal are told apart by colour-blind readers; the middle is seen on light and on dark.
DIVERGING = ("#8c510a", "#d0a457", "#c4c8ce", "#5bb0a6", "#01665e")
SCALE_PIXELS = 46
SHAPES = {"known": "circle", "unknown": "diamond"}


def graph_block(
    graph: RelationGraph,
    results: Sequence[Evaluation],
    best: Evaluation,
    colours: Mapping[str, str],
) -> Block:
    """Draw the graph by the kinds of the classes, and by what the best method gains."""
    if graph.n_nodes > MOST_NODES:
        return Block(
            "graph",
            missing=f"The graph has {graph.n_nodes} nodes, too many to draw here: "
            "see it with sreclip show-graph.",
        )
    views = [View("known and unknown", [("", tree_figure(graph, best.known, colours))])]
    baseline = zero_shot_of(results)
    gained = baseline is not None and baseline is not best and best.n_images
    if baseline is not None and gained:
        rows = class_rows(best, baseline)
        figure = gain_figure(graph, best.known, rows, f"gain over {label(baseline.title)}", colours)
        views.append(View(f"gain of {best.title}", [("", figure)]))
    return Block(
        "graph",
        "Tree of the classes below their WordNet hypernyms.",
        f"Classes and their WordNet hypernyms, the root at the left: {graph.n_nodes} nodes, "
        f"{len(graph.edges)} edges. Hypernyms with a single branch are not drawn. Open circles are "
        "unknown classes: those that share a near hypernym with known ones can learn from them."
        + optional(
            gained,
            "By gain: teal classes are more accurate than with zero-shot, brown ones less, grey "
            "ones the same; circles are known classes, diamonds unknown ones, and a class without "
            "a labelled image is hollow.",
        ),
        views,
        choice="Colour",
    )


def tree_figure(
    graph: RelationGraph, known: NDArray[np.bool_], colours: Mapping[str, str]
) -> Figure:
    """Draw classes below their hypernyms; hypernyms with a single branch are left out."""
    figure = draw_figure(graph, known)
    for kind, colour in colours.items():
        figure.update_traces(
            marker_line_color=colour,
            # The page's text colour is easier to read than that of the mark.
            textfont_color=None,
            selector={"name": f"{kind} class"},
        )
    figure.update_traces(marker_color=colours["known"], selector={"name": "known class"})
    figure.update_traces(textfont_color="gray", selector={"name": "hypernym"})
    figure.update_traces(line_color=NEUTRAL, selector={"mode": "lines"})
    figure.update_layout(template={}, dragmode=False, margin={"l": 10, "r": 10, "t": 40, "b": 10})
    layers = figure.layout.xaxis.range[1] + 0.5
    figure.update_layout(meta={"least_width": int(layers * LAYER_PIXELS * 0.8)})
    return figure


def gain_figure(
    graph: RelationGraph,
    known: NDArray[np.bool_],
    rows: pd.DataFrame,
    title: str,
    colours: Mapping[str, str],
) -> Figure:
    """Draw the tree with the gains of `sreclip.report.gains.class_rows` as colours.

    The scale is as long to both sides, so that its middle is no gain.
    """
    from plotly.colors import sample_colorscale

    figure = tree_figure(graph, known, colours)
    most = max(100 * float(rows["gain"].abs().max()), 1.0) if len(rows) else 1.0
    stops = [[at / 4, colour] for at, colour in enumerate(DIVERGING)]
    numbers = {node: at for at, node in enumerate(graph.class_nodes.tolist())}
    drawn = drawn_nodes(graph, outline(graph), known)
    for kind, shape in SHAPES.items():
        own = [numbers[node] for node, shown in drawn.items() if shown.kind == kind]
        gains = [100 * float(rows["gain"][n]) if n in rows.index else None for n in own]
        places = [0.5 + (gain or 0.0) / (2 * most) for gain in gains]
        shades = [
            NEUTRAL if gain is None else shade
            for gain, shade in zip(gains, sample_colorscale(stops, places), strict=True)
        ]
        figure.update_traces(
            selector={"name": f"{kind} class"},
            textfont_color=None,
            showlegend=False,
            marker={
                "symbol": [f"{shape}-open" if gain is None else shape for gain in gains],
                "size": 12,
                "color": shades,
                "line": {"color": "gray", "width": 1},
            },
            hovertext=[
                f"{label(graph.names[int(graph.class_nodes[n])], 80)}<br>{_said(n, rows)}"
                for n in own
            ],
        )
    scale: dict[str, Any] = {
        "orientation": "h",
        "thickness": 10,
        "lenmode": "pixels",
        "len": 300,
        "x": 0,
        "xanchor": "left",
        "y": 1,
        "yanchor": "bottom",
        "outlinewidth": 0,
        "title": {"text": f"{title}, percent points", "side": "top"},
    }
    # Traces without a place: the shapes in the legend, and the scale.
    nowhere = {"type": "scatter", "mode": "markers", "x": [None], "y": [None]}
    for kind, shape in SHAPES.items():
        if (known == (kind == "known")).any():
            marker = {"symbol": shape, "size": 12, "color": DIVERGING[2]}
            marker["line"] = {"color": "gray", "width": 1}
            figure.add_trace(nowhere | {"name": f"{kind} class", "marker": marker})
    marker = {"color": [0.0], "cmin": -most, "cmax": most, "colorscale": stops, "colorbar": scale}
    figure.add_trace(nowhere | {"showlegend": False, "marker": marker | {"showscale": True}})
    figure.update_layout(
        height=figure.layout.height + SCALE_PIXELS,
        margin={"t": 40 + SCALE_PIXELS},
        legend={"yref": "container", "y": 1, "yanchor": "top"},
    )
    return figure


def _said(number: int, rows: pd.DataFrame) -> str:
    if number not in rows.index:
        return "no labelled image"
    gain, before, after, n = (
        float(rows[column][number]) for column in ("gain", "before", "after", "images")
    )
    images = counted(int(n), "labelled image")
    return f"{signed(100 * gain, 1)} points ({100 * before:.1f} → {100 * after:.1f} % of {images})"
