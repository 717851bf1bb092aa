"""Score one method's target predictions against the labels: the only reader of target labels."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.label_file import NO_LABEL, SHOWS_NONE
from sreclip.errors import StoreError
from sreclip.evaluate.accuracy import class_accuracy, predictions
from sreclip.evaluate.confusion import confusion
from sreclip.evaluate.metrics import METRICS, known_unknown_curve, run_metrics
from sreclip.evaluate.predicted import next_classes, summarise_predictions
from sreclip.evaluate.reference import BATCH_SIZE, LAST, best_of, protocol_warning
from sreclip.evaluate.states import State, reference_states
from sreclip.evaluate.statistics import summarise
from sreclip.evaluate.stored import Evaluation, predicted_column, read_fit, write_evaluation
from sreclip.evaluate.target import read_target
from sreclip.files import atomic_path
from sreclip.methods.scores import Scores, read_scores
from sreclip.plan.labels import REFERENCE
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("sreclip")

CURVE_POINTS = 101
FROM_FIT = ("method", "title", "citation", "transductive", "baseline", "settings")


def evaluate_method(plan: Plan, method: str, target: pd.DataFrame | None = None) -> None:
    """Write ``evaluation.json`` and ``predictions.parquet`` of a method.

    ``target`` is what `read_target` returns for the plan's task, if it has been read before.
    Images without a label are left out, and those that show no class; labelled images that could
    not be read count as wrong. Without any label there are no metrics, and only the predictions
    are described.
    With ``train.selection.rule: oracle`` the candidate with the best mean H counts (without an
    unknown image: with the best mean over all classes). With ``evaluate.protocol: reference``
    metrics are as `sreclip.evaluate.reference` says; predictions, curve and confusion are those
    of the last state. Raises `ConfigError` if labels are to choose and there is none.
    """
    result = plan.evaluation(method)
    target = read_target(plan) if target is None else target
    evaluated = [_evaluate(candidate, method, target) for candidate in plan.candidates(method)]
    metrics = [found["metrics"] for _, found, _ in evaluated]
    number = 0
    if len(evaluated) > 1:
        number = int(np.argmax([m["h" if "h" in m else "all"]["mean"] for m in metrics]))
    scores, found, images = evaluated[number]
    _write_predictions(result["predictions.parquet"], scores, images)
    rule = plan.params.train.selection.rule
    write_evaluation(result, Evaluation(**found, key=result.key, selection=rule, candidate=number))
    if plan.params.evaluate.protocol == REFERENCE:
        log.warning("warning: %s", protocol_warning(plan.params.train.checkpoints))


def _evaluate(
    plan: Plan, method: str, target: pd.DataFrame
) -> tuple[Scores, dict[str, Any], pd.DataFrame]:
    """Return the scores of a fit, what its evaluation says, and the target in their order."""
    result = plan.fit(method)
    scores = read_scores(result["scores.h5"], result.key)
    images = target.reindex(scores.row_id)
    if images["path"].isna().any():
        raise StoreError(
            f"{result['scores.h5']} scores images that {plan.task.path} does not have",
            "delete both and run again",
        )
    labels = images["label"].to_numpy()
    labelled = labels >= 0
    fit = read_fit(result)
    if plan.params.evaluate.protocol == REFERENCE:
        states = reference_states(plan, fit, scores, labels)
    else:
        states = [[(LAST, run)] for run in scores.runs]
    scores = replace(scores, runs=tuple(run for *_, (_, run) in states))
    found = {
        **{name: fit[name] for name in FROM_FIT},
        "seeds": list(scores.seeds),
        "n_images": int(labelled.sum()),
        "n_unlabelled": int((labels == NO_LABEL).sum()),
        "n_none": int((labels == SHOWS_NONE).sum()),
        "n_rejected": int((labelled & ~scores.ok).sum()),
        "classes": list(scores.classes),
        "known": scores.known,
        "predicted": summarise_predictions(
            [predictions(run, scores.ok) for run in scores.runs],
            [run.confidence for run in scores.runs],
            scores.known,
            plan.params.evaluate.confidence,
        ),
        **(
            _over_seeds(scores, states, labels, labelled, plan)
            if labelled.any()
            else _without_labels(scores, plan)
        ),
    }
    return scores, found, images


def _without_labels(scores: Scores, plan: Plan) -> dict[str, Any]:
    """Return what `_over_seeds` does, empty."""
    return {
        "protocol": {"name": plan.params.evaluate.protocol},
        "runs": [{} for _ in scores.seeds],
        "metrics": {},
        "class_accuracy": [None for _ in scores.classes],
        "curve": None,
        "confusion": [],
    }


def _over_seeds(
    scores: Scores,
    states: Sequence[Sequence[State]],
    labels: NDArray[np.int64],
    labelled: NDArray[np.bool_],
    plan: Plan,
) -> dict[str, Any]:
    """Return metrics, curve, accuracy of each class and confusion counts, over all seeds."""
    settings = plan.params.evaluate
    n_classes = len(scores.classes)
    ok, labels = scores.ok[labelled], labels[labelled]
    both_kinds = scores.known[labels].any() and (~scores.known[labels]).any()
    grid = np.linspace(0, 1, CURVE_POINTS)
    runs, best_steps, curves, accuracies, predicted = [], [], [], [], []
    for run, run_states in zip(scores.runs, states, strict=True):
        images = run[labelled]
        values, steps = best_of(
            {
                step: run_metrics(state[labelled], ok, labels, scores.known, settings.ece_bins)
                for step, state in run_states
            }
        )
        runs.append(values)
        best_steps.append(steps)
        predicted.append(predictions(images, ok))
        present, accuracy = class_accuracy(predicted[-1] == labels, labels)
        accuracies.append(accuracy)
        if both_kinds:
            known, unknown = known_unknown_curve(images, ok, labels, scores.known)
            curves.append(np.interp(grid, known, unknown, right=0.0))
    protocol: dict[str, Any] = {"name": settings.protocol}
    if settings.protocol == REFERENCE:
        protocol |= {
            "warning": protocol_warning(plan.params.train.checkpoints),
            "batch_size": BATCH_SIZE,
            "steps": [step for step, _ in states[0]],
            "best_step": best_steps,
        }
    class_means = dict(zip(present.tolist(), np.mean(accuracies, axis=0).tolist(), strict=True))
    counts = confusion(np.concatenate(predicted), np.tile(labels, len(predicted)), n_classes)
    return {
        "protocol": protocol,
        "runs": runs,
        "metrics": {
            name: summarise([run[name] for run in runs], settings.confidence)
            for name in METRICS
            if name in runs[0]
        },
        "class_accuracy": [class_means.get(label) for label in range(n_classes)],
        "curve": {"known": grid.tolist(), "unknown": np.mean(curves, axis=0).tolist()}
        if curves
        else None,
        "confusion": counts.tolist(),
    }


def _write_predictions(path: Path, scores: Scores, images: pd.DataFrame) -> None:
    """Write path, label and predictions of each target image.

    ``predicted``, ``confidence`` and the next classes are the first seed's; see `predicted_column`
    for the others.
    """
    predicted = [predictions(run, scores.ok) for run in scores.runs]
    frame = images.reset_index().assign(
        predicted=predicted[0],
        confidence=np.where(scores.ok, scores.runs[0].confidence, 0.0),
        **next_classes(scores.runs[0]),
        **{
            predicted_column(seed): values
            for seed, values in zip(scores.seeds, predicted, strict=True)
        },
    )
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)
