"""The semantic relation graph: classes, their hypernyms, and the edges between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.errors import GraphError
from sreclip.files import read_json, write_json
from sreclip.graph.adjacency import as_integers, check_range, find_cycle
from sreclip.graph.wordnet import WordNet

if TYPE_CHECKING:
    from sreclip.graph.senses import SenseMap

TEXT_PREFIX = "text:"
GRAPH_STEP = "snakemake --cores all graph"


@dataclass(frozen=True, eq=False)
class RelationGraph:
    """A directed acyclic graph over class and hypernym nodes.

    Parameters
    ----------
    wnids : tuple of str, (n_nodes,)
        WordNet id of each node, or ``text:<name>`` for a class that WordNet lacks.
    names : tuple of str, (n_nodes,)
        What to show and to embed: the class name, or the lemmas joined by ", ".
    edges : int64 array, (n_edges, 2)
        Node numbers, child to parent.
    class_nodes : int64 array, (n_classes,)
        Node of each class, in class order.

    Raises
    ------
    GraphError
        Lengths that differ, a repeated node, class or edge, a number out of range, a cycle.
    """

    wnids: tuple[str, ...]
    names: tuple[str, ...]
    edges: np.ndarray
    class_nodes: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "wnids", tuple(self.wnids))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "edges", as_integers(self.edges, "edges").reshape(-1, 2))
        object.__setattr__(
            self, "class_nodes", as_integers(self.class_nodes, "classes").reshape(-1)
        )
        n = len(self.wnids)
        if len(self.names) != n:
            raise GraphError(f"the graph has {n} nodes but {len(self.names)} names")
        _refuse_repeats(self.wnids, "node")
        _refuse_repeats(self.class_nodes.tolist(), "class node")
        _refuse_repeats([tuple(edge) for edge in self.edges.tolist()], "edge")
        check_range(self.edges, n, "an edge")
        check_range(self.class_nodes, n, "a class")
        cycle = find_cycle(n, self.edges)
        if cycle:
            way = " -> ".join(self.wnids[node] for node in cycle)
            raise GraphError(
                f"the graph's edges run in a circle: {way}", "edges go child -> parent"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RelationGraph):
            return NotImplemented
        return self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.wnids)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_nodes)

    @property
    def class_wnids(self) -> tuple[str, ...]:
        """WordNet id (or ``text:<name>``) of each class."""
        return tuple(self.wnids[node] for node in self.class_nodes)

    def to_json(self) -> dict[str, Any]:
        """Plain lists under ``wnids``, ``names``, ``edges`` and ``classes``."""
        return {
            "wnids": list(self.wnids),
            "names": list(self.names),
            "edges": self.edges.tolist(),
            "classes": self.class_nodes.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RelationGraph:
        """Inverse of ``to_json``.

        Raises
        ------
        GraphError
            A key is missing or the graph is not valid.
        """
        keys = ("wnids", "names", "edges", "classes")
        missing = [key for key in keys if not isinstance(value, Mapping) or key not in value]
        if missing:
            raise GraphError(
                f"the graph lacks {', '.join(missing)}", f"make it again with: {GRAPH_STEP}"
            )
        wnids, names, edges, classes = (value[key] for key in keys)
        return cls(tuple(wnids), tuple(names), edges, classes)

    def save(self, path: Path) -> None:
        """Write ``graph.json``, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> RelationGraph:
        """Read ``graph.json``.

        Raises
        ------
        StoreError
            The file is missing or is not JSON.
        GraphError
            It holds no valid graph; the message names the file.
        """
        try:
            return cls.from_json(read_json(path, made_by=GRAPH_STEP))
        except GraphError as error:
            raise GraphError(f"{path}: {error.message}", error.hint) from error


def build_relation_graph(
    wnids: Sequence[str],
    *,
    class_names: Sequence[str] | None = None,
    include_imagenet: bool = False,
    wordnet: WordNet | None = None,
) -> RelationGraph:
    """Classes, all their hypernyms up to the root and, optionally, ImageNet-1k neighbours.

    With ``include_imagenet`` the ImageNet-1k classes join that have a parent among classes and
    hypernyms, or a grandparent among the hypernyms (those that *are* a hypernym are in
    already); then all hypernyms of those.

    Parameters
    ----------
    wnids : sequence of str, (n_classes,)
        WordNet ids of the classes, all different.
    class_names : sequence of str, (n_classes,), optional
        Names to show for the class nodes; their lemmas by default.
    include_imagenet : bool
        The graph of UODTN (Zhuo et al., CVPR 2019) and of the reference code; for I2AwA's 50
        classes 255 nodes and 257 edges instead of 106 nodes.
    wordnet : WordNet, optional
        The bundled one by default.

    Returns
    -------
    RelationGraph
        Class nodes first and in class order, the others sorted by id.

    Raises
    ------
    GraphError
        No class, an unknown or repeated id, or a number of names that differs.
    """
    wordnet = wordnet or WordNet.bundled()
    _refuse_repeats(wnids, "class")
    if not len(wnids):
        raise GraphError("no classes to build a relation graph from")
    if class_names is not None and len(class_names) != len(wnids):
        raise GraphError(f"{len(wnids)} classes but {len(class_names)} class names")
    nodes = {ancestor for wnid in wnids for ancestor in wordnet.ancestors(wnid)}
    if include_imagenet:
        nodes |= _imagenet_neighbours(set(wnids), nodes, wordnet)
    ordered = [*wnids, *sorted(nodes.difference(wnids))]
    number = {wnid: i for i, wnid in enumerate(ordered)}
    edges = [(number[w], number[up]) for w in ordered for up in wordnet.hypernyms(w)]
    names = [", ".join(wordnet.lemmas(wnid)) for wnid in ordered]
    names[: len(wnids)] = class_names or names[: len(wnids)]
    return RelationGraph(
        tuple(ordered), tuple(names), np.array(edges), np.arange(len(wnids), dtype=np.int64)
    )


