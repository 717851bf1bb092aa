"""What DVC asks of a parameter file beyond what sreclip does: that it has its stages' keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def missing_params(params: Path, pipeline: Path) -> list[str]:
    """Return the parameters that stages of ``dvc.yaml`` name and a file leaves to defaults."""
    try:
        stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].values()
        names = [str(name) for stage in stages for name in stage.get("params", [])]
    except (OSError, yaml.YAMLError, KeyError, AttributeError, TypeError):
        return []
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    return [name for name in dict.fromkeys(names) if not _has(values, name.split("."))]


def _has(values: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
