"""Images that extraction could not read, for the page."""

from __future__ import annotations

from dataclasses import dataclass

from sreclip.data.manifest import DOMAINS, Domain
from sreclip.errors import SreclipError
from sreclip.features.images import Reject
from sreclip.features.planned import open_domain
from sreclip.plan.plan import Plan
from sreclip.plan.results import outputs_of

MOST_ROWS = 200


@dataclass(frozen=True)
class Rejects:
    """The first `MOST_ROWS` rejected images and how many there are, or why that is not known."""

    rows: list[tuple[Domain, Reject]]
    count: int
    problem: str = ""


def list_rejects(plan: Plan) -> Rejects:
    """Read the rejects of both domains from the feature files.

    A page can be made where the large feature files are missing: then ``problem`` says so.
    """
    missing = [
        domain
        for domain in DOMAINS
        if not all(path.exists() for path in outputs_of(plan.images(domain)))
    ]
    if missing:
        where = " and ".join(missing)
        return Rejects([], 0, f"the feature files of the {where} are not on this machine")
    try:
        rows = [
            (domain, reject) for domain in DOMAINS for reject in open_domain(plan, domain).rejects
        ]
    except SreclipError as error:
        return Rejects([], 0, error.message)
    return Rejects(rows[:MOST_ROWS], len(rows))
