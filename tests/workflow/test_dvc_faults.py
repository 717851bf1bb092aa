"""What goes wrong around DVC: said in clear words, with nothing lost, and with a way out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import Project
from tests.workflow.reruns import PUBLISH

pytestmark = pytest.mark.workflow


@pytest.fixture
def restored(made: Project) -> Iterator[Project]:
    """Give the run's folder, and see that a checkout brings everything back afterwards."""
    yield made
    made.go_back()
    assert made.planned_jobs("all") == {}


def conflict(path: Path) -> None:
    """Write a file as a merge leaves it that git could not finish."""
    text = path.read_text()
    first, _, rest = text.partition("\n")
    path.write_text(f"<<<<<<< HEAD\n{first}\n=======\n{first}\n>>>>>>> other\n{rest}")


def refused(project: Project, *command: str) -> str:
    done = project.run(*command, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode != 0
    assert "Traceback" not in printed
    return printed


def test_a_lock_in_conflict(restored: Project) -> None:
    conflict(restored.folder / "dvc.lock")
    said = refused(restored, "dvc", "repro")
    assert "dvc.lock' is invalid (possible merge conflicts)" in said
    # Snakemake does not need the lock; either side of it will do for DVC, or none.
    assert restored.planned_jobs("all") == {}
    (restored.folder / "dvc.lock").unlink()
    assert restored.repro() == {}
    assert restored.run("git", "diff", "--stat", "dvc.lock").stdout == "", "the same lock again"


def test_parameters_with_a_merge_marker(restored: Project) -> None:
    conflict(restored.folder / "params.yaml")
    for command in (("snakemake", "--cores", "2", "all"), ("sreclip", "check")):
        said = refused(restored, *command)
        assert "params.yaml, line 1: a merge marker (<<<<<<<)" in said
        assert "keep one side, remove the markers" in said
    assert "'params.yaml', YAML file structure is corrupted" in refused(restored, "dvc", "repro")


def test_a_section_that_dvc_looks_for(restored: Project) -> None:
    path = restored.folder / "params.yaml"
    values = yaml.safe_load(path.read_text())
    del values["report"]
    path.write_text(yaml.safe_dump(values))
    assert "Parameters 'report' are missing from 'params.yaml'" in refused(restored, "dvc", "repro")
    said = restored.run("sreclip", "check").stderr
    assert "dvc.yaml names parameters that are not in params.yaml: report" in said


def test_features_edited_by_hand(restored: Project) -> None:
    """DVC must not take the edited file for the new content of its folder."""
    shard = next((restored.folder / "results/features").rglob("images/*.h5"))
    whole = shard.read_bytes()
    lock = (restored.folder / "dvc.lock").read_text()
    shard.unlink()  # it may be a link to the cache
    shard.write_bytes(whole[:3000] + b"XXXX" + whole[3004:])
    assert "results/features" in str(restored.changed())
    said = refused(restored, "dvc", "repro")
    assert f"{shard.relative_to(restored.folder)} is damaged" in said
    assert "dvc checkout --force results/features" in said
    assert (restored.folder / "dvc.lock").read_text() == lock
    restored.run("dvc", "checkout", "--force", "results/features")
    assert shard.read_bytes() == whole
    assert restored.changed() == {}


def test_repro_while_snakemake_runs(restored: Project) -> None:
    """Stopped in the middle, the run holds Snakemake's lock; DVC's stage fails and says so."""
    restored.edit(report__title="another")
    lock = (restored.folder / "dvc.lock").read_text()
    locks = restored.folder / ".snakemake/locks"
    with subprocess.Popen(
        ["snakemake", "--cores", "2", "all"],
        cwd=restored.folder,
        env=restored.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        end = time.monotonic() + 60
        while not list(locks.glob("*")) and time.monotonic() < end:
            assert running.poll() is None, "it finished before it could be stopped"
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGSTOP)
        try:
            said = refused(restored, "dvc", "repro")
        finally:
            os.kill(running.pid, signal.SIGCONT)
        assert running.wait(timeout=120) == 0
    assert "Directory cannot be locked" in said
    assert "failed to reproduce 'report'" in said
    assert (restored.folder / "dvc.lock").read_text() == lock
    assert restored.repro() == {}, "all is there, DVC only notes it"
    assert restored.changed() == {}
    restored.edit(report__title="a third")
    assert restored.repro() == PUBLISH
