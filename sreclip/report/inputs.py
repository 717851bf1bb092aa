"""What the page shows of each method: its evaluation and the loss terms of its fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.evaluate.metrics import confusion_table
from sreclip.files import read_csv, read_keyed
from sreclip.plan.plan import HISTORY, Plan

BASELINE = "zero_shot"


@dataclass(frozen=True)
class MethodResult:
    """One method's evaluation over all seeds.

    Attributes
    ----------
    name, title, citation : str
        Name in the parameters, display name, source.
    transductive : bool
        True when the fit saw the unlabelled target pictures.
    selection : str
        How settings were chosen: ``last``, ``pseudo_unknown`` or ``oracle``.
    metrics : Mapping
        Summary over seeds (mean, sd, low, high, n) by metric.
    curve : Mapping or None
        ``known`` and ``unknown`` accuracies; None when one kind has no picture.
    classes : sequence of str
    known : ndarray
        ``(n_classes,)``, bool.
    class_accuracy : sequence of float or None
        Mean over seeds; None for a class without a labelled target picture.
    confusion : ndarray
        ``(n_classes, n_classes + 1)``: counts over all seeds, the last column for rejected ones.
    seeds : sequence of int
    n_images, n_unlabelled, n_rejected : int
        Labelled target pictures, those without a label, labelled ones that could not be read.
    history : sequence of Mapping
        ``seed``, ``step`` and one value a loss term.
    warning : str
        What must stand beside the numbers; empty under the default protocol.
    """

    name: str
    title: str
    citation: str
    transductive: bool
    selection: str
    metrics: Mapping[str, Mapping[str, float]]
    curve: Mapping[str, Sequence[float]] | None
    classes: Sequence[str]
    known: NDArray[np.bool_]
    class_accuracy: Sequence[float | None]
    confusion: NDArray[np.integer]
    seeds: Sequence[int]
    n_images: int
    n_unlabelled: int
    n_rejected: int
    history: Sequence[Mapping[str, float]]
    warning: str = ""


def load_results(plan: Plan) -> list[MethodResult]:
    """Read all methods' results, in the order of the parameters.

    Raises
    ------
    StoreError
        A file is missing, damaged or lacks a field.
    """
    history = read_history(plan.comparison[HISTORY])
    return [_load(plan, name, history.get(name, [])) for name in plan.params.methods.run]


def _load(plan: Plan, name: str, history: Sequence[Mapping[str, float]]) -> MethodResult:
    path = plan.evaluation(name)["evaluation.json"]
    evaluation = read_keyed(path, plan.evaluation(name).key, made_by=f"sreclip evaluate {name}")
    try:
        return _from_json(evaluation, history)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is not an evaluation ({type(error).__name__}: {error})",
            f"delete it and make it again with: sreclip evaluate {name}",
        ) from error


def _from_json(value: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> MethodResult:
    names = value["classes"]
    return MethodResult(
        name=value["method"],
        title=value["title"],
        citation=value["citation"],
        transductive=value["transductive"],
        selection=value["selection"],
        metrics=value["metrics"],
        curve=value["curve"],
        classes=names,
        known=np.array(value["known"], dtype=bool),
        class_accuracy=value["class_accuracy"],
        confusion=confusion_table(value["confusion"], len(names)),
        seeds=value["seeds"],
        n_images=value["n_images"],
        n_unlabelled=value["n_unlabelled"],
        n_rejected=value["n_rejected"],
        history=history,
        warning=value["protocol"].get("warning", ""),
    )


def read_history(path: Path) -> dict[str, list[dict[str, float]]]:
    """Read the loss terms of all fits: for each method, records of seed, step and terms.

    Raises
    ------
    StoreError
        The table is missing or damaged.
    """
    return read_csv(path, _records, what="loss terms", made_by="sreclip compare")


def _records(rows: Iterable[Mapping[str, str]]) -> dict[str, list[dict[str, float]]]:
    records: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for row in rows:
        seed, step = row["seed"], row["step"]
        record = records.setdefault(row["method"], {}).setdefault((seed, step), {})
        record.update(seed=float(seed), step=float(step))
        record[row["term"]] = float(row["value"])
    return {method: list(steps.values()) for method, steps in records.items()}


def baseline_of(results: Sequence[MethodResult]) -> MethodResult | None:
    """The zero-shot result, if it is there."""
    return next((result for result in results if result.name == BASELINE), None)
