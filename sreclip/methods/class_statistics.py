"""Means and covariances of classes with labelled images; some rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from sreclip.methods.logits import BLOCK_VALUES


def class_means(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the mean feature of each class, ``(n_classes, dim)``, float64; 0 without images."""
    sums = torch.zeros(n_classes, features.shape[1], dtype=torch.float64, device=features.device)
    for rows in row_chunks(features):
        sums.index_add_(0, labels[rows], features[rows].double())
    return sums / torch.bincount(labels, minlength=n_classes).clamp_min(1)[:, None]


def mean_covariance(features: Tensor, labels: Tensor, means: Tensor) -> Tensor:
    """Return the mean over classes of two images or more of their covariances, ``(dim, dim)``."""
    counts = torch.bincount(labels, minlength=len(means))
    weights = (counts - 1).clamp_min(1).double().rsqrt()
    total = _scatter(features, labels, means, weights)
    return total / (counts > 1).sum().clamp_min(1)


def pooled_covariance(features: Tensor, labels: Tensor, means: Tensor) -> tuple[Tensor, int]:
    """Return the covariance of images about the means of their classes, ``(dim, dim)``.

    And how many images it comes from, one per class left out.
    """
    counts = torch.bincount(labels, minlength=len(means))
    n = int((counts - 1).clamp_min(0).sum())
    total = _scatter(features, labels, means, torch.ones(len(means)).to(means))
    return total / max(1, n), n


def ridged(covariance: Tensor, n: int) -> Tensor:
    """Return ``(n - 1) S + tr(S) I``, ``(dim, dim)``: shrunk as for ``n`` images, but for a factor.

    The estimate for few images of Wang et al. (ICLR 2024).
    """
    identity = torch.eye(len(covariance)).to(covariance)
    return (n - 1) * covariance + covariance.trace() * identity


def row_chunks(features: Tensor, width: int = 0) -> tuple[Tensor, ...]:
    """Return consecutive row numbers, so few that a table by ``width`` or dim stays small."""
    rows = torch.arange(len(features), device=features.device)
    return rows.split(max(1, BLOCK_VALUES // max(1, width, features.shape[1])))


def _scatter(features: Tensor, labels: Tensor, means: Tensor, weights: Tensor) -> Tensor:
    total = means.new_zeros(features.shape[1], features.shape[1])
    for rows in row_chunks(features):
        away = (features[rows].double() - means[labels[rows]]) * weights[labels[rows], None]
        total.addmm_(away.T, away)
    return total
