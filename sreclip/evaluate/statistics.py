"""Intervals of means over seeds, and the bootstrap of differences over test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sreclip.evaluate.accuracy import harmonic_means

# Draws in memory at a time: 16 MB, small enough to count in the processor's cache.
CELLS = 1 << 20
# Sums of equal terms in another order differ by less than this.
ROUNDING = 1e-12


def summarise(values: Sequence[float], confidence: float) -> dict[str, float]:
    """Return mean, standard deviation (ddof 1) and Student-t interval of the mean.

    By the names ``mean``, ``sd``, ``low``, ``high``, ``n``; only ``mean`` and ``n`` of one value.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return {"mean": mean, "n": 1}
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    return {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half, "n": n}


@dataclass(frozen=True)
class Difference:
    """A method's mean minus a reference's, in [-1, 1], with its percentile interval.

    Without an interval (None) if every resample gives the same difference, such as when no class
    has two images or the predictions are the same.
    """

    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Bootstrap:
    """Metrics of all methods on the observed images and on the same resamples of them."""

    # Mean over seeds by metric ("known", "unknown" and "h", if defined) and method.
    observed: dict[str, dict[str, float]]
    # The same on each resample, (n,).
    resampled: dict[str, dict[str, NDArray[np.float64]]]

    def difference(self, method: str, reference: str, metric: str, confidence: float) -> Difference:
        """Compare a method with a reference in one metric.

        The interval runs between the ``(1 - confidence) / 2`` and ``(1 + confidence) / 2``
        quantiles of the differences on the resamples (percentile interval; Efron and Tibshirani,
        "An Introduction to the Bootstrap", 1993, chapter 13).
        """
        observed, resampled = self.observed[metric], self.resampled[metric]
        difference = float(_without_rounding(np.float64(observed[method] - observed[reference])))
        samples = _without_rounding(resampled[method] - resampled[reference])
        if np.ptp(samples) < ROUNDING:
            return Difference(difference, None, None)
        low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Difference(difference, float(low), float(high))


def paired_bootstrap(
    right: Mapping[str, NDArray[np.bool_]],
    labels: NDArray[np.int64],
    known: NDArray[np.bool_],
    n: int,
    seed: int,
) -> Bootstrap:
    """Resample the images and compute every method's metrics on the same resamples.

    Images are drawn with replacement *within each class*, as many as the class has: the metrics are
    means over classes, so that every class must stay present, and the size of a class is a property
    of the test set, not chance. The resamples vary which images of each class are drawn; fits,
    seeds and the choice of classes stay as they are. With w_bi the times that image i is drawn in
    resample b and n_c the images of class c,

        accuracy_bc = sum over i in c of w_bi right_i / n_c,

    known and unknown are the means of accuracy_bc over the known and the unknown classes that have
    images, H = 2 known unknown / (known + unknown), each for one seed and then averaged over the
    method's seeds. `Bootstrap.difference` compares two methods on the same resamples (Efron and
    Tibshirani, 1993).

    The variance within a class of m images is too small by a factor (m - 1) / m: with few images
    per class, intervals are too narrow.

    ``right`` says for each method which images it gets right with each of its seeds,
    ``(n_seeds, n_images)``; ``known`` is ``(n_classes,)``, ``n`` the number of resamples. The draws
    depend on ``seed`` and ``labels`` alone: a pair of methods gets the same numbers whatever other
    methods there are. The result is without ``unknown`` and ``h`` if no image is of an unknown
    class, and so on.
    """
    names = list(right)
    stacked = np.concatenate([right[name] for name in names])
    ends = np.cumsum([len(right[name]) for name in names])
    runs = {name: slice(end - len(right[name]), end) for name, end in zip(names, ends, strict=True)}

    rng = np.random.default_rng(seed)
    # Sums of class accuracies, known classes first; row 0 is of the observed images.
    sums = np.zeros((2, n + 1, len(stacked)))
    n_classes = [0, 0]
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    for label, images in zip(classes, np.split(order, starts[1:]), strict=True):
        kind = int(not known[label])
        hits = stacked[:, images].T.astype(np.float32)
        sums[kind, 0] += hits.mean(axis=0, dtype=np.float64)
        _add_resampled(sums[kind, 1:], hits, rng)
        n_classes[kind] += 1

    values = {
        metric: sums[kind] / n_classes[kind]
        for kind, metric in enumerate(("known", "unknown"))
        if n_classes[kind]
    }
    if all(n_classes):
        values["h"] = harmonic_means(values["known"], values["unknown"])
    means = {
        metric: {name: value[:, columns].mean(axis=1) for name, columns in runs.items()}
        for metric, value in values.items()
    }
    return Bootstrap(
        {m: {name: float(mean[0]) for name, mean in found.items()} for m, found in means.items()},
        {m: {name: mean[1:] for name, mean in found.items()} for m, found in means.items()},
    )


def _add_resampled(
    total: NDArray[np.float64], hits: NDArray[np.float32], rng: np.random.Generator
) -> None:
    """Add one class's accuracy on each resample, ``(n, n_runs)``.

    How often each image is drawn is counted once for all methods, which a matrix product sums:
    small whole numbers, exact in float32 up to 16 million images per class.
    """
    size = len(hits)
    rows = max(1, CELLS // size)
    for start in range(0, len(total), rows):
        part = total[start : start + rows]
        draws = rng.integers(size, size=(len(part), size))
        draws += size * np.arange(len(part))[:, None]
        counts = np.bincount(draws.ravel(), minlength=draws.size).reshape(draws.shape)
        part += (counts.astype(np.float32) @ hits).astype(np.float64) / size


def _without_rounding(values: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.where(np.abs(values) < ROUNDING, 0.0, values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values of one family so that all can be compared with one level.

    With p_(1) <= ... <= p_(m), the adjusted value of p_(i) is the largest of
    ``min(1, (m - j + 1) p_(j))`` over ``j <= i`` (Holm, "A simple sequentially rejective multiple
    test procedure", Scandinavian Journal of Statistics 6, 1979). The chance of any false rejection
    stays at the level, however the tests depend on each other.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * p[order]))
    return adjusted.tolist()
