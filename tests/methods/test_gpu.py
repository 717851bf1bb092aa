"""Every method on a pretended GPU: nothing stays on the other side, and the numbers are equal."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import torch

from sreclip.config.methods import MethodsSettings
from sreclip.methods import METHODS
from sreclip.methods.scores import ImageScores
from sreclip.train.fits import make_method, score_target
from sreclip.train.inputs import checked_device
from tests.methods.test_methods import FEW_STEPS, problem
from tests.pretended_gpu import OnGpu, PretendedGpu, Stream

__all__ = ["problem"]
AFTERWARDS: list[dict[str, Any]] = [
    {},
    {"calibration": "zero_shot", "refine": "transclip"},
    {"refine": "zlap", "neighbours": "approximate"},
]


def fit_and_score(
    name: str, extra: dict[str, Any], data: dict[str, Any]
) -> tuple[ImageScores, dict[str, torch.Tensor]]:
    settings = MethodsSettings().settings(name).changed(FEW_STEPS.get(name, {}) | extra)
    method = make_method(name, settings, 0)
    method.fit(**data)
    return score_target(method, data["target_features"]), method.state()


@pytest.mark.parametrize("extra", AFTERWARDS)
@pytest.mark.parametrize("name", METHODS)
def test_a_fit_stays_on_its_device(
    name: str, extra: dict[str, Any], problem: dict[str, Any]
) -> None:
    scores, state = fit_and_score(name, extra, problem)
    with PretendedGpu():
        moved = {key: value.to("cuda") for key, value in problem.items()}
        scores_there, state_there = fit_and_score(name, extra, moved)
        assert all(value.device.type == "cuda" for value in state_there.values())
        assert state_there.keys() == state.keys()
        for key, value in state_there.items():
            assert torch.equal(value.cpu(), state[key])
    for here, there in zip(astuple(scores), astuple(scores_there), strict=True):
        np.testing.assert_array_equal(here, there)


def test_the_pretence_refuses_what_a_gpu_refuses() -> None:
    here, numbers = torch.arange(3.0), torch.tensor([0, 2])
    with PretendedGpu():
        assert checked_device("cuda") == "cuda"
        there = here.to("cuda")
        assert isinstance(there + 1, OnGpu)
        assert there[numbers].tolist() == [0, 2]
        assert not isinstance(there.cpu(), OnGpu)
        layer = torch.nn.Linear(3, 2).to("cuda")
        layer(there).sum().backward()
        assert layer.weight.grad.device.type == "cuda"
        with pytest.raises(RuntimeError, match="two devices"):
            there + here
        with pytest.raises(RuntimeError, match="two devices"):
            here[numbers.to("cuda")] + there[:2]
        with pytest.raises(RuntimeError, match="two devices"):
            there[numbers] = here[:2]
        with pytest.raises(RuntimeError, match="two devices"):
            torch.nn.Linear(3, 2)(there)
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, generator=torch.Generator(), device="cuda")
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()


def test_the_pretence_copies_when_somebody_waits() -> None:
    here = torch.arange(3.0)
    with PretendedGpu():
        beside = Stream()
        with torch.cuda.stream(beside):
            there = here.to("cuda", non_blocking=True)
        assert there.isnan().all()
        torch.cuda.current_stream().wait_stream(beside)
        there.record_stream(torch.cuda.current_stream())
        back = there.to("cpu", non_blocking=True)
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream())
        assert back.isnan().all()
        event.synchronize()
        assert torch.equal(back, here)
    with (
        pytest.raises(RuntimeError, match="record_stream"),
        PretendedGpu(),
        torch.cuda.stream(Stream()),
    ):
        here.to("cuda")
