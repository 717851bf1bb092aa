"""Images of both domains that are nearly the same, and target images unlike all others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.features.images import ImageFeatures

# Images that all others are compared with: a random part where there are more.
MOST_REFERENCES = 16_384
CHUNK = 4096
# Least cosine of features of nearly the same image.
NEAR = 0.9
NEIGHBOURS = 10

Rows = NDArray[np.int64]


class Pair(NamedTuple):
    """Rows of a source and a target image, and the cosine of their features."""

    source: int
    target: int
    cosine: float


class Outlier(NamedTuple):
    """Row of a target image, and its mean cosine to its nearest neighbours in the target."""

    target: int
    cosine: float


class Neighbours(NamedTuple):
    """What was found, nearest pairs and farthest outliers first.

    ``n_source`` and ``n_target`` are the images that the target was compared with.
    """

    pairs: list[Pair]
    outliers: list[Outlier]
    n_source: int
    n_target: int


def find_neighbours(
    source: ImageFeatures, target: ImageFeatures, most: int, seed: int = 0
) -> Neighbours:
    """Compare all target images with source and target images, in chunks.

    Finds at most ``most`` pairs of cosine `NEAR` or more, one per target image, and as many
    outliers: the images of the smallest mean cosine to their `NEIGHBOURS` nearest others (Ramaswamy
    et al., SIGMOD 2000; on features of deep networks Sun et al., ICML 2022). In a target of fewer
    than ten times `NEIGHBOURS` images no image is called an outlier.
    """
    rng = np.random.default_rng(seed)
    of_source, of_target = (_references(each, rng) for each in (source, target))
    images = np.flatnonzero(target.ok)
    pairs: list[Pair] = []
    outliers: list[Outlier] = []
    for start in range(0, len(images), CHUNK):
        rows = images[start : start + CHUNK]
        features = _features(target, rows)
        row_ids = target.row_id[rows]
        if len(of_source):
            cosines = features @ _features(source, of_source).T
            best = cosines.argmax(axis=1)
            near = cosines[np.arange(len(rows)), best]
            pairs += [
                Pair(int(source.row_id[of_source[best[at]]]), int(row_ids[at]), float(near[at]))
                for at in np.flatnonzero(near >= NEAR)
            ]
            pairs = sorted(pairs, key=lambda pair: -pair.cosine)[:most]
        if len(of_target) > 10 * NEIGHBOURS:
            cosines = features @ _features(target, of_target).T
            cosines[rows[:, None] == of_target[None, :]] = -np.inf
            nearest = np.partition(cosines, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:].mean(axis=1)
            outliers += [
                Outlier(int(row), float(cosine))
                for row, cosine in zip(row_ids, nearest, strict=True)
            ]
            outliers = sorted(outliers, key=lambda outlier: outlier.cosine)[:most]
    return Neighbours(pairs, outliers, len(of_source), len(of_target))


def _references(images: ImageFeatures, rng: np.random.Generator) -> Rows:
    rows = np.flatnonzero(images.ok)
    if len(rows) > MOST_REFERENCES:
        rows = np.sort(rng.choice(rows, MOST_REFERENCES, replace=False))
    return rows


def _features(images: ImageFeatures, rows: Rows) -> NDArray[np.float32]:
    return np.asarray(images.features[rows], dtype=np.float32)
