"""Versions, content keys and keys of code of a plan: what decides its results, by name."""

from __future__ import annotations

import platform
from functools import cache
from typing import Any

import sreclip
from sreclip.data import PREPARE_VERSION
from sreclip.features import EXTRACTION_VERSION, FORMAT_VERSION
from sreclip.features.header import installed_versions
from sreclip.plan.code import ENTRIES, code_key
from sreclip.plan.method_code import fit_code
from sreclip.plan.plan import TEXT_KINDS, Plan
from sreclip.plan.prompts import BACKGROUND

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


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, sreclip and the packages it uses, where installed."""
    own = {"python": platform.python_version(), "sreclip": sreclip.__version__}
    return own | installed_versions(PACKAGES)


def stage_keys(plan: Plan) -> dict[str, Any]:
    """Return the content keys of all stages, in the order of the pipeline."""
    methods = plan.params.methods.run
    return {
        "task": plan.task.key,
        "backbone": plan.backbone_key,
        "source_features": plan.rows_key("source"),
        "target_features": plan.rows_key("target"),
        "graph": plan.graph.key,
        **{f"text_{kind}": plan.text(kind).key for kind in TEXT_KINDS},
        **{f"text_{BACKGROUND}": text.key for text in plan.background},
        "fits": {name: plan.fit(name).key for name in methods},
        "evaluations": {name: plan.evaluation(name).key for name in methods},
        "comparison": plan.comparison.key,
        "report": plan.page.key,
    }


def code_keys(plan: Plan) -> dict[str, Any]:
    """Return the keys of the code behind each stage: version numbers for data and features."""
    return {
        "prepare": PREPARE_VERSION,
        "extract": EXTRACTION_VERSION,
        "feature_format": FORMAT_VERSION,
        "fits": {name: fit_code(name) for name in plan.params.methods.run},
        # Fits are above, and no report is made from the model that is kept.
        **{
            name: code_key(entry) for name, entry in ENTRIES.items() if name not in ("fit", "model")
        },
    }


def flat_keys(keys: dict[str, Any]) -> list[tuple[str, str]]:
    """Return keys as rows of a table."""
    rows: list[tuple[str, str]] = []
    for name, value in keys.items():
        title = name.replace("_", " ")
        if isinstance(value, dict):
            rows += [(f"{title}: {part}", key) for part, key in value.items()]
        else:
            rows.append((title, value))
    return rows
