"""Files and folders with dates that clocks, zip files and copies leave: they decide nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import Project, draw_image

pytestmark = pytest.mark.workflow

YEAR_S = 365 * 24 * 3600


def date(path: Path, years: float) -> None:
    """Date a file or folder from now."""
    when = time.time() + years * YEAR_S
    os.utime(path, (when, when))


@pytest.fixture(scope="module")
def dated(project: Project) -> Project:
    """Prepare a task of which all is dated a year ahead, its class list as well."""
    (project.folder / "data/classes.txt").write_text("cat\ndog\nhorse\ncar\n")
    project.edit(task__folder__classes="classes.txt")
    for path in (project.folder / "data").rglob("*"):
        date(path, 1)
    said = project.snakemake("prepare_data")
    assert "dated in the future, which does no harm: data/source, " in said
    return project


def test_a_folder_dated_in_the_future_is_prepared_once(dated: Project) -> None:
    printed = dated.snakemake("prepare_data")
    assert "Nothing to be done" in printed
    assert "dated in the future" not in printed


def test_an_image_that_comes_is_noticed(dated: Project) -> None:
    """A copy may set its folder's date back, so that it is older than all results."""
    place = dated.folder / "data/target/cat"
    draw_image(place / "new.png", 0, 100, lines=True)
    date(place, -10)
    assert dated.planned_jobs("extract_features") == {"prepare_data": 1}
    dated.snakemake("prepare_data")
    assert dated.planned_jobs("prepare_data") == {}


def test_a_run_over_results_from_the_future(dated: Project) -> None:
    """The clock was ahead when they were made, or that of another machine was."""
    dated.edit(methods__run=["zero_shot"], train__seeds=[0], task__shard_size=64)
    dated.snakemake("extract_features")
    for path in (dated.folder / "results").rglob("*"):
        date(path, 1)
    for name in ("params.yaml", "Snakefile"):
        date(dated.folder / name, 1)
    printed = dated.snakemake("all")
    assert "older modification time" not in printed
    assert (dated.folder / "reports/index.html").exists()
    assert dated.planned_jobs("all") == {}
