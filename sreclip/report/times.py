"""Where the time of a run went, from the benchmark files that Snakemake writes per job.

Nothing of it is on the page: times differ from run to run, and the page's bytes must not.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.errors import StoreError, counted
from sreclip.plan.run import snapshots
from sreclip.report.table import terminal_table

if TYPE_CHECKING:
    from rich.table import Table

BENCHMARKS = Path("logs/benchmarks")
# Columns of Snakemake's files: seconds, seconds, MiB.
WALL, CPU, MEMORY = "s", "cpu_time", "max_rss"
BAR_CELLS = 20
EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class StepTime:
    """What the jobs of one rule took together; None where Snakemake did not measure it."""

    step: str
    jobs: int
    wall_s: float
    cpu_s: float | None
    peak_mib: float | None  # of the largest job
    share: float  # of the wall time of all steps


@dataclass(frozen=True)
class Times:
    """The steps, the longest first, and the number of files that could not be read."""

    steps: Sequence[StepTime]
    unreadable: int
    whole: bool  # of all files, not those of the last run alone

    def to_json(self) -> dict[str, Any]:
        """Return the times as JSON-able values."""
        return {"steps": [asdict(step) for step in self.steps], "unreadable": self.unreadable}


def read_times(folder: Path = Path(), *, whole: bool = False) -> Times:
    """Add up the benchmark files of a project's last run, or ``whole``, of all that it holds.

    A job of the last run ended after the run wrote its parameters. Raises `StoreError` where there
    is no benchmark file, or none of the last run.
    """
    place = folder / BENCHMARKS
    files = sorted(place.rglob("*.tsv"))
    if not files:
        raise StoreError(
            f"{BENCHMARKS} holds no times: nothing was run here, or its logs were removed",
            "run: snakemake --cores all all",
        )
    runs = snapshots(folder / "results")
    if runs and not whole:
        started = runs[0].stat().st_mtime_ns
        files = [file for file in files if file.stat().st_mtime_ns >= started]
        if not files:
            raise StoreError(
                "the last run had nothing to make, so it took no time",
                "see what earlier runs took: sreclip times --all",
            )
    found: dict[str, list[dict[str, float | None]]] = {}
    unreadable = 0
    for file in files:
        rows = _rows(file)
        unreadable += not rows
        step = file.relative_to(place).parts[0].removesuffix(".tsv")
        found.setdefault(step, []).extend(rows)
    return Times(_steps(found), unreadable, whole or not runs)


def _rows(file: Path) -> list[dict[str, float | None]]:
    """Return what a file says of its jobs; nothing where it was cut off or is something else."""
    try:
        lines = csv.DictReader(file.read_text(encoding="utf-8").splitlines(), delimiter="\t")
        rows = [{name: _number(row[name]) for name in (WALL, CPU, MEMORY)} for row in lines]
    except (OSError, ValueError, KeyError, csv.Error):
        return []
    return [row for row in rows if row[WALL] is not None]


def _number(text: str | None) -> float | None:
    """Read a number; a job that ended at once has NA or a dash."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _steps(found: dict[str, list[dict[str, float | None]]]) -> list[StepTime]:
    walls = {step: sum(_measured(rows, WALL)) for step, rows in found.items() if rows}
    total = sum(walls.values()) or 1.0
    steps = []
    for step, wall in sorted(walls.items(), key=lambda item: (-item[1], item[0])):
        cpu, memory = (_measured(found[step], name) for name in (CPU, MEMORY))
        steps.append(
            StepTime(
                step,
                len(found[step]),
                round(wall, 2),
                round(sum(cpu), 2) if cpu else None,
                max(memory, default=None),
                wall / total,
            )
        )
    return steps


def _measured(rows: Iterable[dict[str, float | None]], name: str) -> list[float]:
    return [value for row in rows if (value := row[name]) is not None]


def times_table(times: Times) -> Table:
    """Lay the times out for the terminal, with a bar for each step's share."""
    rows = [
        [
            step.step,
            f"{step.jobs:,}",
            clock(step.wall_s),
            f"{100 * step.share:.0f} %",
            bar(step.share),
            clock(step.cpu_s),
            _memory(step.peak_mib),
        ]
        for step in times.steps
    ]
    if len(rows) > 1:
        cpu = [step.cpu_s for step in times.steps if step.cpu_s is not None]
        peaks = [step.peak_mib for step in times.steps if step.peak_mib is not None]
        wall = sum(step.wall_s for step in times.steps)
        jobs = sum(step.jobs for step in times.steps)
        peak = _memory(max(peaks, default=None))
        rows.append(
            ["together", f"{jobs:,}", clock(wall), "", "", clock(sum(cpu) if cpu else None), peak]
        )
    notes = [
        "wall and CPU time are added up over the jobs of a step: jobs that ran side by side count "
        "each, and the run took less",
        "memory is the most that one job held",
    ]
    if times.unreadable:
        notes.append(f"{counted(times.unreadable, 'file')} below {BENCHMARKS} could not be read")
    title = "All jobs whose times are kept" if times.whole else "Jobs of the last run"
    columns = ["Step", "Jobs", "Wall time", "Share", "", "CPU time", "Memory"]
    table = terminal_table(title, columns, rows, notes, padding=1)
    table.columns[4].justify = "left"
    return table


def clock(seconds: float | None) -> str:
    """Write seconds, minutes and seconds, or hours and minutes; a dash for None.

    Examples
    --------
    >>> clock(7.34), clock(247.0), clock(7_512.0)
    ('7.3 s', '4 min 07 s', '2 h 05 min')
    """
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def bar(share: float) -> str:
    """Draw a share of `BAR_CELLS` cells, to an eighth of one."""
    eighths = round(share * BAR_CELLS * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()


def _memory(mib: float | None) -> str:
    if mib is None:
        return "\N{EN DASH}"
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib:.0f} MiB"
