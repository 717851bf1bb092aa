"""What a run prints, from the events that Snakemake logs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sreclip.workflow.output import JobLines


def log(lines: JobLines, text: str, level: int = logging.INFO, **about: object) -> None:
    record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    vars(record).update(about)
    if record.levelno >= lines.level:
        lines.emit(record)


def run(lines: JobLines) -> None:
    """A fit and the target that asks for it, a warning, and a job that a cluster cancels."""
    train = {"rule_name": "train_method", "wildcards": {"method": "zlap", "key": "0123456789ab"}}
    log(lines, "Building DAG of jobs...")
    log(lines, "jobs", event="run_info", stats={"train_method": 2, "all": 1, "total": 3})
    log(lines, "", event="job_info", jobid=1, **train)
    log(lines, "", event="job_finished", job_id=1)
    log(lines, "", event="progress", done=1, total=3)
    log(lines, "two images are alike", logging.WARNING)
    log(lines, "", event="job_info", jobid=2, **train)
    failure = {"jobid": 2, "log": ["logs/x.log"], "rule_name": "train_method"}
    log(lines, "", logging.ERROR, event="job_error", rule_msg="CANCELLED", **failure)
    log(lines, "RuleException:\nCalledProcessError in file x", logging.ERROR, event="error")


WENT_WRONG = [
    "two images are alike",
    "failed: train_method zlap (log: logs/x.log)",
    "  CANCELLED",
]


def test_a_line_per_job_and_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    run(JobLines(dryrun=False, quiet=False, shows_logs=False))
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.split() == ["1/2", "train_method", "zlap", "0.0", "s"]
    assert rest == WENT_WRONG


def test_targets_are_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JobLines(dryrun=False, quiet=False, shows_logs=False)
    log(lines, "jobs", event="run_info", stats={"build_graph": 1, "graph": 1, "train_method": 1})
    for done, rule in enumerate(("build_graph", "graph", "train_method"), start=1):
        log(lines, "", event="job_info", jobid=done, rule_name=rule, wildcards={})
        log(lines, "", event="job_finished", job_id=done)
        log(lines, "", event="progress", done=done, total=3)
    places = [line.split()[:2] for line in capsys.readouterr().err.splitlines()]
    assert places == [["1/2", "build_graph"], ["2/2", "train_method"]]


def test_a_quiet_run_says_what_went_wrong_alone(capsys: pytest.CaptureFixture[str]) -> None:
    run(JobLines(dryrun=False, quiet=True, shows_logs=False))
    assert capsys.readouterr().err.splitlines() == [
        "two images are alike",
        "failed: train_method (log: logs/x.log)",
        "  CANCELLED",
    ]


def test_a_dry_run_ends_with_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = JobLines(dryrun=True, quiet=False, shows_logs=False)
    for _ in range(2):
        log(lines, "train_method 2", event="run_info", stats={"total": 2})
    assert capsys.readouterr().err == "train_method 2\n"


def test_the_log_of_a_failed_job_is_shown_where_it_is_wanted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "x.log"
    path.write_text("sreclip: no such file\n  -> make it\n")
    lines = JobLines(dryrun=False, quiet=False, shows_logs=True)
    failure = {"jobid": 2, "log": [str(path), "gone.log"], "rule_name": "train_method"}
    log(lines, "", logging.ERROR, event="job_error", rule_msg=None, **failure)
    assert capsys.readouterr().err.splitlines()[1:] == ["sreclip: no such file", "  -> make it"]
