"""Building, checking and normalising the relation graph."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreclip.errors import GraphError, StoreError
from sreclip.graph import (
    RelationGraph,
    SenseMap,
    WordNet,
    ancestor_adjacency,
    attach_unmapped,
    build_relation_graph,
    graph_from_senses,
    normalized_adjacency,
)
from sreclip.graph.relation_graph import imagenet_1k


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
    ("wnids", "names", "message"),
    [
        (["dog", "n99999999"], None, "n99999999"),
        (["dog", "dog"], None, "class dog is there twice"),
        ([], None, "no classes"),
        (["dog"], ["a", "b"], "1 classes but 2 class names"),
    ],
)
def test_bad_class_lists(tiny: WordNet, wnids: list[str], names: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build_relation_graph(wnids, class_names=names, wordnet=tiny)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [[0, 1], [1, 2], [2, 0]]}, "in a circle: "),
        ({"edges": [[0, 0]]}, "in a circle: a -> a"),
        ({"edges": [[0, 3]]}, "an edge names node 3"),
        ({"edges": [[0, -1]]}, "an edge names node -1"),
        ({"edges": [[0, 1], [0, 1]]}, "edge .* twice"),
        ({"edges": [[0.5, 1]]}, "whole numbers"),
        ({"edges": [[0, 1, 2, 0]]}, "two for an edge"),
        ({"classes": [7]}, "a class names node 7"),
        ({"classes": [0, 0]}, "class node 0 is there twice"),
        ({"wnids": ["a", "a", "c"]}, "node a is there twice"),
        ({"names": ["a"]}, "3 nodes but 1 names"),
    ],
)
def test_bad_graphs_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"wnids": ["a", "b", "c"], "names": ["a", "b", "c"], "edges": [[0, 1]], "classes": [0]}
    RelationGraph.from_json(good)
    with pytest.raises(GraphError, match=message):
        RelationGraph.from_json(good | change)


def test_a_cycle_above_and_below_other_nodes_is_named() -> None:
    edges = [[0, 1], [1, 2], [2, 3], [3, 1], [3, 4]]
    with pytest.raises(GraphError) as caught:
        RelationGraph(tuple("abcde"), tuple("abcde"), np.array(edges), np.array([0]))
    way = caught.value.message.rpartition(": ")[2].split(" -> ")
    assert way[0] == way[-1]
    assert set(way) == {"b", "c", "d"}
    steps = {("abcde"[c], "abcde"[p]) for c, p in edges}
    assert set(pairwise(way)) <= steps


def test_json_and_file_round_trip(tiny: WordNet, tmp_path: Path) -> None:
    graph = build_relation_graph(["dog", "glove"], wordnet=tiny)
    graph.save(tmp_path / "graph.json")
    assert RelationGraph.load(tmp_path / "graph.json") == graph
    assert set(graph.to_json()) == {"wnids", "names", "edges", "classes"}


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.json"):
        RelationGraph.load(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"wnids": []}', encoding="utf-8")
    with pytest.raises(GraphError, match=r"half\.json: the graph lacks names, edges, classes"):
        RelationGraph.load(tmp_path / "half.json")


def test_an_unmapped_class_joins_its_nearest(tiny: WordNet) -> None:
    graph = build_relation_graph(["dog", "cat", "glove"], wordnet=tiny)
    more = attach_unmapped(graph, "robo", np.array([0.1, 0.9, 0.5]), neighbours=2, position=1)
    assert more.class_wnids == ("dog", "text:robo", "cat", "glove")
    assert more.edges[-2:].tolist() == [[graph.n_nodes, 1], [graph.n_nodes, 2]]
    with pytest.raises(GraphError, match="twice"):
        attach_unmapped(more, "robo", np.ones(4))
    with pytest.raises(GraphError, match="3 finite text similarities"):
        attach_unmapped(graph, "robo", np.array([0.1, np.nan, 0.5]))
    with pytest.raises(GraphError, match="class 9"):
        attach_unmapped(graph, "robo", np.ones(3), position=9)


def test_several_unmapped_classes_keep_the_class_order(tiny: WordNet) -> None:
    names = ("u1", "dog", "u2", "cat")
    senses = SenseMap(names, (None, "dog", None, "cat"), (np.inf,) * 4)
    text = np.array([[1, 0.2, 0.9, 0.1], [0, 1, 0, 0], [0.9, 0.3, 1, 0.8], [0, 0, 0, 1.0]])
    graph = graph_from_senses(senses, text_similarity=text, neighbours=1, wordnet=tiny)
    assert graph.class_wnids == ("text:u1", "dog", "text:u2", "cat")
    # Each joins the nearest class that has a sense, not the other text node.
    assert _edge_ids(graph.wnids, graph.edges) >= {("text:u1", "dog"), ("text:u2", "cat")}
    with pytest.raises(GraphError, match="u1, u2"):
        graph_from_senses(senses, wordnet=tiny)


def test_normalized_adjacency_by_hand() -> None:
    dense = normalized_adjacency(3, np.array([[0, 1], [1, 0], [0, 1]])).toarray()
    np.testing.assert_allclose(dense, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
    with pytest.raises(GraphError, match="node 5"):
        normalized_adjacency(3, np.array([[0, 5]]))
    np.testing.assert_allclose(normalized_adjacency(2, np.zeros((0, 2))).toarray(), np.eye(2))


dags = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=20).map(
            lambda pairs: sorted({(a, b) for a, b in pairs if a < b})
        ),
    )
)


@given(dags)
def test_normalized_adjacency_is_networkx_with_loops(dag: tuple[int, list]) -> None:
    n, edges = dag
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(n))
    expected = nx.to_numpy_array(graph, nodelist=range(n)) + np.eye(n)
    expected /= expected.sum(axis=1, keepdims=True)
    got = normalized_adjacency(n, np.array(edges, dtype=np.int64))
    np.testing.assert_allclose(got.toarray(), expected, rtol=1e-6)


@given(dags, st.integers(1, 5))
def test_ancestor_groups_are_networkx_distances(dag: tuple[int, list], limit: int) -> None:
    n, edges = dag
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(n))
    groups = ancestor_adjacency(n, np.array(edges, dtype=np.int64), limit)
    assert len(groups) == limit + 1
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    for d, group in enumerate(groups):
        expected = np.zeros((n, n))
        for i in range(n):
            for j, steps in distance[i].items():
                expected[i, j] = min(steps, limit) == d
        expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1)
        np.testing.assert_allclose(group.toarray(), expected, rtol=1e-6)


def test_ancestor_adjacency_refuses_a_cycle() -> None:
    with pytest.raises(GraphError, match="circle"):
        ancestor_adjacency(2, np.array([[0, 1], [1, 0]]))
    with pytest.raises(GraphError, match="max_distance"):
        ancestor_adjacency(2, np.array([[0, 1]]), 0)
