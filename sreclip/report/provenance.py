"""What a report was made from: keys, versions, parameters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import yaml

from sreclip.plan.plan import Plan
from sreclip.provenance.keys import code_keys, stage_keys, versions
from sreclip.provenance.records import Link, chosen_params
from sreclip.report.inputs import MethodResult


def params_yaml(plan: Plan) -> str:
    """All parameters, those left at their defaults too, as YAML."""
    values = plan.params.model_dump(mode="json")
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=90))


def describe(plan: Plan, results: list[MethodResult]) -> dict[str, Any]:
    """What the stamp beside the published page holds."""
    return {
        "task": plan.params.task.name,
        "backbone": plan.params.backbone.label,
        "seeds": plan.params.train.seeds,
        "confidence": plan.params.evaluate.confidence,
        "selection": results[-1].selection,
        "protocol": plan.params.evaluate.protocol,
        "methods": [
            {"name": r.name, "title": r.title, "transductive": r.transductive} for r in results
        ],
        "link": asdict(Link.of(plan.publication, plan.folder)),
        "keys": stage_keys(plan),
        "code": code_keys(plan),
        "params": chosen_params(plan.params),
        "versions": versions(),
    }
