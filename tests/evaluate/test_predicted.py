"""What predictions alone tell, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sreclip.evaluate.predicted import summarise_predictions


def test_counts_shares_confidence_and_agreement() -> None:
    """Four readable images and one that is not; classes 0 and 1 are known, 2 is unknown."""
    predicted = [np.array([0, 0, 2, 1, -1]), np.array([0, 2, 2, 1, -1])]
    confidence = [np.array([0.5, 0.6, 0.7, 0.8, 0.0]), np.array([0.7, 0.6, 0.7, 0.8, 0.0])]
    found = summarise_predictions(predicted, confidence, np.array([True, True, False]), 0.95)
    assert found["counts"] == [1.5, 1.0, 1.5]
    assert found["n_images"] == 5
    assert found["n_rejected"] == 1
    assert found["unknown"]["mean"] == pytest.approx((1 / 4 + 2 / 4) / 2)
    assert found["confidence"]["mean"] == pytest.approx((0.65 + 0.70) / 2)
    assert found["agreement"] == pytest.approx(3 / 4)


def test_one_seed_agrees_with_nobody_and_no_image_has_no_share() -> None:
    found = summarise_predictions([np.array([0])], [np.array([0.5])], np.array([True]), 0.95)
    assert found["agreement"] is None
    none = summarise_predictions([np.array([-1])], [np.array([0.0])], np.array([True]), 0.95)
    assert none["unknown"] is none["confidence"] is none["agreement"] is None
    assert none["counts"] == [0.0]
