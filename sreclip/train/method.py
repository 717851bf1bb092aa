"""All fits of one method, one per seed, and the files with their scores and weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from sreclip.config.methods import Settings
from sreclip.errors import FitError
from sreclip.files import atomic_path, write_json
from sreclip.methods import METHODS
from sreclip.methods.base import Checkpoints, Diverged, Method
from sreclip.methods.scores import ImageScores, Scores, write_scores
from sreclip.plan.plan import Plan
from sreclip.refinement.candidates import State
from sreclip.registry import load_registered
from sreclip.train.fits import FitInputs, fit, make_method, refined_target, score_target
from sreclip.train.inputs import load_inputs
from sreclip.train.selection import choose_settings
from sreclip.train.states import place, score_tensors


def fit_method(
    plan: Plan, name: str, inputs: FitInputs | None = None, *, progress: bool = True
) -> Path:
    """Fit a method with every seed and write ``scores.h5``, ``model.safetensors``, ``fit.json``.

    A method in which nothing is drawn is fitted once for all seeds. ``inputs`` are those of the
    plan, if they have been read before. Returns the folder.

    Raises
    ------
    FitError
        A fit cannot start or its loss stopped being finite. Then none of the three is written, and
        the last good state is kept beside them.
    """
    inputs = inputs or load_inputs(plan)
    settings, selection = choose_settings(plan, name, inputs)
    seeds, result = plan.params.train.seeds, plan.fit(name)
    cls = load_registered("method", name, METHODS)
    runs: list[ImageScores] = []
    tensors: dict[str, torch.Tensor] = {}
    history: list[dict[str, float]] = []
    for seed in seeds[:1] if cls.deterministic else seeds:
        kept = _Kept(seed, inputs.target_features)
        method = _fit_seed(plan, name, settings, inputs, kept, progress)
        scored, refinements = refined_target(method, inputs.target_features)
        runs.append(scored.spread(inputs.target_ok))
        state = method.state() | _named(settings.refine, refinements)
        tensors |= {place(seed) + part: value for part, value in _stored(state).items()}
        tensors |= kept.tensors
        history += [{"seed": seed, **record} for record in method.history_]
    if cls.deterministic:
        runs *= len(seeds)
    # One entry: safetensors writes several in a random order.
    about = {"method": name, "key": result.key, "settings": settings.model_dump()}
    _save_tensors(result.path / "model.safetensors", tensors, about)
    facts = {
        "method": name,
        "title": cls.title,
        "citation": cls.citation,
        "transductive": cls.transductive,
        "baseline": cls.baseline,
        "key": result.key,
        "settings": about["settings"],
        "selection": selection,
        "seeds": seeds,
        "checkpoints": kept.steps,
        "backbone": inputs.backbone,
        "n_source": len(inputs.source_features),
        "n_target": len(inputs.target_features),
        "history": history,
    }
    write_json(result.path / "fit.json", facts)
    scores = Scores(
        row_id=inputs.target_row_id,
        ok=inputs.target_ok,
        runs=tuple(runs),
        seeds=tuple(seeds),
        classes=tuple(entry.name for entry in plan.classes),
        known=plan.known,
        method=name,
        key=result.key,
    )
    write_scores(result.path / "scores.h5", scores)
    return result.path


@dataclass
class _Kept:
    """Checkpoints of a fit: their tensors, and their scores where these stay the same."""

    seed: int
    target_features: torch.Tensor
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)

    def __call__(self, step: int, method: Method) -> None:
        state = _stored(method.state())
        if not method.batch_dependent:
            state |= score_tensors(score_target(method, self.target_features))
        self.tensors |= {place(self.seed, step) + part: value for part, value in state.items()}
        self.steps.append(step)


def _fit_seed(
    plan: Plan, name: str, settings: Settings, inputs: FitInputs, kept: _Kept, progress: bool
) -> Method:
    label, columns = f"{name}, seed {kept.seed}", shutil.get_terminal_size((100, 24)).columns
    # tqdm's None means: a bar on a terminal, nothing elsewhere.
    disable = None if progress else True
    with tqdm(desc=label, unit="step", leave=False, disable=disable, ncols=columns) as bar:

        def show(step: int, total: int, loss: float) -> None:
            bar.total = total
            bar.set_postfix_str(f"loss {loss:.4g}", refresh=False)
            bar.update(step - bar.n)

        method = make_method(name, settings, kept.seed, show)
        method.checkpoints = Checkpoints(plan.params.train.checkpoints, kept)
        try:
            return fit(method, inputs)
        except Diverged as error:
            last = plan.fit(name).path / f"diverged-seed-{kept.seed}.safetensors"
            about = {"method": name, "seed": kept.seed, "settings": settings.model_dump()}
            _save_tensors(last, _stored(method.state()), about)
            raise FitError(
                f"{label}: {error.message}; the last good state is in {last}", error.hint
            ) from error
        except FitError as error:
            raise FitError(f"{label}: {error.message}", error.hint) from error


def _named(steps: Sequence[str], states: Sequence[State]) -> dict[str, torch.Tensor]:
    """Return the tensors of refinements as ``refine.NUMBER.STEP.NAME``."""
    return {
        f"refine.{number}.{step}.{name}": tensor
        for number, (step, state) in enumerate(zip(steps, states, strict=True))
        for name, tensor in state.tensors().items()
    }


def _stored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def _save_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"sreclip": json.dumps(about)})
