"""A fit of the pipeline as a model folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import sreclip
from sreclip.data.label_file import NO_LABEL
from sreclip.errors import StoreError
from sreclip.evaluate.accuracy import predictions
from sreclip.evaluate.background import target_background
from sreclip.evaluate.stored import Evaluation, read_evaluation, read_fit
from sreclip.evaluate.target import read_target
from sreclip.features.planned import open_domain, read_names
from sreclip.files import atomic_folder, file_sha256, write_text
from sreclip.methods.scores import Scores, read_scores
from sreclip.model.card import card
from sreclip.model.saved import BACKGROUND, CARD, TENSORS, TEXT, SavedModel, Threshold

if TYPE_CHECKING:
    from sreclip.plan.plan import Plan
    from sreclip.plan.results import Result

LEAST = tuple(round(step / 20, 2) for step in range(20))
MADE_WITH = ("weights_sha256", "network", "preprocessing", "precision")


def save_model(plan: Plan, method: str, folder: Path) -> SavedModel:
    """Save the fit of a method that the plan means, with all seeds, as a new folder.

    Raises
    ------
    ConfigError
        The folder exists.
    StoreError
        The fit has not been made, or a file that it needs is missing or damaged.
    """
    with atomic_folder(folder) as temporary:
        return _write(plan, method, temporary)


def keep_model(plan: Plan, method: str, result: Result) -> None:
    """Write the model that a run keeps; raises `StoreError` as `save_model`."""
    # Snakemake has made the result's folder.
    new = result.path / "new"
    shutil.rmtree(new, ignore_errors=True)
    with atomic_folder(new) as temporary:
        _write(plan, method, temporary)
    for name in result.files:
        (new / name).replace(result.path / name)
    new.rmdir()


def _write(plan: Plan, method: str, folder: Path) -> SavedModel:
    """Write the files of a model into a folder."""
    evaluation = _evaluation(plan, method)
    plan = plan.candidates(method)[evaluation.candidate if evaluation else 0]
    result = plan.fit(method)
    if not result["fit.json"].exists():
        raise StoreError(
            f"{method} has not been fitted with these parameters ({result.path} is missing)",
            "make it with: snakemake --cores all all",
        )
    fit, scores = read_fit(result), read_scores(result["scores.h5"], result.key)
    header = open_domain(plan, "target").header
    labels = read_target(plan)["label"].reindex(scores.row_id).to_numpy()
    background = target_background(plan)
    none = None if background is None else background.reindex(scores.row_id).to_numpy()
    seeds = _write_tensors(plan, result, fit["seeds"], folder / TENSORS)
    params = plan.params
    saved = SavedModel(
        method=method,
        title=fit["title"],
        settings=fit["settings"],
        classes=list(scores.classes),
        known=scores.known.tolist(),
        prompts={
            "names": [list(group) for group in plan.class_prompts.names],
            "templates": list(plan.class_prompts.templates),
            "sentences": [list(group) for group in plan.class_prompts.sentences],
        },
        backbone=params.backbone.model_dump(mode="json", include={"name", params.backbone.name}),
        features=params.features.model_dump(include={"max_pixels", "reduced_jpeg"}),
        made_with={name: getattr(header, name) for name in MADE_WITH},
        logit_scale=header.logit_scale,
        dim=header.dim,
        seeds=seeds,
        key=result.key,
        sreclip=sreclip.__version__,
        transductive=fit["transductive"],
        thresholds=_thresholds(labels, scores, none),
        about={
            "task": params.task.name,
            "n_source": fit["n_source"],
            "n_target": fit["n_target"],
            "credits": plan.summary.get("credits", ""),
            "found": fit["found"],
            "metrics": dict(evaluation.metrics) if evaluation else {},
            "n_labelled": evaluation.n_images if evaluation else 0,
            **_in_background(labels, scores, none),
        },
        background=params.prompts.background,
        tensors_sha256=file_sha256(folder / TENSORS),
    )
    write_text(folder / CARD, card(saved))
    saved.write(folder)
    return saved


def _evaluation(plan: Plan, method: str) -> Evaluation | None:
    result = plan.evaluation(method)
    return read_evaluation(result) if result["evaluation.json"].exists() else None


def _write_tensors(plan: Plan, result: Result, seeds: list[int], out: Path) -> list[int]:
    """Write the last states and the class texts; return the seeds that have a state."""
    import torch

    from sreclip.train.states import SavedFit, place, write_tensors

    fit = SavedFit(result["model.safetensors"], result.key)
    tensors: dict[str, torch.Tensor] = {}
    # Where nothing is drawn the first seed's state is that of all.
    kept = [seed for seed in seeds if fit.has(seed)]
    for seed in kept:
        tensors |= {place(seed) + name: value for name, value in fit.state(seed).items()}
    tensors[TEXT] = torch.from_numpy(read_names(plan, "classes").features)
    if plan.background:
        tensors[BACKGROUND] = torch.from_numpy(read_names(plan, "background").features)
    write_tensors(out, tensors)
    return kept


def _thresholds(
    labels: NDArray[np.int64], scores: Scores, none: NDArray[np.float32] | None
) -> list[Threshold]:
    """Return what least probabilities do; images that go to the background are put aside, too."""
    run, ok = scores.runs[0], scores.ok
    confidence, shown = run.confidence, np.ones(len(ok), dtype=bool)
    if none is not None:
        confidence = confidence * (1 - none)
        shown = ~_is_other(scores, none)
    confidence, shown = confidence[ok], shown[ok]
    right, labelled = (predictions(run, ok) == labels)[ok], (labels != NO_LABEL)[ok]
    found = []
    for least in LEAST:
        kept = shown & (confidence >= least)
        judged = kept & labelled
        values: dict[str, Any] = {
            "expected_error": float(1 - confidence[kept].mean()) if kept.any() else None,
            "error": float(1 - right[judged].mean()) if judged.any() else None,
        }
        share = float(kept.mean()) if len(kept) else 0.0
        found.append(Threshold(least, share, n=int(np.sum(judged)), **values))
    return found


def _in_background(
    labels: NDArray[np.int64], scores: Scores, none: NDArray[np.float32] | None
) -> dict[str, int]:
    """Return how many labelled images go to the background, which shows in no metric."""
    if none is None:
        return {}
    return {"n_in_background": int((_is_other(scores, none) & (labels >= 0)).sum())}


def _is_other(scores: Scores, none: NDArray[np.float32]) -> NDArray[np.bool_]:
    return none > scores.runs[0].confidence * (1 - none)
