"""What is stored of an evaluation is read back, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sreclip.errors import StoreError
from sreclip.evaluate.stored import (
    read_evaluation,
    read_evaluations,
    write_evaluation,
    zero_shot_of,
)
from sreclip.plan.plan import Plan


def test_the_same_bytes_are_written_again(plan: Plan) -> None:
    result = plan.evaluation("sre_clip")
    before = result["evaluation.json"].read_bytes()
    evaluation = read_evaluation(result)
    assert (evaluation.method, evaluation.warning) == ("sre_clip", "")
    assert evaluation.confusion_table.sum() == len(evaluation.seeds) * evaluation.n_images
    write_evaluation(result, evaluation)
    assert result["evaluation.json"].read_bytes() == before


def test_zero_shot_is_found_where_it_is(plan: Plan) -> None:
    found = read_evaluations(plan.comparison.inputs)
    assert zero_shot_of(found) is found[0]
    assert zero_shot_of(found[1:]) is None


def test_a_damaged_evaluation_is_named(make_results: Callable[..., Plan], tmp_path: Path) -> None:
    plan = make_results(tmp_path, methods=("zero_shot",), per_class=2)
    result = plan.evaluation("zero_shot")
    path = result["evaluation.json"]
    path.write_text("{}")
    with pytest.raises(StoreError, match=r"evaluation\.json was made from something else"):
        read_evaluation(result)
    path.write_text(json.dumps({"key": result.key}))
    with pytest.raises(StoreError, match=r"evaluation\.json is not an evaluation"):
        read_evaluation(result)
    path.unlink()
    with pytest.raises(StoreError, match=r"evaluation\.json is missing") as caught:
        read_evaluation(result)
    assert "sreclip evaluate zero_shot" in caught.value.hint
