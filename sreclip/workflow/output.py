"""Snakemake's output as one line per job; the whole log is in ``.snakemake/log``."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from pathlib import Path
from typing import Any

# Beginnings of messages that say nothing about this run, or what the failed job has said better.
NOISE = (
    "Assuming unrestricted",
    "Building DAG",
    "Complete log",
    "Conda environments",
    "Config file",
    "DAG of jobs",
    "Elapsed time",
    "Execute ",
    "RuleException:\nCalledProcessError",
    "Select jobs",
    "Shutting down",
    "Touching output",
    "Updating checkpoint",
    "Using shell",
    "WorkflowError:\nAt least one job",
    "host: ",
)
# Rules that do nothing but ask for files.
TARGETS = ("all", "graph", "extract_features", "train", "evaluate", "sweep")
# The rule whose jobs stand for several: a dry run says for how many.
BUNDLE = "make_bundle"
STREAM_HANDLER = "DefaultStreamHandler"


class JobLines(logging.Handler):
    """Writes a line when a job has ended, warnings, and, of a dry run, the table of jobs.

    With ``--quiet`` it writes what went wrong alone.
    """

    def __init__(self, *, dryrun: bool, quiet: bool, shows_logs: bool) -> None:
        super().__init__(logging.WARNING if quiet else logging.INFO)
        self._dryrun = self._wants_table = dryrun
        self._shows_logs = shows_logs
        self._started: dict[int, tuple[str, float]] = {}
        self._finished: list[str] = []
        self._n_done = self._n_targets = 0

    def emit(self, record: logging.LogRecord) -> None:
        about = vars(record)
        event = str(about.get("event") or "")
        text = record.getMessage().strip() if record.msg else ""
        if event == "job_info":
            self._started[about["jobid"]] = (_name(about), time.monotonic())
            if self._dryrun and about["rule_name"] == BUNDLE:
                _write(_name(about))
        elif event == "job_finished":
            name, start = self._started.get(about["job_id"], ("", 0.0))
            self._finished.append(f"{name:40} {time.monotonic() - start:7.1f} s")
        elif event == "progress":
            self._count(about["total"])
        elif event == "run_info":
            counts = about.get("stats") or {}
            self._n_targets = sum(counts.get(rule, 0) for rule in TARGETS)
            if self._wants_table:
                # It comes before and after the jobs.
                self._wants_table = False
                _write(text)
        elif event == "job_error":
            self._fail(about)
        elif event in ("", "error", "group_error") and text and not text.startswith(NOISE):
            _write(text)

    def _fail(self, about: dict[str, Any]) -> None:
        """Write which job failed, what a cluster says of it, and its logs if they are wanted."""
        logs = about.get("log") or []
        name, _ = self._started.get(about["jobid"], (_name(about), 0.0))
        _write(f"failed: {name}" + (f" (log: {', '.join(logs)})" if logs else ""))
        if about["rule_msg"]:
            _write(f"  {about['rule_msg']}")
        for path in map(Path, logs if self._shows_logs else ()):
            with contextlib.suppress(OSError):
                _write(path.read_text(encoding="utf-8", errors="replace").strip())

    def _count(self, total: int) -> None:
        """Write what has finished since the last time, and how far the run is, without targets."""
        for line in self._finished:
            if line.split()[0] not in TARGETS:
                self._n_done += 1
                place = f"{self._n_done}/{total - self._n_targets}"
                _write(f"{place:>7}  {line}")
        self._finished = []


def _name(about: dict[str, Any]) -> str:
    """Return the rule and its wildcards, without the key: ``make_bundle 3 fits 2 evaluations``."""
    wildcards = about.get("wildcards") or {}
    parts = [str(value).replace("-", " ") for name, value in wildcards.items() if name != "key"]
    return " ".join([about["rule_name"], *parts])


def _write(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def one_line_per_job(
    logger: logging.Logger, *, dryrun: bool, quiet: bool, shows_logs: bool
) -> None:
    """Let `JobLines` write in place of Snakemake's own handler, unless ``--logger`` replaces it."""
    for handler in list(logger.handlers):
        if handler.name == STREAM_HANDLER:
            logger.removeHandler(handler)
            logger.addHandler(JobLines(dryrun=dryrun, quiet=quiet, shows_logs=shows_logs))
