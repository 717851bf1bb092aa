"""What predictions tell without any label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.accuracy import REJECTED, Labels, Mask
from sreclip.evaluate.statistics import summarise
from sreclip.methods.scores import ImageScores


def next_classes(run: ImageScores) -> dict[str, NDArray[Any]]:
    """Return the classes after the likeliest and their probabilities, by ranks from 2 on."""
    p = np.exp(run.top_logit - run.log_sum[:, None])
    columns = {}
    for rank in range(1, run.top_class.shape[1]):
        columns[f"class_{rank + 1}"] = run.top_class[:, rank]
        columns[f"probability_{rank + 1}"] = p[:, rank]
    return columns


def summarise_predictions(
    predicted: Sequence[Labels],
    confidence: Sequence[NDArray[np.floating]],
    known: Mask,
    level: float,
) -> dict[str, Any]:
    """Return what the predictions of each seed say of all target images, labelled or not.

    Parameters
    ----------
    predicted : sequence of ndarray
        Classes of each seed, `REJECTED` for an image that was not readable, ``(n_images,)``.
    confidence : sequence of ndarray
        Largest softmax value of each image, ``(n_images,)``.
    known : ndarray
        ``(n_classes,)``, bool.
    level : float
        Confidence level of the intervals.

    Returns
    -------
    dict
        ``n_images`` and ``n_rejected``; ``counts``, images of each class, mean over seeds; of the
        readable images ``unknown``, the fraction that is given an unknown class, and
        ``confidence``, the mean, both as `summarise` writes them, and ``agreement``, the fraction
        that is given one class with every seed. None without a readable image; ``agreement`` also
        with one seed.
    """
    ok = predicted[0] != REJECTED
    runs = np.stack(predicted)[:, ok]
    counts = np.bincount(runs.ravel(), minlength=len(known)) / len(runs)
    found: dict[str, Any] = {
        "n_images": len(ok),
        "n_rejected": int((~ok).sum()),
        "counts": counts.tolist(),
        "unknown": None,
        "confidence": None,
        "agreement": None,
    }
    if ok.any():
        shares = [float((~known[run]).mean()) for run in runs]
        means = [float(values[ok].mean(dtype=np.float64)) for values in confidence]
        found["unknown"] = summarise(shares, level)
        found["confidence"] = summarise(means, level)
        if len(runs) > 1:
            found["agreement"] = float((runs == runs[0]).all(axis=0).mean())
    return found
