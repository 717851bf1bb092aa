"""The seeds of a fit together: each gets what it gets alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from sreclip.config.method import Settings
from sreclip.config.methods import MethodsSettings
from sreclip.config.sre_clip import SreClipSettings
from sreclip.errors import FitError
from sreclip.methods import adapter_training, source_only
from sreclip.methods import sre_clip as sre_clip_module
from sreclip.methods.adapter_training import AdapterTraining
from sreclip.methods.base import Checkpoints, Diverged, Method
from sreclip.methods.data import ClassGraph, ClassText
from sreclip.methods.sre_clip import SreClip
from sreclip.plan.results import Result
from sreclip.train import method as method_module
from sreclip.train.fits import fit_seeds, make_method, score_target
from tests.methods.test_methods import problem
from tests.methods.test_sre_clip import TERMS

__all__ = ["problem"]
States = dict[tuple[int, int], dict[str, torch.Tensor]]
SMALL = {"steps": 8, "rounds": 2, "width": 8, "gcn_width": 8}


@pytest.fixture
def many_classes() -> dict[str, Any]:
    """More classes than have all their distances compared: pairs of them are drawn."""
    generator = torch.Generator().manual_seed(1)
    text = F.normalize(torch.randn(70, 16, generator=generator), dim=1)
    known = torch.arange(70) % 2 == 0
    labels = known.nonzero()[:, 0].repeat(2)
    source, target = (
        F.normalize(text[rows] + 0.1 * torch.randn(len(rows), 16, generator=generator), dim=1)
        for rows in (labels, torch.arange(70))
    )
    edges = torch.stack([torch.arange(69), torch.arange(1, 70)], dim=1)
    adjacency = (torch.eye(70) / 2 + torch.eye(70).roll(1, 0) / 2).to_sparse()
    graph = ClassGraph(text, adjacency, edges, torch.arange(70), text @ text.T * 0.5 + 0.5)
    return {
        "source_features": source,
        "source_labels": labels,
        "target_features": target,
        "text": ClassText(text, 20.0, known),
        "graph": graph,
    }


def watched(
    seeds: Sequence[int], settings: Settings, kept: States, name: str = "sre_clip"
) -> list[Method]:
    methods = [make_method(name, settings, seed) for seed in seeds]
    for method in methods:
        method.checkpoints = Checkpoints(
            2, lambda step, copied: kept.update({(copied.seed, step): copied.state()})
        )
    return methods


def check_together(
    data: dict[str, Any], seeds: Sequence[int], name: str = "sre_clip", **values: Any
) -> None:
    """Compare losses, states, checkpoints and scores with those of single fits."""
    small = SMALL if name == "sre_clip" else {"steps": 8}
    settings = MethodsSettings().settings(name).changed(small | values)
    kept: States = {}
    kept_alone: States = {}
    inputs: Any = SimpleNamespace(**data)
    together = list(fit_seeds(watched(seeds, settings, kept, name), inputs))
    assert [method.seed for method in together] == list(seeds)
    for method, alone in zip(together, watched(seeds, settings, kept_alone, name), strict=True):
        alone.fit(**data)
        for record, wanted in zip(method.history_, alone.history_, strict=True):
            assert record == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        target = data["target_features"]
        torch.testing.assert_close(method.logits(target), alone.logits(target), rtol=0, atol=2e-3)
        torch.testing.assert_close(method.state(), alone.state(), rtol=1e-3, atol=1e-4)
        for scores in zip(
            *map(astuple, (score_target(m, target) for m in (method, alone))), strict=True
        ):
            np.testing.assert_allclose(*scores, rtol=0, atol=2e-3)
    assert len(kept) == 2 * len(seeds)
    torch.testing.assert_close(kept, kept_alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("batch_size", [20, 256])
@pytest.mark.parametrize("seeds", [[3], [3, 0], [4, 0, 3, 1, 2]])
def test_together_as_alone(seeds: list[int], batch_size: int, problem: dict[str, Any]) -> None:
    check_together(problem, seeds, batch_size=batch_size)


@pytest.mark.parametrize(
    "settings",
    [
        dict.fromkeys(TERMS, 1.0) | {"bank_size": 90, "batch_size": 30},
        {"attention": False, "dropout": 0.0, "calibration": "none"},
        {"refine": "class_bias", "rounds": 1},
        {"batch_size": 70},
    ],
)
def test_together_with_other_settings(settings: dict[str, Any], problem: dict[str, Any]) -> None:
    check_together(problem, [1, 0], **settings)


def test_together_with_drawn_pairs_of_classes(many_classes: dict[str, Any]) -> None:
    check_together(many_classes, [1, 0, 5], rank_sample=50, batch_size=32)


def test_together_with_features_in_float16(problem: dict[str, Any]) -> None:
    names = ("source_features", "target_features")
    check_together(problem | {name: problem[name].half() for name in names}, [0, 1], batch_size=20)


@pytest.mark.parametrize("batch_size", [20, 256])
@pytest.mark.parametrize("name", ["clip_adapter", "taskres"])
def test_methods_that_learn_from_the_source_together_as_alone(
    name: str, batch_size: int, problem: dict[str, Any]
) -> None:
    check_together(problem, [4, 0, 3], name, batch_size=batch_size, calibration="class_prior")


@pytest.mark.parametrize("name", ["sre_clip", "clip_adapter", "taskres"])
def test_seeds_differ(name: str, problem: dict[str, Any]) -> None:
    inputs: Any = SimpleNamespace(**problem)
    settings = MethodsSettings().settings(name).changed({"steps": 2, "batch_size": 20})
    one, two = fit_seeds(watched([0, 1], settings, {}, name), inputs)
    assert one.history_ != two.history_


def test_no_more_seeds_at_once_than_memory_allows(
    problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    class Counted(AdapterTraining):
        def __init__(self, methods: Sequence[SreClip], *rest: Any) -> None:
            sizes.append(len(methods))
            super().__init__(methods, *rest)

    monkeypatch.setattr(sre_clip_module, "AdapterTraining", Counted)
    check_together(problem, [0, 1, 2])
    assert sizes == [3, 1, 1, 1]
    # 2 x 256 images: 4 x 16 + 4 x 8 + 8 x 5 + 2 x (5 + 8) numbers each; 8 nodes: 2 x 16 + 4 x 8
    # each; soft labels: 2 x 80 x 5.
    monkeypatch.setattr(adapter_training, "MOST_VALUES", 2 * (512 * 162 + 8 * 64 + 800))
    check_together(problem, [0, 1, 2])
    assert sizes[4:6] == [2, 1]


def test_no_more_adapters_at_once_than_memory_allows(
    problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(modules: Sequence[torch.nn.Module]) -> torch.nn.Module:
        sizes.append(len(modules))
        return real(modules)

    sizes: list[int] = []
    real = source_only.stacked
    monkeypatch.setattr(source_only, "stacked", counted)
    # 20 images and 5 classes: 8 x (20 x (16 + 5) + 5 x 16) numbers per seed.
    monkeypatch.setattr(source_only, "MOST_VALUES", 2 * 4000)
    check_together(problem, [0, 1, 2], "taskres", batch_size=20)
    assert sizes == [2, 1, 1, 1, 1]


@pytest.mark.parametrize("name", ["clip_adapter", "taskres"])
def test_an_adapter_that_diverges_is_reported_alone(
    name: str, problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(logits: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        broken = torch.tensor([late(), False, late()])
        return real(logits, *rest).masked_fill(broken, math.nan)

    def late() -> bool:
        return len(together[0].history_) >= 4

    settings = MethodsSettings().settings(name).changed({"steps": 8, "batch_size": 20})
    together = [make_method(name, settings, seed) for seed in (7, 5, 6)]
    alone = [make_method(name, settings, seed).fit(**problem) for seed in (7, 5, 6)]
    real = source_only.known_cross_entropy
    monkeypatch.setattr(source_only, "known_cross_entropy", loss)
    inputs: Any = SimpleNamespace(**problem)
    with pytest.raises(Diverged, match="step 5: loss term 'source' is nan") as found:
        list(fit_seeds(together, inputs))
    assert found.value.method is together[0]
    assert all(value.isfinite().all() for value in together[0].state().values())
    for method, wanted in zip(together, alone, strict=True):
        for record, other in zip(method.history_, wanted.history_[:4], strict=True):
            assert record == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_one_seed_that_diverges_is_reported_alone(
    tmp_path: Path, problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(self: AdapterTraining, batch: Any) -> dict[str, torch.Tensor]:
        found = real(self, batch)
        seeds = torch.tensor([method.seed for method in self.methods])
        late = len(self.methods[0].history_) >= 4
        broken = (seeds == 2) & torch.tensor(late)
        return found | {"source": found["source"].masked_fill(broken, math.nan)}

    real = AdapterTraining.terms
    inputs: Any = SimpleNamespace(**problem)
    settings = SreClipSettings(**SMALL)
    alone = watched([0, 1, 3, 4], settings, {})
    for method in alone:
        method.fit(**problem)
    monkeypatch.setattr(AdapterTraining, "terms", terms)
    together = watched([0, 1, 2, 3, 4], settings, {})
    with pytest.raises(Diverged) as found:
        list(fit_seeds(together, inputs))
    assert found.value.method is together[2]
    assert all(value.isfinite().all() for value in together[2].state().values())
    for method, wanted in zip(together[:2] + together[3:], alone, strict=True):
        for record, other in zip(method.history_, wanted.history_, strict=False):
            assert record == pytest.approx(other, rel=1e-4, abs=1e-6)
    plan: Any = SimpleNamespace(
        params=SimpleNamespace(train=SimpleNamespace(checkpoints=0)),
        fit=lambda name: Result("fit", tmp_path, "0"),
    )
    checkpoints = [method_module._Kept(seed, problem["target_features"]) for seed in range(5)]
    with pytest.raises(FitError, match=r"^sre_clip, seed 2: step 5: loss term 'source' is nan; "):
        list(method_module._fit_seeds(plan, "sre_clip", settings, inputs, checkpoints, False))
    (left,) = tmp_path.iterdir()
    assert left.name == "diverged-seed-2.safetensors"
    assert load_file(left).keys() == together[2].state().keys()


def test_a_parameter_that_is_not_finite_names_its_seed(
    problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def terms(self: AdapterTraining, batch: Any) -> dict[str, torch.Tensor]:
        found = real(self, batch)
        with torch.no_grad():
            self.adapters.image.out.bias[1, 0] = math.inf
        return found

    real = AdapterTraining.terms
    monkeypatch.setattr(AdapterTraining, "terms", terms)
    inputs: Any = SimpleNamespace(**problem)
    together = watched([7, 5, 6], SreClipSettings(**SMALL | {"steps": 1}), {})
    with pytest.raises(Diverged, match="step 1: a parameter is not finite") as found:
        list(fit_seeds(together, inputs))
    assert found.value.method.seed == 5
