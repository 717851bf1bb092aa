"""The habits of all methods: settings, progress, checkpoints."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreclip.config.methods import ClipAdapterSettings
from sreclip.errors import ConfigError
from sreclip.methods import METHODS
from sreclip.methods.base import Checkpoints
from sreclip.registry import load_registered
from tests.methods.test_methods import make, problem

__all__ = ["problem"]


def test_settings_are_checked_by_the_model_and_described_in_the_docstring() -> None:
    cls = load_registered("method", "clip_adapter", METHODS)
    assert cls(lr=0.5).settings == ClipAdapterSettings(lr=0.5)
    given = ClipAdapterSettings(steps=3)
    assert cls(given).settings == given
    assert cls(given, lr=0.5).settings.steps == 3
    with pytest.raises(ConfigError, match=r"ClipAdapter: rate: unknown key.*did you mean"):
        cls(rate=0.5)
    with pytest.raises(ConfigError, match=r"ClipAdapter: lr: .*greater than 0, found -1"):
        cls(lr=-1)
    doc = inspect.getdoc(cls) or ""
    assert "Deviations from the original" in doc
    assert "lr : float, default: 0.001\n    Adam's learning rate." in doc
    assert "refine : " in doc


def test_progress_is_told_the_weighted_loss(problem: dict[str, Any]) -> None:
    told: list[tuple[int, int, float]] = []
    method = make("bgcn", progress=lambda *said: told.append(said)).fit(**problem)
    assert [step for step, _, _ in told] == list(range(1, 14))
    assert {total for _, total, _ in told} == {13}
    last = method.history_[-1]
    expected = last["cross_entropy"] + 1.5 * last["tie"] + 3 * last["balance"]
    assert told[-1][2] == pytest.approx(expected)


def steps_of(total: int, count: int) -> tuple[int, ...]:
    return Checkpoints(count, lambda step, method: None).steps(total)


def test_the_reference_authors_test_every_300th_step_but_the_last() -> None:
    assert steps_of(3000, 9) == tuple(range(300, 3000, 300))


@pytest.mark.parametrize(
    ("total", "count", "expected"), [(10, 0, ()), (0, 3, ()), (1, 3, ()), (3, 9, (1, 2))]
)
def test_few_steps(total: int, count: int, expected: tuple[int, ...]) -> None:
    assert steps_of(total, count) == expected


@given(st.integers(1, 5000), st.integers(0, 50))
def test_steps_are_within_and_evenly_spaced(total: int, count: int) -> None:
    steps = steps_of(total, count)
    assert len(steps) == min(count, total - 1)
    assert list(steps) == sorted(set(steps))
    assert all(0 < step < total for step in steps)
    edges = [0, *steps, total]
    gaps = [b - a for a, b in itertools.pairwise(edges)]
    assert max(gaps) - min(gaps) <= 2
