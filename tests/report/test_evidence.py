"""What is said of the evidence."""

from __future__ import annotations

import pytest

from sreclip.report.evidence import evidence_note


@pytest.mark.parametrize(
    ("transfer", "gate", "weight", "said"),
    [
        (0.66, 1.0, 0.07, "by 0.66, so that source means counted in full; weight of the evidence"),
        (0.2, 0.4, 0.05, "by 0.20, so that source means counted 40 %; weight of the evidence 0.05"),
        (0.9, 1.0, 0.002, "source evidence weak: stayed near the frozen model"),
    ],
)
def test_the_note_says_how_far_it_went(
    transfer: float, gate: float, weight: float, said: str
) -> None:
    found = {"transfer": transfer, "gate": gate, "weight": weight}
    assert said in evidence_note(found)
