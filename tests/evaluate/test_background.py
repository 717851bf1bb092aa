"""How likely an image shows none of the classes."""

from __future__ import annotations

import numpy as np
import pytest

from sreclip.evaluate import background
from sreclip.evaluate.background import background_probability


@pytest.mark.parametrize("values", [1, 1 << 24])
def test_it_is_the_share_of_the_sentences_in_one_softmax(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "VALUES", values)
    rng = np.random.default_rng(0)
    images, classes, sentences = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in (rng.normal(size=(n, 8)).astype(np.float32) for n in (5, 4, 2))
    )
    found = background_probability(images.astype(np.float16), classes, sentences, 20.0)
    weights = np.exp(20.0 * images.astype(np.float16) @ np.concatenate([classes, sentences]).T)
    np.testing.assert_allclose(
        found, weights[:, 4:].sum(axis=1) / weights.sum(axis=1), rtol=1e-3, atol=1e-6
    )
