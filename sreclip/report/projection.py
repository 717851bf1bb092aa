"""Many dimensions in a plane: principal axes, or UMAP."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import ConfigError

# UMAP takes this many principal axes, as its authors advise where there are hundreds.
MOST_DIMENSIONS = 50
# With fewer images UMAP has no neighbours to speak of; its own default looks at 15.
FEWEST_FOR_UMAP = 20


@dataclass(frozen=True)
class Projection:
    """Places in the plane, ``(n, 2)``; what each axis is called."""

    places: NDArray[np.float64]
    axes: tuple[str, str]


def project(
    features: NDArray[np.float64], how: Literal["pca", "umap"], seed: int = 0
) -> Projection:
    """Return where rows lie in the plane.

    ``umap`` (McInnes et al., 2018, arXiv 1802.03426) keeps neighbours together, and its distances
    between groups mean little; where there are fewer than 20 rows, ``pca`` takes its place. The
    same rows and seed give the same places on one machine. Raises `ConfigError` where umap-learn
    is not installed.
    """
    if how == "umap" and len(features) >= FEWEST_FOR_UMAP:
        return Projection(_umap(features, seed), ("UMAP, first axis", "UMAP, second axis"))
    places, shares = principal_axes(features)
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
    return Projection(
        places, (f"first principal axis, {first}", f"second principal axis, {second}")
    )


def require_umap() -> None:
    """Raise `ConfigError` where umap-learn is not installed."""
    if importlib.util.find_spec("umap") is None:
        raise ConfigError(
            "report.map is umap, and umap-learn is not installed",
            "pip install umap-learn, or set report.map: pca",
        )


def _umap(features: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    require_umap()
    from umap import UMAP

    centred = features - features.mean(axis=0)
    if centred.shape[1] > MOST_DIMENSIONS:
        _, _, axes = np.linalg.svd(centred, full_matrices=False)
        centred = centred @ axes[:MOST_DIMENSIONS].T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its libraries, on versions to come
        return np.asarray(UMAP(random_state=seed, n_jobs=1).fit_transform(centred), np.float64)


def principal_axes(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the places on the two axes of the largest variance, and their shares of it.

    The sign of an axis is that which makes its largest place positive, so that it does not depend
    on the library.
    """
    centred = features - features.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2))
    places[:, : min(2, len(lengths))] = (left * lengths)[:, :2]
    largest = np.abs(places).argmax(axis=0)
    places *= np.where(places[largest, [0, 1]] < 0, -1, 1)
    variance = np.append(lengths**2, [0.0, 0.0])
    total = max(float(variance.sum()), np.finfo(float).tiny)
    return places, (float(variance[0]) / total, float(variance[1]) / total)
