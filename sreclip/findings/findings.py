"""All that is found of a run without target labels, and its table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.data.label_file import NO_LABEL
from sreclip.data.manifest import read_manifest
from sreclip.data.place import image_names
from sreclip.errors import SreclipError
from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.features.presence import absence
from sreclip.files import write_text
from sreclip.findings import FIRST
from sreclip.findings.estimate import Estimate, Sizes, class_sizes, estimated_accuracy, likeliest
from sreclip.findings.labelling import labelling_order
from sreclip.findings.neighbours import Neighbours, find_neighbours
from sreclip.findings.source_labels import SourceLabels, find_suspects
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

# Rows of each kind in the table.
MOST = 200
COLUMNS = ("finding", "path", "class", "other_path", "other_class", "value")


@dataclass(frozen=True)
class Checks:
    """What features tell of the data, or why that is not known."""

    neighbours: Neighbours = field(default_factory=lambda: Neighbours([], [], 0, 0))
    labels: SourceLabels = field(default_factory=lambda: SourceLabels([], None, 0))
    problem: str = ""


@dataclass(frozen=True)
class Findings:
    """What is found of the target images that could be read, by the last method of a run.

    ``rows`` are its predictions: row_id, path, predicted, confidence. ``first`` are the row ids of
    the images to label first; ``agreement``, ``(n_methods, n_methods)``, are the fractions of the
    images that two methods give one class.
    """

    rows: pd.DataFrame
    first: list[int]
    accuracy: Estimate | None
    sizes: Sizes
    agreement: NDArray[np.float64]
    checks: Checks


def find(plan: Plan, results: Sequence[Evaluation]) -> Findings:
    """Look at the predictions of all methods, and at the features."""
    last, level = results[-1], plan.params.evaluate.confidence
    rows = read_predictions(plan.evaluation(last.method))
    rows = rows[rows["predicted"] >= 0]
    classes, p = likeliest(rows)
    n_classes = len(last.classes)
    order = labelling_order(classes[:, 0], p[:, 0], plan.params.report.seed)
    free = (rows["label"] == NO_LABEL).to_numpy()
    first = islice((at for at in order if free[at]), FIRST)
    return Findings(
        rows[["row_id", "path", "predicted", "confidence"]],
        rows["row_id"].iloc[list(first)].tolist(),
        estimated_accuracy(classes[:, 0], p[:, 0], n_classes, level),
        class_sizes(classes, p, n_classes, level),
        _agreement(plan, results),
        check_data(plan),
    )


def check_data(plan: Plan, most: int = MOST) -> Checks:
    """Compare the images of both domains, and source images with their labels.

    Where the large feature files are not on this machine, or damaged, ``problem`` says so.
    """
    from sreclip.features.planned import open_domain, source_labels

    if problem := absence(plan):
        return Checks(problem=problem)
    try:
        source, target = (open_domain(plan, domain) for domain in ("source", "target"))
        labels = source_labels(plan, source)
        seed = plan.params.report.seed
        return Checks(
            find_neighbours(source, target, most, seed), find_suspects(source, labels, most, seed)
        )
    except SreclipError as error:
        return Checks(problem=error.message)


def _agreement(plan: Plan, results: Sequence[Evaluation]) -> NDArray[np.float64]:
    predicted = np.stack(
        [
            read_predictions(plan.evaluation(result.method), ["predicted"])["predicted"].to_numpy()
            for result in results
        ]
    )
    predicted = predicted[:, predicted[-1] >= 0]
    if not predicted.shape[1]:
        return np.full([len(results)] * 2, np.nan)
    return np.stack([(predicted == own).mean(axis=1) for own in predicted])


def write_findings(path: Path, plan: Plan, findings: Findings | None) -> None:
    """Write what was found as CSV with `COLUMNS`; no row where nothing was looked for."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    if findings is not None:
        writer.writerows(_table(plan, findings))
    write_text(path, text.getvalue())


def _table(plan: Plan, findings: Findings) -> Iterator[dict[str, str]]:
    rows = read_manifest(plan.task.path, ["row_id", "path", "member", "label"]).set_index("row_id")
    names, labels = image_names(rows), rows["label"]
    classes = [entry.name for entry in plan.classes]
    checks = findings.checks
    for row in findings.first:
        yield {"finding": "label first", "path": names[row]}
    for suspect in checks.labels.suspects:
        yield {
            "finding": "source label",
            "path": names[suspect.source],
            "class": classes[suspect.label],
            "other_class": classes[suspect.looks_like],
            "value": f"{suspect.probability:.4f}",
        }
    for pair in checks.neighbours.pairs:
        yield {
            "finding": "near duplicate",
            "path": names[pair.target],
            "other_path": names[pair.source],
            "other_class": classes[labels[pair.source]],
            "value": f"{pair.cosine:.4f}",
        }
    for outlier in checks.neighbours.outliers:
        yield {
            "finding": "outlier",
            "path": names[outlier.target],
            "value": f"{outlier.cosine:.4f}",
        }
