"""Accuracy and class sizes, as far as probabilities can tell them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

# Correlation of two images' chances to be mistaken: of one class, and of any two. Mistakes come in
# groups, so that intervals for independent ones are far too narrow; docs/results.md has how these
# were chosen, and how often they hold.
WITHIN_CLASS = 0.1
ANY_TWO = 0.02

Values = NDArray[np.float64]


class Estimate(NamedTuple):
    """An estimated fraction, and its interval."""

    value: float
    low: float
    high: float


class Sizes(NamedTuple):
    """Expected numbers of images per class, ``(n_classes,)``, and their intervals."""

    expected: Values
    low: Values
    high: Values


def estimated_accuracy(
    predicted: NDArray[np.int64],
    confidence: NDArray[np.floating],
    n_classes: int,
    level: float = 0.95,
) -> Estimate | None:
    r"""Return the mean confidence as the fraction of images that are right; None without an image.

    It is right if probabilities are calibrated on average. With :math:`v_i = p_i (1 - p_i)` of the
    confidences :math:`p_i`, predicted classes :math:`c_i` and the correlations
    :math:`a` = `WITHIN_CLASS` and :math:`b` = `ANY_TWO`, the variance of the number right is

    .. math:: (1 - a) \sum_i v_i + a \sum_c \Bigl(\sum_{i: c_i = c} \sqrt{v_i}\Bigr)^2
              + b \Bigl(\sum_i \sqrt{v_i}\Bigr)^2.
    """
    p = confidence.astype(np.float64)
    if not len(p):
        return None
    spread = np.sqrt(np.clip(p * (1 - p), 0, None))
    by_class = np.bincount(predicted, spread, n_classes)
    variance = (1 - WITHIN_CLASS) * (spread**2).sum() + WITHIN_CLASS * (by_class**2).sum()
    variance += ANY_TWO * spread.sum() ** 2
    half = _quantile(level) * math.sqrt(variance) / len(p)
    mean = float(p.mean())
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0))


def likeliest(rows: pd.DataFrame) -> tuple[NDArray[np.int64], Values]:
    """Return the likeliest classes and their probabilities of predictions, ``(n_images, k)``."""
    ranks = range(2, len([name for name in rows if str(name).startswith("class_")]) + 2)
    classes = rows[["predicted", *(f"class_{rank}" for rank in ranks)]].to_numpy(np.int64)
    p = rows[["confidence", *(f"probability_{rank}" for rank in ranks)]].to_numpy(np.float64)
    return classes, p


def class_sizes(
    classes: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    n_classes: int,
    level: float = 0.95,
) -> Sizes:
    r"""Return how many images there are of each class: sums of probabilities.

    ``classes`` and ``probabilities``, ``(n_images, k)``, are the likeliest of each image; what they
    leave is spread evenly over the other classes. With :math:`v_i = p_i (1 - p_i)` of a class's
    probabilities the variance is :math:`(1 - a) \sum_i v_i + a (\sum_i \sqrt{v_i})^2`,
    :math:`a` = `WITHIN_CLASS`: images of a class are mistaken together.
    """
    p = probabilities.astype(np.float64)
    others = n_classes - p.shape[1]
    rest = np.clip(1 - p.sum(axis=1), 0, None) / others if others else np.zeros(len(p))

    def total(of: Values, of_rest: Values) -> Values:
        """Sum values of the likeliest classes, and those of the rest for all other classes."""
        own = np.bincount(classes.ravel(), (of - of_rest[:, None]).ravel(), n_classes)
        return own + of_rest.sum()

    expected = total(p, rest)
    variances, rest_variances = np.clip(p * (1 - p), 0, None), rest * (1 - rest)
    variance = (1 - WITHIN_CLASS) * total(variances, rest_variances)
    variance += WITHIN_CLASS * total(np.sqrt(variances), np.sqrt(rest_variances)) ** 2
    half = _quantile(level) * np.sqrt(np.clip(variance, 0, None))
    return Sizes(expected, np.clip(expected - half, 0, None), np.minimum(expected + half, len(p)))


def wilson(right: float, n: int, level: float) -> tuple[float, float]:
    """Return the interval of a fraction ``right / n`` (Wilson, JASA 22, 1927)."""
    z = _quantile(level)
    share, scale = right / n, 1 + z**2 / n
    centre = (share + z**2 / (2 * n)) / scale
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _quantile(level: float) -> float:
    from scipy.special import ndtri  # scipy.stats takes a second to import

    return float(ndtri((1 + level) / 2))
