"""Calibrated stacking without labels: how much to favour unknown classes."""

from __future__ import annotations

from torch import Tensor


def unknown_bias(logits: Tensor, zero_shot_logits: Tensor, known: Tensor) -> float:
    """Bias on unknown logits that keeps the frozen model's share of unknown predictions.

    Training on known classes makes a model favour them. Calibrated stacking (Chao et al., ECCV
    2016) adds a bias to unknown logits; there it is chosen with labels, here (ours) so that as
    many target images go to an unknown class as with the frozen model. Of all biases that do so
    the one nearest to zero is taken when zero does, else the middle of their range.

    Parameters
    ----------
    logits, zero_shot_logits : Tensor
        Adapted and frozen logits of the target, ``(n_images, n_classes)``.
    known : Tensor
        ``(n_classes,)``, bool.

    Returns
    -------
    float
        Zero when there is no unknown class, or when all classes are.
    """
    if known.all() or not known.any():
        return 0.0
    margins = _margins(logits, known).sort().values
    wanted = int((_margins(zero_shot_logits, known) < 0).sum())
    # An image goes to an unknown class when the bias is above its margin.
    low = float(margins[wanted - 1]) if wanted else float(margins[0]) - 2.0
    high = float(margins[wanted]) if wanted < len(margins) else float(margins[-1]) + 2.0
    if low < 0 <= high:
        return 0.0
    return (low + high) / 2


def _margins(logits: Tensor, known: Tensor) -> Tensor:
    """Best known minus best unknown logit, ``(n_images,)``."""
    return logits[:, known].amax(dim=1) - logits[:, ~known].amax(dim=1)
