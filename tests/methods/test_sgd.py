"""The decaying rate."""

from __future__ import annotations

import pytest

from sreclip.methods.sgd import rate_factor


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 1.0), (599, 1.0), (600, 1.0), (1600, 2**-0.75), (2999, 3.399**-0.75)]
)
def test_rate_factor(step: int, expected: float) -> None:
    assert rate_factor(step, 600, 1e-3, 0.75) == pytest.approx(expected)
