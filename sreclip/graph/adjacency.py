"""Adjacency matrices of a relation graph, and the checks of its edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.errors import GraphError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def normalized_adjacency(n: int, edges: np.ndarray) -> csr_array:
    """Row-normalised adjacency with reverse edges and self-loops.

    ``A_hat[i, j] = 1 / degree(i)`` where i and j are joined or equal, ``degree(i)`` the number of
    such j. Source: Kipf & Welling, ICLR 2017, with the row normalisation of Kampffmeyer et al.,
    CVPR 2019.

    Parameters
    ----------
    n : int
        Number of nodes.
    edges : int array, (n_edges, 2)
        Node numbers; direction and repeats do not matter.

    Returns
    -------
    scipy.sparse.csr_array, (n, n), float32
        Rows sum to 1.

    Raises
    ------
    GraphError
        An edge number is out of range.
    """
    edges = as_integers(edges, "edges").reshape(-1, 2)
    loops = np.repeat(np.arange(n), 2).reshape(-1, 2)
    return row_normalized(n, np.concatenate([edges, edges[:, ::-1], loops]))


def ancestor_adjacency(n: int, edges: np.ndarray, max_distance: int = 4) -> list[csr_array]:
    """Adjacencies of the dense graph, in which each node is joined to every ancestor.

    Source: Kampffmeyer et al., "Rethinking knowledge graph propagation for zero-shot learning"
    (dGCN), CVPR 2019, ancestor propagation; the descendant direction is the same call on
    ``edges[:, ::-1]``.

    Parameters
    ----------
    n : int
        Number of nodes.
    edges : int array, (n_edges, 2)
        Child to parent, without a cycle.
    max_distance : int
        Ancestors at this distance or beyond share the last group.

    Returns
    -------
    list of scipy.sparse.csr_array, each (n, n), float32
        Entry d joins each node to its ancestors at shortest distance d (entry 0: to itself);
        each non-empty row sums to 1.

    Raises
    ------
    GraphError
        An edge number is out of range, the edges hold a cycle, or ``max_distance`` is below 1.
    """
    if max_distance < 1:
        raise GraphError(f"max_distance must be at least 1, not {max_distance}")
    edges = as_integers(edges, "edges").reshape(-1, 2)
    check_range(edges, n, "an edge")
    if find_cycle(n, edges):
        raise GraphError("the edges run in a circle", "edges go child -> parent")
    parents: list[list[int]] = [[] for _ in range(n)]
    for child, parent in edges.tolist():
        parents[child].append(parent)
    groups: list[list[tuple[int, int]]] = [[] for _ in range(max_distance + 1)]
    for node in range(n):
        distances = {node: 0}
        queue = [node]
        for current in queue:
            groups[min(distances[current], max_distance)].append((node, current))
            for parent in parents[current]:
                if parent not in distances:
                    distances[parent] = distances[current] + 1
                    queue.append(parent)
    return [row_normalized(n, np.array(group)) for group in groups]


def row_normalized(n: int, pairs: np.ndarray) -> csr_array:
    """0/1 matrix of the pairs (repeats merged), each row divided by its sum; (n, n) float32."""
    from scipy.sparse import csr_array

    pairs = pairs.reshape(-1, 2).astype(np.int64)
    check_range(pairs, n, "an edge")
    rows, columns = np.divmod(np.unique(pairs[:, 0] * n + pairs[:, 1]), max(n, 1))
    weights = 1.0 / np.bincount(rows, minlength=n)[rows]
    return csr_array((weights.astype(np.float32), (rows, columns)), shape=(n, n))


def check_range(numbers: np.ndarray, n: int, what: str) -> None:
    """Refuse node numbers outside 0 .. n - 1.

    Raises
    ------
    GraphError
        Names the first such number.
    """
    wrong = numbers[(numbers < 0) | (numbers >= n)]
    if wrong.size:
        raise GraphError(f"{what} names node {wrong[0]}, but nodes are 0 to {n - 1}")


def as_integers(values: Any, what: str) -> np.ndarray:
    """``values`` as int64; an empty list has shape (0,).

    Raises
    ------
    GraphError
        Other than whole numbers, or edges that are not pairs.
    """
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros((0,), dtype=np.int64)
    if array.dtype.kind not in "iu" or (what == "edges" and array.shape[-1:] != (2,)):
        raise GraphError(f"the graph's {what} must be whole numbers, two for an edge")
    return array.astype(np.int64)


def find_cycle(n: int, edges: np.ndarray) -> list[int]:
    """One cycle as a list of nodes (first = last), empty when there is none."""
    parents: dict[int, list[int]] = {}
    waiting = np.bincount(edges[:, 1], minlength=n)
    for child, parent in edges.tolist():
        parents.setdefault(child, []).append(parent)
    ready = [node for node in range(n) if not waiting[node]]
    for node in ready:
        for parent in parents.get(node, ()):
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    if len(ready) == n:
        return []
    # What is left over is a cycle and what hangs above one: going down from any such node, along
    # children that are left over, must come back to a node.
    left = set(range(n)).difference(ready)
    child_of = {parent: child for child, parent in edges.tolist() if child in left}
    way = [min(left)]
    while way[-1] not in way[:-1]:
        way.append(child_of[way[-1]])
    return way[way.index(way[-1]) :][::-1]
