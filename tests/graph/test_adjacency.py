"""Adjacency matrices by hand and against networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sreclip.graph.adjacency import ancestor_adjacency, normalized_adjacency


def test_normalized_adjacency_by_hand() -> None:
    dense = normalized_adjacency(3, np.array([[0, 1], [1, 0], [0, 1]])).toarray()
    np.testing.assert_allclose(dense, [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]])
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
    groups = ancestor_adjacency(n, np.array(edges, dtype=np.int64).reshape(-1, 2), limit)
    assert len(groups) == limit + 1
    distance = dict(nx.all_pairs_shortest_path_length(graph))
    for d, group in enumerate(groups):
        expected = np.zeros((n, n))
        for i in range(n):
            for j, steps in distance[i].items():
                expected[i, j] = min(steps, limit) == d
        expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1)
        np.testing.assert_allclose(group.toarray(), expected, rtol=1e-6)
