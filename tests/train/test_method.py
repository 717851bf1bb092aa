"""The fit of one seed: what its bar shows, and what its errors name."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file

from sreclip.config.methods import ClipAdapterSettings
from sreclip.errors import FitError
from sreclip.methods.base import Method
from sreclip.plan.results import Result
from sreclip.train import method as module
from tests.methods.conftest import problem

__all__ = ["problem"]


class Bar:
    """Replaces tqdm and keeps what it is told."""

    def __init__(self, **_: Any) -> None:
        self.n, self.total = 0, None
        self.shown: list[str] = []

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
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
    return module._fit_seed(plan, "clip_adapter", chosen, inputs, kept, True)


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
