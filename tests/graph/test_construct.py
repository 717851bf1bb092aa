"""Relation graphs of class lists, against published graphs and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sreclip.errors import GraphError
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


def test_classes_without_a_sense_join_their_parents_or_the_root(tiny: WordNet) -> None:
    names = ("u1", "dog", "u2", "cat")
    senses = SenseMap(names, (None, "dog", None, "cat"), (np.inf,) * 4)
    graph = graph_from_senses(senses, parents={"u1": ("cat", "dog"), "u2": ()}, wordnet=tiny)
    assert graph.class_wnids == ("text:u1", "dog", "text:u2", "cat")
    assert [graph.names[node] for node in graph.class_nodes] == list(names)
    joined = {edge for edge in _edge_ids(graph.wnids, graph.edges) if edge[0].startswith("text:")}
    assert joined == {("text:u1", "dog"), ("text:u1", "cat"), ("text:u2", "root")}


def test_a_list_that_wordnet_lacks_altogether(tiny: WordNet) -> None:
    senses = SenseMap(("xx", "yy"), (None, None), (np.inf,) * 2)
    graph = graph_from_senses(senses, wordnet=tiny)
    assert graph.names == ("root", "xx", "yy")
    assert graph.class_nodes.tolist() == [1, 2]
    assert graph.edges.tolist() == [[1, 0], [2, 0]]
