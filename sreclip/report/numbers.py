"""How many digits a number may show."""

from __future__ import annotations

import math
from collections.abc import Mapping

# Half-widths below this are rounding noise of equal runs, in percent points.
NOISE = 1e-7
MOST_DECIMALS = 1


def decimals_of(half: float) -> int:
    """Decimals that a half-width supports, by the rule of the Particle Data Group.

    With the three leading digits of the half-width between 100 and 354 it has two significant
    digits, between 355 and 949 one, above that it is rounded up to 1000 and has two. The result
    is kept between whole numbers and tenths: a tenth of a percent is finer than what some
    thousands of test pictures tell.
    """
    exponent = math.floor(math.log10(half))
    leading = round(half / 10.0 ** (exponent - 2))
    decimals = 1 - exponent if leading < 355 else -exponent
    return min(max(decimals, 0), MOST_DECIMALS)


def format_with_interval(mean: float, half: float | None, sign: str = " ± ") -> str:
    """Write a mean with the half-width of its interval, both with as many digits as it supports.

    Parameters
    ----------
    mean : float
        For instance in percent.
    half : float or None
        Half-width of the interval; None when there is none (a single run).
    sign : str
        What stands between the two.

    Examples
    --------
    >>> format_with_interval(45.234, 3.44)
    '45.2 ± 3.4'
    >>> format_with_interval(45.234, 4.4)
    '45 ± 4'
    """
    if half is None:
        return plain(mean, MOST_DECIMALS)
    if half < NOISE:
        return f"{plain(mean, MOST_DECIMALS)}{sign}0"
    decimals = decimals_of(half)
    least = 10.0**-decimals
    shown = f"<{least:.{decimals}f}" if half < least / 2 else plain(half, decimals)
    return f"{plain(mean, decimals)}{sign}{shown}"


def plain(value: float, decimals: int) -> str:
    """Format with fixed decimals, without a minus before zero."""
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def signed(value: float, decimals: int) -> str:
    """Format with fixed decimals and a sign, but for what is shown as zero."""
    shown = plain(abs(value), decimals)
    if not float(shown):
        return shown
    return ("+" if value > 0 else "\N{MINUS SIGN}") + shown


def format_difference(
    difference: float, low: float | None, high: float | None
) -> tuple[str, str | None]:
    """Write a difference and its interval, with as many digits as the interval's half supports.

    Parameters
    ----------
    difference, low, high : float
        For instance in percentage points; None for ``low`` and ``high`` when there is no interval.

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


def half_width(numbers: Mapping[str, float]) -> float | None:
    """Half-width of the interval in a summary over seeds, if it has one."""
    if "low" not in numbers or "high" not in numbers:
        return None
    return (numbers["high"] - numbers["low"]) / 2
