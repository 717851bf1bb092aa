"""Relation graphs of class lists, against published graphs and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sreclip.errors import GraphError
from sreclip.graph import construct
from sreclip.graph.construct import build_relation_graph, graph_from_senses, imagenet_1k
from sreclip.graph.senses import SenseMap
from sreclip.graph.wordnet import WordNet


def _edge_ids(wnids: Any, edges: Any) -> set[tuple[str, str]]:
    return {(wnids[child], wnids[parent]) for child, parent in edges}


def test_i2awa_with_imagenet_is_uodtns_graph(i2awa: dict[str, Any]) -> None:
    graph = build_relation_graph(
        i2awa["class_wnids"], class_names=i2awa["names"], include_imagenet=True
    )
    assert graph.n_nodes == 255
    assert len(graph.edges) == 257
    assert set(graph.wnids) == set(i2awa["wnids"])
    assert _edge_ids(graph.wnids, graph.edges) == _edge_ids(i2awa["wnids"], i2awa["edges"])
    assert graph.class_wnids == tuple(i2awa["class_wnids"])
    assert graph.names[:50] == tuple(i2awa["names"])


def test_i2awa_without_imagenet_has_106_nodes(i2awa: dict[str, Any]) -> None:
    graph = build_relation_graph(i2awa["class_wnids"])
    wordnet = WordNet.bundled()
    assert graph.n_nodes == 106
    assert set(graph.wnids) == {a for w in i2awa["class_wnids"] for a in wordnet.ancestors(w)}


def test_imagenet_has_1000_classes_of_wordnet() -> None:
    assert len(set(imagenet_1k())) == 1000
    assert all(wnid in WordNet.bundled() for wnid in imagenet_1k())


def test_a_tiny_graph_by_hand(tiny: WordNet) -> None:
    graph = build_relation_graph(["dog", "pet"], class_names=["Rex", "Pets"], wordnet=tiny)
    assert graph.wnids == ("dog", "pet", "animal", "canine", "root", "thing")
    assert graph.names == ("Rex", "Pets", "animal", "canine", "root", "thing")
    assert graph.edges.tolist() == [[0, 3], [0, 1], [1, 2], [1, 5], [2, 4], [3, 2], [5, 4]]
    assert graph.class_nodes.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("wnids", "message"),
    [
        (["dog", "n99999999"], "n99999999"),
        (["dog", "dog"], "class dog appears twice"),
        ([], "no classes"),
    ],
)
def test_bad_class_lists(tiny: WordNet, wnids: list[str], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build_relation_graph(wnids, wordnet=tiny)


def test_classes_without_a_sense_join_their_nearest_in_class_order(
    tiny: WordNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("u1", "dog", "u2", "cat")
    senses = SenseMap(names, (None, "dog", None, "cat"), (np.inf,) * 4)
    text = np.array([[1, 0.2, 0.9, 0.1], [0, 1, 0, 0], [0.9, 0.3, 1, 0.8], [0, 0, 0, 1.0]])
    monkeypatch.setattr(construct, "NEIGHBOURS", 1)
    graph = graph_from_senses(senses, text_similarity=text, wordnet=tiny)
    assert graph.class_wnids == ("text:u1", "dog", "text:u2", "cat")
    assert [graph.names[node] for node in graph.class_nodes] == list(names)
    # Each joins the nearest class that has a sense, not the other text node.
    assert _edge_ids(graph.wnids, graph.edges) >= {("text:u1", "dog"), ("text:u2", "cat")}
    monkeypatch.setattr(construct, "NEIGHBOURS", 3)
    graph = graph_from_senses(senses, text_similarity=text, wordnet=tiny)
    assert graph.edges[-4:, 1].tolist() == [0, 1, 0, 1], "there are only two to join"
    with pytest.raises(GraphError, match="u1, u2"):
        graph_from_senses(senses, wordnet=tiny)
