"""Whether two methods differ by more than chance: a paired permutation test over images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.accuracy import harmonic_means
from sreclip.evaluate.statistics import CELLS, ROUNDING

Right = NDArray[np.bool_]


def permutation_p(
    a: Right, b: Right, labels: NDArray[np.int64], known: NDArray[np.bool_], n: int, seed: int
) -> dict[str, float]:
    """Return two-sided p values by metric: "known", "unknown" and "h", as far as labels allow.

    If two methods are equally good, on any image their answers could as well be the other way
    round. In each of ``n`` permutations they are exchanged on every image with probability 1/2,
    with all seeds together, and d_b is the difference that results; with d the observed one

        p = (1 + #{|d_b| >= |d|}) / (n + 1)

    (Fisher's randomization test; for paired predictions Noreen, "Computer-Intensive Methods for
    Testing Hypotheses", 1989). It holds its level with any number of images, of classes with one
    image, too. Metrics are those of `paired_bootstrap`.

    ``a`` and ``b`` say which images each method gets right with each of its seeds,
    ``(n_seeds, n_images)``; ``known`` is ``(n_classes,)``. Methods of different numbers of seeds
    are compared by their means over seeds, H by the H of these.
    """
    runs = [np.asarray(each, dtype=np.float64) for each in (a, b)]
    if len(a) != len(b):
        runs = [each.mean(axis=0, keepdims=True) for each in runs]
    counts = np.bincount(labels, minlength=len(known))
    sides = {
        name: each
        for name, each in (("known", known), ("unknown", ~known))
        if (each & (counts > 0)).any()
    }
    # What an image counts in the mean over the classes of its side, (n_sides, n_images).
    weights = np.stack(
        [side[labels] / counts[labels] / (side & (counts > 0)).sum() for side in sides.values()]
    )
    # Accuracies, (n_sides, n_seeds, 1).
    means = [np.einsum("ki,si->ks", weights, run)[..., None] for run in runs]
    gain = runs[1] - runs[0]
    apart = (gain != 0).any(axis=0)
    # What exchanging an image adds to the first method, (n_sides * n_seeds, n_apart).
    moves = weights[:, None, apart] * gain[None, :, apart]
    moves = moves.reshape(len(weights) * len(gain), int(apart.sum()))
    # Images that add the same are exchanged together: how many of them, is binomial.
    moves, sizes = np.unique(moves, axis=1, return_counts=True)
    observed = _differences(means[0], means[1])
    exceeded = np.zeros(len(observed))
    rng = np.random.default_rng(seed)
    rows = max(1, CELLS // max(len(sizes), 1))
    for start in range(0, n, rows):
        exchanged = rng.binomial(sizes, 0.5, size=(min(rows, n - start), len(sizes)))
        moved = (moves @ exchanged.T).reshape(*means[0].shape[:2], -1)
        found = _differences(means[0] + moved, means[1] - moved)
        exceeded += (np.abs(found) >= np.abs(observed) - ROUNDING).sum(axis=1)
    names = [*sides, "h"] if len(sides) == 2 else list(sides)
    return dict(zip(names, ((1 + exceeded) / (n + 1)).tolist(), strict=True))


def _differences(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the differences of each side and of H, means over seeds, ``(n_metrics, n)``."""
    found = [*(a - b).mean(axis=1)]
    if len(a) == 2:
        found.append((harmonic_means(a[0], a[1]) - harmonic_means(b[0], b[1])).mean(axis=0))
    return np.stack(found)
