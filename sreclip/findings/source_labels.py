"""Source images whose label looks wrong."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.features.images import ImageFeatures

FOLDS = 5
# Images that are looked at, drawn evenly by class where there are more.
MOST_IMAGES = 20_000
# With fewer held-out images right the classes cannot be told apart, and nothing is said.
LEAST_ACCURACY = 0.6

Labels = NDArray[np.int64]


class Suspect(NamedTuple):
    """Row of a source image, its label, and the class that it looks like with its probability."""

    source: int
    label: int
    looks_like: int
    probability: float


class SourceLabels(NamedTuple):
    """Suspects, the most certain first, and what they were found with.

    ``accuracy`` is the fraction of the ``n_images`` looked at whose held-out prediction is their
    label; None where nothing could be held out.
    """

    suspects: list[Suspect]
    accuracy: float | None
    n_images: int


def find_suspects(source: ImageFeatures, labels: Labels, most: int, seed: int = 0) -> SourceLabels:
    r"""Find labels that held-out predictions contradict, by confident learning.

    Each fold is predicted by a linear discriminant analysis (shrunk covariance; Ledoit and Wolf,
    2004) of the others: probabilities :math:`p_{ic}`. With :math:`t_c` the mean of :math:`p_{ic}`
    over the images labelled c, an image is suspect if among the classes with
    :math:`p_{ic} \ge t_c` the likeliest is not its label (Northcutt et al., "Confident Learning",
    JAIR 70, 2021); the order is that of :math:`p_{i, label} - \max_c p_{ic}`. Below
    `LEAST_ACCURACY` no suspect is named. Classes of one image cannot be held out.

    ``labels``, ``(n_rows,)``, are those of all rows of ``source``.
    """
    rows = _drawn(source.ok, labels, seed)
    own = labels[rows]
    classes, at = np.unique(own, return_inverse=True)
    if len(classes) < 2:
        return SourceLabels([], None, 0)
    p = _held_out(np.asarray(source.features[rows], dtype=np.float32), at, seed)
    images = np.arange(len(at))
    accuracy = float((p.argmax(axis=1) == at).mean())
    if accuracy < LEAST_ACCURACY:
        return SourceLabels([], accuracy, len(at))
    thresholds = np.array([p[at == c, c].mean() for c in range(len(classes))])
    confident = np.where(p >= thresholds, p, -1.0)
    like = confident.argmax(axis=1)
    suspect = (confident.max(axis=1) >= 0) & (like != at)
    margin = p[images, at] - p.max(axis=1)
    found = images[suspect][np.argsort(margin[suspect], kind="stable")]
    return SourceLabels(
        [
            Suspect(
                int(source.row_id[rows[i]]),
                int(own[i]),
                int(classes[like[i]]),
                float(p[i, like[i]]),
            )
            for i in found[:most]
        ],
        accuracy,
        len(at),
    )


def _drawn(ok: NDArray[np.bool_], labels: Labels, seed: int) -> Labels:
    """Return rows of the classes with at least two images, `MOST_IMAGES` or little more."""
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(ok))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    _, starts, counts = np.unique(labels[rows], return_index=True, return_counts=True)
    several = counts > 1
    most = max(2, MOST_IMAGES // max(int(several.sum()), 1))
    rank = np.arange(len(rows)) - np.repeat(starts, counts)
    return np.sort(rows[np.repeat(several, counts) & (rank < most)])


def _held_out(features: NDArray[np.float32], labels: Labels, seed: int) -> NDArray[np.float32]:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(labels).max()))
    p = np.zeros((len(labels), labels.max() + 1), dtype=np.float32)
    cut = StratifiedKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(cut.split(features, labels))
    for rest, part in parts:
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
        model.fit(features[rest], labels[rest])
        p[np.ix_(part, model.classes_)] = model.predict_proba(features[part])
    return p
