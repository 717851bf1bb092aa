"""Which methods no other is clearly above: what a table for a paper sets in bold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sreclip.evaluate.permutation import permutation_p
from sreclip.evaluate.significance import read_right
from sreclip.evaluate.statistics import holm, paired_bootstrap
from sreclip.evaluate.stored import Evaluation
from sreclip.plan.results import Result


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
    first = evaluations[0]
    if not resamples or first.warning or not first.n_images:
        return {}
    right, labels = read_right(results, evaluations)
    observed = paired_bootstrap(right, labels, first.known, 0, seed).observed

    @cache
    def p_of(best: str, other: str) -> dict[str, float]:
        return permutation_p(right[best], right[other], labels, first.known, resamples, seed)

    found = {}
    for metric, means in observed.items():
        best = max(means, key=means.__getitem__)
        others = [name for name in means if name != best]
        adjusted = holm([p_of(best, name)[metric] for name in others])
        near = {name for name, p in zip(others, adjusted, strict=True) if p >= 1 - confidence}
        found[metric] = {best} | near
    return found
