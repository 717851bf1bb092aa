"""The real DVC: one ``dvc repro``, one edit, and another folder that gets the results by pull."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

METRIC = "sre_clip.ausuc"
EVERYTHING = {
    "prepare_data": 1,
    "build_graph": 1,
    "extract_images": 2,
    "extract_text": 2,
    "train_method": 3,
    "evaluate_method": 3,
    "compare_methods": 1,
    "write_page": 1,
    "publish_report": 1,
}


def test_the_first_run_makes_everything_once(published: tuple[Project, Counter[str]]) -> None:
    assert published[1] == EVERYTHING


def test_up_to_date_afterwards(made: Project) -> None:
    assert made.changed() == {}
    assert made.repro() == {}
    assert made.run("git", "status", "--porcelain").stdout == ""
    assert made.planned_jobs("all") == {}


def test_what_python_leaves_behind_is_no_change(made: Project) -> None:
    for folder in ("data", "methods"):
        left = made.folder / "sreclip" / folder / "__pycache__" / "x.cpython-311.pyc"
        left.parent.mkdir(exist_ok=True)
        left.write_bytes(b"times and paths of this machine")
    assert made.changed() == {}


def test_results_travel_to_another_folder(made: Project, tmp_path: Path) -> None:
    clone = made.cloned(tmp_path)
    assert clone.changed() == {}
    assert clone.planned_jobs("all") == {}
    assert "all whole" in clone.run("sreclip", "verify").stdout
    assert clone.repro() == {}
    chain = json.loads(clone.run("sreclip", "provenance", "reports", "--json").stdout)["chain"]
    assert all(step["time"] and step["circumstances"]["git"]["commit"] for step in chain[1:])
    page = "reports/index.html"
    assert (clone.folder / page).read_bytes() == (made.folder / page).read_bytes()


def test_a_stale_file_under_another_name_is_refused(made: Project) -> None:
    """Files copied by hand to where other settings lead: their headers and keys tell."""
    before = (made.folder / "params.yaml").read_text()
    features = next((made.folder / "results/features").glob("mini-*"))
    evaluation = next((made.folder / "results/evaluations/folder/mini").glob("sre_clip-*"))
    made.edit(features__dtype="float32", evaluate__ece_bins=7, methods__run=["sre_clip"])
    plan = made.plan
    renamed = [made.folder / path for path in (plan.feature_dir, plan.evaluation("sre_clip").path)]
    try:
        for old, new in zip((features, evaluation), renamed, strict=True):
            shutil.copytree(old, new)
        printed = made.run("sreclip", "train", "zero_shot", check=False).stderr
        assert "dtype is 'float16', expected 'float32'" in printed
        assert "delete it and run" in printed
        printed = made.run("sreclip", "compare", check=False).stderr
        assert "evaluation.json was made from something else" in printed
    finally:
        for path in renamed:
            shutil.rmtree(path, ignore_errors=True)
        (made.folder / "params.yaml").write_text(before)
    assert made.changed() == {}
    assert made.planned_jobs("all") == {}


def test_an_edit_of_one_method_refits_that_method(made: Project) -> None:
    """It changes the results; the next test goes back."""
    before = (made.folder / "reports/metrics.json").read_text()
    made.edit(methods__sre_clip__trust=0.02)
    assert set(made.changed()) == {"train"}
    assert made.repro() == {
        "train_method": 1,
        "evaluate_method": 1,
        "compare_methods": 1,
        "write_page": 1,
        "publish_report": 1,
    }
    assert (made.folder / "reports/metrics.json").read_text() != before
    assert made.changed() == {}
    assert METRIC in made.run("dvc", "metrics", "diff").stdout
    assert "methods.sre_clip.trust" in made.run("dvc", "params", "diff").stdout
    # Only what the parameters lead to is left, so that a pull brings nothing else.
    fits = (made.folder / "results/models/folder/mini").iterdir()
    assert sorted(path.name.rpartition("-")[0] for path in fits) == [
        "clip_adapter",
        "sre_clip",
        "zero_shot",
    ]


def test_going_back_to_an_older_commit_recomputes_nothing(made: Project) -> None:
    new = (made.folder / "reports/metrics.json").read_text()
    made.commit("Another setting")
    shown = made.run("sreclip", "diff", "HEAD~1", "HEAD").stdout
    assert "methods.sre_clip.trust" in shown
    assert "fits: sre_clip" in shown
    made.run("git", "checkout", "--quiet", "HEAD~1")
    made.run("dvc", "checkout")
    old = (made.folder / "reports/metrics.json").read_text()
    assert old != new
    assert made.changed() == {}
    assert made.planned_jobs("all") == {}
    assert made.repro() == {}
    assert (made.folder / "reports/metrics.json").read_text() == old
    chain = made.run("sreclip", "provenance", "reports/metrics.json").stdout
    assert "no record" not in chain
    made.run("git", "checkout", "--quiet", "-")
    made.run("dvc", "checkout")
    assert (made.folder / "reports/metrics.json").read_text() == new
    assert made.changed() == {}
    assert made.planned_jobs("all") == {}
