"""Marks of what the machine has, by facts that are made up."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from sreclip.doctor import machine, software
from sreclip.doctor.finding import Finding, duration, size
from sreclip.doctor.limits import Cores, Memory
from tests.doctor.findings import only


def named(findings: Iterable[Finding], what: str) -> Finding:
    (found,) = [each for each in findings if each.what == what]
    return found


@pytest.mark.parametrize(
    ("cores", "mark", "text"),
    [
        (Cores(8, 8, None), "ok", "8 of 8"),
        (Cores(8, 2, None), "ok", "2 of 8"),
        (Cores(8, 2, 4.0), "ok", "2 of 8"),
        (Cores(8, 8, 2.5), "note", "2.5 of 8: "),
    ],
)
def test_cores(monkeypatch: pytest.MonkeyPatch, cores: Cores, mark: str, text: str) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    found = only(machine.processors(), mark, text)
    assert mark == "ok" or found.mend == "snakemake --cores 2 all"


@pytest.mark.parametrize(
    ("value", "n_cores", "mark"), [("1", 4, "ok"), (None, 1, "ok"), (None, 4, "note")]
)
def test_threads(
    monkeypatch: pytest.MonkeyPatch, value: str | None, n_cores: int, mark: str
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: Cores(8, n_cores, None))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    only(machine.threads(), mark, "")


@pytest.mark.parametrize(
    ("memory", "mark", "text"),
    [
        (Memory(16 * 10**9, 8 * 10**9, False), "ok", "8 GB free of 16 GB"),
        (Memory(4 * 10**9, 10**9, True), "note", "1 GB free of 4 GB, the limit of a control"),
        (Memory(16 * 10**9, None, False), "ok", "16 GB"),
        (Memory(None, None, False), "ok", "does not tell"),
    ],
)
def test_memory(monkeypatch: pytest.MonkeyPatch, memory: Memory, mark: str, text: str) -> None:
    monkeypatch.setattr(machine, "memory", lambda: memory)
    only(machine.memory_at_hand(), mark, text)


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["torch<3,>=2.9", "h5py>=3", "dvc>=3", "numpy<3,>=2", 'timm; extra == "demo"']
    there = {"torch": "2.10.1", "numpy": "1.26"}
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needs)
    monkeypatch.setattr(software, "version", there.get)
    missing, spared, old = software.packages()
    assert (missing.what, missing.mark, missing.mend) == (
        "h5py",
        "problem",
        'pip install "h5py>=3"',
    )
    assert (spared.what, spared.mark) == ("dvc", "note")
    assert (old.what, old.mark) == ("numpy", "note")
    assert "1.26 is installed" in old.text


def test_a_folder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert only(software.packages(), "note", "is not installed").mend == "pip install -e ."


def test_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(shutil, "which", {"git": "/git"}.get)
    assert named(software.programs(), "git").mark == "ok"  # a folder of photos, say
    (tmp_path / "params.yaml").touch()
    found = list(software.programs())
    assert named(found, "git").mend == "git init"
    assert named(found, "DVC").mark == named(found, "Slurm").mark == "ok"
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.setattr(shutil, "which", {"sbatch": "/sbatch"}.get)
    found = list(software.programs())
    assert "not on the path" in named(found, "git").text
    assert named(found, "DVC").mend == "dvc init"
    assert "workflow-profile" in named(found, "Slurm").text


def test_numbers_for_people() -> None:
    assert [size(n) for n in (0, 999, 1536, 2.5e9, 3e18)] == [
        "0 B",
        "999 B",
        "1.54 kB",
        "2.5 GB",
        "3e+03 PB",
    ]
    assert [duration(s) for s in (3, 100, 5400, 200_000)] == [
        "3 seconds",
        "1.7 minutes",
        "1.5 hours",
        "2.3 days",
    ]
