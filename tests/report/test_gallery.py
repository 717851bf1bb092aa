"""The images that can be opened from the page's numbers."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd

from sreclip.evaluate.stored import read_evaluations
from sreclip.plan.plan import Plan
from sreclip.report.gallery import Gallery, make_gallery


def gallery_of(plan: Plan, n: int) -> Gallery | None:
    report = plan.params.report.model_copy(update={"gallery": n})
    return make_gallery(plan.changed(report=report), read_evaluations(plan.comparison.inputs))


def test_all_readable_images_are_there_with_what_each_method_says(plan: Plan) -> None:
    found = gallery_of(plan, 300)
    assert found
    content = json.loads(found.json)
    rows = {
        method: pd.read_parquet(result["predictions.parquet"]).set_index("path")
        for method, result in zip(plan.params.methods.run, plan.comparison.inputs, strict=True)
    }
    readable = rows["sre_clip"].query("label >= 0 and predicted >= 0")
    assert {image["path"] for image in content["images"]} <= set(readable.index)
    assert found.n == len(content["images"])
    assert found.n_all == len(readable)
    for image in content["images"]:
        for at, own in enumerate(rows.values()):
            assert image["predicted"][at] == own["predicted"][image["path"]]
            assert abs(image["confidence"][at] - 100 * own["confidence"][image["path"]]) <= 0.5
        assert image["label"] == readable["label"][image["path"]]


def test_few_images_are_of_each_class_in_turn(plan: Plan) -> None:
    found = gallery_of(plan, 20)
    assert found
    counts = Counter(image["label"] for image in json.loads(found.json)["images"])
    assert set(counts) == set(range(8))
    assert max(counts.values()) <= 3


def test_there_may_be_none(plan: Plan) -> None:
    assert gallery_of(plan, 0) is None
