"""The page's first sentences: which method is best, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sreclip.evaluate.significance import Comparison
from sreclip.evaluate.stored import ZERO_SHOT, Evaluation, zero_shot_of
from sreclip.report.labels import is_headline
from sreclip.report.numbers import format_difference, format_p, percent_and_half

# The first of these that the labels define decides, and what it is.
DECISIVE = {
    "h": "H is the harmonic mean of the accuracies on known and on unknown classes.",
    "known": "No unknown class has labelled images, so the accuracy on known classes counts.",
    "unknown": "No known class has labelled images, so the accuracy on unknown classes counts.",
}


@dataclass(frozen=True)
class Answer:
    """The method with the best decisive metric, a sentence about it, and what else is to say."""

    best: Evaluation
    sentence: str
    more: str = ""


def answer(
    results: Sequence[Evaluation], differences: Sequence[Comparison], confidence: float
) -> Answer:
    """Say which of the measured methods is best, and whether it clearly beats zero-shot.

    The metric is the first of `DECISIVE` that is defined. ``differences`` are the rows of
    ``significance.csv``.
    """
    metric = next(name for name in DECISIVE if name in results[0].metrics)
    ranked = sorted(results, key=lambda result: -result.metrics[metric]["mean"])
    best = ranked[0]
    if not is_headline(metric, best):
        return Answer(best, "Too few images have a label to say which method is best.")
    number = f"{'H' if metric == 'h' else 'accuracy'} {_mean(best, metric)} %"
    zero_shot = zero_shot_of(results)
    more = [_next(ranked[1], metric)] if len(ranked) > 1 and ranked[1] is not zero_shot else []
    if len(results) == 1:
        sentence = f"{best.title} alone was run: {number}."
    elif best is zero_shot:
        sentence = f"Nothing beats zero-shot here: {number}."
    elif zero_shot is None:
        sentence = f"{best.title} is best: {number}."
        more.append("Zero-shot was not run.")
    else:
        row = _difference(differences, best.method, metric)
        gain = best.metrics[metric]["mean"] - zero_shot.metrics[metric]["mean"]
        sentence = f"{best.title} is best: {number}, {_gain(gain, row, confidence)}."
        more.insert(0, _luck(row, confidence))
    return Answer(best, sentence, " ".join([*more, DECISIVE[metric]]))


def _difference(differences: Sequence[Comparison], method: str, metric: str) -> Comparison | None:
    wanted = (ZERO_SHOT, method, metric)
    rows = (row for row in differences if (row.reference, row.method, row.metric) == wanted)
    return next(rows, None)


def _gain(gain: float, row: Comparison | None, confidence: float) -> str:
    low, high = (None, None) if row is None else (row.low, row.high)
    if low is None or high is None:
        return f"{100 * gain:.1f} points above zero-shot"
    points, interval = format_difference(100 * gain, 100 * low, 100 * high)
    level = f"{100 * confidence:g} % interval"
    return f"{points.lstrip('+')} points above zero-shot ({interval}, {level})"


def _luck(row: Comparison | None, confidence: float) -> str:
    if row is None:
        return "Whether that is luck was not tested."
    p = f"p {format_p(row.p_holm)}"
    if row.mark(confidence):
        return f"That is more than the luck of the images ({p})."
    return f"That may be the luck of the images ({p})."


def _next(result: Evaluation, metric: str) -> str:
    return f"The next is {result.title} with {_mean(result, metric)}."


def _mean(result: Evaluation, metric: str) -> str:
    return percent_and_half(result.metrics[metric])[0]
