"""The relation graph: classes, their hypernyms, the edges between them, and its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import GraphError
from sreclip.files import read_json, write_json

TEXT_PREFIX = "text:"
GRAPH_STEP = "snakemake --cores all graph"
KEYS = ("wnids", "names", "edges", "classes")


@dataclass(frozen=True, eq=False)
class RelationGraph:
    """A directed acyclic graph over class and hypernym nodes."""

    # WordNet id of each node, or "text:<name>" for a class that is not in WordNet.
    wnids: tuple[str, ...]
    # What to show and to embed: the class name, or the lemmas joined by ", ".
    names: tuple[str, ...]
    # Node numbers, child to parent, (n_edges, 2).
    edges: NDArray[np.int64]
    # Node of each class, in class order, (n_classes,).
    class_nodes: NDArray[np.int64]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.wnids)

    @property
    def class_wnids(self) -> tuple[str, ...]:
        """WordNet id (or ``text:<name>``) of each class."""
        return tuple(self.wnids[node] for node in self.class_nodes)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists under `KEYS`."""
        values = (self.wnids, self.names, self.edges.tolist(), self.class_nodes.tolist())
        return dict(zip(KEYS, map(list, values), strict=True))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RelationGraph:
        """Undo `to_json`.

        Raises `GraphError` if a key is missing, lengths differ, a node, class or edge appears
        twice, a number is out of range, or the edges form a cycle.
        """
        missing = [key for key in KEYS if not isinstance(value, Mapping) or key not in value]
        if missing:
            raise GraphError(
                f"the graph has no {', '.join(missing)}", f"make it again with: {GRAPH_STEP}"
            )
        wnids, names = tuple(value["wnids"]), tuple(value["names"])
        n = len(wnids)
        if len(names) != n:
            raise GraphError(f"the graph has {n} nodes but {len(names)} names")
        edges = _node_numbers(value["edges"], "edge", n, 2)
        class_nodes = _node_numbers(value["classes"], "class", n)
        refuse_repeats(wnids, "node")
        refuse_repeats(class_nodes.tolist(), "class node")
        refuse_repeats([tuple(edge) for edge in edges.tolist()], "edge")
        _refuse_cycle(wnids, edges)
        return cls(wnids, names, edges, class_nodes)

    def save(self, path: Path) -> None:
        """Write ``graph.json``, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> RelationGraph:
        """Read ``graph.json``.

        Raises `StoreError` if it is missing or is not JSON, `GraphError` if it is no valid graph.
        """
        try:
            return cls.from_json(read_json(path, made_by=GRAPH_STEP))
        except GraphError as error:
            raise GraphError(f"{path}: {error.message}", error.hint) from error


def _node_numbers(values: Any, what: str, n: int, *width: int) -> NDArray[np.int64]:
    try:
        array = np.array(values) if values else np.zeros((0, *width), dtype=np.int64)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "iu" or array.shape[1:] != width:
        raise GraphError("edges and classes must be whole numbers, two per edge and one per class")
    wrong = array[(array < 0) | (array >= n)]
    if wrong.size:
        raise GraphError(f"one {what} names node {wrong[0]}, but nodes are 0 to {n - 1}")
    return array.astype(np.int64)


def refuse_repeats(items: Sequence[object], what: str) -> None:
    """Raise a `GraphError` that names the first item that appears twice."""
    seen: set[object] = set()
    for item in items:
        if item in seen:
            raise GraphError(f"{what} {item} appears twice")
        seen.add(item)


def _refuse_cycle(wnids: Sequence[str], edges: NDArray[np.int64]) -> None:
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for child, parent in edges.tolist():
        sorter.add(child, parent)
    try:
        sorter.prepare()
    except CycleError as error:
        path = " -> ".join(wnids[node] for node in reversed(error.args[1]))
        raise GraphError(
            f"the graph's edges form a cycle: {path}", "edges go from child to parent"
        ) from error
