"""What is said of the evidence."""

from __future__ import annotations

import pytest

from sreclip.report.evidence import evidence_note

IN_FULL, PARTLY = "so that source means counted in full", "so that source means counted 40 %"


@pytest.mark.parametrize(
    ("transfer", "gate", "weight", "taught", "said"),
    [
        (0.66, 1.0, 0.07, 0.5, f"by 0.66, {IN_FULL}; texts of known classes 50 % of the way to"),
        (0.2, 0.4, 0.05, 0.5, f"by 0.20, {PARTLY}; texts of known classes 50 % of the way to"),
        (0.9, 1.0, 0.002, 0.5, "source teaches, weight of the class means 0.00"),
        (0.9, 1.0, 0.002, 0.0, "source evidence weak: stayed near the frozen model"),
    ],
)
def test_the_note_says_how_far_it_went(
    transfer: float, gate: float, weight: float, taught: float, said: str
) -> None:
    found = {"transfer": transfer, "gate": gate, "weight": weight, "taught": taught}
    assert said in evidence_note(found)
