"""What the graph step tells people."""

from __future__ import annotations

import numpy as np

from sreclip.graph.build import doubt_note, placement_note
from sreclip.graph.placement import Placement
from sreclip.graph.senses import SenseMap


def test_doubtful_senses_are_named_with_what_they_are_taken_for() -> None:
    senses = SenseMap(
        names=("crane", "dog", "horze"),
        wnids=("n02012849", "n02084071", None),
        margins=(0.01, np.inf, 0.0),
        scores=({"n02012849": 0.5, "n03126707": 0.49}, {"n02084071": 1.0}, {}),
    )
    note = doubt_note(senses)
    taken, other = note.splitlines()[1:]
    assert "crane: taken for n02012849 (crane), a kind of wading bird: large long-necked" in taken
    assert "or n03126707 (crane), a kind of lifting device: lifts and moves heavy objects" in other
    assert "graph.senses" in note
    assert "dog" not in note
    assert "horze" not in note
    assert doubt_note(SenseMap(("dog",), ("n02084071",), (1.0,))) == ""


def test_a_class_that_wordnet_lacks_is_said_to_be_where_it_is_and_why() -> None:
    note = placement_note(
        [
            Placement("cybertruck", (("truck", 0.42), ("car", 0.31), ("dog", 0.1))),
            Placement("gizmo", (("dog", 0.12), ("truck", 0.05))),
        ]
    )
    assert "graph.senses" in note
    assert "cybertruck: below truck (cosine 0.42), car (cosine 0.31)\n" in note
    assert (
        "gizmo: below the root, since no class is like it; the nearest is dog (cosine 0.12)" in note
    )
    assert placement_note([]) == ""
