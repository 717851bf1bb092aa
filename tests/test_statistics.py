from __future__ import annotations

import pytest
from scipy import stats

from sreclip.statistics import summarise


def test_against_scipy() -> None:
    values = [0.61, 0.64, 0.58, 0.66, 0.6]
    summary = summarise(values, 0.95)
    low, high = stats.t.interval(0.95, 4, loc=summary["mean"], scale=stats.sem(values))
    assert summary["sd"] == pytest.approx(stats.tstd(values))
    assert (summary["low"], summary["high"]) == pytest.approx((low, high))
    assert summary["n"] == 5


def test_equal_values_have_no_spread() -> None:
    summary = summarise([0.3] * 5, 0.95)
    assert summary["sd"] == 0
    assert summary["low"] == summary["high"] == summary["mean"] == 0.3


def test_one_value_has_no_interval() -> None:
    assert summarise([0.3], 0.95) == {"mean": 0.3, "n": 1}
