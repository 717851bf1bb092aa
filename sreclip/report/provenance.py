"""What a report was made from: keys, versions, parameters."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import yaml

import sreclip
from sreclip.plan import TEXT_KINDS, Plan
from sreclip.report.inputs import MethodResult

PACKAGES = (
    "torch",
    "open_clip_torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "h5py",
    "pillow",
    "scikit-learn",
    "safetensors",
    "plotly",
    "jinja2",
    "snakemake",
    "dvc",
)


def versions() -> dict[str, str]:
    """Versions of Python, sreclip and the packages that it stands on, where installed."""
    found = {"python": platform.python_version(), "sreclip": sreclip.__version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def stage_keys(plan: Plan) -> dict[str, Any]:
    """Content keys of all stages, in the order of the pipeline."""
    methods = plan.params.methods.run
    return {
        "task": plan.task_dir.name.rpartition("-")[2],
        "backbone": plan.backbone_key,
        "source_features": plan.rows_key("source"),
        "target_features": plan.rows_key("target"),
        "graph": plan.graph_key,
        **{f"text_{kind}": plan.text_key(kind) for kind in TEXT_KINDS},
        "fits": {name: plan.model_key(name) for name in methods},
        "evaluations": {name: plan.evaluation_key(name) for name in methods},
        "comparison": plan.comparison_key,
        "report": plan.report_key,
    }


def flat_keys(keys: dict[str, Any]) -> list[tuple[str, str]]:
    """Keys as rows of a table."""
    rows: list[tuple[str, str]] = []
    for name, value in keys.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{title}: {part}", key) for part, key in value.items()]
        else:
            rows.append((title, value))
    return rows


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
        "methods": [
            {"name": r.name, "title": r.title, "transductive": r.transductive} for r in results
        ],
        "keys": stage_keys(plan),
        "versions": versions(),
    }
