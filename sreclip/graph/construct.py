"""Relation graphs of class lists: their hypernyms, ImageNet neighbours, classes without a sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np

from sreclip.errors import GraphError
from sreclip.graph.relation_graph import TEXT_PREFIX, RelationGraph, refuse_repeats
from sreclip.graph.senses import SenseMap
from sreclip.graph.wordnet import WordNet


def build_relation_graph(
    wnids: Sequence[str],
    *,
    class_names: Sequence[str] | None = None,
    include_imagenet: bool = False,
    wordnet: WordNet | None = None,
) -> RelationGraph:
    """Return classes, all their hypernyms up to the root and, if wanted, ImageNet-1k neighbours.

    With ``include_imagenet`` the ImageNet-1k classes join that have a parent among classes and
    hypernyms, or a grandparent among the hypernyms (those that *are* a hypernym are in already);
    then all hypernyms of those. That is the graph of UODTN (Zhuo et al., CVPR 2019) and of the
    reference code: 255 nodes and 257 edges for I2AwA's 50 classes, instead of 106 nodes.

    Parameters
    ----------
    wnids : sequence of str, (n_classes,)
        WordNet ids of the classes, all different.
    class_names : sequence of str, (n_classes,), optional
        Names to show for the class nodes; their lemmas by default.
    include_imagenet : bool
    wordnet : WordNet, optional
        The bundled one by default.

    Returns
    -------
    RelationGraph
        Class nodes first and in class order, the others sorted by id.

    Raises
    ------
    GraphError
        No class, or an unknown or repeated id.
    """
    wordnet = wordnet or WordNet.bundled()
    refuse_repeats(wnids, "class")
    if not wnids:
        raise GraphError("no classes to build a relation graph from")
    nodes = {ancestor for wnid in wnids for ancestor in wordnet.ancestors(wnid)}
    if include_imagenet:
        nodes |= _imagenet_neighbours(set(wnids), nodes, wordnet)
    ordered = [*wnids, *sorted(nodes.difference(wnids))]
    number = {wnid: i for i, wnid in enumerate(ordered)}
    edges = [(number[w], number[up]) for w in ordered for up in wordnet.hypernyms(w)]
    names = [", ".join(wordnet.lemmas(wnid)) for wnid in ordered]
    names[: len(wnids)] = class_names or names[: len(wnids)]
    return RelationGraph(
        tuple(ordered),
        tuple(names),
        np.array(edges, dtype=np.int64).reshape(-1, 2),
        np.arange(len(wnids), dtype=np.int64),
    )


def _imagenet_neighbours(classes: set[str], nodes: set[str], wordnet: WordNet) -> set[str]:
    """Return ImageNet-1k classes near ``nodes``, with all their ancestors."""
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
    """Return the WordNet ids of the 1,000 ImageNet-1k classes, in class order."""
    resource = files("sreclip.graph") / "resources" / "imagenet_1k.txt"
    return tuple(resource.read_text(encoding="utf-8").split())


def graph_from_senses(
    senses: SenseMap,
    *,
    parents: Mapping[str, Sequence[str]] = MappingProxyType({}),
    include_imagenet: bool = False,
    wordnet: WordNet | None = None,
) -> RelationGraph:
    """Return the relation graph of a class list.

    A class without a sense becomes a child of the classes with a sense that ``parents`` names for
    it, or else of the root; so are all where none has a sense. See `build_relation_graph` for the
    rest.
    """
    mapped = [i for i, wnid in enumerate(senses.wnids) if wnid is not None]
    if mapped:
        graph = build_relation_graph(
            [wnid for wnid in senses.wnids if wnid is not None],
            class_names=[senses.names[i] for i in mapped],
            include_imagenet=include_imagenet,
            wordnet=wordnet,
        )
    else:
        graph = build_relation_graph([(wordnet or WordNet.bundled()).root], wordnet=wordnet)
    if not senses.unmapped:
        return graph
    number = {senses.names[i]: node for node, i in enumerate(mapped)}
    children = {child for child, _ in graph.edges.tolist()}
    root = next(node for node in range(graph.n_nodes) if node not in children)
    unmapped = [i for i, wnid in enumerate(senses.wnids) if wnid is None]
    new_nodes = graph.n_nodes + np.arange(len(unmapped))
    new_edges = [
        (node, parent)
        for node, i in zip(new_nodes.tolist(), unmapped, strict=True)
        for parent in sorted(number[name] for name in parents.get(senses.names[i], ())) or [root]
    ]
    class_nodes = np.empty(len(senses.names), dtype=np.int64)
    class_nodes[mapped] = graph.class_nodes[: len(mapped)]
    class_nodes[unmapped] = new_nodes
    return RelationGraph(
        (*graph.wnids, *(TEXT_PREFIX + name for name in senses.unmapped)),
        (*graph.names, *senses.unmapped),
        np.concatenate([graph.edges, np.array(new_edges, dtype=np.int64)]),
        class_nodes,
    )
