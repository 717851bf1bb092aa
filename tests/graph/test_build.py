"""What the graph step tells people."""

from __future__ import annotations

import numpy as np

from sreclip.graph.build import doubt_note
from sreclip.graph.senses import SenseMap


def test_doubtful_senses_are_named_with_what_they_are_taken_for() -> None:
    senses = SenseMap(
        names=("crane", "dog", "horze"),
        wnids=("n02012849", "n02084071", None),
        margins=(0.01, np.inf, 0.0),
    )
    note = doubt_note(senses)
    assert "crane: taken for n02012849 (crane)" in note
    assert "graph.senses" in note
    assert "dog" not in note
    assert "horze" not in note
    assert doubt_note(SenseMap(("dog",), ("n02084071",), (1.0,))) == ""
