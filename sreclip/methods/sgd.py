"""SGD with a warm-up and a decaying rate."""

from __future__ import annotations

from typing import Any

import torch

from sreclip.config.methods import SgdSettings


def rate_factor(step: int, warmup_steps: int, decay: float, decay_power: float) -> float:
    """Return ``(1 + decay (step - warmup_steps))^-decay_power`` after the warm-up, 1 before.

    ``step`` counts from 0.
    """
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
