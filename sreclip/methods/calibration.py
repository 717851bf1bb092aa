"""Calibrated stacking without labels: how much to favour unknown classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def unknown_bias(margin: ArrayLike, zero_shot_margin: ArrayLike, least: float = 0.0) -> float:
    """Return the bias on unknown logits that keeps the frozen model's unknown predictions.

    Training on known classes makes a model favour them. Calibrated stacking (Chao et al., ECCV
    2016) adds a bias to unknown logits; there it is chosen with labels, here (ours) so that as
    many target images go to an unknown class as with the frozen model, and at least the fraction
    ``least``. Of all such biases, zero is taken when it is one of them, else the middle of their
    range.

    Margins are the best known minus the best unknown logit per target image, adapted and frozen,
    ``(n_images,)``; infinite where there is no known or no unknown class: then the bias is 0.
    """
    margins = np.sort(np.asarray(margin, dtype=np.float64))
    if not np.isfinite(margins).all():
        return 0.0
    frozen = int((np.asarray(zero_shot_margin) < 0).sum())
    wanted = max(frozen, round(least * len(margins)))
    # An image goes to an unknown class when the bias is above its margin.
    low = margins[wanted - 1] if wanted else margins[0] - 2.0
    high = margins[wanted] if wanted < len(margins) else margins[-1] + 2.0
    if low < 0 <= high:
        return 0.0
    return float(low + high) / 2
