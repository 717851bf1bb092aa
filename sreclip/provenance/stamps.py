"""What `reports/` holds: the published files and the stamp that says where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sreclip.errors import StoreError
from sreclip.files import file_sha256

TABLES = (
    "results.csv",
    "significance.csv",
    "curves.csv",
    "per_class.csv",
    "confusion.csv",
    "training.csv",
    "literature.csv",
)
# A folder, so that DVC can track it whatever the key in the file's name.
STAMPS = "made-from"
PUBLISHED = ("metrics.json", "means.json", "index.html", *(f"tables/{name}" for name in TABLES))


def task_numbers(metrics: Any, path: Path) -> tuple[str, str, dict[str, Any]]:
    """Give task, backbone and the methods' numbers of what a ``metrics.json`` holds.

    Raises
    ------
    StoreError
        It is nested in another way.
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
    """Stamps in ``reports``; one, unless a publication was cut short."""
    return sorted((reports / STAMPS).glob("*.json"))


def published_hashes(reports: Path) -> dict[str, str | None]:
    """SHA-256 of each published file, None where it is missing."""
    paths = {name: reports / name for name in PUBLISHED}
    return {name: file_sha256(path) if path.is_file() else None for name, path in paths.items()}


def withdraw_stale(reports: Path) -> None:
    """Remove a stamp that does not speak of the files beside it, so that they are published again.

    So it is after a file was removed or edited, and after a pull that brought a new stamp from git
    beside a page of an earlier run, which git does not track.
    """
    found = stamps(reports)
    if not found:
        return
    hashes = published_hashes(reports)
    for stamp in found:
        try:
            files = json.loads(stamp.read_text(encoding="utf-8")).get("files")
        except (ValueError, AttributeError):
            files = None
        if files != hashes:
            stamp.unlink(missing_ok=True)
