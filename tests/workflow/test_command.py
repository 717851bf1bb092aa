"""How ``sreclip run`` calls Snakemake, and how texts name that call."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sreclip.cli import app
from sreclip.errors import ConfigError, StoreError
from sreclip.workflow.command import PACKAGED, PLACES, as_here

CALL = [sys.executable, "-P", "-m", "snakemake"]
OURS = ["--snakefile", str(PACKAGED)]


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Give the calls that are made in a folder with parameters and no workflow."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    calls: list[list[str]] = []
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setattr(os, "execv", lambda _, command: calls.append(command))
    return calls


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["run", *arguments])


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        ([], ["--cores", "all"]),
        (["sweep", "graph"], ["--cores", "all", "sweep", "graph"]),
        (["--cores", "3", "--", "--dry-run"], ["--cores", "3", "--dry-run"]),
        (["all", "--", "--config", "a=1"], ["--cores", "all", "all", "--config", "a=1"]),
        (["--params", "mine.yaml"], ["--configfile", "mine.yaml", "--cores", "all"]),
        # How many jobs run at once is said already, or is for a cluster to say.
        (["--", "-j2"], ["-j2"]),
        (["--", "--workflow-profile", "slurm"], ["--workflow-profile", "slurm"]),
    ],
)
def test_arguments_are_passed_on(
    called: list[list[str]], arguments: list[str], passed: list[str]
) -> None:
    Path("mine.yaml").touch()
    assert run(*arguments).exit_code == 0
    assert called == [[*CALL, *OURS, *passed]]


@pytest.mark.parametrize("place", PLACES)
def test_the_workflow_of_the_folder_comes_first(called: list[list[str]], place: str) -> None:
    Path("workflow").mkdir()
    Path(place).touch()
    run()
    assert called == [[*CALL, "--cores", "all"]]


def test_parameters_are_needed(called: list[list[str]]) -> None:
    Path("params.yaml").unlink()
    for arguments, missing in (((), "params.yaml"), (("--params", "mine.yaml"), "mine.yaml")):
        error = run(*arguments).exception
        assert isinstance(error, ConfigError)
        assert error.message == f"{missing} is not here"
        assert "sreclip init" in error.hint
    assert called == []


def test_texts_name_the_command_that_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "run: snakemake --cores all all": "run: sreclip run",
        "run: snakemake --cores all": "run: sreclip run",
        "snakemake --cores all train (of one)": "sreclip run train (of one)",
        "snakemake --cores 1 all": "sreclip run --cores 1",
        "snakemake --cores all all --configfile x.yaml": "sreclip run --params x.yaml",
        "snakemake --cores all allow": "sreclip run allow",
        "delete it": "delete it",
    }
    for text, here in texts.items():
        assert as_here(text) == here
        assert str(StoreError("what", text)) == f"what\n  -> {here}"
    (tmp_path / "Snakefile").touch()
    for text in texts:
        assert as_here(text) == text
