"""The table of predictions: every target image, every method, with names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sreclip.evaluate.stored import read_evaluation
from sreclip.features.images import Reject
from sreclip.methods.scores import read_scores
from sreclip.model.writers import columns
from sreclip.plan.plan import Plan
from sreclip.plan.results import PREDICTIONS
from sreclip.report.predictions import write_predictions
from sreclip.report.rejects import Rejects


@pytest.fixture(scope="module")
def table(plan: Plan) -> pd.DataFrame:
    results = [read_evaluation(plan.evaluation(name)) for name in plan.params.methods.run]
    broken = pd.read_parquet(plan.task.path / "manifest.parquet")
    first = broken[broken["domain"] == "target"].sort_values("path").iloc[0]
    rejects = Rejects([("target", Reject(int(first["row_id"]), first["path"], "cut short"))])
    plan.page.path.mkdir(parents=True, exist_ok=True)
    write_predictions(plan, results, rejects)
    return pd.read_csv(plan.page[PREDICTIONS[0]], keep_default_na=False)


def test_every_image_has_a_row_per_method(plan: Plan, table: pd.DataFrame) -> None:
    wanted = columns(5)
    assert [*table] == ["method", *wanted[:7], "label", *wanted[7:]]
    scores = read_scores(plan.fit("sre_clip")["scores.h5"], plan.fit("sre_clip").key)
    assert table["method"].value_counts().to_dict() == dict.fromkeys(
        plan.params.methods.run, len(scores.row_id)
    )
    own = table[table["method"] == "sre_clip"].reset_index(drop=True)
    run = scores.runs[0]
    p = np.exp(run.top_logit - run.log_sum[:, None])
    for number in np.flatnonzero(scores.ok):
        row = own.loc[number]
        best = run.top_class[number]
        assert row["class"] == scores.classes[best[0]]
        assert row["class_3"] == scores.classes[best[2]]
        assert float(row["probability"]) == pytest.approx(p[number, 0], abs=1e-5)
        assert float(row["margin"]) == pytest.approx(p[number, 0] - p[number, 1], abs=1e-5)
        assert row["kind"] == ("known" if scores.known[best[0]] else "unknown")
        same = [each.top_class[number, 0] == best[0] for each in scores.runs]
        assert float(row["agreement"]) == pytest.approx(np.mean(same), abs=1e-5)
        assert row["reason"] == ""


def test_rejected_images_have_the_reason_and_no_class(table: pd.DataFrame) -> None:
    rejected = table[table["reason"] != ""]
    assert set(rejected["reason"]) == {"cut short"}
    assert len(rejected) == table["method"].nunique()
    for name in ("class", "probability", "kind", "margin", "agreement", "class_2"):
        assert set(rejected[name]) == {""}


def test_both_files_say_the_same(plan: Plan, table: pd.DataFrame) -> None:
    other = pd.read_parquet(plan.page[PREDICTIONS[1]])
    assert [*other] == [*table]
    assert other["class"].tolist() == table["class"].tolist()
    np.testing.assert_allclose(other["probability"], pd.to_numeric(table["probability"]), atol=1e-6)
