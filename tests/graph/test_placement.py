"""Classes that WordNet lacks among those with a sense."""

from __future__ import annotations

import numpy as np

from sreclip.graph.placement import name_cosines, place_unmapped
from sreclip.graph.senses import SenseMap

# What every text shares, and what each name has besides.
SHARED = np.array([3.0, 0.0, 0.0, 0.0])
OWN = {
    "cybertruck": (0, 1, 0, 0),
    "truck": (0, 1, 0.5, 0),
    "car": (0, 1, 1, 0),
    "dog": (0, -1, 0, 1),
    "gizmo": (0, 0, 0, -1),
}


def encode(texts: list[str]) -> np.ndarray:
    return np.array([SHARED + np.array(OWN.get(text, (0, 0, 0, 0))) for text in texts])


def test_what_all_texts_share_counts_for_nothing() -> None:
    plain = encode(["cybertruck", "dog"])
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    assert plain[0] @ plain[1] > 0.7
    assert name_cosines(["cybertruck", "dog"], encode)[0, 1] < 0


def test_a_class_joins_those_like_it_and_one_like_none_joins_no_class() -> None:
    names = ("cybertruck", "truck", "dog", "gizmo", "car")
    senses = SenseMap(names, (None, "n1", "n2", None, "n3"), (np.inf,) * 5)
    truck, gizmo = place_unmapped(senses, encode)
    assert truck.parents == ("truck", "car")
    assert [name for name, _ in truck.nearest] == ["truck", "car", "dog"]
    assert gizmo.parents == ()
    assert "root" in gizmo.line()


def test_nothing_to_place() -> None:
    assert place_unmapped(SenseMap(("dog",), ("n1",), (np.inf,)), encode) == []
    assert place_unmapped(SenseMap(("gizmo",), (None,), (np.inf,)), encode) == []
