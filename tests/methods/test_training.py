"""Regression of class means, and the decaying rate."""

from __future__ import annotations

import pytest
import torch

from sreclip.methods.training import class_means, rate_factor


def test_class_means() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    means = class_means(features, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(means, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 0.0], [0.6, 0.8]]))


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.0), (599, 1.0), (600, 1.0), (1600, 2**-0.75), (2999, 3.399**-0.75)]
)
def test_rate_factor(step: int, expected: float) -> None:
    assert rate_factor(step, 600, 1e-3, 0.75) == pytest.approx(expected)
