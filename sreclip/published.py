"""What `reports/` holds: the published files and the stamp that says where they come from."""

from __future__ import annotations

from pathlib import Path

TABLES = ("results.csv", "curves.csv", "per_class.csv", "confusion.csv", "training.csv")
PUBLISHED = ("metrics.json", "index.html", *(f"tables/{name}" for name in TABLES))


def stamps(reports: Path) -> list[Path]:
    """Stamps that lie in ``reports``; one, unless a publication was cut short."""
    return sorted(reports.glob("made-from-*.json"))


def withdraw_incomplete(reports: Path) -> None:
    """Remove the stamp when a published file is gone, so that publication runs again."""
    if all((reports / name).exists() for name in PUBLISHED):
        return
    for stamp in stamps(reports):
        stamp.unlink(missing_ok=True)
