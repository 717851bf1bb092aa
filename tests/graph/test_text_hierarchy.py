"""The tree of classes by their texts, on a case that is worked out by hand."""

from __future__ import annotations

import numpy as np

from sreclip.graph.text_hierarchy import text_hierarchy


def test_near_classes_are_joined_first() -> None:
    # At 0, 90, 10 and 60 degrees: 0 and 10 are joined, then 90 and 60, then the two pairs.
    angles = np.radians([0, 90, 10, 60])
    text = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    edges, inner = text_hierarchy(text)
    assert edges.tolist() == [[0, 4], [2, 4], [1, 5], [3, 5], [4, 6], [5, 6]]
    directions = np.degrees(np.arctan2(inner[:, 1], inner[:, 0]))
    x, y = text.sum(axis=0)
    together = np.degrees(np.arctan2(y, x))
    np.testing.assert_allclose(directions, [5, 75, together], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(inner, axis=1), 1, atol=1e-6)


def test_opposite_texts_cancel_out() -> None:
    _, inner = text_hierarchy(np.array([[1, 0], [-1, 0]], dtype=np.float32))
    assert inner.tolist() == [[0, 0]]
