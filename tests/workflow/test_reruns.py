"""Each edit runs exactly the jobs of the matrix: where the run was made, and in a fresh clone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from sreclip.methods import METHODS
from sreclip.plan.code import ENTRIES, closure
from tests.workflow.conftest import ROOT, Project, jobs_run
from tests.workflow.reruns import CODE, COLUMNS, PAGE, PARAMS, TASK, Edit, applied, page

pytestmark = pytest.mark.workflow

# Stages that are run for real through DVC, so that what `expected_stages` says is seen to be so.
REAL = (
    "`task.duplicates`",
    "`methods.sre_clip.trust`",
    "`methods.run`: another order",
)


@pytest.fixture(scope="module")
def clone(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a clone with pulled results."""
    return made.cloned(tmp_path_factory.mktemp("elsewhere"))


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text() == page(), "write it with: python -m tests.workflow.reruns"


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its size and time, but for what Snakemake and Python keep."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if not {".snakemake", "__pycache__", ".git"} & set(path.relative_to(folder).parts)
    }


def test_reading_the_snakefile_writes_nothing(made: Project, tmp_path: Path) -> None:
    """In a clone without a pull, where a stamp is there and the page beside it is not."""
    made.run("git", "clone", "--quiet", str(made.folder), str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    clone.run("sreclip", "--version")
    before = tree(clone.folder)
    assert any(name.startswith("reports/made-from/") for name in before)
    for arguments in (("--dry-run", "all"), ("--lint",), ("--dry-run", "sweep"), ("--list-rules",)):
        clone.snakemake(*arguments)
        assert tree(clone.folder) == before, arguments
    assert "reports/index.html is missing" in clone.run("sreclip", "provenance", "reports").stdout
    clone.run("sreclip", "diff", "HEAD", ".")


def test_a_fresh_clone_has_nothing_to_do(clone: Project) -> None:
    assert clone.changed() == {}
    assert clone.planned_jobs("all") == {}
    assert clone.repro() == {}
    assert not list((clone.folder / ".snakemake").glob("metadata/*"))


@pytest.mark.parametrize("edit", [*PARAMS, *CODE], ids=str)
def test_an_edit_in_a_fresh_clone(clone: Project, edit: Edit) -> None:
    """Without a record of Snakemake's, what was pulled must not be taken for what is wanted."""
    with applied(clone, edit):
        assert clone.planned_jobs("all") == edit.jobs


@pytest.mark.parametrize("edit", TASK, ids=str)
def test_an_edit_of_the_task(clone: Project, edit: Edit) -> None:
    """What comes after the task is known once it is prepared."""
    with applied(clone, edit):
        jobs = Counter(clone.planned_jobs("all"))
        assert jobs == {"prepare_data": 1}
        clone.snakemake("prepare_data")
        assert jobs + Counter(clone.planned_jobs("all")) == edit.jobs
    clone.run("sreclip", "prune", "data")


def stage_files() -> dict[str, dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return stages


def expected_stages(status: Mapping[str, Any], jobs: Mapping[str, int]) -> set[str]:
    """Stages that ``dvc repro`` runs: changed ones, and those after one whose outputs change."""
    stages = stage_files()
    # From another folder DVC writes PATH/dvc.yaml:STAGE.
    run = {name.rpartition(":")[2] for name in status}
    for name, stage in stages.items():
        changing = {
            out
            for other in run
            if any(COLUMNS[rule] == other for rule in jobs)
            for entry in stages[other]["outs"]
            for out in entry
        }
        if changing & set(stage["deps"]):
            run.add(name)
    return run


@pytest.mark.parametrize("edit", [*PARAMS, *CODE], ids=str)
def test_dvc_runs_every_stage_that_has_a_job(made: Project, edit: Edit) -> None:
    """A stage runs all its jobs, and no other: those of the table, if DVC runs it at all."""
    with applied(made, edit):
        status = Repo(str(made.folder)).status()
        run = expected_stages(status, edit.jobs)
        assert {COLUMNS[rule] for rule in edit.jobs} <= run
        if edit.what == "`report.colors.known`":
            assert run == {"report"}


@pytest.fixture
def restored(made: Project) -> Iterator[Project]:
    """Give the run's folder, and go back to the committed results afterwards."""
    yield made
    made.go_back()


@pytest.mark.parametrize(
    "edit", [edit for edit in (*TASK, *PARAMS, *CODE) if edit.what.startswith(REAL)], ids=str
)
def test_dvc_repro_runs_the_same_jobs(restored: Project, edit: Edit) -> None:
    with applied(restored, edit):
        status = Repo(str(restored.folder)).status()
        done = restored.run("dvc", "repro")
        printed = done.stdout + done.stderr
        assert jobs_run(printed) == edit.jobs
        ran = {name for name in stage_files() if f"Running stage '{name}'" in printed}
        assert ran == expected_stages(status, edit.jobs)
        assert restored.changed() == {}
        assert restored.planned_jobs("all") == {}


def test_stages_depend_on_the_code_that_keys_their_results() -> None:
    """What is hashed into a key is a dependency of the stage, so that DVC sees its change."""
    methods = [METHODS[name].partition(":")[0] for name in METHODS]
    planned = {"sreclip.plan.plan", "sreclip.config.models", "sreclip.keys"}
    features = {"sreclip.features", "sreclip.backbones.mini"}
    keyed = {
        "data": {"sreclip.data"},
        "graph": {*closure(ENTRIES["graph"]), *features},
        "features": features,
        "train": closure(ENTRIES["fit"], *methods),
        "evaluate": closure(ENTRIES["evaluation"], ENTRIES["comparison"]),
        "report": closure(ENTRIES["page"]),
    }
    stages = stage_files()
    assert list(keyed) == list(stages)
    for stage, modules in keyed.items():
        deps = [Path(dep) for dep in stages[stage]["deps"]]
        for module in sorted(modules | planned):
            path = Path(*module.split("."))
            found = (
                path.with_suffix(".py") in deps,
                path in deps,
                *(d in path.parents for d in deps),
            )
            assert any(found), (stage, module)
