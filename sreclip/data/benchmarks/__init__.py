"""Public benchmarks: what they hold, where their images lie, and whether all are there.

Each has two files in ``resources/``: ``NAME.toml`` describes it, ``NAME.csv`` lists its classes.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).parent / "resources"
BENCHMARKS = tuple(sorted(path.stem for path in RESOURCES.glob("*.toml")))


@cache
def describe(name: str) -> dict[str, Any]:
    """Read ``NAME.toml``; `sreclip.data.benchmarks.spec.benchmark_of` says what it holds."""
    return tomllib.loads((RESOURCES / f"{name}.toml").read_text(encoding="utf-8"))
