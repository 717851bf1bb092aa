"""Metrics of one run over the full label space, known and unknown classes together.

Means over classes follow generalised zero-shot learning (Xian et al., TPAMI 2019), means over
images follow UODTN; AUSUC is Chao et al., ECCV 2016; ECE is Guo et al., ICML 2017. An image that
could not be read has the prediction `REJECTED`, which is never right.
"""

from __future__ import annotations

import numpy as np

from sreclip.evaluate.accuracy import (
    Floats,
    Labels,
    Mask,
    class_mean,
    harmonic_mean,
    harmonic_means,
    predictions,
)
from sreclip.methods.scores import TOP, ImageScores

ACCURACIES = (
    "known",
    "unknown",
    "all",
    "h",
    "known_micro",
    "unknown_micro",
    "all_micro",
    "h_micro",
    "zsl",
)
METRICS = (*ACCURACIES, "top5", "ausuc", "h_oracle", "ece", "macro_f1")
# Shown where there is no room for all.
MAIN_METRICS = ("known", "unknown", "h", "all", "zsl", "ausuc", "ece")


def run_metrics(
    scores: ImageScores, ok: Mask, labels: Labels, known: Mask, ece_bins: int
) -> dict[str, float]:
    """Return all metrics of one run.

    Parameters
    ----------
    scores : ImageScores
        Of ``n_images`` images; rows of rejected ones are ignored.
    ok : ndarray
        False for rejected images, ``(n_images,)``.
    labels : ndarray
        ``(n_images,)``, class numbers.
    known : ndarray
        ``(n_classes,)``, bool.
    ece_bins : int
        Bins of the calibration error.

    Returns
    -------
    dict
        Fractions in [0, 1] by the names of `METRICS`; a metric that the labels leave undefined
        (such as those of unknown classes without an image) is absent, and so is ``top5`` with
        five classes or fewer.
    """
    predicted = predictions(scores, ok)
    right = predicted == labels
    is_known = known[labels]
    result: dict[str, float | None] = {}
    for name, images in (("known", is_known), ("unknown", ~is_known), ("all", is_known | True)):
        result[name] = class_mean(right[images], labels[images])
        result[f"{name}_micro"] = float(right[images].mean()) if images.any() else None
    result["h"] = harmonic_mean(result["known"], result["unknown"])
    result["h_micro"] = harmonic_mean(result["known_micro"], result["unknown_micro"])
    # Unknown images with only the unknown classes to choose from.
    among_unknown = (scores.unknown_class == labels) & ok
    result["zsl"] = class_mean(among_unknown[~is_known], labels[~is_known])
    among_top = (scores.top_class == labels[:, None]).any(axis=1) & ok
    result["top5"] = class_mean(among_top, labels) if len(known) > TOP else None
    result["ausuc"] = result["h_oracle"] = None
    if is_known.any() and (~is_known).any():
        curve = known_unknown_curve(scores, ok, labels, known)
        result["ausuc"] = area_under(*curve)
        # H at the bias that the labels choose: an upper bound.
        result["h_oracle"] = float(harmonic_means(*curve).max())
    result["ece"] = calibration_error(scores[ok], labels[ok], ece_bins) if ok.any() else None
    result["macro_f1"] = macro_f1(predicted, labels)
    return {name: value for name in METRICS if (value := result[name]) is not None}


def known_unknown_curve(
    scores: ImageScores, ok: Mask, labels: Labels, known: Mask
) -> tuple[Floats, Floats]:
    """Return known and unknown accuracy as a bias on unknown logits falls from +inf to -inf.

    An image goes to its best known class exactly if its margin (best known minus best unknown
    logit) is above the bias, so the curve has one step per margin and is exact. Both are class
    means, ``(n_margins + 1,)``; known rises from 0, unknown falls to 0.
    """
    margin = np.where(ok, scores.margin, 0)
    is_known = known[labels]
    right_among_known = scores.known_class == labels
    right_among_unknown = scores.unknown_class == labels
    counts = np.bincount(labels, minlength=len(known))
    present = counts > 0
    weight = 1 / np.maximum(counts, 1)[labels]
    gain = weight * (is_known & right_among_known & ok) / max(1, (present & known).sum())
    loss = weight * (~is_known & right_among_unknown & ok) / max(1, (present & ~known).sum())
    steps, position = np.unique(-margin, return_inverse=True)
    rise = np.bincount(position, weights=gain, minlength=len(steps))
    fall = np.bincount(position, weights=loss, minlength=len(steps))
    known_accuracy = np.concatenate([[0.0], np.cumsum(rise)])
    unknown_accuracy = loss.sum() - np.concatenate([[0.0], np.cumsum(fall)])
    return known_accuracy, np.maximum(unknown_accuracy, 0.0)


def area_under(known_accuracy: Floats, unknown_accuracy: Floats) -> float:
    """Return the area under the known/unknown curve, by trapezoids."""
    return float(np.trapezoid(unknown_accuracy, known_accuracy))


def calibration_error(scores: ImageScores, labels: Labels, bins: int) -> float:
    """Return the expected calibration error of the largest softmax value, equal-width bins."""
    confidence = scores.confidence
    right = scores.top_class[:, 0] == labels
    position = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(position, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def macro_f1(predicted: Labels, labels: Labels) -> float:
    """Return the mean over the classes that have images of ``2 right / (images + predictions)``."""
    n_classes = int(max(labels.max(), predicted.max())) + 1
    images, given, right = (
        np.bincount(numbers, minlength=n_classes)
        for numbers in (labels, predicted[predicted >= 0], labels[predicted == labels])
    )
    present = images > 0
    return float((2 * right[present] / (images + given)[present]).mean())
