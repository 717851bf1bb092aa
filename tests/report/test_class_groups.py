"""Groups of classes along the relation graph."""

from __future__ import annotations

import numpy as np
import pytest

from sreclip.data.benchmarks.classes import read_benchmark_classes
from sreclip.graph.construct import build_relation_graph
from sreclip.graph.relation_graph import RelationGraph
from sreclip.report.class_groups import MOST_BRANCHES, class_groups


def fan(sizes: dict[str, int]) -> RelationGraph:
    """Classes below hypernyms, as many as said, below one root."""
    names = [f"{name} {at}" for name, size in sizes.items() for at in range(size)]
    uppers = [at for at, size in enumerate(sizes.values()) for _ in range(size)]
    nodes = [*names, *sizes, "thing, entity"]
    edges = [(child, len(names) + up) for child, up in enumerate(uppers)]
    edges += [(len(names) + at, len(nodes) - 1) for at in range(len(sizes))]
    return RelationGraph(
        tuple(f"n{at:08d}" for at in range(len(nodes))),
        tuple(nodes),
        np.array(edges),
        np.arange(len(names)),
    )


@pytest.mark.parametrize("most", [1, 5, 12, 40])
@pytest.mark.parametrize("task", ["i2awa", "i2webv"])
def test_each_class_is_in_one_group(task: str, most: int) -> None:
    classes = read_benchmark_classes(task)
    graph = build_relation_graph(
        [item.entry.wnid or "" for item in classes],
        class_names=[item.entry.name for item in classes],
    )
    groups = class_groups(graph, most)
    assert len(groups) <= most
    assert sorted(n for group in groups for n in group.classes) == list(range(len(classes)))
    if most == 40:
        # None has most of the classes, or the groups would say little.
        assert max(len(group.classes) for group in groups) < len(classes) / 3


def test_the_largest_are_split_and_the_rest_is_named() -> None:
    graph = fan({"animal": 20, "tool": 3, "fruit": 2})
    assert [group.name for group in class_groups(graph, 1)] == ["thing"]
    assert {group.name for group in class_groups(graph, 3)} == {"animal", "tool", "fruit"}
    groups = class_groups(graph, 3 + MOST_BRANCHES)
    assert [group.name for group in groups].count("other animal") == 1
    assert len(next(g.classes for g in groups if g.name == "other animal")) == 20 - MOST_BRANCHES
    assert {"tool", "fruit"} <= {group.name for group in groups}
