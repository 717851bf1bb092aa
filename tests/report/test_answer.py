"""The page's first sentences."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sreclip.evaluate.significance import Comparison
from sreclip.evaluate.stored import Evaluation, read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.answer import answer


def with_means(evaluation: Evaluation, **means: float) -> Evaluation:
    metrics = {name: {"mean": value, "n": 1} for name, value in means.items()}
    return dataclasses.replace(evaluation, metrics=metrics)


def row(method: str, metric: str = "h", **changes: Any) -> Comparison:
    values = {"difference": 0.132, "low": 0.071, "high": 0.193, "p": 0.001, "p_holm": 0.002}
    return Comparison("zero_shot", "zero_shot", method, metric, **(values | changes))


@pytest.fixture
def results(plan: Plan) -> dict[str, Evaluation]:
    many = [[label, label, 120] for label in range(8)]
    found = [
        dataclasses.replace(each, confusion=many)
        for each in read_evaluations(plan.comparison.inputs)
    ]
    means = {"zero_shot": 0.279, "clip_adapter": 0.122, "sre_clip": 0.411}
    return {each.method: with_means(each, h=means[each.method], all=0.9) for each in found}


def test_the_best_is_named_with_its_gain(results: dict[str, Evaluation]) -> None:
    found = answer(list(results.values()), [row("clip_adapter"), row("sre_clip")], 0.95)
    assert found.best is results["sre_clip"]
    assert found.sentence == (
        "SRE-CLIP is best: H 41.1 %, 13 points above zero-shot (+7 to +19, 95 % interval)."
    )
    assert found.more.startswith("That is more than the luck of the images (p 0.002). H is")


def test_what_may_be_luck_is_said_to_be(results: dict[str, Evaluation]) -> None:
    found = answer(list(results.values()), [row("sre_clip", p_holm=0.2)], 0.95)
    assert found.more.startswith("That may be the luck of the images (p 0.20).")


def test_nothing_may_beat_zero_shot(results: dict[str, Evaluation]) -> None:
    results["sre_clip"] = with_means(results["sre_clip"], h=0.2)
    found = answer(list(results.values()), [row("sre_clip")], 0.95)
    assert found.best is results["zero_shot"]
    assert found.sentence == "Nothing beats zero-shot here: H 27.9 %."
    assert found.more.startswith("The next is SRE-CLIP with 20.0. H is")


def test_without_zero_shot_the_best_is_named(results: dict[str, Evaluation]) -> None:
    del results["zero_shot"]
    found = answer(list(results.values()), [], 0.95)
    assert found.sentence == "SRE-CLIP is best: H 41.1 %."
    assert found.more.startswith("The next is CLIP-Adapter with 12.2. Zero-shot was not run.")
    alone = answer([results["sre_clip"]], [], 0.95)
    assert alone.sentence == "SRE-CLIP alone was run: H 41.1 %."


def test_without_unknown_images_known_accuracy_decides(results: dict[str, Evaluation]) -> None:
    shown = [
        with_means(each, known=0.5 + 0.1 * at, all=0.9) for at, each in enumerate(results.values())
    ]
    found = answer(shown, [], 0.95)
    assert found.best.method == "sre_clip"
    assert found.sentence == "SRE-CLIP is best: accuracy 70.0 %, 20.0 points above zero-shot."
    assert "was not tested. The next is CLIP-Adapter with 60.0." in found.more
    assert "No unknown class has labelled images" in found.more


def test_few_labels_make_no_winner(results: dict[str, Evaluation]) -> None:
    few = [
        dataclasses.replace(each, confusion=[[label, label, 3] for label in range(8)])
        for each in results.values()
    ]
    found = answer(few, [], 0.95)
    assert found.sentence == "Too few images have a label to say which method is best."
