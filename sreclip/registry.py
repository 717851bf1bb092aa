"""Registries: names, and where the code for each lives, imported only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

from sreclip.errors import ConfigError, unknown_name


def registered(kind: str, name: str, allowed: Collection[str]) -> str:
    """Return ``name`` if it is allowed, else raise `ConfigError`."""
    if name not in allowed:
        raise ConfigError(unknown_name(kind, name, allowed))
    return name


def load_registered(kind: str, name: str, registry: Mapping[str, str]) -> Any:
    """Import what ``registry`` has under ``name`` (written ``module:attribute``)."""
    module, _, attribute = registry[registered(kind, name, registry)].partition(":")
    return getattr(importlib.import_module(module), attribute)


def import_demo(module: str, what: str) -> ModuleType:
    """Import a package that only the demo needs; raise `ConfigError` if it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{what} needs the package {module.replace('_', '-')}, which is not installed",
            'pip install "sreclip[demo]"',
        ) from error
