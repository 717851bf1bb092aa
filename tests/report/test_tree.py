"""The relation graph on the page."""

from __future__ import annotations

import numpy as np

from sreclip.graph.relation_graph import RelationGraph
from sreclip.report.figures import NEUTRAL
from sreclip.report.gains import class_rows
from sreclip.report.tree import DIVERGING, gain_figure, graph_block, tree_figure
from tests.report.test_figures import COLOURS, result

GRAPH = RelationGraph(
    ("n1", "n2", "n3", "n4"),
    ("cat", "owl", "<b>x</b> & y", "animal"),
    np.array([[0, 3], [1, 3], [2, 3]]),
    np.arange(3),
)
KNOWN = np.array([True, False, True])
BASE = result(method="zero_shot", title="Zero-shot", class_accuracy=[0.75, 0.125, None])


def rgb(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgb({red}, {green}, {blue})"


def test_tree_takes_the_colours() -> None:
    chosen = {"known": "#010203", "unknown": "#040506"}
    figure = tree_figure(GRAPH, KNOWN, chosen)
    lines = {trace.name: trace.marker.line.color for trace in figure.data if trace.name}
    assert lines["known class"] == chosen["known"]
    assert lines["unknown class"] == chosen["unknown"]


def test_gains_are_colours_around_a_grey_middle() -> None:
    # Cats lose 25 points, owls gain 12.5: the scale runs from -25 to 25.
    figure = gain_figure(GRAPH, KNOWN, class_rows(result(), BASE), "gain", COLOURS)
    named = {trace.name: trace for trace in figure.data if trace.showlegend is False}
    known, unknown = named["known class"], named["unknown class"]
    assert list(known.marker.color) == [rgb(DIVERGING[0]), NEUTRAL]
    assert list(unknown.marker.color) == [rgb(DIVERGING[3])]
    assert list(known.marker.symbol) == ["circle", "circle-open"]
    assert list(unknown.marker.symbol) == ["diamond"]
    assert (
        known.hovertext[0]
        == "cat<br>\N{MINUS SIGN}25.0 points (75.0 → 50.0 % of 2 labelled images)"
    )
    assert known.hovertext[1].endswith("no labelled image")
    (scale,) = (trace.marker for trace in figure.data if trace.marker.showscale)
    assert (scale.cmin, scale.cmax) == (-25.0, 25.0)


def test_no_gain_is_grey_everywhere() -> None:
    same = result(method="zero_shot", class_accuracy=[0.5, 0.25, None])
    figure = gain_figure(GRAPH, KNOWN, class_rows(result(), same), "gain", COLOURS)
    known = next(trace for trace in figure.data if trace.name == "known class")
    assert list(known.marker.color) == [rgb(DIVERGING[2]), NEUTRAL]
    (scale,) = (trace.marker for trace in figure.data if trace.marker.showscale)
    assert scale.cmax == 1.0


def test_the_reader_chooses_what_colours_mean() -> None:
    block = graph_block(GRAPH, [BASE, result()], result(), COLOURS)
    assert [view.label for view in block.views] == ["known and unknown", "gain of SRE-CLIP"]
    for best, others in ((BASE, [result()]), (result(), [])):
        alone = graph_block(GRAPH, [best, *others] if best is BASE else [best], best, COLOURS)
        assert len(alone.views) == 1
        assert "teal" not in alone.caption


def test_a_task_without_unknown_classes_has_gains_too() -> None:
    figure = gain_figure(GRAPH, np.ones(3, bool), class_rows(result(), BASE), "gain", COLOURS)
    assert {trace.name for trace in figure.data if trace.showlegend is None} >= {"known class"}
    assert "unknown class" not in {trace.name for trace in figure.data}
