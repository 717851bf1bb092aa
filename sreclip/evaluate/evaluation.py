"""Score one method's target predictions against the labels: the only reader of target labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import read_manifest, read_target_labels
from sreclip.data.place import image_names
from sreclip.errors import DataError
from sreclip.evaluate.accuracy import class_accuracy, predictions
from sreclip.evaluate.metrics import METRICS, confusion, known_unknown_curve, run_metrics
from sreclip.evaluate.reference import (
    BATCH_SIZE,
    LAST,
    REFERENCE,
    Candidate,
    best_of,
    candidates,
    protocol_warning,
)
from sreclip.evaluate.statistics import summarise
from sreclip.files import atomic_path, read_keyed, write_json
from sreclip.methods.scores import Scores, read_scores
from sreclip.plan.plan import Plan

CURVE_POINTS = 101
FROM_FIT = ("method", "title", "citation", "transductive", "baseline", "settings")


def evaluate_method(plan: Plan, method: str) -> None:
    """Write ``evaluation.json`` and ``predictions.parquet`` of a method.

    Pictures without a label are left out; labelled pictures that could not be read count as
    wrong. With ``train.selection.rule: oracle`` the candidate with the best mean H counts (without
    an unknown picture: with the best mean over all classes). With ``evaluate.protocol: reference``
    metrics are taken as `sreclip.evaluate.reference` says; predictions, curve and confusion are
    those of the last state.

    Raises
    ------
    DataError
        No target picture has a label.
    """
    evaluated = [_evaluate(candidate, method) for candidate in plan.candidates(method)]
    means = [_goal(result["metrics"]) for _, result, _ in evaluated]
    number = int(np.argmax(means))
    scores, result, labels = evaluated[number]
    evaluation = plan.evaluation(method)
    _write_predictions(evaluation["predictions.parquet"], plan, scores, labels)
    about = {
        "key": evaluation.key,
        "selection": plan.params.train.selection.rule,
        "candidate": number,
    }
    write_json(evaluation["evaluation.json"], result | about)


def _goal(metrics: dict[str, dict[str, float]]) -> float:
    return metrics["h" if "h" in metrics else "all"]["mean"]


def _evaluate(plan: Plan, method: str) -> tuple[Scores, dict[str, Any], NDArray[np.int64]]:
    """Scores of a fit, what is said of them, and the labels."""
    scores = read_scores(plan.fit(method)["scores.h5"], plan.fit(method).key)
    labels = read_target_labels(plan.task.path, scores.row_id)
    labelled = labels >= 0
    if not labelled.any():
        raise DataError(
            "no target picture has a label, so nothing can be evaluated",
            "put target pictures into class folders, or stop after training "
            "(snakemake --cores all train)",
        )
    fit = read_keyed(
        plan.fit(method)["fit.json"],
        plan.fit(method).key,
        made_by=f"sreclip train {method}",
    )
    reference = plan.params.evaluate.protocol == REFERENCE
    states = candidates(plan, fit, scores, labels) if reference else _last_states(scores)
    scores = replace(scores, runs=tuple(run for *_, (_, run) in states))
    result = {
        **{name: fit[name] for name in FROM_FIT},
        "seeds": list(scores.seeds),
        "n_images": int(labelled.sum()),
        "n_unlabelled": int((~labelled).sum()),
        "n_rejected": int((labelled & ~scores.ok).sum()),
        "classes": list(scores.classes),
        "known": scores.known.tolist(),
        **_over_seeds(scores, states, labels, labelled, plan),
    }
    return scores, result, labels


def _about_protocol(
    plan: Plan, states: Sequence[Candidate], chosen: Sequence[Mapping[str, int | str]]
) -> dict[str, Any]:
    name = plan.params.evaluate.protocol
    if name != REFERENCE:
        return {"name": name}
    return {
        "name": name,
        "warning": protocol_warning(plan.params.train.checkpoints),
        "batch_size": BATCH_SIZE,
        "steps": [step for step, _ in states],
        "best_step": chosen,
    }


def _last_states(scores: Scores) -> list[list[Candidate]]:
    return [[(LAST, run)] for run in scores.runs]


def _over_seeds(
    scores: Scores,
    states: Sequence[Sequence[Candidate]],
    labels: NDArray[np.int64],
    labelled: NDArray[np.bool_],
    plan: Plan,
) -> dict[str, Any]:
    """Metrics, curve, accuracy of each class and confusion counts, over all seeds."""
    settings = plan.params.evaluate
    n_classes = len(scores.classes)
    ok, labels = scores.ok[labelled], labels[labelled]
    both = scores.known[labels].any() and (~scores.known[labels]).any()
    grid = np.linspace(0, 1, CURVE_POINTS)
    runs, chosen, curves, per_class, all_predicted = [], [], [], [], []
    for run, candidate_states in zip(scores.runs, states, strict=True):
        images = run[labelled]
        values, steps = best_of(
            {
                step: run_metrics(state[labelled], ok, labels, scores.known, settings.ece_bins)
                for step, state in candidate_states
            }
        )
        runs.append(values)
        chosen.append(steps)
        predicted = predictions(images, ok)
        present, accuracy = class_accuracy(predicted == labels, labels)
        per_class.append(accuracy)
        all_predicted.append(predicted)
        if both:
            known, unknown = known_unknown_curve(images, ok, labels, scores.known)
            curves.append(np.interp(grid, known, unknown, right=0.0))
    every_label = np.tile(labels, len(all_predicted))
    counts = confusion(np.concatenate(all_predicted), every_label, n_classes)
    accuracies = np.full(n_classes, np.nan)
    accuracies[present] = np.mean(per_class, axis=0)
    return {
        "protocol": _about_protocol(plan, states[0], chosen),
        "runs": runs,
        "metrics": {
            name: summarise([run[name] for run in runs], settings.confidence)
            for name in METRICS
            if name in runs[0]
        },
        "class_accuracy": [None if np.isnan(value) else float(value) for value in accuracies],
        "curve": {"known": grid.tolist(), "unknown": np.mean(curves, axis=0).tolist()}
        if curves
        else None,
        "confusion": counts.tolist(),
    }


def _write_predictions(path: Path, plan: Plan, scores: Scores, labels: NDArray[np.int64]) -> None:
    """Write path, label and predictions of each target picture, with the first seed's confidence.

    ``predicted`` is the first seed's, ``predicted_seed_S`` that of seed S.
    """
    import pandas as pd

    predicted = [predictions(run, scores.ok) for run in scores.runs]
    rows = read_manifest(plan.task.path, ["row_id", "path", "member"])
    paths = image_names(rows).set_axis(rows["row_id"])
    frame = pd.DataFrame(
        {
            "row_id": scores.row_id,
            "path": paths.reindex(scores.row_id).to_numpy(),
            "label": labels,
            "predicted": predicted[0],
            "confidence": np.where(scores.ok, scores.runs[0].confidence, 0.0),
            **{
                f"predicted_seed_{seed}": values
                for seed, values in zip(scores.seeds, predicted, strict=True)
            },
        }
    )
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
