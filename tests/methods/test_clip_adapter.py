"""CLIP-Adapter's logits against the published formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sreclip.methods.clip_adapter import ClipAdapter
from tests.methods.conftest import SCALE, array


@pytest.mark.parametrize("ratio", [0.2, 1.0])
def test_logits_by_hand(ratio: float, problem: dict[str, Any]) -> None:
    method = ClipAdapter(ratio=ratio, steps=5).fit(**problem)
    first, second = (array(method.state()[f"{name}.weight"]) for name in ("first", "second"))
    features = array(problem["target_features"])
    adapted = np.maximum(np.maximum(features @ first.T, 0) @ second.T, 0)
    mixed = ratio * adapted + (1 - ratio) * features
    # With a ratio of 1 nothing is left of some images: their logits are 0.
    mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), 1e-12)
    wanted = SCALE * mixed @ array(problem["text"].features).T
    np.testing.assert_allclose(array(method.logits(problem["target_features"])), wanted, atol=1e-4)
