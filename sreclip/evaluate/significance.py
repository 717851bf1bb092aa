"""Differences between methods, and whether another draw of test images could undo them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.evaluate.permutation import permutation_p
from sreclip.evaluate.statistics import holm, paired_bootstrap
from sreclip.evaluate.stored import ZERO_SHOT, Evaluation, predicted_column, read_predictions
from sreclip.files import read_csv
from sreclip.plan.results import Result

SIGNIFICANCE = "significance.csv"
BEST_BASELINE = "best_baseline"


@dataclass(frozen=True)
class Comparison:
    """A row of `SIGNIFICANCE`: one method against one reference in one metric."""

    reference: str
    reference_kind: str  # ZERO_SHOT or BEST_BASELINE
    method: str
    metric: str
    # As in `sreclip.evaluate.statistics.Difference`.
    difference: float
    low: float | None
    high: float | None
    # By `sreclip.evaluate.permutation.permutation_p`.
    p: float
    # Adjusted for all methods that are compared with this reference in this metric.
    p_holm: float

    def mark(self, confidence: float) -> str:
        """Return ``better`` or ``worse`` if the adjusted p is below ``1 - confidence``."""
        if self.p_holm >= 1 - confidence:
            return ""
        return "better" if self.difference > 0 else "worse"


COLUMNS = tuple(field.name for field in fields(Comparison))


def best_baseline(evaluations: Sequence[Evaluation]) -> str | None:
    """Return the baseline with the highest mean H, other than zero_shot.

    If the labels leave H undefined, the metric that is left decides. The choice uses the target
    labels, which favours the baseline: methods are compared with the one that did best on these
    very images.
    """
    baselines = [e for e in evaluations if e.baseline and e.method != ZERO_SHOT]
    for metric in ("h", "known", "unknown"):
        means = {e.method: e.metrics[metric]["mean"] for e in baselines if metric in e.metrics}
        if means:
            return max(means, key=means.__getitem__)
    return None


def pairs(evaluations: Sequence[Evaluation]) -> dict[tuple[str, str], list[str]]:
    """Return the methods to compare with each reference.

    Every other method with zero_shot if that was run, and all but zero_shot with the best
    baseline.
    """
    names = [evaluation.method for evaluation in evaluations]
    best = best_baseline(evaluations)
    found = {}
    if ZERO_SHOT in names:
        found[ZERO_SHOT, ZERO_SHOT] = [name for name in names if name != ZERO_SHOT]
    if best is not None:
        found[best, BEST_BASELINE] = [name for name in names if name not in (ZERO_SHOT, best)]
    return {reference: methods for reference, methods in found.items() if methods}


def is_tested(evaluations: Sequence[Evaluation], resamples: int) -> bool:
    """Tell whether methods can be compared: not without labels, nor if each number is of another
    set of predictions, as under the protocol ``reference``.
    """
    return bool(resamples and evaluations[0].n_images and not evaluations[0].warning)


def compare_pairs(
    results: Sequence[Result],
    evaluations: Sequence[Evaluation],
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> list[Comparison]:
    """Compare every method with zero_shot and with the best baseline, in each metric.

    ``results`` say where the predictions of each evaluation are; with 0 resamples nothing is
    compared, nor without labels, nor under the protocol ``reference``, since its numbers do not
    belong to one set of predictions. The order is by reference, metric and method. See
    `paired_bootstrap`. Raises `StoreError` if predictions are missing, damaged, or of different
    images.
    """
    wanted = pairs(evaluations)
    if not wanted or not is_tested(evaluations, resamples):
        return []
    right, labels = read_right(results, evaluations)
    known = evaluations[0].known
    bootstrap = paired_bootstrap(right, labels, known, resamples, seed)
    rows = []
    for (reference, kind), methods in wanted.items():
        p = {
            method: permutation_p(right[method], right[reference], labels, known, resamples, seed)
            for method in methods
        }
        for metric in bootstrap.observed:
            own = [p[method][metric] for method in methods]
            for method, alone, adjusted in zip(methods, own, holm(own), strict=True):
                found = bootstrap.difference(method, reference, metric, confidence)
                rows.append(
                    Comparison(
                        reference, kind, method, metric, **asdict(found), p=alone, p_holm=adjusted
                    )
                )
    return rows


def read_right(
    results: Sequence[Result], evaluations: Sequence[Evaluation]
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.int64]]:
    """Return which labelled images each method gets right with each seed, and their labels."""
    right: dict[str, NDArray[np.bool_]] = {}
    rows: NDArray[np.int64] = np.empty((0, 2), dtype=np.int64)
    for result, evaluation in zip(results, evaluations, strict=True):
        predicted = [predicted_column(seed) for seed in evaluation.seeds]
        frame = read_predictions(result, ["row_id", "label", *predicted])
        these = frame[["row_id", "label"]].to_numpy(dtype=np.int64)
        if not right:
            rows = these
        elif not np.array_equal(rows, these):
            raise StoreError(
                f"{result['predictions.parquet']}: the images or labels are not those of the "
                "other methods",
                f"delete it and make it again with: sreclip evaluate {evaluation.method}",
            )
        labels = rows[rows[:, 1] >= 0, 1:]
        right[evaluation.method] = (frame[predicted].to_numpy()[rows[:, 1] >= 0] == labels).T
    return right, labels[:, 0]


def read_significance(path: Path) -> list[Comparison]:
    """Read the table that ``sreclip compare`` writes; `StoreError` if missing or damaged."""
    return read_csv(path, _from_text, what="differences", made_by="sreclip compare")


def _from_text(rows: Iterable[Mapping[str, str]]) -> list[Comparison]:
    return [
        Comparison(
            reference=row["reference"],
            reference_kind=row["reference_kind"],
            method=row["method"],
            metric=row["metric"],
            difference=float(row["difference"]),
            low=float(row["low"]) if row["low"] else None,
            high=float(row["high"]) if row["high"] else None,
            p=float(row["p"]),
            p_holm=float(row["p_holm"]),
        )
        for row in rows
    ]
