"""How many digits a number may show."""

from __future__ import annotations

import math

from sreclip.evaluate.stored import Summary

# Half-widths below this are rounding noise of equal runs, in percentage points.
NOISE = 1e-7
MOST_DECIMALS = 1


def decimals_of(half: float) -> int:
    """Return the decimals that a half-width supports, by the rule of the Particle Data Group.

    If the three leading digits of the half-width are 100 to 354 it has two significant digits, if
    355 to 949 one; above that it is rounded up to 1000 and has two. The result is at most one
    decimal: a tenth of a percent is finer than what some thousands of test images tell.
    """
    exponent = math.floor(math.log10(half))
    leading = round(half / 10.0 ** (exponent - 2))
    decimals = 1 - exponent if leading < 355 else -exponent
    return min(max(decimals, 0), MOST_DECIMALS)


def mean_and_half(mean: float, half: float | None) -> tuple[str, str]:
    """Write a mean and the half-width of its interval with the digits that the latter supports.

    Without an interval (a single run) the half-width is empty.

    Examples
    --------
    >>> mean_and_half(45.234, 3.44)
    ('45.2', '3.4')
    >>> mean_and_half(45.234, 4.4)
    ('45', '4')
    """
    if half is None:
        return plain(mean, MOST_DECIMALS), ""
    if half < NOISE:
        return plain(mean, MOST_DECIMALS), "0"
    decimals = decimals_of(half)
    least = 10.0**-decimals
    shown = f"<{least:.{decimals}f}" if half < least / 2 else plain(half, decimals)
    return plain(mean, decimals), shown


def percent_and_half(summary: Summary) -> tuple[str, str]:
    """Return `mean_and_half` of a summary over seeds, in percent."""
    half = half_width(summary)
    return mean_and_half(100 * summary["mean"], None if half is None else 100 * half)


def percent_text(summary: Summary, sign: str = " ± ") -> str:
    """Write a summary over seeds as mean and half-width of its interval, in percent."""
    mean, half = percent_and_half(summary)
    return f"{mean}{sign}{half}" if half else mean


def plain(value: float, decimals: int) -> str:
    """Format with fixed decimals; zero has no minus sign."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    """Format with fixed decimals and a sign; zero has no sign."""
    shown = plain(abs(value), decimals)
    if not float(shown):
        return shown
    return ("+" if value > 0 else "\N{MINUS SIGN}") + shown


def format_difference(
    difference: float, low: float | None, high: float | None
) -> tuple[str, str | None]:
    """Write a difference and its interval, if any, with the digits that the interval supports.

    Examples
    --------
    >>> format_difference(4.321, 2.2, 6.51)
    ('+4.3', '+2.2 to +6.5')
    >>> format_difference(4.321, 0.2, 12.8)
    ('+4', '0 to +13')
    """
    if low is None or high is None:
        return signed(difference, MOST_DECIMALS), None
    half = (high - low) / 2
    decimals = MOST_DECIMALS if half < NOISE else decimals_of(half)
    return signed(difference, decimals), f"{signed(low, decimals)} to {signed(high, decimals)}"


def format_p(p: float) -> str:
    """Write a p value: hundredths from 0.1 up, thousandths below."""
    if p < 0.0005:
        return "<0.001"
    if p < 0.1:
        return f"{p:.3f}"
    return "1" if p >= 0.995 else f"{p:.2f}"


def half_width(summary: Summary) -> float | None:
    """Return the half-width of the interval in a summary over seeds, if it has one."""
    return (summary["high"] - summary["low"]) / 2 if "low" in summary else None
