"""What a drawing of a relation graph shows: classes, and the hypernyms where they branch."""

from __future__ import annotations

from dataclasses import dataclass

from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.wordnet import shortest_distances


@dataclass(frozen=True)
class Outline:
    """A forest over the nodes that are drawn."""

    # Node to its parent in the drawing, None for a root; parents come before children.
    parent: dict[int, int | None]
    # Node to its children, those with fewer descendants first.
    children: dict[int, list[int]]
    # Further child-parent edges of the graph, between drawn nodes.
    cross: list[tuple[int, int]]

    @property
    def roots(self) -> list[int]:
        """Nodes without a parent."""
        return [node for node, up in self.parent.items() if up is None]


def outline(graph: RelationGraph) -> Outline:
    """Return classes and the hypernyms with at least two branches as a forest.

    Nodes that are neither a class nor above one (the ImageNet neighbours) are left out. A node
    with several parents is drawn below the one that leads to another class soonest (of equals the
    one farthest from the root); its other edges become ``cross``.
    """
    parents: dict[int, list[int]] = {node: [] for node in range(graph.n_nodes)}
    for child, up in graph.edges.tolist():
        parents[child].append(up)
    classes = set(graph.class_nodes.tolist())
    drawn = {above for node in classes for above in shortest_distances(node, parents.__getitem__)}
    main = _main_parents(_parents_first(drawn, parents), parents, classes)
    main = _collapsed(main, classes)
    children: dict[int, list[int]] = {node: [] for node in main}
    for node, up in main.items():
        if up is not None:
            children[up].append(node)
    size: dict[int, int] = {}
    for node in reversed(main):
        size[node] = 1 + sum(size[child] for child in children[node])
    for below in children.values():
        below.sort(key=lambda node: (size[node], graph.names[node].lower()))
    return Outline(main, children, _cross_edges(graph, main))


def _main_parents(
    order: list[int], parents: dict[int, list[int]], classes: set[int]
) -> dict[int, int | None]:
    """Return the parent below which each node is drawn; in ``order`` parents come first."""
    depth: dict[int, int] = {}
    # Classes at or below a node, as the bits of a whole number.
    holds = {node: (1 << node if node in classes else 0) for node in order}
    for node in order:
        depth[node] = 1 + min((depth[up] for up in parents[node]), default=-1)
    for node in reversed(order):
        for up in parents[node]:
            holds[up] |= holds[node]

    def steps_to_company(up: int, node: int) -> int:
        level, steps = {up}, 0
        while level and not any(holds[above] & ~holds[node] for above in level):
            level, steps = {further for above in level for further in parents[above]}, steps + 1
        return steps

    main: dict[int, int | None] = {}
    for node in order:
        ranked = [(steps_to_company(up, node), -depth[up], up) for up in parents[node]]
        main[node] = min(ranked)[2] if ranked else None
    return main


def _parents_first(drawn: set[int], parents: dict[int, list[int]]) -> list[int]:
    """Return the drawn nodes, each after all its parents, in a fixed order."""
    order: dict[int, None] = {}

    def visit(node: int) -> None:
        if node not in order:
            for up in parents[node]:
                visit(up)
            order[node] = None

    for node in sorted(drawn):
        visit(node)
    return list(order)


def _collapsed(main: dict[int, int | None], classes: set[int]) -> dict[int, int | None]:
    """Return the forest without hypernyms that have fewer than two branches."""
    holds_class = dict.fromkeys(main, False)
    branches = dict.fromkeys(main, 0)
    for node in reversed(main):
        up = main[node]
        if (node in classes or holds_class[node]) and up is not None:
            holds_class[up] = True
            branches[up] += 1
    # A hypernym has no branch if its classes are all drawn elsewhere in the forest.
    kept = {node for node in main if node in classes or branches[node] > 1}

    def kept_above(node: int) -> int | None:
        up = main[node]
        while up is not None and up not in kept:
            up = main[up]
        return up

    return {node: kept_above(node) for node in main if node in kept}


def _cross_edges(graph: RelationGraph, main: dict[int, int | None]) -> list[tuple[int, int]]:
    """Return the edges between drawn nodes that the forest does not show."""
    cross = []
    for child, up in graph.edges.tolist():
        if child in main and up in main:
            above = main[child]
            while above is not None and above != up:
                above = main[above]
            if above is None:
                cross.append((child, up))
    return cross
