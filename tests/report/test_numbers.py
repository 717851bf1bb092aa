"""Digits: worked out by hand from the rule (100-354: two digits, 355-949: one, above: 1000)."""

from __future__ import annotations

import pytest

from sreclip.report.numbers import format_with_interval, half_width


@pytest.mark.parametrize(
    ("mean", "half", "expected"),
    [
        (45.234, 3.44, "45.2 ± 3.4"),
        (45.234, 3.54, "45.2 ± 3.5"),
        (45.234, 3.55, "45 ± 4"),
        (45.234, 4.4, "45 ± 4"),
        (45.234, 9.49, "45 ± 9"),
        (45.234, 9.51, "45 ± 10"),
        (45.234, 0.951, "45.2 ± 1.0"),
        (45.26, 0.42, "45.3 ± 0.4"),
        (45.26, 0.051, "45.3 ± 0.1"),
        # Finer than a tenth of a percent is not shown.
        (45.26, 0.02, "45.3 ± <0.1"),
        # Coarser than a whole percent is not rounded away.
        (45.5001, 12.4, "46 ± 12"),
        (45.234, 36.0, "45 ± 36"),
        (45.234, 123.0, "45 ± 123"),
        # Equal runs, and rounding noise of equal runs.
        (45.26, 0.0, "45.3 ± 0"),
        (45.26, 1e-12, "45.3 ± 0"),
        # A single run.
        (45.26, None, "45.3"),
        (-0.01, None, "0.0"),
    ],
)
def test_digits_follow_the_interval(mean: float, half: float | None, expected: str) -> None:
    assert format_with_interval(mean, half) == expected


def test_the_sign_can_be_chosen() -> None:
    assert format_with_interval(45.234, 3.44, sign="±") == "45.2±3.4"


def test_half_width_of_a_summary() -> None:
    assert half_width({"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}) == pytest.approx(0.1)
    assert half_width({"mean": 0.5, "n": 1}) is None
