"""How far SRE-CLIP went from the frozen model, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from sreclip.evaluate.stored import Evaluation, read_fit
from sreclip.plan.plan import Plan

# Below this weight the Gaussians hardly ever change a prediction.
WEAK = 0.01


def evidence_notes(plan: Plan, results: list[Evaluation]) -> list[str]:
    """Return a sentence per method whose fit says what its evidence was worth."""
    notes = []
    for result in results:
        found = read_fit(plan.fit(result.method))["found"]
        if "weight" in found[0]:
            notes.append(f"{result.title}: {evidence_note(found[0])}")
    return notes


def evidence_note(found: Mapping[str, float]) -> str:
    """Say how much the source counted, and how far that went."""
    alike = f"class means in source and target correlate by {found['transfer']:.2f}"
    if found["gate"] < 1:
        counted = f"{alike}, so that source means counted {100 * found['gate']:.0f} %"
    else:
        counted = f"{alike}, so that source means counted in full"
    if found["weight"] < WEAK:
        return f"{counted}; source evidence weak: stayed near the frozen model"
    return f"{counted}; weight of the evidence {found['weight']:.2f}"
