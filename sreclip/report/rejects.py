"""Images that extraction could not read, for the page."""

from __future__ import annotations

from dataclasses import dataclass

from sreclip.data.manifest import DOMAINS
from sreclip.errors import SreclipError
from sreclip.features.rejects import check_rejects
from sreclip.plan.plan import Plan
from sreclip.plan.results import outputs_of

MOST_ROWS = 200


@dataclass(frozen=True)
class RejectedRow:
    """One rejected image."""

    domain: str
    path: str
    reason: str


@dataclass(frozen=True)
class Rejects:
    """The first `MOST_ROWS` rejected images and how many there are; or why that is not known."""

    rows: list[RejectedRow]
    count: int
    problem: str = ""


def list_rejects(plan: Plan) -> Rejects:
    """Read the rejects of both domains from the feature files.

    A page can be made where the features, large as they are, are not: then ``problem`` says so.
    """
    files = {domain: outputs_of(plan.images(domain)) for domain in DOMAINS}
    missing = [domain for domain in DOMAINS if not all(path.exists() for path in files[domain])]
    if missing:
        where = " and ".join(missing)
        return Rejects([], 0, f"the feature files of the {where} are not on this machine")
    try:
        # How many are put up with is for extraction to judge; here all are listed.
        table = check_rejects([path for paths in files.values() for path in paths], max_rejects=1.0)
    except SreclipError as error:
        return Rejects([], 0, error.message)
    columns = (table["domain"], table["path"], table["reason"])
    rows = [RejectedRow(*map(str, row)) for row in zip(*columns, strict=True)]
    return Rejects(rows[:MOST_ROWS], len(rows))
