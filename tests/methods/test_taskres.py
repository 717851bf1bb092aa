"""TaskRes against its first step by hand."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from sreclip.methods.taskres import TaskRes
from tests.methods.conftest import KNOWN, SCALE, frozen


def test_taskres_starts_as_zero_shot_and_leaves_unknown_classes(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    start = TaskRes(steps=0).fit(**problem).logits(target)
    torch.testing.assert_close(start, frozen(problem))
    method = TaskRes(steps=30).fit(**problem)
    assert method.history_[-1]["source"] < method.history_[0]["source"]
    logits = method.logits(target)
    torch.testing.assert_close(logits[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    assert not torch.allclose(logits[:, KNOWN], frozen(problem)[:, KNOWN])


def test_taskres_first_step_by_hand(problem: dict[str, Any]) -> None:
    # Adam's first step is lr times the gradient's sign, whatever its size.
    method = TaskRes(alpha=0.5, lr=0.01, steps=1).fit(**problem)
    text = problem["text"].features.clone().requires_grad_()
    logits = SCALE * problem["source_features"] @ F.normalize(text[KNOWN], dim=1).T
    labels = torch.tensor([0, -1, 1, 2, -1])[problem["source_labels"]]
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels), text)
    residual = method.adapter_.get_parameter("residual").detach()
    torch.testing.assert_close(residual, -0.01 * gradient.sign(), rtol=1e-3, atol=0)
