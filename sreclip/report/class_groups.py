"""Many classes in few groups, along the relation graph."""

from __future__ import annotations

from typing import NamedTuple

from sreclip.graph.outline import Outline, outline
from sreclip.graph.relation_graph import RelationGraph

MOST_GROUPS = 40
# Of a node this many branches, the largest, become groups of their own.
MOST_BRANCHES = 8


class ClassGroup(NamedTuple):
    """Numbers of the classes below one node, or of those that are left there."""

    name: str
    classes: list[int]


class _Part(NamedTuple):
    node: int
    classes: list[int]
    is_rest: bool


def class_groups(graph: RelationGraph, most: int = MOST_GROUPS) -> list[ClassGroup]:
    """Cut the tree of hypernyms into at most ``most`` groups, each class in one.

    The largest group is split into the branches of its node, again and again, as long as there is
    room. What is not among the largest branches stays together, as *other*. Groups that are near
    in the tree follow each other.
    """
    tree = outline(graph)
    below = _classes_below(graph, tree)
    parts = [_Part(root, below[root], False) for root in tree.roots]
    while True:
        candidates = [part for part in parts if tree.children[part.node] and not part.is_rest]
        for part in sorted(candidates, key=lambda part: -len(part.classes)):
            pieces = _split(part, tree, below)
            if len(parts) - 1 + len(pieces) <= most:
                at = parts.index(part)
                parts[at : at + 1] = pieces
                break
        else:
            return [
                ClassGroup(f"{'other ' * is_rest}{graph.names[node].split(',')[0]}", classes)
                for node, classes, is_rest in parts
            ]


def _split(part: _Part, tree: Outline, below: dict[int, list[int]]) -> list[_Part]:
    """Return the largest branches of a node, and what is left of its classes."""
    branches = [child for child in tree.children[part.node] if below[child]]
    largest = set(sorted(branches, key=lambda child: -len(below[child]))[:MOST_BRANCHES])
    pieces = [_Part(child, below[child], False) for child in branches if child in largest]
    taken = {number for piece in pieces for number in piece.classes}
    rest = [number for number in part.classes if number not in taken]
    return [*pieces, _Part(part.node, rest, True)] if rest else pieces


def _classes_below(graph: RelationGraph, tree: Outline) -> dict[int, list[int]]:
    numbers = {node: [number] for number, node in enumerate(graph.class_nodes.tolist())}
    below: dict[int, list[int]] = {}
    for node in reversed(tree.parent):  # children come before parents
        inner = [number for child in tree.children[node] for number in below[child]]
        below[node] = [*numbers.get(node, []), *inner]
    return below
