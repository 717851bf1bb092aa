"""Tip-Adapter and Tip-Adapter-F against a loop over keys."""

from __future__ import annotations

from typing import Any

import torch

from sreclip.methods.tip_adapter import TipAdapter
from sreclip.methods.tip_adapter_f import TipAdapterF
from tests.methods.conftest import DIM, KNOWN, frozen


def test_tip_adapter_by_loop(problem: dict[str, Any]) -> None:
    target, source, labels = (
        problem[key] for key in ("target_features", "source_features", "source_labels")
    )
    method = TipAdapter(alpha=0.7, beta=2.0, shots=100, centered=False).fit(**problem)
    expected = frozen(problem)
    for i, f in enumerate(target):
        for key, label in zip(source, labels, strict=True):
            expected[i, label] += 0.7 * torch.exp(-2.0 * (1 - f @ key))
    torch.testing.assert_close(method.logits(target), expected)
    centered = TipAdapter(alpha=0.7, beta=2.0, shots=100).fit(**problem).logits(target)
    torch.testing.assert_close(centered[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    torch.testing.assert_close(
        centered[:, KNOWN].mean(dim=1), frozen(problem)[:, KNOWN].mean(dim=1)
    )
    torch.testing.assert_close(
        centered[:, KNOWN] - centered[:, [0]], expected[:, KNOWN] - expected[:, [0]]
    )


def test_tip_adapter_makes_up_for_fewer_images(problem: dict[str, Any]) -> None:
    # The same image once, twice and four times: each class's keys weigh the same in all.
    labels = torch.tensor([0, 2, 2, 3, 3, 3, 3])
    same = problem["source_features"][:1].expand(7, DIM).clone()
    change = {"source_features": same, "source_labels": labels}
    method = TipAdapter(centered=False).fit(**problem | change)
    gain = method.logits(problem["target_features"]) - frozen(problem)
    affinity = torch.exp(-(1 - problem["target_features"] @ same[0]))
    expected = 4 * 1.17 * affinity[:, None] * KNOWN
    torch.testing.assert_close(gain, expected, rtol=1e-4, atol=1e-4)


def test_tip_adapter_f_starts_as_tip_adapter_and_learns(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    start = TipAdapterF(epochs=0).fit(**problem).logits(target)
    torch.testing.assert_close(start, TipAdapter().fit(**problem).logits(target))
    trained = TipAdapterF(epochs=50, lr=0.05).fit(**problem)
    assert trained.history_[-1]["source"] < trained.history_[0]["source"]
    torch.testing.assert_close(trained.logits(target)[:, ~KNOWN], frozen(problem)[:, ~KNOWN])
    assert len(TipAdapterF(epochs=3, batch_size=10).fit(**problem).history_) == 9
