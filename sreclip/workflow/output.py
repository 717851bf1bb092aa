"""Snakemake's output as one line per job; the whole log is in ``.snakemake/log``."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

# Beginnings of lines that say nothing about this run.
NOISE = (
    "Assuming unrestricted",
    "Building DAG",
    "Complete log",
    "Config file",
    "Elapsed time",
    "Execute ",
    "Select jobs",
    "Touching output",
    "Updating checkpoint",
    "Using shell",
    "host: ",
)
STREAM_HANDLER = "DefaultStreamHandler"


class JobLines(logging.Handler):
    """Writes a line when a job has ended, warnings, and what a dry run would do.

    Parameters
    ----------
    dryrun : bool
        Show the table of jobs.
    """

    def __init__(self, *, dryrun: bool) -> None:
        super().__init__(logging.INFO)
        self._dryrun = dryrun
        self._started: dict[int, tuple[str, float]] = {}
        self._done = self._total = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a reader wants to know of a record."""
        about = vars(record)
        event = str(about.get("event", ""))
        text = record.getMessage().strip() if record.msg else ""
        if event == "job_info":
            self._started[about["jobid"]] = (_name(about), time.monotonic())
        elif event == "job_finished":
            self._finished(about["job_id"])
        elif event == "run_info":
            # The target is a job that does nothing.
            # A dry run gives the table before and after the jobs.
            if self._dryrun and not self._total:
                _write(text)
            self._total = about["stats"].get("total", 1) - 1
        elif event == "job_error":
            logs = ", ".join(about.get("log") or [])
            _write(f"failed: {_name(about)}" + (f" (log: {logs})" if logs else ""))
        elif event in ("", "error") and text and not text.startswith(NOISE):
            _write(text)

    def _finished(self, job: int) -> None:
        name, start = self._started.get(job, ("", 0.0))
        if name in TARGETS:
            return
        self._done += 1
        # The checkpoint adds jobs that were not counted at first.
        self._total = max(self._total, self._done)
        width = len(str(self._total))
        seconds = time.monotonic() - start
        _write(f"[{self._done:{width}}/{self._total}] {name:40} {seconds:7.1f} s")


TARGETS = ("all", "graph", "extract_features", "train", "evaluate", "sweep")


def _name(about: dict[str, Any]) -> str:
    """Rule and what it was called for, without the key."""
    wildcards = about.get("wildcards") or {}
    parts = [str(value) for name, value in wildcards.items() if name != "key"]
    return " ".join([about["rule_name"], *parts])


def _write(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def one_line_per_job(logger: logging.Logger, *, dryrun: bool) -> None:
    """Let `JobLines` write to the terminal in place of Snakemake's own handler, if that is there.

    It is not with ``--logger``, whose plugin then has the word.
    """
    for handler in list(logger.handlers):
        if handler.name == STREAM_HANDLER:
            logger.removeHandler(handler)
            logger.addHandler(JobLines(dryrun=dryrun))
