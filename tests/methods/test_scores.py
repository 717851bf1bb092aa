"""The label-free bias on unknown logits."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.methods.scores import unknown_bias

KNOWN = torch.tensor([True, True, False])


def margin(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, :2].amax(dim=1) - logits[:, 2]


def n_unknown(logits: torch.Tensor) -> int:
    return int((logits.argmax(dim=1) == 2).sum())


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 30), st.floats(0, 5))
def test_keeps_the_number_of_unknown_predictions(seed: int, n: int, favour: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    frozen = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    adapted = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    adapted[:, :2] += favour
    bias = unknown_bias(margin(adapted), margin(frozen))
    assert n_unknown(adapted + bias * (~KNOWN)) == n_unknown(frozen)


def test_by_hand() -> None:
    # Margins of the adapted model: 1, 2, 4; the frozen model calls one image unknown.
    adapted = torch.tensor([[1.0, 0, 0], [2, 0, 0], [4, 0, 0]])
    frozen = torch.tensor([[0.0, 0, 1], [1, 0, 0], [1, 0, 0]])
    assert unknown_bias(margin(adapted), margin(frozen)) == 1.5


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 30), st.floats(0, 1))
def test_at_least_a_fraction_goes_to_unknown_classes(seed: int, n: int, least: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    frozen = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    adapted = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    bias = unknown_bias(margin(adapted), margin(frozen), least)
    assert n_unknown(adapted + bias * (~KNOWN)) == max(n_unknown(frozen), round(least * n))


def test_zero_when_nothing_is_to_correct() -> None:
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert unknown_bias(margin(logits), margin(logits)) == 0
    assert unknown_bias(margin(logits + 1), margin(logits)) == 0


def test_zero_without_known_or_unknown_classes() -> None:
    for empty in (torch.inf, -torch.inf):
        nothing = torch.full((20,), empty)
        assert unknown_bias(nothing, nothing) == 0
