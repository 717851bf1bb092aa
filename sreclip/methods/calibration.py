"""Calibrated stacking without labels: how much to favour unknown classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def unknown_bias(margin: ArrayLike, zero_shot_margin: ArrayLike, least_share: float = 0.0) -> float:
    """Bias on unknown logits that keeps the frozen model's share of unknown predictions.

    Training on known classes makes a model favour them. Calibrated stacking (Chao et al., ECCV
    2016) adds a bias to unknown logits; there it is chosen with labels, here (ours) so that as
    many target images go to an unknown class as with the frozen model. Of all biases that do so
    the one nearest to zero is taken when zero does, else the middle of their range.

    Parameters
    ----------
    margin, zero_shot_margin : array
        Best known minus best unknown logit of each target image, adapted and frozen,
        ``(n_images,)``; infinite where there is no known or no unknown class.
    least_share : float
        Share of the images that go to an unknown class where the frozen model sends fewer.

    Returns
    -------
    float
        Zero when there is no unknown class, or when all classes are.
    """
    margins = np.sort(np.asarray(margin, dtype=np.float64))
    if not np.isfinite(margins).all():
        return 0.0
    frozen = int((np.asarray(zero_shot_margin) < 0).sum())
    wanted = max(frozen, round(least_share * len(margins)))
    # An image goes to an unknown class when the bias is above its margin.
    low = margins[wanted - 1] if wanted else margins[0] - 2.0
    high = margins[wanted] if wanted < len(margins) else margins[-1] + 2.0
    if low < 0 <= high:
        return 0.0
    return float(low + high) / 2
