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


def half_width(numbers: Mapping[str, float]) -> float | None:
    """Half-width of the interval in a summary over seeds, if it has one."""
    if "low" not in numbers or "high" not in numbers:
        return None
    return (numbers["high"] - numbers["low"]) / 2
