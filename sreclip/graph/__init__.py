"""WordNet, the senses of class names, and the semantic relation graph.

Names are loaded on first use, so that the command line starts without numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sreclip.graph.adjacency import ancestor_adjacency, normalized_adjacency
    from sreclip.graph.relation import relation_matrix, text_similarity, wordnet_similarity
    from sreclip.graph.relation_graph import (
        RelationGraph,
        attach_unmapped,
        build_relation_graph,
        graph_from_senses,
    )
    from sreclip.graph.senses import SenseMap, choose_senses
    from sreclip.graph.wordnet import WordNet

_HOMES = {
    "RelationGraph": "relation_graph",
    "SenseMap": "senses",
    "WordNet": "wordnet",
    "ancestor_adjacency": "adjacency",
    "attach_unmapped": "relation_graph",
    "build_relation_graph": "relation_graph",
    "choose_senses": "senses",
    "graph_from_senses": "relation_graph",
    "normalized_adjacency": "adjacency",
    "relation_matrix": "relation",
    "text_similarity": "relation",
    "wordnet_similarity": "relation",
}

__all__ = [
    "RelationGraph",
    "SenseMap",
    "WordNet",
    "ancestor_adjacency",
    "attach_unmapped",
    "build_relation_graph",
    "choose_senses",
    "graph_from_senses",
    "normalized_adjacency",
    "relation_matrix",
    "text_similarity",
    "wordnet_similarity",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
