"""The relation graph in the page's colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sreclip.graph.draw import LAYER_PIXELS, draw_figure
from sreclip.graph.relation_graph import RelationGraph
from sreclip.report.figures import NEUTRAL

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_NODES = 1200


def tree_figure(graph: RelationGraph, known: np.ndarray, colours: Mapping[str, str]) -> Figure:
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
