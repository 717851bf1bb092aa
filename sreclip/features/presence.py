"""Whether the large feature files are on this machine."""

from __future__ import annotations

from sreclip.data.manifest import DOMAINS
from sreclip.plan.plan import Plan
from sreclip.plan.results import outputs_of


def absence(plan: Plan) -> str:
    """Say which image features are not here, as in a clone without a pull; "" if all are."""
    missing = [
        domain
        for domain in DOMAINS
        if not all(path.exists() for path in outputs_of(plan.images(domain)))
    ]
    if not missing:
        return ""
    return f"the feature files of the {' and '.join(missing)} are not on this machine"
