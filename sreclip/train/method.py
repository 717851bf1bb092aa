"""All fits of one method, one per seed, and the files with their scores and weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from tqdm import tqdm

from sreclip.config.methods import Settings
from sreclip.errors import FitError
from sreclip.files import atomic_path, write_json
from sreclip.methods import METHODS
from sreclip.methods.base import Checkpoints, Diverged, Method, Progress
from sreclip.methods.scores import ImageScores, Scores, write_scores
from sreclip.plan.plan import Plan
from sreclip.refinement.refine import step_tensors
from sreclip.registry import load_registered
from sreclip.train.fits import FitInputs, fit_seeds, make_method, refined_target, score_target
from sreclip.train.inputs import load_inputs
from sreclip.train.selection import choose_settings
from sreclip.train.states import place, score_tensors, write_tensors


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
    found: list[dict[str, float]] = []
    deterministic = cls(settings).deterministic
    drawn = seeds[:1] if deterministic else seeds
    checkpoints = [_Kept(seed, inputs.target_features) for seed in drawn]
    fitted = _fit_seeds(plan, name, settings, inputs, checkpoints, progress)
    for kept, method in zip(checkpoints, fitted, strict=True):
        scored, refinements = refined_target(method, inputs.target_features)
        runs.append(scored.spread(inputs.target_ok))
        state = method.state() | step_tensors(settings.refine, refinements)
        tensors |= {place(kept.seed) + part: value for part, value in _stored(state).items()}
        tensors |= kept.tensors
        found.append({"seed": kept.seed, **method.facts()})
        history += [{"seed": kept.seed, **record} for record in method.history_]
    if deterministic:
        runs *= len(seeds)
    # One entry: safetensors writes several in a random order.
    about = {"method": name, "key": result.key, "settings": settings.model_dump()}
    _save_tensors(result.path / "model.safetensors", tensors, about)
    facts = {
        "method": name,
        "title": cls.title,
        "citation": cls.citation,
        "transductive": cls.transductive or settings.sees_target,
        "baseline": cls.baseline,
        "key": result.key,
        "settings": about["settings"],
        "selection": selection,
        "seeds": seeds,
        "checkpoints": kept.steps,
        "backbone": inputs.backbone,
        "n_source": len(inputs.source_features),
        "n_target": len(inputs.target_features),
        "found": found,
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


def _fit_seeds(
    plan: Plan,
    name: str,
    settings: Settings,
    inputs: FitInputs,
    checkpoints: Sequence[_Kept],
    progress: bool,
) -> Iterator[Method]:
    """Yield the fitted method of each seed, in their order."""
    seeds = [kept.seed for kept in checkpoints]
    with _Bar(name, seeds, progress) as bar:
        methods = [make_method(name, settings, seed, bar.shown(seed)) for seed in seeds]
        for method, kept in zip(methods, checkpoints, strict=True):
            method.checkpoints = Checkpoints(plan.params.train.checkpoints, kept)
        try:
            yield from fit_seeds(methods, inputs)
        except Diverged as error:
            seed = error.method.seed
            last = plan.fit(name).path / f"diverged-seed-{seed}.safetensors"
            about = {"method": name, "seed": seed, "settings": settings.model_dump()}
            _save_tensors(last, _stored(error.method.state()), about)
            raise FitError(
                f"{name}, seed {seed}: {error.message}; the last good state is in {last}",
                error.hint,
            ) from error
        except FitError as error:
            raise FitError(f"{name}: {error.message}", error.hint) from error


class _Bar:
    """The progress of all seeds of a method, and their mean loss where several go together."""

    def __init__(self, name: str, seeds: Sequence[int], progress: bool) -> None:
        said = f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds"
        columns = shutil.get_terminal_size((100, 24)).columns
        # tqdm's None means: a bar on a terminal, nothing elsewhere.
        disable = None if progress else True
        self._tqdm = tqdm(
            desc=f"{name}, {said}", unit="step", leave=False, disable=disable, ncols=columns
        )
        self._at = dict.fromkeys(seeds, (0, 0.0))

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._tqdm.close()

    def shown(self, seed: int) -> Progress:
        """Return what shows the progress of one seed."""

        def show(step: int, total: int, loss: float) -> None:
            self._at[seed] = step, loss
            losses = [loss for at, loss in self._at.values() if at == step]
            self._tqdm.total = total * len(self._at)
            self._tqdm.set_postfix_str(f"loss {fmean(losses):.4g}", refresh=False)
            self._tqdm.update(sum(at for at, _ in self._at.values()) - self._tqdm.n)

        return show


def _stored(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}


def _save_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        write_tensors(temporary, tensors, {"sreclip": json.dumps(about)})
