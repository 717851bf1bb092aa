"""The states of a fit, each with its step and scores, that the protocol ``reference`` takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.evaluate.reference import LAST, class_sorted_batches
from sreclip.methods.scores import ImageScores, Scores
from sreclip.plan.plan import Plan
from sreclip.train.states import SavedFit, scores_of

State = tuple[int | str, ImageScores]


def reference_states(
    plan: Plan, fit: Mapping[str, Any], scores: Scores, labels: NDArray[np.int64]
) -> list[list[State]]:
    """Return all states of a fit with their scores, for each seed, the last state last.

    Scores are the stored ones, or made again on class-sorted batches if they depend on the batch.
    ``fit`` is ``fit.json`` of the method, ``scores`` are those of its last states, ``labels`` are
    the true classes, -1 without a label, ``(n_target,)``. Raises `StoreError` if a file is missing,
    damaged, or made from something else.
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
) -> Iterator[list[State]]:
    """Score the saved states on class-sorted batches, on the CPU."""
    import torch

    from sreclip.train.fits import make_method, score_target
    from sreclip.train.inputs import load_inputs

    train = plan.params.train.model_copy(update={"device": "cpu"})
    inputs = load_inputs(plan.changed(train=train))
    if not np.array_equal(inputs.target_row_id[inputs.target_ok], scores.row_id[scores.ok]):
        raise StoreError(
            f"the target features are not of the images that {scores.method} was fitted on",
            "delete the fit and make it again with: snakemake --cores all train",
        )
    batches = [
        torch.from_numpy(rows) for rows in class_sorted_batches(labels[scores.ok], scores.known)
    ]
    settings = plan.params.methods.settings(scores.method).changed(fit["settings"])
    for seed in scores.seeds:
        states: list[State] = []
        for step in [*fit["checkpoints"], None]:
            method = make_method(scores.method, settings, seed=0)
            method = method.restore(saved.state(seed, step), inputs.text)
            method.scoring_batches = batches
            scored = score_target(method, inputs.target_features).spread(scores.ok)
            states.append((LAST if step is None else step, scored))
        yield states
