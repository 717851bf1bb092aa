"""Versions, content keys and code keys of a plan: what decides its results, by name."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import sreclip
from sreclip.data import PREPARE_VERSION
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.keys import code_key
from sreclip.plan.plan import (
    COMPARE_CODE,
    EVALUATE_CODE,
    GRAPH_CODE,
    REPORT_CODE,
    TEXT_KINDS,
    Plan,
    fit_code,
)

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


def code_keys(plan: Plan) -> dict[str, Any]:
    """Keys of the code that results are keyed by: version numbers for data and features."""
    return {
        "prepare": PREPARE_VERSION,
        "extract": EXTRACTION_VERSION,
        "feature_format": FORMAT_VERSION,
        "graph": code_key(*GRAPH_CODE),
        "fits": {name: code_key(*fit_code(name)) for name in plan.params.methods.run},
        "evaluate": code_key(*EVALUATE_CODE),
        "compare": code_key(*COMPARE_CODE),
        "report": code_key(*REPORT_CODE),
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
