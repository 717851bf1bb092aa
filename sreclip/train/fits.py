"""Fit one method on cached features, once a seed, and write its scores and weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.config.methods import Settings
from sreclip.errors import FitError
from sreclip.files import atomic_path, write_json
from sreclip.methods import METHODS
from sreclip.methods.calibration import unknown_bias
from sreclip.methods.scores import ImageScores, Scores, write_scores
from sreclip.plan.plan import Plan
from sreclip.registry import load_registered
from sreclip.train.inputs import FitInputs, load_inputs
from sreclip.train.states import Checkpoints, place, score_tensors

if TYPE_CHECKING:
    import torch

    from sreclip.methods.base import Method
    from sreclip.methods.blocks import Block


def fit_method(plan: Plan, name: str, *, progress: bool = True) -> Path:
    """Fit a method with every seed and write ``scores.h5``, ``model.safetensors``, ``fit.json``.

    A method in which nothing is drawn is fitted once for all seeds.

    Returns
    -------
    Path
        The folder of the three files.

    Raises
    ------
    FitError
        A fit cannot start or its loss stopped being finite; none of the three is written then,
        and the last good state is kept beside them.
    """
    from sreclip.train.selection import choose_settings

    inputs = load_inputs(plan)
    settings, selection = choose_settings(plan, name, inputs)
    seeds = plan.params.train.seeds
    result = plan.fit(name)
    folder, key = result.path, result.key
    cls = load_registered("method", name, METHODS)
    runs: list[ImageScores] = []
    tensors: dict[str, torch.Tensor] = {}
    history: list[dict[str, float]] = []
    steps: list[int] = []
    for seed in seeds:
        if cls.deterministic and runs:
            runs.append(runs[0])
            continue
        kept = _Kept(settings, seed, inputs.target_features)
        checkpoints = Checkpoints(plan.params.train.checkpoints, kept)
        method = _fit_seed(name, settings, seed, inputs, folder, progress, checkpoints)
        runs.append(score_target(method, settings, inputs.target_features).spread(inputs.target_ok))
        tensors |= {place(seed) + part: value for part, value in _state(method).items()}
        tensors |= kept.tensors
        steps = kept.steps
        history += [{"seed": seed, **record} for record in method.history_]
    # One entry: safetensors writes several in a random order.
    about = {"method": name, "key": key, "settings": settings.model_dump()}
    _save_tensors(folder / "model.safetensors", tensors, about)
    write_json(
        folder / "fit.json",
        {
            "method": name,
            "title": cls.title,
            "citation": cls.citation,
            "transductive": cls.transductive,
            "baseline": cls.baseline,
            "key": key,
            "settings": settings.model_dump(),
            "selection": selection,
            "seeds": seeds,
            "checkpoints": steps,
            "backbone": inputs.backbone,
            "n_source": len(inputs.source_features),
            "n_target": len(inputs.target_features),
            "history": history,
        },
    )
    write_scores(
        folder / "scores.h5",
        Scores(
            row_id=inputs.target_row_id,
            ok=inputs.target_ok,
            runs=tuple(runs),
            seeds=tuple(seeds),
            classes=tuple(entry.name for entry in plan.classes),
            known=plan.known,
            method=name,
            key=key,
        ),
    )
    return folder


@dataclass
class _Kept:
    """Earlier states of a fit: their tensors, and their scores where these stay the same."""

    settings: Settings
    seed: int
    target_features: torch.Tensor
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def __call__(self, step: int, method: Method) -> None:
        state = _state(method)
        if not method.batch_dependent:
            state |= score_tensors(score_target(method, self.settings, self.target_features))
        self.tensors |= {place(self.seed, step) + part: value for part, value in state.items()}
        self.steps.append(step)


def _fit_seed(
    name: str,
    settings: Settings,
    seed: int,
    inputs: FitInputs,
    folder: Path,
    progress: bool,
    checkpoints: Checkpoints,
) -> Method:
    from tqdm import tqdm

    from sreclip.methods.base import Diverged

    # tqdm's None means: a bar on a terminal, nothing elsewhere.
    hidden = None if progress else True
    with tqdm(desc=f"{name}, seed {seed}", unit="step", leave=False, disable=hidden) as bar:

        def show(step: int, total: int, terms: dict[str, float]) -> None:
            bar.total = total
            bar.update(step - bar.n)

        method = make_method(name, settings, seed, show)
        method.checkpoints = checkpoints
        try:
            return fit(method, inputs)
        except Diverged as error:
            kept = folder / f"diverged-seed-{seed}.safetensors"
            about = {"method": name, "seed": seed, "settings": settings.model_dump()}
            _save_tensors(kept, _state(method), about)
            raise FitError(
                f"{name}, seed {seed}: {error.message}; the last good state is in {kept}",
                error.hint,
            ) from error
        except FitError as error:
            raise FitError(f"{name}, seed {seed}: {error.message}", error.hint) from error


def make_method(
    name: str,
    settings: Settings,
    seed: int,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Method:
    """Construct a registered method."""
    cls = load_registered("method", name, METHODS)
    method: Method = cls(**settings.constructor, seed=seed, progress=progress)
    method.neighbours = settings.neighbours
    return method


def fit(method: Method, inputs: FitInputs) -> Method:
    """Fit a method on the inputs and give it back."""
    return method.fit(
        inputs.source_features,
        inputs.source_labels,
        inputs.target_features,
        inputs.text,
        inputs.graph,
    )


def score_target(method: Method, settings: Settings, features: torch.Tensor) -> ImageScores:
    """Score the target of a fit, calibrated and refined as the settings say.

    Parameters
    ----------
    method : Method
        Fitted.
    settings : Settings
        Its settings, of which those that every method has are looked at.
    features : Tensor
        The target features of the fit, ``(n_target, dim)``.
    """
    import torch

    from sreclip.methods.blocks import collect, score_in_blocks, shifted
    from sreclip.refinement.refine import refine

    text, n = method.text_, len(features)
    known, n_classes = text.known, len(text.known)

    def blocks() -> Iterator[Block]:
        return method.logit_blocks(features)

    scores = collect(blocks(), n, known)
    if settings.calibrated_stacking:
        frozen = collect(score_in_blocks(text.zero_shot_logits, features, n_classes), n, known)
        bias = unknown_bias(scores.margin, frozen.margin) * (~known).float()
        unshifted = blocks

        def blocks() -> Iterator[Block]:
            return shifted(unshifted(), bias)

        scores = collect(blocks(), n, known)
    if settings.refine != "none":
        with torch.inference_mode():
            adapted = method.image_features(features)
            refined = refine(settings.refine, adapted, blocks(), n_classes, settings.neighbours)
            scores = collect(refined, n, known)
    return scores


def _state(method: Method) -> dict[str, torch.Tensor]:
    return {
        name: value.detach().cpu().contiguous().clone() for name, value in method.state().items()
    }


def _save_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sreclip": json.dumps(about)})
