"""Put the evaluations of all methods into one table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from sreclip.files import read_json, write_json, write_text
from sreclip.metrics import METRICS
from sreclip.plan import Plan


def compare_methods(plan: Plan) -> Path:
    """Write ``metrics.json`` and the tables that `sreclip.published` names.

    ``metrics.json`` holds numbers only, nested as task, backbone, method, metric and one of
    mean, sd, low, high, n.

    Returns
    -------
    Path
        The folder of the files.
    """
    evaluations = [
        read_json(plan.evaluation_dir(name) / "evaluation.json", made_by="sreclip evaluate " + name)
        for name in plan.params.methods.run
    ]
    folder = plan.comparison_dir
    write_csv(folder / "results.csv", _result_rows(evaluations))
    write_csv(folder / "curves.csv", _curve_rows(evaluations))
    write_csv(folder / "per_class.csv", _class_rows(evaluations))
    write_csv(folder / "confusion.csv", _confusion_rows(evaluations[-1]))
    write_csv(folder / "training.csv", _training_rows(plan))
    task, backbone = plan.params.task.name, plan.params.backbone.label
    numbers = {evaluation["method"]: evaluation["metrics"] for evaluation in evaluations}
    write_json(folder / "metrics.json", {task: {backbone: numbers}})
    return folder


def _result_rows(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"method": evaluation["method"], "metric": name, **evaluation["metrics"][name]}
        for evaluation in evaluations
        for name in METRICS
        if name in evaluation["metrics"]
    ]


def _curve_rows(evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"method": evaluation["method"], "known": known, "unknown": unknown}
        for evaluation in evaluations
        if evaluation["curve"]
        for known, unknown in zip(
            evaluation["curve"]["known"], evaluation["curve"]["unknown"], strict=True
        )
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
        {"actual": actual, "predicted": predicted, "count": count}
        for actual, counts in zip(evaluation["classes"], evaluation["confusion"], strict=True)
        for predicted, count in zip(columns, counts, strict=True)
        if count
    ]


def _training_rows(plan: Plan) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in plan.params.methods.run:
        fit = read_json(plan.model_dir(name) / "fit.json")
        for record in fit["history"]:
            terms = {key: value for key, value in record.items() if key not in ("seed", "step")}
            rows += [
                {
                    "method": name,
                    "seed": record["seed"],
                    "step": record["step"],
                    "term": term,
                    "value": value,
                }
                for term, value in terms.items()
            ]
    return rows


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows that share (or lack some of) the first rows' columns."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, buffer.getvalue())
