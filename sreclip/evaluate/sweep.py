"""The tidy table of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sreclip.errors import DataError, StoreError
from sreclip.evaluate.stored import read_evaluation
from sreclip.files import atomic_path
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import Combination, Sweep

if TYPE_CHECKING:
    import pandas as pd

MADE_BY = "snakemake --cores all sweep"


def tabulate_sweep(plan: Plan) -> None:
    """Write the tidy table, one row per combination, seed and metric.

    Columns: ``task``, ``backbone``, ``method``, ``title``, ``unknown`` (the split, joined by
    ``+``), ``variant``, ``ablated``, ``selection``, ``protocol``, ``seed``, ``metric``,
    ``value``. Raises `StoreError` if an evaluation is missing or damaged, `DataError` if no target
    image has a label.
    """
    import pandas as pd

    if not plan.n_target_labels:
        raise DataError(
            "a sweep compares accuracies, and no target image has a label",
            "label some images with: sreclip label",
        )
    sweep = Sweep(plan)
    frame = pd.DataFrame([row for item in sweep.combinations for row in _rows(item)])
    with atomic_path(sweep.table["sweep.csv"]) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    with atomic_path(sweep.table["sweep.parquet"]) as temporary:
        frame.to_parquet(temporary, index=False)


def _rows(item: Combination) -> Iterator[dict[str, Any]]:
    evaluation = read_evaluation(item.plan.evaluation(item.method), MADE_BY)
    about = {
        "task": item.plan.params.task.name,
        "backbone": item.plan.params.backbone.label,
        "method": item.method,
        "title": evaluation.title,
        "unknown": "+".join(item.unknown),
        "variant": item.variant,
        "ablated": item.ablated,
        "selection": evaluation.selection,
        "protocol": evaluation.protocol["name"],
    }
    for seed, run in zip(evaluation.seeds, evaluation.runs, strict=True):
        for metric, value in run.items():
            yield {**about, "seed": seed, "metric": metric, "value": value}


def read_sweep(plan: Plan) -> pd.DataFrame:
    """Read the tidy table of the present ``sweep`` section; `StoreError` if it is missing."""
    import pandas as pd

    path = Sweep(plan).table["sweep.parquet"]
    if not path.exists():
        raise StoreError(f"{path} is missing", f"make it with: {MADE_BY}")
    return pd.read_parquet(path)
