"""What several methods are trained by: the regression of classifiers, and SGD that slows down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sreclip.config.methods import SgdSettings
from sreclip.methods.base import Terms
from sreclip.methods.data import FitData
from sreclip.methods.logits import widened

CHUNK = 1 << 15


def regression(
    gcn: nn.Module, data: FitData, lr: float, weight_decay: float
) -> tuple[torch.optim.Optimizer, Callable[[], Terms]]:
    """Return Adam and the loss of a GCN whose known class vectors regress the class means."""
    known = data.text.known
    means = class_means(data.source_features, data.source_labels, len(known))[known]
    optimizer = torch.optim.Adam(gcn.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    return optimizer, lambda: {"regression": (1.0, regression_loss(gcn(data.graph)[known], means))}


def regression_loss(classifiers: Tensor, wanted: Tensor) -> Tensor:
    """Return ``sum_c |e_c - m_c|^2 / (2 n)``, both ``(n, dim)``."""
    return (classifiers - wanted).square().sum() / (2 * len(wanted))


def class_means(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Return the normalized sum of each class's features, ``(n_classes, dim)``; zero for none."""
    sums = widened(features[:0]).new_zeros(n_classes, features.shape[1])
    for chunk, numbers in zip(features.split(CHUNK), labels.split(CHUNK), strict=True):
        sums.index_add_(0, numbers, widened(chunk))
    return F.normalize(sums, dim=1)


def rate_factor(step: int, warmup_steps: int, decay: float, decay_power: float) -> float:
    """Return ``(1 + decay (step - warmup_steps))^-decay_power``, before that 1; steps from 0."""
    return (1 + decay * max(0, step - warmup_steps)) ** -decay_power


def decaying_sgd(
    groups: list[dict[str, Any]],
    settings: SgdSettings,
    warmup_steps: int = 0,
    fused: bool | None = None,
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    """Return SGD on groups of parameters, and the schedule of their rates by `rate_factor`."""
    optimizer = torch.optim.SGD(
        groups,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
        fused=fused,
    )
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: rate_factor(step, warmup_steps, settings.decay, settings.decay_power),
    )
