"""What several seeds say together."""

from __future__ import annotations

import math
from collections.abc import Sequence


def summarise(values: Sequence[float], confidence: float) -> dict[str, float]:
    """Mean, standard deviation (ddof 1) and Student-t interval of the mean.

    Returns
    -------
    dict
        ``mean``, ``sd``, ``low``, ``high``, ``n``; one value alone has no spread, and then
        ``sd``, ``low`` and ``high`` are absent.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return {"mean": mean, "n": 1}
    from scipy.stats import t

    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(t.ppf((1 + confidence) / 2, n - 1)) * sd / math.sqrt(n)
    return {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half, "n": n}
