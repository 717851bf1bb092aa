"""Digits: worked out by hand from the rule (100-354: two digits, 355-949: one, above: 1000)."""

from __future__ import annotations

import pytest

from sreclip.report.numbers import (
    format_difference,
    format_p,
    half_width,
    mean_and_half,
    percent_text,
    signed,
)


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
    shown, _, shown_half = expected.partition(" ± ")
    assert mean_and_half(mean, half) == (shown, shown_half)


def test_summaries_are_shown_in_percent() -> None:
    summary = {"mean": 0.45234, "low": 0.41794, "high": 0.48674, "n": 3}
    assert percent_text(summary) == "45.2 ± 3.4"
    assert percent_text(summary, "±") == "45.2±3.4"
    assert percent_text({"mean": 0.45234, "n": 1}) == "45.2"


def test_half_width_of_a_summary() -> None:
    assert half_width({"mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}) == pytest.approx(0.1)
    assert half_width({"mean": 0.5, "n": 1}) is None


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [(1.25, 1, "+1.2"), (-3.4, 0, "\N{MINUS SIGN}3"), (0.04, 1, "0.0"), (-0.04, 1, "0.0")],
)
def test_signs(value: float, decimals: int, expected: str) -> None:
    assert signed(value, decimals) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        # Half of the interval 2.155: two digits; 8.0: one; 0.02: no finer than a tenth.
        ((4.321, 2.2, 6.51), ("+4.3", "+2.2 to +6.5")),
        ((4.321, -3.2, 12.8), ("+4", "\N{MINUS SIGN}3 to +13")),
        ((0.03, 0.01, 0.05), ("0.0", "0.0 to +0.1")),
        ((25.0, None, None), ("+25.0", None)),
        ((0.0, 0.0, 0.0), ("0.0", "0.0 to 0.0")),
    ],
)
def test_differences_have_the_digits_of_their_interval(
    numbers: tuple[float, float | None, float | None], expected: tuple[str, str | None]
) -> None:
    assert format_difference(*numbers) == expected


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (2 / 2001, "0.001"),
        (0.0004, "<0.001"),
        (0.0494, "0.049"),
        (0.123, "0.12"),
        (0.994, "0.99"),
        (1.0, "1"),
    ],
)
def test_p_values(p: float, expected: str) -> None:
    assert format_p(p) == expected
