"""Experiments, metrics and plots of DVC: they run the least, and show what people look for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workflow.conftest import Project, jobs_run
from tests.workflow.reruns import ONE_FIT, PUBLISH

pytestmark = pytest.mark.workflow

PLOTS = {
    "Known and unknown accuracy",
    "Known/unknown curve",
    "Accuracy by class",
    "Confusion of the last method",
    "Training",
}


@pytest.fixture
def workspace(made: Project) -> Iterator[Project]:
    """Give the run's folder, and go back to the committed results afterwards."""
    yield made
    made.go_back()


def experiments(project: Project) -> dict[str, dict[str, str]]:
    """Rows of ``dvc exp show`` by name, without what DVC depends on."""
    shown = project.run("dvc", "exp", "show", "--csv", "--drop", "^(results|sreclip)").stdout
    rows = list(csv.DictReader(io.StringIO(shown)))
    return {row["Experiment"] or row["rev"]: row for row in rows}


def plots(project: Project, *command: str) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(project.run("dvc", "plots", *command, "--json").stdout)
    assert not shown.get("errors")
    assert set(shown["data"]) == PLOTS
    return shown["data"]


def test_an_experiment_in_the_workspace(workspace: Project) -> None:
    before = experiments(workspace)["workspace"]
    done = workspace.run("dvc", "exp", "run", "-n", "faster", "-S", "methods.sre_clip.trust=0.02")
    assert jobs_run(done.stdout + done.stderr) == ONE_FIT
    rows = experiments(workspace)
    assert rows["faster"]["methods.sre_clip.trust"] == "0.02"
    assert rows["faster"]["sre_clip.ausuc"] != before["sre_clip.ausuc"]
    assert rows["faster"]["zero_shot.h"] == before["zero_shot.h"]
    metrics = [name for name in before if name.split(".")[0] in ("zero_shot", "sre_clip")]
    assert len(metrics) == 2 * 4, "as many columns as a person reads"

    changes = json.loads(workspace.run("dvc", "metrics", "diff", "--json").stdout)
    assert set(changes["reports/means.json"]) <= {
        f"sre_clip.{name}" for name in ("known", "unknown", "h", "ausuc")
    }
    both = plots(workspace, "diff", "HEAD")
    for name, drawn in both.items():
        revisions = {row["rev"] for row in drawn[0]["content"]["data"]["values"]}
        assert revisions == {"HEAD", "workspace"}, name


def test_queued_experiments_run_elsewhere_and_are_applied(workspace: Project) -> None:
    workspace.run("dvc", "exp", "run", "--queue", "-n", "renamed", "-S", "report.title=renamed")
    done = workspace.run("dvc", "exp", "run", "--run-all")
    assert jobs_run(done.stdout + done.stderr) == PUBLISH
    assert workspace.run("git", "status", "--porcelain").stdout == "", "the workspace is as it was"
    workspace.run("dvc", "exp", "apply", "renamed")
    assert workspace.plan.params.report.title == "renamed"
    assert workspace.changed() == {}
    assert workspace.planned_jobs("all") == {}


def test_plots_of_one_run(workspace: Project) -> None:
    shown = plots(workspace, "show")
    values = {name: drawn[0]["content"]["data"]["values"] for name, drawn in shown.items()}
    assert {row["method"] for row in values["Known and unknown accuracy"]} == {
        "zero_shot",
        "clip_adapter",
        "sre_clip",
    }
    assert {row["field"] for row in values["Known/unknown curve"]} == set(
        workspace.plan.params.methods.run
    )
    assert sum(int(row["count"]) for row in values["Confusion of the last method"]) == 2 * 24
    assert {"source", "relation"} <= {row["term"] for row in values["Training"]}


def test_other_methods_are_plotted_too(workspace: Project) -> None:
    workspace.edit(methods__run=["zero_shot", "clip_adapter"])
    workspace.snakemake("all")
    shown = plots(workspace, "show")
    fields = {row["field"] for row in shown["Known/unknown curve"][0]["content"]["data"]["values"]}
    assert fields == {"zero_shot", "clip_adapter"}
