"""Regression of class means."""

from __future__ import annotations

import torch

from sreclip.methods.regression import class_means


def test_class_means() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    means = class_means(features, torch.tensor([0, 0, 2]), 3)
    torch.testing.assert_close(means, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 0.0], [0.6, 0.8]]))
