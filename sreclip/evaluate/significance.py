"""Differences between methods, and whether another draw of test images could undo them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from sreclip.errors import StoreError
from sreclip.evaluate.reference import REFERENCE
from sreclip.evaluate.statistics import DIFFERENCE_METRICS, holm, paired_bootstrap
from sreclip.files import read_csv
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGNIFICANCE = "significance.csv"
ZERO_SHOT = "zero_shot"
ReferenceKind = Literal["zero_shot", "best_baseline"]


@dataclass(frozen=True)
class Comparison:
    """A row of `SIGNIFICANCE`: one method against one reference in one metric.

    Attributes
    ----------
    reference, reference_kind : str
        A method, and why it is the reference.
    method, metric : str
    difference : float
        The method's mean over seeds minus the reference's, a share.
    low, high : float or None
        Bootstrap interval; None where every resample gives the same difference.
    p : float
        Two-sided.
    p_holm : float
        Adjusted for the methods that are held against this reference in this metric.
    """

    reference: str
    reference_kind: ReferenceKind
    method: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float

    def mark(self, confidence: float) -> str:
        """``better`` or ``worse`` where the adjusted p is below ``1 - confidence``."""
        if self.p_holm >= 1 - confidence:
            return ""
        return "better" if self.difference > 0 else "worse"


COLUMNS = tuple(field.name for field in fields(Comparison))


def best_baseline(evaluations: Sequence[Mapping[str, Any]]) -> str | None:
    """The baseline with the highest mean H, other than zero_shot.

    Where the labels leave H undefined, the metric that is left decides. The choice looks at the
    target labels, which is the baseline's advantage: a method is held against the one that did best
    on these very images.
    """
    baselines = [e for e in evaluations if e["baseline"] and e["method"] != ZERO_SHOT]
    for metric in ("h", "known", "unknown"):
        means = {
            e["method"]: e["metrics"][metric]["mean"] for e in baselines if metric in e["metrics"]
        }
        if means:
            return max(means, key=means.__getitem__)
    return None


def pairs(evaluations: Sequence[Mapping[str, Any]]) -> dict[tuple[str, ReferenceKind], list[str]]:
    """Which methods are held against which reference.

    Every other method against zero_shot where that was run, and all but zero_shot against the best
    baseline: those two meet once.
    """
    names = [evaluation["method"] for evaluation in evaluations]
    best = best_baseline(evaluations)
    found: dict[tuple[str, ReferenceKind], list[str]] = {}
    if ZERO_SHOT in names:
        found[ZERO_SHOT, "zero_shot"] = [name for name in names if name != ZERO_SHOT]
    if best is not None:
        found[best, "best_baseline"] = [name for name in names if name not in (ZERO_SHOT, best)]
    return {reference: methods for reference, methods in found.items() if methods}


def compare_pairs(plan: Plan, evaluations: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Compare every method with zero_shot and with the best baseline, in each metric.

    Parameters
    ----------
    plan : Plan
        ``evaluate.bootstrap`` resamples, ``evaluate.bootstrap_seed``, ``evaluate.confidence``.
    evaluations : sequence of Mapping
        ``evaluation.json`` of each method.

    Returns
    -------
    list of Comparison
        By reference, metric and method; none without resamples or without pairs, and none under
        the protocol ``reference``, whose numbers are of no one set of predictions.

    Raises
    ------
    StoreError
        Predictions are missing, damaged, or not of the same pictures.
    """
    settings = plan.params.evaluate
    wanted = pairs(evaluations)
    if not settings.bootstrap or settings.protocol == REFERENCE or not wanted:
        return []
    right, labels = _read_right(plan, evaluations)
    known = np.array(evaluations[0]["known"], dtype=bool)
    bootstrap = paired_bootstrap(right, labels, known, settings.bootstrap, settings.bootstrap_seed)
    rows = []
    for (reference, kind), methods in wanted.items():
        for metric in DIFFERENCE_METRICS:
            if metric not in bootstrap.observed:
                continue
            found = [
                bootstrap.difference(method, reference, metric, settings.confidence)
                for method in methods
            ]
            adjusted = holm([difference.p for difference in found])
            rows += [
                Comparison(reference, kind, method, metric, **asdict(difference), p_holm=p)
                for method, difference, p in zip(methods, found, adjusted, strict=True)
            ]
    return rows


def _read_right(
    plan: Plan, evaluations: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.int64]]:
    """Which labelled images each method gets right with each seed, and their labels."""
    right: dict[str, NDArray[np.bool_]] = {}
    rows: NDArray[np.int64] | None = None
    for evaluation in evaluations:
        name = evaluation["method"]
        path = plan.evaluation(name)["predictions.parquet"]
        frame = _read_predictions(path, name, evaluation["seeds"])
        these = frame[["row_id", "label"]].to_numpy(dtype=np.int64)
        if rows is None:
            rows = these
            labelled = rows[:, 1] >= 0
        elif not np.array_equal(rows, these):
            raise StoreError(
                f"{path}: the pictures or labels are not those of the other methods",
                f"delete it and make it again with: sreclip evaluate {name}",
            )
        predicted = frame.drop(columns=["row_id", "label"]).to_numpy()[labelled]
        right[name] = (predicted == rows[labelled, 1:]).T
    assert rows is not None
    return right, rows[labelled, 1]


def _read_predictions(path: Path, method: str, seeds: Sequence[int]) -> Any:
    import pandas as pd

    made_by = f"make it with: sreclip evaluate {method}"
    if not path.exists():
        raise StoreError(f"{path} is missing", made_by)
    columns = ["row_id", "label", *(f"predicted_seed_{seed}" for seed in seeds)]
    try:
        return pd.read_parquet(path, engine="pyarrow", columns=columns)
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({error})", f"delete it; {made_by}") from error


def read_significance(path: Path) -> list[Comparison]:
    """Read the table that ``compare`` writes.

    Raises
    ------
    StoreError
        It is missing or damaged.
    """
    return read_csv(
        path,
        lambda rows: [_from_text(row) for row in rows],
        what="differences",
        made_by="sreclip compare",
    )


def _from_text(row: Mapping[str, str]) -> Comparison:
    low, high = (float(row[name]) if row[name] else None for name in ("low", "high"))
    return Comparison(
        reference=row["reference"],
        reference_kind=cast("ReferenceKind", row["reference_kind"]),
        method=row["method"],
        metric=row["metric"],
        difference=float(row["difference"]),
        low=low,
        high=high,
        p=float(row["p"]),
        p_holm=float(row["p_holm"]),
    )
