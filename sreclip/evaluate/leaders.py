"""Which methods no other is clearly above: what a table for a paper sets in bold."""

from __future__ import annotations

from collections.abc import Sequence

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

    All others are compared with the best by `paired_bootstrap`; a method is clearly below if its
    p, adjusted for the number of methods (`holm`), is below ``1 - confidence``. That the best is
    chosen on the same images favours it. Empty where nothing is compared: without resamples or
    labels, and under the protocol ``reference``.
    """
    first = evaluations[0]
    if not resamples or first.warning or not first.n_images:
        return {}
    right, labels = read_right(results, evaluations)
    bootstrap = paired_bootstrap(right, labels, first.known, resamples, seed)
    found = {}
    for metric, means in bootstrap.observed.items():
        best = max(means, key=means.__getitem__)
        others = [name for name in means if name != best]
        adjusted = holm([bootstrap.difference(x, best, metric, confidence).p for x in others])
        ties = {x for x in others if means[x] == means[best]}
        near = {x for x, p in zip(others, adjusted, strict=True) if p >= 1 - confidence}
        found[metric] = {best} | near | ties
    return found
