"""What is not the same on several sides, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Keys of results that say which images there are.
DATA_KEYS = ("task", "source features", "target features")

Changes = dict[Any, tuple[Any, ...]]
"""What differs, by name: its values in each run, None where it is missing."""


def changes(*sides: Mapping[Any, Any]) -> Changes:
    """Return what is not the same on all sides; nothing where one side is empty."""
    if not all(sides):
        return {}
    names = dict.fromkeys(name for side in sides for name in side)
    values = {name: tuple(side.get(name) for side in sides) for name in names}
    return {name: each for name, each in values.items() if any(v != each[0] for v in each)}


def flat_params(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters by dotted name; lists and empty mappings stay whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
