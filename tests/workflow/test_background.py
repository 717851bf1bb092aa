"""Sentences for images of none of the classes: in predictions, and nowhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import sreclip
from sreclip.evaluate.stored import read_evaluation, read_predictions
from sreclip.features.planned import open_domain, read_names
from sreclip.model.saved import SavedModel
from tests.workflow.conftest import Project, jobs_run

pytestmark = pytest.mark.workflow

SENTENCES = ["a photo of something else.", "an outline."]


@pytest.fixture(scope="module")
def before(done: Project) -> tuple[dict[str, str], pd.DataFrame]:
    """Keys and predictions without sentences."""
    table = pd.read_csv(done.folder / "reports/predictions.csv", keep_default_na=False)
    return {result.stage: result.key for result in done.plan.run()}, table


@pytest.fixture(scope="module")
def run(done: Project, before: object) -> Project:
    """The project with sentences."""
    done.edit(prompts__background=SENTENCES)
    assert jobs_run(done.snakemake("all")) == {
        "extract_text": 1,
        "write_page": 1,
        "publish_report": 1,
    }
    return done


def test_no_fit_and_no_metric_depends_on_it(run: Project, before: tuple) -> None:
    keys = {result.stage: result.key for result in run.plan.run()}
    assert {stage for stage in keys if keys[stage] != before[0].get(stage)} == {
        *("text of background", "page", "published report")
    }
    assert run.planned_jobs("all") == {}


def test_predictions_of_the_run_name_it(run: Project, before: tuple) -> None:
    table = pd.read_csv(run.folder / "reports/predictions.csv", keep_default_na=False)
    without = before[1]
    assert [*table] == [
        *(*without.columns[:7], "background", "reason", "label"),
        *without.columns[9:],
    ]
    plan = run.plan
    target, classes = open_domain(plan, "target"), read_names(plan, "classes").features
    texts = np.concatenate([classes, read_names(plan, "background").features])
    paths = read_predictions(plan.evaluation("zero_shot"), ["row_id", "path"])
    weights = np.exp(target.header.logit_scale * target.features[:].astype(float) @ texts.T)
    none = weights[:, len(classes) :].sum(axis=1) / weights.sum(axis=1)
    path_of = paths.set_index("row_id")["path"]
    expected = dict(zip(path_of.loc[target.row_id], none, strict=True))
    assert set(table["reason"]) == {"", "background"}
    rows = (frame.rename(columns={"class": "named"}).itertuples() for frame in (table, without))
    for row, old in zip(*rows, strict=True):
        p = expected[row.path]
        assert row.background == pytest.approx(p, abs=1e-4)
        assert row.probability == pytest.approx((1 - p) * old.probability, abs=1e-4)
        assert row.probability_2 == pytest.approx((1 - p) * old.probability_2, abs=1e-4)
        other = row.background > row.probability
        assert row.reason == ("background" if other else "")
        assert row.named == ("" if other else old.named)
    n_other = {name: int((own["reason"] != "").sum()) for name, own in table.groupby("method")}
    shown = " ".join(run.run("sreclip", "results").stdout.split())
    for name, n in n_other.items():
        assert f"{name} {n}" in shown.split("Of 24 target images show something else")[1]
    assert read_evaluation(plan.evaluation("zero_shot")).n_images == 24


def test_a_saved_model_rejects_as_the_run_does(run: Project, tmp_path: Path) -> None:
    run.run("sreclip", "save", "zero_shot", str(tmp_path / "m"))
    saved = SavedModel.read(tmp_path / "m")
    assert saved.background == SENTENCES
    tensors = load_file(tmp_path / "m/model.safetensors")
    stored = read_names(run.plan, "background").features
    np.testing.assert_array_equal(tensors["background_text"], stored)
    table = pd.read_csv(run.folder / "reports/predictions.csv", keep_default_na=False)
    own = table[table["method"] == "zero_shot"].set_index("path")
    found = sreclip.load(tmp_path / "m").predict(run.folder / "data/target", reject=0.9)
    n_other = 0
    for each in found:
        row = own.loc[os.path.relpath(each.path, run.folder / "data")]
        assert each.background == pytest.approx(row["background"], abs=1e-3)
        assert each.probability == pytest.approx(row["probability"], abs=1e-3)
        if abs(each.background - each.probability) > 1e-3:
            assert (each.reason == "background") == (row["reason"] == "background")
        n_other += each.reason == "background"
    assert 0 < n_other < len(found)
    kept = saved.thresholds[0]
    assert kept.kept == pytest.approx(1 - n_other / 24)
    assert kept.n == 24 - n_other
    assert (
        f"{n_other} of the labelled images would be put aside"
        in (tmp_path / "m/README.md").read_text()
    )
    for out in ("p.csv", "p.jsonl", "p.parquet"):
        said = run.run(
            *("sreclip", "predict", str(tmp_path / "m"), "data/target"),
            *("--out", str(tmp_path / out), "--sort-into", str(tmp_path / f"sorted-{out}")),
        ).stderr
        assert f"{n_other} show something else" in said
        there = list((tmp_path / f"sorted-{out}/_background").iterdir())
        assert len(there) == n_other
    csv = pd.read_csv(tmp_path / "p.csv", keep_default_na=False)
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    parquet = pd.read_parquet(tmp_path / "p.parquet")
    np.testing.assert_allclose(csv["background"], parquet["background"], atol=1e-6)
    np.testing.assert_allclose(csv["background"], [line["background"] for line in lines], atol=1e-6)
    run.run("sreclip", "add-class", str(tmp_path / "m"), "owl", "--out", str(tmp_path / "owl"))
    more = sreclip.load(tmp_path / "owl").predict(run.folder / "data/target")
    # One more class competes with the sentences.
    pairs = zip(more, found, strict=True)
    assert all((new.background or 0) < (old.background or 0) for new, old in pairs)


@pytest.mark.parametrize(
    ("sentences", "said"),
    [
        (["a photo of a {}."], "belongs into prompts.templates alone"),
        (["x", "x"], "a sentence is there twice"),
        ([" "], "a sentence is empty"),
        (["far " * 400], "prompts.background: 'far far far"),
    ],
)
def test_bad_sentences_are_told(run: Project, sentences: list[str], said: str) -> None:
    before = (run.folder / "params.yaml").read_text()
    run.edit(prompts__background=sentences)
    try:
        done = run.run("sreclip", "check", check=False)
    finally:
        (run.folder / "params.yaml").write_text(before)
    assert done.returncode
    assert said in done.stderr
