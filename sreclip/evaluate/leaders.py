"""Which methods no other is clearly above: what a table for a paper sets in bold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sreclip.evaluate.permutation import permutation_p
from sreclip.evaluate.significance import is_tested, read_right
from sreclip.evaluate.statistics import holm
from sreclip.evaluate.stored import Evaluation
from sreclip.plan.results import Result

# Metrics that `permutation_p` tests.
TESTED = ("known", "unknown", "h")


def leaders(
    results: Sequence[Result],
    evaluations: Sequence[Evaluation],
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> dict[str, set[str]]:
    """Return by metric (known, unknown, H) the best method and those not clearly below it.

    All others are compared with the best by `permutation_p`; a method is clearly below if its
    p, adjusted for the number of methods (`holm`), is below ``1 - confidence``. That the best is
    chosen on the same images favours it. Empty where nothing is compared: without resamples or
    labels, and under the protocol ``reference``.
    """
    if not is_tested(evaluations, resamples):
        return {}
    right, labels = read_right(results, evaluations)
    known = evaluations[0].known

    @cache
    def p_of(best: str, other: str) -> dict[str, float]:
        return permutation_p(right[best], right[other], labels, known, resamples, seed)

    found = {}
    for metric in (name for name in TESTED if name in evaluations[0].metrics):
        means = {each.method: each.metrics[metric]["mean"] for each in evaluations}
        best = max(means, key=means.__getitem__)
        others = [name for name in means if name != best]
        adjusted = holm([p_of(best, name)[metric] for name in others])
        near = {name for name, p in zip(others, adjusted, strict=True) if p >= 1 - confidence}
        found[metric] = {best} | near
    return found
