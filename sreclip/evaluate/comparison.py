"""Put the evaluations of all methods into one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from sreclip.evaluate import literature
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.reference import REFERENCE, protocol_warning
from sreclip.evaluate.significance import COLUMNS, SIGNIFICANCE, compare_pairs
from sreclip.files import read_keyed, write_json, write_text
from sreclip.plan.plan import HISTORY, Plan

TRAINING_POINTS = 100
TRAINING_COLUMNS = ("method", "term", "step", "value")
MAIN_METRICS = ("known", "unknown", "h", "ausuc")


def compare_methods(plan: Plan) -> None:
    """Write ``metrics.json``, ``means.json``, `HISTORY` and what `sreclip.provenance.stamps` names.

    ``metrics.json`` holds numbers only, nested as task, backbone, method, metric and one of
    mean, sd, low, high, n; where ``evaluate.protocol`` is ``reference`` its ``protocol`` says so.
    ``means.json`` holds the means of `MAIN_METRICS` alone, few enough for
    the columns of ``dvc exp show``. ``significance.csv`` holds the rows of `compare_pairs`, and
    nothing but its header when ``evaluate.bootstrap`` is 0 or the protocol is ``reference``;
    ``literature.csv`` holds the published numbers of the same problem.

    Raises
    ------
    StoreError
        A method's evaluation is missing or damaged, or was made on other pictures.
    """
    evaluations = [
        read_keyed(
            plan.evaluation(name)["evaluation.json"],
            plan.evaluation(name).key,
            made_by=f"sreclip evaluate {name}",
        )
        for name in plan.params.methods.run
    ]
    folder = plan.comparison.path
    write_csv(folder / "results.csv", _result_rows(evaluations))
    write_csv(folder / "curves.csv", _curve_rows(evaluations))
    write_csv(folder / "per_class.csv", _class_rows(evaluations))
    write_csv(folder / "confusion.csv", _confusion_rows(evaluations[-1]))
    differences = [asdict(row) for row in compare_pairs(plan, evaluations)]
    write_csv(folder / SIGNIFICANCE, differences, COLUMNS)
    names = [entry.name for entry in plan.classes]
    task, methods = plan.params.task.name, plan.params.methods.run
    published = literature.published_numbers(task, names, plan.known, methods)
    write_csv(folder / literature.LITERATURE, [asdict(n) for n in published], literature.COLUMNS)
    history = _history_rows(plan, evaluations)
    write_csv(folder / HISTORY, history)
    write_csv(folder / "training.csv", _training_rows(history), TRAINING_COLUMNS)
    backbone = plan.params.backbone.label
    numbers = {evaluation["method"]: evaluation["metrics"] for evaluation in evaluations}
    write_json(folder / "means.json", _means(numbers))
    metrics: dict[str, Any] = {task: {backbone: numbers}}
    if plan.params.evaluate.protocol == REFERENCE:
        metrics["protocol"] = {
            "name": REFERENCE,
            "warning": protocol_warning(plan.params.train.checkpoints),
        }
    write_json(folder / "metrics.json", metrics)


def _result_rows(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "method": evaluation["method"],
            "selection": evaluation["selection"],
            "protocol": evaluation["protocol"]["name"],
            "metric": name,
            **evaluation["metrics"][name],
        }
        for evaluation in evaluations
        for name in METRICS
        if name in evaluation["metrics"]
    ]


def _curve_rows(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a point of known accuracy, one column of unknown accuracy a method."""
    curves = {e["method"]: e["curve"] for e in evaluations if e["curve"]}
    if not curves:
        return []
    grid = next(iter(curves.values()))["known"]
    return [
        {"known": known, **{method: curve["unknown"][row] for method, curve in curves.items()}}
        for row, known in enumerate(grid)
    ]


def _class_rows(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "method": evaluation["method"],
            "class": name,
            "known": int(known),
            "accuracy": accuracy,
        }
        for evaluation in evaluations
        for name, known, accuracy in zip(
            evaluation["classes"], evaluation["known"], evaluation["class_accuracy"], strict=True
        )
        if accuracy is not None
    ]


def _confusion_rows(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a picture-count cell is what ``dvc plots`` wants: actual, predicted, count."""
    columns = [*evaluation["classes"], "(rejected)"]
    return [
        {"actual": columns[actual], "predicted": columns[predicted], "count": count}
        for actual, predicted, count in evaluation["confusion"]
    ]


def _history_rows(plan: Plan, evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every loss term of every step, seed and method."""
    rows: list[dict[str, Any]] = []
    for evaluation in evaluations:
        name = evaluation["method"]
        chosen = plan.candidates(name)[evaluation["candidate"]]
        fit = read_keyed(
            chosen.fit(name)["fit.json"],
            chosen.fit(name).key,
            made_by=f"sreclip train {name}",
        )
        for record in fit["history"]:
            place = {"method": name, "seed": record["seed"], "step": record["step"]}
            rows += [
                {**place, "term": term, "value": value}
                for term, value in record.items()
                if term not in place
            ]
    return rows


def _training_rows(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Loss terms averaged over seeds and blocks of steps, one row a method, term and block."""
    last: dict[str, int] = {}
    for row in history:
        last[row["method"]] = max(row["step"], last.get(row["method"], 0))
    size = {method: max(1, -(-steps // TRAINING_POINTS)) for method, steps in last.items()}
    blocks: dict[tuple[str, str, int], list[float]] = {}
    for row in history:
        method, block = row["method"], (row["step"] - 1) // size[row["method"]]
        blocks.setdefault((method, row["term"], block), []).append(row["value"])
    return [
        {
            "method": method,
            "term": term,
            "step": min((block + 1) * size[method], last[method]),
            "value": fmean(values),
        }
        for (method, term, block), values in blocks.items()
    ]


def _means(numbers: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    return {
        method: {name: metrics[name]["mean"] for name in MAIN_METRICS if name in metrics}
        for method, metrics in numbers.items()
    }


def write_csv(path: Path, rows: list[dict[str, Any]], columns: Sequence[str] = ()) -> None:
    """Write rows that may lack some of the columns; without ``columns``, all that a row has."""
    columns = columns or list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
