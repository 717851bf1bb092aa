"""The protocol ``reference``: how SRE-CLIP's authors evaluate, to compare with published numbers.

Each metric is taken at its own best checkpoint on the test labels, and a method whose predictions
depend on the batch is scored on batches sorted by class. After ``train_clip_AwA.py`` and
``dataset.py`` of ``yjainqdc/SRECLIP``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.metrics import ACCURACIES
from sreclip.plan.labels import REFERENCE

LAST = "last"
# Batch size of the authors' test loaders, whatever that of training.
BATCH_SIZE = 512


def protocol_warning(checkpoints: int) -> str:
    """Return the warning that belongs to every number of the protocol, for `train.checkpoints`."""
    chosen = (
        "each metric at its own best checkpoint on the TEST labels"
        if checkpoints
        else "each metric at the last step, since no checkpoint was kept (train.checkpoints is 0)"
    )
    return (
        f"evaluated the authors' way (evaluate.protocol: {REFERENCE}): class-sorted batches, which "
        f"leak label information to attention over the batch; {chosen}; for comparison with "
        "published numbers only, never a result"
    )


def class_sorted_batches(
    labels: NDArray[np.int64], known: NDArray[np.bool_]
) -> list[NDArray[np.int64]]:
    """Cut images into batches by class; known, unknown and unlabelled ones share no batch.

    ``labels`` are the true classes, -1 without a label, ``(n_images,)``; the result is row numbers,
    each in one batch of at most `BATCH_SIZE`.
    """
    is_known = (labels >= 0) & known[labels]
    batches = []
    for group in (is_known, (labels >= 0) & ~is_known, labels < 0):
        rows = np.flatnonzero(group)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        batches += [rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE)]
    return batches


def best_of(
    metrics: Mapping[int | str, Mapping[str, float]],
) -> tuple[dict[str, float], dict[str, int | str]]:
    """Take each of `ACCURACIES` at its own best step, the first of equals, and others at the last.

    From metrics by step, the last step last, to values by metric and the step of each of
    `ACCURACIES`.
    """
    last = metrics[LAST]
    steps = {
        name: max(metrics, key=lambda step: metrics[step][name])
        for name in ACCURACIES
        if name in last
    }
    return {name: metrics[steps.get(name, LAST)][name] for name in last}, steps
