"""The stamp of `reports/`: which files were published there, and what they were made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sreclip.errors import StoreError
from sreclip.files import file_sha256
from sreclip.plan.results import FINDINGS, PREDICTIONS, REJECTS, TABLES

# A folder, so that DVC can track it whatever the key in the file's name.
STAMPS = "made-from"
PAGE = "index.html"
# Where the Snakefile tells its jobs that the files beside the stamp are others.
AGAIN_VARIABLE = "SRECLIP_PUBLISH_AGAIN"
PUBLISHED = (
    *("metrics.json", "means.json", PAGE, *PREDICTIONS),
    *(f"tables/{name}" for name in (*TABLES, REJECTS, FINDINGS)),
)


def task_numbers(metrics: Any, path: Path) -> tuple[str, str, dict[str, Any]]:
    """Return task, backbone and the methods' numbers of what a ``metrics.json`` holds.

    Raises `StoreError` if it is nested in another way.
    """
    try:
        task, backbones = next(iter(metrics.items()))
        backbone, methods = next(iter(backbones.items()))
        return task, backbone, dict(methods)
    except (AttributeError, StopIteration, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is not nested as task, backbone, method",
            "give a reports/metrics.json, or make it again with: snakemake --cores all all",
        ) from error


def stamps(reports: Path) -> list[Path]:
    """Return the stamps in ``reports``: one, unless a publication was killed."""
    return sorted((reports / STAMPS).glob("*.json"))


def read_stamp(stamp: Path) -> dict[str, Any]:
    """Return what a stamp says, nothing where it cannot be read."""
    try:
        value = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def published_hashes(reports: Path) -> dict[str, str | None]:
    """Return the SHA-256 of each published file, None where it is missing."""
    paths = {name: reports / name for name in PUBLISHED}
    return {name: file_sha256(path) if path.is_file() else None for name, path in paths.items()}


def is_as_published(reports: Path) -> bool:
    """Tell whether every stamp belongs to the files beside it.

    It does not after a file was removed or edited, nor after a pull that brought a new stamp from
    git beside a page of an earlier run, which git does not track.
    """
    found = stamps(reports)
    hashes = published_hashes(reports) if found else {}
    return all(read_stamp(stamp).get("files") == hashes for stamp in found)
