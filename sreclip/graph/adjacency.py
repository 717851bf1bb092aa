"""Adjacency matrices of a relation graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sreclip.graph.wordnet import shortest_distances

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def normalized_adjacency(n: int, edges: np.ndarray) -> csr_array:
    """Return the row-normalised adjacency with reverse edges and self-loops.

    ``A_hat[i, j] = 1 / degree(i)`` where i and j are joined or equal, ``degree(i)`` the number of
    such j; float32, ``(n, n)``. Direction and repeats of edges, ``(n_edges, 2)``, do not matter.

    Source: Kipf & Welling, ICLR 2017, with the row normalisation of Kampffmeyer et al., CVPR 2019.
    """
    edges = edges.astype(np.int64).reshape(-1, 2)
    loops = np.repeat(np.arange(n), 2).reshape(-1, 2)
    return _row_normalized(n, np.concatenate([edges, edges[:, ::-1], loops]))


def ancestor_adjacency(n: int, edges: np.ndarray, max_distance: int) -> list[csr_array]:
    """Return the adjacencies of the dense graph, in which each node is joined to every ancestor.

    Matrix d, float32, ``(n, n)``, joins each node to its ancestors at shortest distance d (matrix
    0: to itself); those at ``max_distance`` or beyond share the last one. Each non-empty row sums
    to 1. ``edges``, ``(n_edges, 2)``, go from child to parent and have no cycle.

    Source: Kampffmeyer et al., "Rethinking knowledge graph propagation for zero-shot learning"
    (dGCN), CVPR 2019, ancestor propagation; the descendant direction is the same call on
    ``edges[:, ::-1]``.
    """
    parents: list[list[int]] = [[] for _ in range(n)]
    for child, parent in edges.tolist():
        parents[child].append(parent)
    groups: list[list[tuple[int, int]]] = [[] for _ in range(max_distance + 1)]
    for node in range(n):
        for ancestor, distance in shortest_distances(node, parents.__getitem__).items():
            groups[min(distance, max_distance)].append((node, ancestor))
    return [_row_normalized(n, np.array(group, dtype=np.int64)) for group in groups]


def _row_normalized(n: int, pairs: np.ndarray) -> csr_array:
    """Return the 0/1 matrix of the pairs, repeats merged, each row divided by its sum."""
    from scipy.sparse import csr_array

    pairs = pairs.reshape(-1, 2)
    rows, columns = np.divmod(np.unique(pairs[:, 0] * n + pairs[:, 1]), n)
    weights = 1.0 / np.bincount(rows, minlength=n)[rows]
    return csr_array((weights.astype(np.float32), (rows, columns)), shape=(n, n))
