"""The relation graph and its file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sreclip.errors import GraphError, StoreError
from sreclip.graph.construct import build_relation_graph
from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.wordnet import WordNet


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": [[0, 1], [1, 2], [2, 0]]}, "form a cycle: "),
        ({"edges": [[0, 0]]}, "form a cycle: a -> a"),
        ({"edges": [[0, 3]]}, "one edge names node 3"),
        ({"edges": [[0, -1]]}, "one edge names node -1"),
        ({"edges": [[0, 1], [0, 1]]}, "edge .* appears twice"),
        ({"edges": [[0.5, 1]]}, "whole numbers"),
        ({"edges": [[0, 1, 2, 0]]}, "two per edge"),
        ({"edges": [[0, 1], [2]]}, "two per edge"),
        ({"classes": [7]}, "one class names node 7"),
        ({"classes": [0, 0]}, "class node 0 appears twice"),
        ({"wnids": ["a", "a", "c"]}, "node a appears twice"),
        ({"names": ["a"]}, "3 nodes but 1 names"),
    ],
)
def test_bad_graphs_are_refused(change: dict[str, Any], message: str) -> None:
    good = {"wnids": ["a", "b", "c"], "names": ["a", "b", "c"], "edges": [[0, 1]], "classes": [0]}
    RelationGraph.from_json(good)
    with pytest.raises(GraphError, match=message):
        RelationGraph.from_json(good | change)


def test_a_cycle_above_and_below_other_nodes_is_named() -> None:
    edges = [[0, 1], [1, 2], [2, 3], [3, 1], [3, 4]]
    with pytest.raises(GraphError) as caught:
        RelationGraph.from_json(
            {"wnids": list("abcde"), "names": list("abcde"), "edges": edges, "classes": [0]}
        )
    way = caught.value.message.rpartition(": ")[2].split(" -> ")
    assert way[0] == way[-1]
    assert set(way) == {"b", "c", "d"}
    steps = {("abcde"[c], "abcde"[p]) for c, p in edges}
    assert set(pairwise(way)) <= steps


def test_json_and_file_round_trip(tiny: WordNet, tmp_path: Path) -> None:
    graph = build_relation_graph(["dog", "glove"], wordnet=tiny)
    graph.save(tmp_path / "graph.json")
    assert RelationGraph.load(tmp_path / "graph.json").to_json() == graph.to_json()
    assert set(graph.to_json()) == {"wnids", "names", "edges", "classes"}


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.json"):
        RelationGraph.load(tmp_path / "none.json")
    (tmp_path / "half.json").write_text('{"wnids": []}', encoding="utf-8")
    with pytest.raises(GraphError, match=r"half\.json: the graph has no names, edges, classes"):
        RelationGraph.load(tmp_path / "half.json")
