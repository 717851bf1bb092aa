"""Parameters of runs: the last run first, files over ``params.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sreclip.config import Params
from sreclip.errors import ConfigError
from sreclip.plan.run import read_run_params, snapshot_path, snapshots, write_snapshot


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(lr: float) -> Params:
    return Params.model_validate({"methods": {"sre_clip": {"lr": lr, "steps": 7}}})


def test_parameters_that_are_read_back_are_the_same_run(folder: Path) -> None:
    """Jobs find the run by this path: a default of another type would lead them astray."""
    write_snapshot(Params())
    assert snapshot_path(read_run_params(snapshot_path(Params()))) == snapshot_path(Params())


def test_the_last_run_is_first(folder: Path) -> None:
    runs = [params(lr) for lr in (0.1, 0.2, 0.3)]
    for age, run in enumerate(runs):
        write_snapshot(run)
        os.utime(snapshot_path(run), ns=(10**18 - age, 10**18 - age))
    (folder / "results/params/notes.yaml").write_text("no run")
    assert snapshots(Path("results")) == [snapshot_path(run) for run in runs]
    assert read_run_params(snapshot_path(runs[1])) == runs[1]


def test_a_run_dated_in_the_future_is_not_the_last_for_ever(folder: Path) -> None:
    runs = [params(lr) for lr in (0.1, 0.2, 0.3)]
    write_snapshot(runs[0])
    os.utime(snapshot_path(runs[0]), ns=(4 * 10**18, 4 * 10**18))
    for run in runs[1:]:
        write_snapshot(run)
        assert snapshots(Path("results"))[0] == snapshot_path(run)
    write_snapshot(runs[0])
    assert snapshots(Path("results"))[0] == snapshot_path(runs[0])


def test_a_file_goes_over_params_yaml_section_by_section(folder: Path) -> None:
    Path("params.yaml").write_text("methods: {sre_clip: {lr: 0.1, steps: 7}}\n")
    Path("mine.yaml").write_text("methods: {sre_clip: {lr: 0.5}}\n")
    assert read_run_params(Path("mine.yaml")) == params(0.5)
    assert read_run_params(Path("params.yaml")) == params(0.1)
    Path("mine.yaml").write_text("methods: {sre_clip: {lr: fast}}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml over params\.yaml: methods\.sre_clip\.lr"):
        read_run_params(Path("mine.yaml"))
