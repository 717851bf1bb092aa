"""Accuracy as a mean over classes, and the harmonic mean of two accuracies.

Fits that choose among settings use these as the evaluation does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sreclip.methods.scores import ImageScores

REJECTED = -1

Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]


def predictions(scores: ImageScores, ok: Mask) -> Labels:
    """Return the most likely class of each image, `REJECTED` where it was not readable."""
    return np.where(ok, scores.top_class[:, 0], REJECTED).astype(np.int64)


def class_mean(right: Mask, labels: Labels) -> float | None:
    """Return the mean accuracy of the classes present; None without images."""
    if not len(labels):
        return None
    return float(class_accuracy(right, labels)[1].mean())


def class_accuracy(right: Mask, labels: Labels) -> tuple[Labels, Floats]:
    """Return the classes present, ascending, and the fraction of right images of each."""
    classes, position, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return classes, np.bincount(position, weights=right, minlength=len(classes)) / counts


def harmonic_means(a: Floats, b: Floats) -> Floats:
    """Return `harmonic_mean` of each pair."""
    total = a + b
    return np.divide(2 * a * b, total, out=np.zeros_like(total), where=total > 0)


def harmonic_mean(a: float | None, b: float | None) -> float | None:
    """Return ``2 a b / (a + b)``, or zero if both are zero."""
    if a is None or b is None:
        return None
    return 2 * a * b / (a + b) if a + b else 0.0


def class_mean_h(scores: ImageScores, labels: Labels, known: Mask) -> float:
    """Return H of labelled images, class means; without a known one, the unknown accuracy."""
    right = predictions(scores, np.ones(len(labels), dtype=bool)) == labels
    is_known = known[labels]
    accuracy = class_mean(right[is_known], labels[is_known])
    unknown = class_mean(right[~is_known], labels[~is_known])
    # A class of one image has none to hold out, so there may be no known image to score.
    return (unknown or 0.0) if accuracy is None else harmonic_mean(accuracy, unknown) or 0.0
