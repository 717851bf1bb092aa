"""Known classes that play unknown, to judge a choice without target labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hold_out_classes(
    labels: NDArray[np.int64], known: NDArray[np.bool_], holdout: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which source images are held out, and which classes are still known.

    Of the known classes, two or more, the same fraction is held out as the unknown ones are of all.
    Of each other known class the fraction ``holdout`` of the source images is held out as well, at
    least one where a class has two. Labels are ``(n_source,)``, ``known`` is ``(n_classes,)``.
    """
    classes = np.flatnonzero(known)
    fraction = (~known).mean() or 0.2
    n_pseudo = min(len(classes) - 1, max(1, round(fraction * len(classes))))
    pseudo = rng.permutation(classes)[:n_pseudo]
    held = np.isin(labels, pseudo)
    for number in np.setdiff1d(classes, pseudo):
        rows = rng.permutation(np.flatnonzero(labels == number))
        held[rows[: min(len(rows) - 1, max(1, round(holdout * len(rows))))]] = True
    still = known.copy()
    still[pseudo] = False
    return held, still
