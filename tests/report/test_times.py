"""Where the time went."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

from sreclip.config.load import parse_params
from sreclip.errors import StoreError
from sreclip.plan.run import write_snapshot
from sreclip.report.times import BENCHMARKS, bar, clock, read_times, times_table

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def job(folder: Path, name: str, s: object, cpu: object, rss: object, age: int = 0) -> None:
    path = folder / BENCHMARKS / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{s}\t0:00:00\t{rss}\t1\t1\t1\t0\t0\t50\t{cpu}\n")
    now = path.stat().st_mtime - age
    os.utime(path, (now, now))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A run of three jobs, and a job of an earlier run."""
    write_snapshot(parse_params({}), tmp_path / "results")
    job(tmp_path, "prepare_data", 2.0, 1.5, 100)
    job(tmp_path, "extract_images/aaaaaaaaaaaa", 10.0, 20.0, 2048)
    job(tmp_path, "extract_images/bbbbbbbbbbbb", 8.0, 16.0, 1024)
    job(tmp_path, "write_page/cccccccccccc", 20.0, 20.0, 300, age=3600)
    return tmp_path


def test_jobs_of_a_step_are_added_up_the_longest_first(project: Path) -> None:
    extract, prepare = read_times(project).steps
    assert (extract.step, extract.jobs) == ("extract_images", 2)
    assert (extract.wall_s, extract.cpu_s, extract.peak_mib) == (18.0, 36.0, 2048.0)
    assert extract.share == pytest.approx(0.9)
    assert (prepare.step, prepare.wall_s) == ("prepare_data", 2.0)


def test_earlier_runs_are_added_on_demand(project: Path) -> None:
    found = read_times(project, whole=True)
    assert [step.step for step in found.steps] == ["write_page", "extract_images", "prepare_data"]
    assert found.to_json()["steps"][0]["wall_s"] == 20.0


def test_what_was_not_measured_is_no_zero(project: Path) -> None:
    job(project, "prepare_data", 0.1, "NA", "-")
    step = read_times(project).steps[-1]
    assert (step.cpu_s, step.peak_mib) == (None, None)


def test_files_that_cannot_be_read_are_counted(project: Path) -> None:
    (project / BENCHMARKS / "extract_images/bbbbbbbbbbbb.tsv").write_text(HEAD)
    (project / BENCHMARKS / "prepare_data.tsv").write_text("something else")
    found = read_times(project)
    assert [(step.step, step.jobs) for step in found.steps] == [("extract_images", 1)]
    assert found.unreadable == 2
    assert "2 files below logs/benchmarks" in shown(found)


def shown(found: object) -> str:
    console = Console(width=120)
    with console.capture() as capture:
        console.print(times_table(found))  # type: ignore[arg-type]
    return capture.get()


def test_the_table_has_bars_and_a_sum(project: Path) -> None:
    text = shown(read_times(project))
    lines = [line for line in text.splitlines() if line.strip()]
    extract = next(line for line in lines if "extract_images" in line)
    assert "18.0 s" in extract
    assert "90 %" in extract
    assert "█" * 18 + " " in extract
    assert "2.0 GiB" in extract
    assert next(line for line in lines if "together" in line).split()[1:4] == ["3", "20.0", "s"]


def test_without_files_the_way_out_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no times"):
        read_times(tmp_path)


def test_a_run_that_made_nothing_took_no_time(project: Path) -> None:
    for file in (project / BENCHMARKS).rglob("*.tsv"):
        os.utime(file, (0, 0))
    with pytest.raises(StoreError, match="had nothing to make"):
        read_times(project)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (0.04, "0.0 s"),
        (99.9, "99.9 s"),
        (99.96, "1 min 40 s"),
        (3599.6, "1 h 00 min"),
    ],
)
def test_times_are_short(seconds: float | None, text: str) -> None:
    assert clock(seconds) == text


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.0) == ""
    assert bar(1.0) == "█" * 20
    assert bar(0.025) == "▌"
