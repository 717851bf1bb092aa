"""Put the evaluations of all methods into one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from sreclip.evaluate import literature
from sreclip.evaluate.metrics import METRICS
from sreclip.evaluate.significance import COLUMNS, SIGNIFICANCE, compare_pairs
from sreclip.evaluate.stored import Evaluation, read_evaluations, read_fit
from sreclip.files import write_json, write_text
from sreclip.plan.plan import Plan
from sreclip.plan.results import HISTORY

TRAINING_POINTS = 100
TRAINING_COLUMNS = ("method", "term", "step", "value")
CLASS_COLUMNS = ("method", "class", "known", "accuracy")
CONFUSION_COLUMNS = ("actual", "predicted", "count")
# Without target labels there are no rows, and what reads the table still finds its columns.
RESULT_COLUMNS = ("method", "selection", "protocol", "metric", "mean", "n")
MAIN_METRICS = ("known", "unknown", "h", "ausuc")
Row = dict[str, Any]


def compare_methods(plan: Plan) -> None:
    """Write the files of ``plan.comparison``.

    ``metrics.json`` holds numbers only, nested as task, backbone, method, metric and one of
    mean, sd, low, high, n; under ``evaluate.protocol: reference`` its ``protocol`` holds the
    warning. ``means.json`` holds the means of `MAIN_METRICS`, few enough for the columns of
    ``dvc exp show``. ``significance.csv`` holds the rows of `compare_pairs`, and ``literature.csv``
    the published numbers of the same problem. Raises `StoreError` if a method's evaluation is
    missing or damaged, or was made on other images.
    """
    evaluations = read_evaluations(plan.comparison.inputs)
    folder, settings = plan.comparison.path, plan.params.evaluate
    methods = plan.params.methods.run
    rows = [row for e in evaluations for row in _result_rows(e)]
    write_csv(folder / "results.csv", rows, () if rows else RESULT_COLUMNS)
    write_csv(folder / "curves.csv", _curve_rows(evaluations), ("known", *methods))
    classes = [row for e in evaluations for row in _class_rows(e)]
    write_csv(folder / "per_class.csv", classes, CLASS_COLUMNS)
    write_csv(folder / "confusion.csv", list(_confusion_rows(evaluations[-1])), CONFUSION_COLUMNS)
    differences = compare_pairs(
        plan.comparison.inputs,
        evaluations,
        resamples=settings.bootstrap,
        seed=settings.bootstrap_seed,
        confidence=settings.confidence,
    )
    write_csv(folder / SIGNIFICANCE, [asdict(row) for row in differences], COLUMNS)
    names = [entry.name for entry in plan.classes]
    task = plan.params.task.name
    published = literature.published_numbers(task, names, plan.known, methods)
    write_csv(folder / literature.LITERATURE, [asdict(n) for n in published], literature.COLUMNS)
    history = [row for e in evaluations for row in _history_rows(plan, e)]
    write_csv(folder / HISTORY, history)
    write_csv(folder / "training.csv", _training_rows(history), TRAINING_COLUMNS)
    means = {
        e.method: {name: e.metrics[name]["mean"] for name in MAIN_METRICS if name in e.metrics}
        for e in evaluations
    }
    write_json(folder / "means.json", means)
    metrics: Row = {task: {plan.params.backbone.label: {e.method: e.metrics for e in evaluations}}}
    if evaluations[0].warning:
        protocol = evaluations[0].protocol
        metrics["protocol"] = {name: protocol[name] for name in ("name", "warning")}
    write_json(folder / "metrics.json", metrics)


def _result_rows(evaluation: Evaluation) -> Iterator[Row]:
    for name in METRICS:
        if name in evaluation.metrics:
            yield {
                "method": evaluation.method,
                "selection": evaluation.selection,
                "protocol": evaluation.protocol["name"],
                "metric": name,
                **evaluation.metrics[name],
            }


def _curve_rows(evaluations: Sequence[Evaluation]) -> list[Row]:
    """Return one row per known accuracy, with one column of unknown accuracy per method."""
    curves = {e.method: e.curve for e in evaluations if e.curve}
    if not curves:
        return []
    grid = next(iter(curves.values()))["known"]
    return [
        {"known": known, **{method: curve["unknown"][row] for method, curve in curves.items()}}
        for row, known in enumerate(grid)
    ]


def _class_rows(evaluation: Evaluation) -> Iterator[Row]:
    known = evaluation.known.tolist()
    for at, (name, accuracy) in enumerate(
        zip(evaluation.classes, evaluation.class_accuracy, strict=True)
    ):
        if accuracy is not None:
            place = {"method": evaluation.method, "class": name, "known": int(known[at])}
            yield place | {"accuracy": accuracy}


def _confusion_rows(evaluation: Evaluation) -> Iterator[Row]:
    """Yield the counts as ``dvc plots`` reads them."""
    columns = [*evaluation.classes, "(rejected)"]
    for actual, predicted, count in evaluation.confusion:
        yield {"actual": columns[actual], "predicted": columns[predicted], "count": count}


def _history_rows(plan: Plan, evaluation: Evaluation) -> Iterator[Row]:
    """Yield every loss term of every step and seed of a method."""
    chosen = plan.candidates(evaluation.method)[evaluation.candidate]
    for record in read_fit(chosen.fit(evaluation.method))["history"]:
        place = {"method": evaluation.method, "seed": record["seed"], "step": record["step"]}
        for term, value in record.items():
            if term not in place:
                yield {**place, "term": term, "value": value}


def _training_rows(history: list[Row]) -> list[Row]:
    """Average loss terms over seeds and blocks of steps, one row per method, term and block."""
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


def write_csv(path: Path, rows: list[Row], columns: Sequence[str] = ()) -> None:
    """Write rows, which need not have every column; without ``columns``, all that a row has."""
    columns = columns or list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
