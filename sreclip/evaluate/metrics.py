"""Metrics of one run over the full label space, known and unknown classes together.

Per class means follow generalised zero-shot learning (Xian et al., TPAMI 2019), per image means
follow UODTN; AUSUC is Chao et al., ECCV 2016; ECE is Guo et al., ICML 2017. A picture that could
not be read has the prediction `REJECTED`, which is never right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.accuracy import (
    REJECTED,
    Floats,
    Labels,
    Mask,
    class_mean,
    harmonic_mean,
    predictions,
)
from sreclip.methods.scores import TOP, ImageScores

METRICS = (
    "known",
    "unknown",
    "all",
    "h",
    "known_micro",
    "unknown_micro",
    "all_micro",
    "h_micro",
    "zsl",
    "top5",
    "ausuc",
    "h_oracle",
    "ece",
    "macro_f1",
)


def run_metrics(
    scores: ImageScores, ok: Mask, labels: Labels, known: Mask, ece_bins: int
) -> dict[str, float]:
    """All metrics of one run.

    Parameters
    ----------
    scores : ImageScores
        Of ``n_images`` images; rows of rejected pictures are not looked at.
    ok : ndarray
        False for rejected pictures, ``(n_images,)``.
    labels : ndarray
        ``(n_images,)``, class numbers.
    known : ndarray
        ``(n_classes,)``, bool.
    ece_bins : int
        Bins of the calibration error.

    Returns
    -------
    dict
        Shares in [0, 1] by the names of `METRICS`; a metric that the labels leave undefined
        (no unknown image, say) is absent, and so is ``top5`` with five classes or fewer.
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
    result["zsl"] = zsl_accuracy(scores, ok, labels, known)
    among_top = (scores.top_class == labels[:, None]).any(axis=1) & ok
    result["top5"] = class_mean(among_top, labels) if len(known) > TOP else None
    result["ausuc"] = result["h_oracle"] = None
    if is_known.any() and (~is_known).any():
        curve = known_unknown_curve(scores, ok, labels, known)
        result["ausuc"], result["h_oracle"] = area_under(*curve), best_harmonic_mean(*curve)
    result["ece"] = calibration_error(scores[ok], labels[ok], ece_bins) if ok.any() else None
    result["macro_f1"] = macro_f1(predicted, labels)
    return {name: value for name in METRICS if (value := result[name]) is not None}


def zsl_accuracy(scores: ImageScores, ok: Mask, labels: Labels, known: Mask) -> float | None:
    """Class mean over unknown images with only the unknown classes to choose from."""
    images = ~known[labels]
    right = (scores.unknown_class == labels) & ok
    return class_mean(right[images], labels[images])


def known_unknown_curve(
    scores: ImageScores, ok: Mask, labels: Labels, known: Mask
) -> tuple[Floats, Floats]:
    """Class-mean known and unknown accuracy as a bias on unknown logits falls from +inf to -inf.

    An image goes to its best known class exactly when its margin (best known minus best unknown
    logit) is above the bias, so the curve has one step a margin and is exact.

    Returns
    -------
    known_accuracy, unknown_accuracy : ndarray
        Known rises from 0, unknown falls to 0; both ``(n_margins + 1,)``.
    """
    margin = np.where(ok, scores.margin, 0)
    is_known = known[labels]
    right_among_known = scores.known_class == labels
    right_among_unknown = scores.unknown_class == labels
    counts = np.bincount(labels, minlength=len(known))
    present = counts > 0
    share = 1 / np.maximum(counts, 1)[labels]
    gain = share * (is_known & right_among_known & ok) / max(1, (present & known).sum())
    loss = share * (~is_known & right_among_unknown & ok) / max(1, (present & ~known).sum())
    steps, position = np.unique(-margin, return_inverse=True)
    rise = np.bincount(position, weights=gain, minlength=len(steps))
    fall = np.bincount(position, weights=loss, minlength=len(steps))
    known_accuracy = np.concatenate([[0.0], np.cumsum(rise)])
    unknown_accuracy = loss.sum() - np.concatenate([[0.0], np.cumsum(fall)])
    return known_accuracy, np.maximum(unknown_accuracy, 0.0)


def area_under(known_accuracy: Floats, unknown_accuracy: Floats) -> float:
    """Area under the known/unknown curve, by trapezoids."""
    return float(np.trapezoid(unknown_accuracy, known_accuracy))


def best_harmonic_mean(known_accuracy: Floats, unknown_accuracy: Floats) -> float:
    """H at the best bias on unknown logits: an upper bound, since the labels choose the bias."""
    total = known_accuracy + unknown_accuracy
    product = 2 * known_accuracy * unknown_accuracy
    return float(np.divide(product, total, out=np.zeros_like(total), where=total > 0).max())


def calibration_error(scores: ImageScores, labels: Labels, bins: int) -> float:
    """Expected calibration error of the largest softmax value, equal-width bins."""
    confidence = scores.confidence
    right = scores.top_class[:, 0] == labels
    position = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(position, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(labels))


def macro_f1(predicted: Labels, labels: Labels) -> float:
    """Mean F1 over the classes that have images."""
    from sklearn.metrics import f1_score

    return float(
        f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    )


def confusion(predicted: Labels, labels: Labels, n_classes: int) -> Labels:
    """How often a class was taken for another: rows of true class, prediction and count.

    Only pairs that occur, in order: for 5,000 classes a full table would be 25 million numbers,
    nearly all of them 0. ``(n_pairs, 3)``; a rejected picture's prediction is ``n_classes``.
    """
    columns = np.where(predicted == REJECTED, n_classes, predicted)
    pairs, counts = np.unique(labels * (n_classes + 1) + columns, return_counts=True)
    return np.stack([*np.divmod(pairs, n_classes + 1), counts], axis=1)


def confusion_table(entries: Labels, n_classes: int) -> NDArray[np.int32]:
    """Give the counts of `confusion` as ``(n_classes, n_classes + 1)``."""
    table = np.zeros((n_classes, n_classes + 1), dtype=np.int32)
    actual, predicted, counts = np.asarray(entries, dtype=np.int64).reshape(-1, 3).T
    table[actual, predicted] = counts
    return table
