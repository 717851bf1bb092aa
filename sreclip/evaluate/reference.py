"""The SRE-CLIP authors' way of evaluating, for comparison with published numbers only.

Each metric is taken at its own best checkpoint on the test labels, and a method whose predictions
depend on the batch is scored on batches sorted by class. After ``train_clip_AwA.py`` and
``dataset.py`` of ``yjainqdc/SRECLIP``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.methods.scores import ImageScores, Scores
from sreclip.plan.plan import REFERENCE, Plan
from sreclip.train.states import SavedFit, scores_of

if TYPE_CHECKING:
    import torch

    from sreclip.config.methods import Settings
    from sreclip.train.inputs import FitInputs

LAST = "last"
# Their test loaders take so many images at once, whatever the batches of training.
BATCH_SIZE = 512
# What their code keeps the best of, and the same as class means and over all images.
BEST = (
    "known",
    "unknown",
    "all",
    "h",
    "known_micro",
    "unknown_micro",
    "all_micro",
    "h_micro",
    "zsl",
)

Candidate = tuple[int | str, ImageScores]


def protocol_warning(checkpoints: int) -> str:
    """What must stand beside every number of the protocol.

    Parameters
    ----------
    checkpoints : int
        ``train.checkpoints``.
    """
    chosen = (
        "each metric at its own best checkpoint on the TEST labels"
        if checkpoints
        else "no checkpoint was kept (train.checkpoints is 0), so each metric is of the last step"
    )
    return (
        f"evaluated the authors' way (evaluate.protocol: {REFERENCE}): class-sorted batches, which "
        f"leak label information to attention over the batch; {chosen}; for comparison with "
        "published numbers only, never a result"
    )


def class_sorted_batches(
    labels: NDArray[np.int64], known: NDArray[np.bool_], size: int = BATCH_SIZE
) -> list[NDArray[np.int64]]:
    """Cut images into batches by class: known ones first, then unknown ones, in no common batch.

    Parameters
    ----------
    labels : ndarray
        True classes, ``(n_images,)``; -1 without a label: these get batches of their own.
    known : ndarray
        ``(n_classes,)``, bool.
    size : int

    Returns
    -------
    list of ndarray
        Row numbers, each in one batch.
    """
    is_known = (labels >= 0) & known[labels]
    batches = []
    for group in (is_known, (labels >= 0) & ~is_known, labels < 0):
        rows = np.flatnonzero(group)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        batches += [rows[start : start + size] for start in range(0, len(rows), size)]
    return batches


def candidates(
    plan: Plan, fit: Mapping[str, Any], scores: Scores, labels: NDArray[np.int64]
) -> list[list[Candidate]]:
    """States to take the best of, each with its step (`LAST` for the last) and its scores.

    Parameters
    ----------
    plan : Plan
    fit : Mapping
        ``fit.json`` of the method.
    scores : Scores
        Of its last states, scored as always.
    labels : ndarray
        True classes, -1 where there is none, ``(n_target,)``.

    Returns
    -------
    list of list of Candidate
        For each seed, the last state last. Scores are the stored ones unless they depend on the
        batch.

    Raises
    ------
    StoreError
        What the states are scored from is missing, damaged, or of something else.
    """
    from sreclip.methods import METHODS
    from sreclip.registry import load_registered

    saved = SavedFit(plan.fit(scores.method)["model.safetensors"], scores.key)
    steps: Sequence[int] = fit["checkpoints"]
    if load_registered("method", scores.method, METHODS).batch_dependent:
        return list(_scored_again(plan, fit, saved, scores, labels))
    return [
        [
            *((step, scores_of(saved.state(seed, step)).spread(scores.ok)) for step in steps),
            (LAST, run),
        ]
        for seed, run in zip(scores.seeds, scores.runs, strict=True)
    ]


def _scored_again(
    plan: Plan,
    fit: Mapping[str, Any],
    saved: SavedFit,
    scores: Scores,
    labels: NDArray[np.int64],
) -> Iterator[list[Candidate]]:
    """Score the saved states on class-sorted batches, on the CPU."""
    import torch

    from sreclip.train.inputs import load_inputs

    train = plan.params.train.model_copy(update={"device": "cpu"})
    inputs = load_inputs(plan.changed(train=train))
    if not np.array_equal(inputs.target_row_id[inputs.target_ok], scores.row_id[scores.ok]):
        raise StoreError(
            f"the target features are not of the pictures that {scores.method} was fitted on",
            "delete the fit and make it again with: snakemake --cores all train",
        )
    batches = [
        torch.from_numpy(rows)
        for rows in class_sorted_batches(labels[scores.ok], scores.known, BATCH_SIZE)
    ]
    settings = plan.params.methods.settings(scores.method).changed(fit["settings"])
    for seed in scores.seeds:
        yield [
            (
                LAST if step is None else step,
                _score(scores.method, settings, saved.state(seed, step), inputs, batches).spread(
                    scores.ok
                ),
            )
            for step in [*fit["checkpoints"], None]
        ]


def _score(
    name: str,
    settings: Settings,
    state: Mapping[str, torch.Tensor],
    inputs: FitInputs,
    batches: Sequence[torch.Tensor],
) -> ImageScores:
    from sreclip.train.fits import make_method, score_target

    method = make_method(name, settings, seed=0).restore(state, inputs.text)
    method.scoring_batches = batches
    return score_target(method, inputs.target_features)


def best_of(
    metrics: Mapping[int | str, Mapping[str, float]],
) -> tuple[dict[str, float], dict[str, int | str]]:
    """Take each of `BEST` at its own best step, the first of equals, and the others at the last.

    Parameters
    ----------
    metrics : Mapping
        Metrics by step, the last step last.

    Returns
    -------
    values : dict
        By metric.
    steps : dict
        The step of each of `BEST`.
    """
    last = metrics[LAST]
    steps = {
        name: max(metrics, key=lambda step: metrics[step][name]) for name in BEST if name in last
    }
    return {
        name: metrics[steps[name]][name] if name in steps else last[name] for name in last
    }, steps
