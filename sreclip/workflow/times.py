"""Snakemake without its comparison of times."""

from __future__ import annotations

from typing import Any

from snakemake.dag import DAG  # type: ignore[import-untyped]


async def _accept(*_: Any) -> None:
    """Find nothing wrong with the times of a job's files."""


def let_times_differ() -> None:
    """Keep the files of a job that are older than what they are made from.

    Snakemake removes them, `ancient` inputs or not, and so would do a job whose input is dated in
    the future again and again. Here a path says what its file was made from.
    """
    DAG.check_output_mtime = _accept
