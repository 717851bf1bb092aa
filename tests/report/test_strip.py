"""The strip of target images."""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from sreclip.config.load import parse_params
from sreclip.evaluate.stored import read_evaluations, read_predictions
from sreclip.features import viewing
from sreclip.plan.plan import Plan
from sreclip.report import strip as module
from sreclip.report.strip import COLUMNS, make_strip
from sreclip.report.thumbnails import thumbnail


def strip_of(plan: Plan, **report: Any) -> module.Strip:
    """The strip with other settings, on the same results."""
    values = plan.params.model_dump(mode="json")
    values["report"].update(report)
    changed = dataclasses.replace(plan, params=parse_params(values))
    return make_strip(changed, read_evaluations(plan.comparison.inputs))


def test_half_are_right_and_the_text_is_true(plan: Plan) -> None:
    strip = strip_of(plan, images=8)
    assert (len(strip.right), len(strip.wrong)) == (4, 4)
    rows = read_predictions(plan.evaluation("sre_clip"), COLUMNS).set_index("path")
    names = [entry.name for entry in plan.classes]
    for image in [*strip.right, *strip.wrong]:
        row = rows.loc[image.image.path]
        assert image.true == names[int(row["label"])]
        assert image.predicted == names[int(row["predicted"])]
        assert image.right == (image.true == image.predicted)
        assert image.confidence == pytest.approx(row["confidence"])
        assert image.true_known == (image.true not in ("owl", "pear", "axe"))


def test_the_hardest_are_wrong_with_every_method(plan: Plan) -> None:
    strip = strip_of(plan, images=10_000)
    right = set()
    for result in read_evaluations(plan.comparison.inputs):
        rows = read_predictions(plan.evaluation(result.method), COLUMNS)
        right |= set(rows["path"][rows["label"] == rows["predicted"]])
    shown = [image.image.path for image in strip.hardest]
    assert shown
    assert set(shown) == {image.image.path for image in strip.wrong} - right
    confidences = [image.confidence for image in strip.hardest]
    assert confidences == sorted(confidences)


def test_the_seed_picks(plan: Plan) -> None:
    assert strip_of(plan, images=8, seed=1) == strip_of(plan, images=8, seed=1)
    assert strip_of(plan, images=8, seed=1) != strip_of(plan, images=8, seed=2)


def test_when_one_kind_runs_out_the_other_fills_up(plan: Plan) -> None:
    rows = read_predictions(plan.evaluation("sre_clip"), COLUMNS)
    rows = rows[rows["predicted"] >= 0]
    n_right = int((rows["label"] == rows["predicted"]).sum())
    strip = strip_of(plan, images=10_000)
    assert len(strip.right) == n_right
    assert len(strip.right) + len(strip.wrong) == len(rows)


def test_none_are_shown_when_none_are_asked_for(plan: Plan) -> None:
    assert strip_of(plan, images=0) == module.Strip([], [], [], [], [], 0)


def test_unreadable_images_are_counted(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is gone, and a manifest that points outside the data root."""
    real = viewing.find_rows

    def with_strangers(folder: Path, row_ids: Sequence[int]) -> pd.DataFrame:
        rows = real(folder, row_ids)
        rows.loc[rows.index[:2], "path"] = ["target/gone.png", "../../outside.png"][: len(rows)]
        return rows

    monkeypatch.setattr(viewing, "find_rows", with_strangers)
    strip = strip_of(plan, images=4)
    assert not {"target/gone.png", "../../outside.png"} & {
        one.image.path for one in [*strip.right, *strip.wrong]
    }
    assert strip.unreadable >= 2


@pytest.mark.parametrize("size", [(1, 1), (2000, 10), (300, 500)])
def test_thumbnails_fit_and_decode(size: tuple[int, int]) -> None:
    made = thumbnail("image.png", Image.new("RGB", size, "teal"), 224)
    assert max(made.width, made.height) <= 224
    head, _, data = made.uri.partition(",")
    assert head == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (made.width, made.height)


def test_the_surest_mistakes_come_first(plan: Plan) -> None:
    shown = strip_of(plan, images=8).surest_wrong
    rows = read_predictions(plan.evaluation("sre_clip"), COLUMNS)
    wrong = rows[(rows["predicted"] >= 0) & (rows["label"] >= 0)]
    wrong = wrong[wrong["label"] != wrong["predicted"]]
    expected = sorted(wrong["confidence"], reverse=True)[:4]
    assert [image.confidence for image in shown] == pytest.approx(expected)
    assert not any(image.right for image in shown)
