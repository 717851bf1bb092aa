"""What a report says about its making."""

from __future__ import annotations

import sreclip
from sreclip.plan.plan import Plan
from sreclip.provenance.keys import flat_keys, stage_keys, versions
from sreclip.report.provenance import params_yaml


def test_versions_name_what_is_installed() -> None:
    found = versions()
    assert found["sreclip"] == sreclip.__version__
    assert "numpy" in found
    assert all(found.values())


def test_keys_and_parameters(plan: Plan) -> None:
    rows = dict(flat_keys(stage_keys(plan)))
    assert rows["fits: sre_clip"] == plan.fit("sre_clip").key
    assert rows["text nodes"] == plan.text("nodes").key
    text = params_yaml(plan)
    assert text.startswith("task:\n")
    assert "relation_temperature" in text
