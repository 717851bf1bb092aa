"""Drawings: what is shown, where, and that names are escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from sreclip.errors import GraphError
from sreclip.graph.construct import build_relation_graph
from sreclip.graph.draw import draw_figure, draw_to_file, svg_text, text_tree, tidy_layout
from sreclip.graph.outline import outline
from sreclip.graph.wordnet import WordNet


def _printed(tree: Any) -> str:
    console = Console(width=100, color_system=None)
    with console.capture() as capture:
        console.print(tree)
    return capture.get()


def test_text_tree_collapses_and_marks(tiny: WordNet) -> None:
    graph = build_relation_graph(["dog", "wolf", "cat"], wordnet=tiny)
    text = _printed(text_tree(graph, [True, False, True]))
    assert "● dog, domestic dog" in text
    assert "○ wolf (unknown)" in text
    assert "canine" in text
    assert "root" not in text
    assert "thing" not in text


def test_imagenet_neighbours_are_not_drawn(i2awa: dict[str, Any]) -> None:
    graph = build_relation_graph(
        i2awa["class_wnids"], class_names=i2awa["names"], include_imagenet=True
    )
    drawing = outline(graph)
    classes = set(graph.class_nodes.tolist())
    assert classes <= set(drawing.parent)
    assert all(len(drawing.children[n]) > 1 for n in drawing.parent if n not in classes)
    assert len(drawing.roots) == 1


def test_layout_is_tidy(i2awa: dict[str, Any]) -> None:
    graph = build_relation_graph(i2awa["class_wnids"])
    drawing = outline(graph)
    places = tidy_layout(drawing)
    assert set(places) == set(drawing.parent)
    leaves = [node for node in places if not drawing.children[node]]
    assert sorted(places[leaf][1] for leaf in leaves) == list(range(len(leaves)))
    for child, parent in drawing.parent.items():
        if parent is not None:
            assert places[child][0] == places[parent][0] + 1
    assert len(set(places.values())) == len(places)


def test_svg_is_well_formed_and_escaped(tmp_path: Path, tiny: WordNet) -> None:
    names = ["<b>dog & co</b>", 'w"olf', "cat"]
    graph = build_relation_graph(["dog", "wolf", "cat"], class_names=names, wordnet=tiny)
    draw_to_file(graph, tmp_path / "graph.svg", [True, False, True])
    root = ET.parse(tmp_path / "graph.svg").getroot()
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(names) <= set(texts)
    assert "unknown class" in texts
    assert svg_text(graph) == svg_text(graph)


def test_figure_holds_every_class(tiny: WordNet) -> None:
    graph = build_relation_graph(
        ["dog", "wolf", "cat"], class_names=["<i>d</i>", "wolf", "cat"], wordnet=tiny
    )
    figure = draw_figure(graph, [True, False, True])
    shown = [text.strip() for trace in figure.data for text in (trace.text or ())]
    assert {"&lt;i&gt;d&lt;/i&gt;", "wolf", "cat"} <= set(shown)
    assert {"known class", "unknown class"} <= {trace.name for trace in figure.data}


def test_one_class_alone_can_be_drawn(tiny: WordNet) -> None:
    graph = build_relation_graph(["dog"], wordnet=tiny)
    ET.fromstring(svg_text(graph))
    assert draw_figure(graph).data
    assert "dog" in _printed(text_tree(graph))


def test_an_unknown_ending_is_refused(tiny: WordNet, tmp_path: Path) -> None:
    graph = build_relation_graph(["dog", "cat"], wordnet=tiny)
    with pytest.raises(GraphError, match=r"graph\.png: the name must end in \.svg or \.html"):
        draw_to_file(graph, tmp_path / "graph.png")