def _imagenet_neighbours(classes: set[str], nodes: set[str], wordnet: WordNet) -> set[str]:
    """ImageNet-1k classes near ``nodes``, with all their ancestors."""
    hypernyms = {up for wnid in nodes for up in wordnet.hypernyms(wnid)}
    joined: set[str] = set()
    for wnid in imagenet_1k():
        parents = set(wordnet.hypernyms(wnid))
        grandparents = {up for parent in parents for up in wordnet.hypernyms(parent)}
        if parents & (classes | hypernyms) or grandparents & hypernyms:
            joined.update(wordnet.ancestors(wnid))
    return joined


@cache
def imagenet_1k() -> tuple[str, ...]:
    """WordNet ids of the 1,000 ImageNet-1k classes, in class order."""
    resource = files("sreclip.graph") / "resources" / "imagenet_1k.txt"
    return tuple(resource.read_text(encoding="utf-8").split())


def attach_unmapped(
    graph: RelationGraph,
    name: str,
    similarity: np.ndarray,
    *,
    neighbours: int = 3,
    position: int | None = None,
) -> RelationGraph:
    """Add a class that WordNet lacks as a child of the classes whose text is nearest.

    Parameters
    ----------
    graph : RelationGraph
        The graph so far.
    name : str
        Class name; the node becomes ``text:<name>``.
    similarity : array, (graph.n_classes,)
        Similarity of its text to each class of ``graph``, for instance the cosine.
    neighbours : int
        Number of edges to draw (fewer where the graph has fewer classes).
    position : int, optional
        Class number to give it; the last by default.

    Returns
    -------
    RelationGraph
        A new graph with one more node and one more class.

    Raises
    ------
    GraphError
        The similarity has another length or is not finite, the name is in already, or a number
        is out of range.
    """
    similarity = np.asarray(similarity, dtype=np.float64)
    if similarity.shape != (graph.n_classes,) or not np.isfinite(similarity).all():
        raise GraphError(
            f"class {name!r} needs {graph.n_classes} finite text similarities, one to each class "
            f"of the graph, not an array of shape {similarity.shape}"
        )
    if neighbours < 1:
        raise GraphError(f"class {name!r} cannot join the graph with {neighbours} neighbours")
    place = graph.n_classes if position is None else position
    if not 0 <= place <= graph.n_classes:
        raise GraphError(f"class {name!r} cannot be class {place} of {graph.n_classes + 1}")
    nearest = np.argsort(-similarity, kind="stable")[:neighbours]
    new = np.array([(graph.n_nodes, graph.class_nodes[i]) for i in sorted(nearest)])
    return RelationGraph(
        (*graph.wnids, TEXT_PREFIX + name),
        (*graph.names, name),
        np.concatenate([graph.edges, new.reshape(-1, 2)]),
        np.insert(graph.class_nodes, place, graph.n_nodes),
    )


def graph_from_senses(
    senses: SenseMap,
    *,
    text_similarity: np.ndarray | None = None,
    include_imagenet: bool = False,
    neighbours: int = 3,
    wordnet: WordNet | None = None,
) -> RelationGraph:
    """The relation graph of a class list, classes without a sense joined by text similarity.

    Parameters
    ----------
    senses : SenseMap
        From ``choose_senses``.
    text_similarity : array, (n_classes, n_classes), optional
        Needed where a class has no sense; each joins its nearest classes that have one.
    include_imagenet, wordnet
        See ``build_relation_graph``.
    neighbours : int
        See ``attach_unmapped``.

    Raises
    ------
    GraphError
        No class has a sense, or the text similarity is missing or of another shape.
    """
    mapped = [i for i, wnid in enumerate(senses.wnids) if wnid is not None]
    graph = build_relation_graph(
        [wnid for wnid in senses.wnids if wnid is not None],
        class_names=[senses.names[i] for i in mapped],
        include_imagenet=include_imagenet,
        wordnet=wordnet,
    )
    n = len(senses.names)
    if senses.unmapped and (text_similarity is None or np.shape(text_similarity) != (n, n)):
        raise GraphError(
            f"classes without a WordNet sense need a ({n}, {n}) text similarity: "
            f"{', '.join(senses.unmapped)}",
            "give text features, or pin their senses (graph.senses)",
        )
    classes = list(mapped)
    for i, wnid in enumerate(senses.wnids):
        if wnid is None and text_similarity is not None:
            # -inf would not be finite: -1 is below every similarity and keeps other text nodes out.
            to_class = [text_similarity[i, j] if j in mapped else -1.0 for j in classes]
            place = sum(j < i for j in classes)
            graph = attach_unmapped(
                graph,
                senses.names[i],
                np.array(to_class),
                neighbours=min(neighbours, len(mapped)),
                position=place,
            )
            classes.insert(place, i)
    return graph


def _refuse_repeats(items: Sequence[object], what: str) -> None:
    seen: set[object] = set()
    for item in items:
        if item in seen:
            raise GraphError(f"{what} {item} is there twice")
        seen.add(item)
