"""The fit of one seed: what its bar shows, what its errors name, what is kept of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sreclip.config.methods import ClipAdapterSettings
from sreclip.errors import FitError
from sreclip.methods.base import Method
from sreclip.methods.logits import assemble
from sreclip.methods.zero_shot import ZeroShot
from sreclip.plan.results import Result
from sreclip.refinement.refine import score_others, step_tensors
from sreclip.train import method as module
from sreclip.train.fits import refined_target
from tests.methods.conftest import CLASSES, problem

__all__ = ["problem"]


class Bar:
    """Replaces tqdm and keeps what it is told."""

    def __init__(self, **_: Any) -> None:
        self.n, self.total = 0, None
        self.shown: list[str] = []

    def close(self) -> None:
        pass

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self.shown.append(text)

    def update(self, n: int) -> None:
        self.n += n


def fit_seed(folder: Path, problem: dict[str, Any], **settings: Any) -> Method:
    plan: Any = SimpleNamespace(
        params=SimpleNamespace(train=SimpleNamespace(checkpoints=0)),
        fit=lambda name: Result("fit", folder, "0"),
    )
    kept = module._Kept(3, problem["target_features"])
    chosen = ClipAdapterSettings(**settings)
    inputs: Any = SimpleNamespace(**problem)
    (method,) = module._fit_seeds(plan, "clip_adapter", chosen, inputs, [kept], True)
    return method


def test_the_bar_shows_the_loss(
    tmp_path: Path, problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Bar()
    monkeypatch.setattr(module, "tqdm", lambda **_: bar)
    method = fit_seed(tmp_path, problem, steps=4)
    assert (bar.n, bar.total) == (4, 4)
    assert bar.shown == [f"loss {record['source']:.4g}" for record in method.history_]


def test_a_diverging_fit_names_method_and_seed_and_leaves_its_last_good_state(
    tmp_path: Path, problem: dict[str, Any]
) -> None:
    with pytest.raises(FitError, match=r"clip_adapter, seed 3: step \d+: .*last good state is in"):
        fit_seed(tmp_path, problem, lr=1e30, steps=30)
    (left,) = tmp_path.iterdir()
    assert all(value.isfinite().all() for value in load_file(left).values())


def test_what_is_saved_of_the_refinements_scores_other_images(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    method = ZeroShot(refine=["class_bias", "stata"])
    method.fit(**problem | {"target_features": target[::2]})
    _, states = refined_target(method, target[::2])
    saved = step_tensors(method.settings.refine, states)
    prefix = "refine.1.stata."
    assert saved.keys() == {
        "refine.0.class_bias.class_bias",
        f"{prefix}means",
        f"{prefix}variances",
    }
    others = target[1::2]
    wanted = score_others(states, others, method.logit_blocks(others), CLASSES)
    biased = method.logits(others) + saved["refine.0.class_bias.class_bias"]
    away = others[:, None] - saved[f"{prefix}means"]
    variances = saved[f"{prefix}variances"]
    likelihood = -(away.square() / variances + variances.log()).sum(dim=2) / 2
    found = (biased + likelihood / 50).softmax(dim=1)
    torch.testing.assert_close(found, assemble(wanted, len(others), CLASSES).exp())
