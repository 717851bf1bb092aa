"""Images that extraction could not read, and what is worth knowing of others."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.data.manifest import DOMAINS, Domain
from sreclip.errors import SreclipError
from sreclip.features.presence import absence
from sreclip.files import write_text
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    from sreclip.features.images import Reject

MOST_ROWS = 200
COLUMNS = ("domain", "path", "reason")
_NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Rejects:
    """The rejected images of both domains, or why they are not known.

    ``notes`` has, by domain and note, the number of images that it is true of.
    """

    found: list[tuple[Domain, Reject]] = field(default_factory=list)
    problem: str = ""
    notes: dict[Domain, Counter[str]] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[Domain, Reject]]:
        """The first `MOST_ROWS` of them, for the page."""
        return self.found[:MOST_ROWS]

    @property
    def count(self) -> int:
        """Number of rejected images."""
        return len(self.found)


def list_rejects(plan: Plan) -> Rejects:
    """Read the rejects of both domains from the feature files.

    A page can be made where the large feature files are missing: then ``problem`` says so.
    """
    from sreclip.features.planned import open_domain

    if problem := absence(plan):
        return Rejects(problem=problem)
    try:
        images = {domain: open_domain(plan, domain) for domain in DOMAINS}
    except SreclipError as error:
        return Rejects(problem=error.message)
    return Rejects(
        [(domain, reject) for domain, here in images.items() for reject in here.rejects],
        notes={domain: here.notes for domain, here in images.items()},
    )


def write_rejects(path: Path, rejects: Rejects) -> None:
    """Write the rejects as CSV with `COLUMNS`; why they are not known is a row without a path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    if rejects.problem:
        writer.writerow(["", "", f"{_NOT_KNOWN}: {rejects.problem}"])
    for domain, reject in rejects.found:
        writer.writerow([domain, reject.path, reject.reason])
    write_text(path, text.getvalue())


def rejects_line(path: Path) -> str:
    """Say in a line how many images a written table names; "" where it names none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:  # a report of an earlier version
        return ""
    if not rows:
        return ""
    if rows[0]["reason"].startswith(_NOT_KNOWN):
        return f"Rejected images: {rows[0]['reason']}"
    counts = Counter(row["domain"] for row in rows)
    shown = ", ".join(f"{counts[domain]} {domain}" for domain in DOMAINS if counts[domain])
    return f"Rejected images: {shown}; listed in {path}"
