"""Confusion counts as entries of a sparse table, and as the whole table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def confusion(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """Count how often each class was predicted for each class.

    Returns true class, prediction and count of each pair that occurs, in order, ``(n_pairs, 3)``; a
    rejected image has the prediction ``n_classes``. For 5,000 classes the whole table would be 25
    million numbers, nearly all of them 0.
    """
    columns = np.where(predicted < 0, n_classes, predicted)
    pairs, counts = np.unique(labels * (n_classes + 1) + columns, return_counts=True)
    return np.stack([*np.divmod(pairs, n_classes + 1), counts], axis=1)


def confusion_table(
    entries: NDArray[np.int64] | Sequence[Sequence[int]], n_classes: int
) -> NDArray[np.int32]:
    """Return the counts of `confusion` as ``(n_classes, n_classes + 1)``."""
    table = np.zeros((n_classes, n_classes + 1), dtype=np.int32)
    actual, predicted, counts = np.asarray(entries, dtype=np.int64).reshape(-1, 3).T
    table[actual, predicted] = counts
    return table
