"""How far SRE-CLIP went from the frozen model, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from sreclip.evaluate.stored import Evaluation, read_fit
from sreclip.plan.plan import Plan

# Below these the Gaussians and the taught texts hardly ever change a prediction.
WEAK = 0.01
HARDLY_TAUGHT = 0.1


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
    if found["weight"] < WEAK and found["taught"] < HARDLY_TAUGHT:
        return f"{counted}; source evidence weak: stayed near the frozen model"
    return (
        f"{counted}; texts of known classes {100 * found['taught']:.0f} % of the way to what the "
        f"source teaches, weight of the class means {found['weight']:.2f}"
    )
