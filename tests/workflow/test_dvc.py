"""The real DVC: one ``dvc repro``, one edit, and another folder that gets the results by pull."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT, Project, job_counts

pytestmark = pytest.mark.workflow

METRIC = "folder.mini.sre_clip"


def jobs_run(printed: str) -> Counter[str]:
    """Add up the job tables of all snakemake calls; a call with nothing to do prints none."""
    jobs: Counter[str] = Counter()
    for table in re.findall(r"Job stats:\n.*?\ntotal", printed, re.DOTALL):
        jobs += Counter(job_counts(table))
    return jobs


def repro(project: Project) -> Counter[str]:
    done = project.run("dvc", "repro")
    return jobs_run(done.stdout + done.stderr)


def changed(project: Project) -> dict[str, object]:
    """What ``dvc status`` lists: nothing when all is up to date."""
    status: dict[str, object] = json.loads(project.run("dvc", "status", "--json").stdout)
    return status


def commit(project: Project, message: str) -> None:
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "--message", message)


@pytest.fixture(scope="module")
def committed(project: Project) -> Iterator[Project]:
    """Give the project in git, with the code that the stages depend on."""
    folder = project.folder
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(
        ROOT / "sreclip", folder / "sreclip", ignore=shutil.ignore_patterns("__pycache__")
    )
    # DVC wants every parameter that dvc.yaml names to stand in the file, defaults or not.
    own = yaml.safe_load((folder / "params.yaml").read_text())
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for section, entries in own.items():
        values[section].update(entries)
    values["split"]["unknown"] = "auto"
    values["task"]["shard_size"] = 64
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    project.run("git", "init", "--quiet")
    project.run("git", "config", "user.name", "Test")
    project.run("git", "config", "user.email", "test@example.org")
    project.run("dvc", "init", "--quiet")
    project.run("dvc", "config", "core.analytics", "false")
    commit(project, "Pictures and workflow")
    return project


@pytest.fixture(scope="module")
def made(committed: Project) -> Project:
    """Run everything once and commit the lock and the reports."""
    jobs = repro(committed)
    assert jobs == {
        "prepare_data": 1,
        "build_graph": 1,
        "extract_images": 2,
        "join_images": 2,
        "extract_text": 2,
        "train_method": 3,
        "evaluate_method": 3,
        "compare_methods": 1,
        "write_page": 1,
        "publish_report": 1,
    }
    commit(committed, "First results")
    return committed


def test_up_to_date_afterwards(made: Project) -> None:
    assert changed(made) == {}
    assert repro(made) == {}
    assert made.run("git", "status", "--porcelain").stdout == ""
    assert made.planned_jobs("all") == {}


def test_what_python_leaves_behind_is_no_change(made: Project) -> None:
    for folder in ("data", "methods"):
        left = made.folder / "sreclip" / folder / "__pycache__" / "x.cpython-311.pyc"
        left.parent.mkdir()
        left.write_bytes(b"times and paths of this machine")
    assert changed(made) == {}


def test_results_travel_to_another_folder(made: Project, tmp_path: Path) -> None:
    made.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    commit(made, "A remote")
    made.run("dvc", "push")
    made.run("git", "clone", "--quiet", str(made.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    assert not (clone.folder / "results").exists()
    clone.run("dvc", "pull")
    assert changed(clone) == {}
    assert clone.planned_jobs("all") == {}
    assert "all whole" in clone.run("sreclip", "verify").stdout
    assert repro(clone) == {}
    page = "reports/index.html"
    assert (clone.folder / page).read_bytes() == (made.folder / page).read_bytes()


def test_metrics_and_plots_are_shown(made: Project) -> None:
    shown = json.loads(made.run("dvc", "metrics", "show", "--json").stdout)
    metrics = shown[""]["data"]["reports/metrics.json"]["data"]["folder"]["mini"]
    assert set(metrics["sre_clip"]["known"]) == {"mean", "sd", "low", "high", "n"}
    made.run("dvc", "plots", "show", "--out", "plots")
    page = (made.folder / "plots/index.html").read_text()
    assert "sre_clip" in page
    assert "Known/unknown curve" in page
    shutil.rmtree(made.folder / "plots")


def test_an_edit_of_one_method_refits_that_method(made: Project) -> None:
    """Last: it changes the results."""
    before = (made.folder / "reports/metrics.json").read_text()
    made.edit(methods__sre_clip__lr=0.02)
    assert set(changed(made)) == {"train"}
    assert repro(made) == {
        "train_method": 1,
        "evaluate_method": 1,
        "compare_methods": 1,
        "write_page": 1,
        "publish_report": 1,
    }
    assert (made.folder / "reports/metrics.json").read_text() != before
    assert changed(made) == {}
    assert METRIC in made.run("dvc", "metrics", "diff").stdout
    assert "methods.sre_clip.lr" in made.run("dvc", "params", "diff").stdout
    # Only what the parameters lead to is left, so that a pull brings nothing else.
    fits = (made.folder / "results/models/folder/mini").iterdir()
    assert sorted(path.name.rpartition("-")[0] for path in fits) == [
        "clip_adapter",
        "sre_clip",
        "zero_shot",
    ]
