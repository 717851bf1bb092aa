"""Registries: names, and where the code for each lives, imported only when it is used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import Any

from sreclip.errors import ConfigError


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name that looks most like ``name``, if any does."""
    matches = difflib.get_close_matches(str(name), [str(item) for item in allowed], 1, 0.5)
    return matches[0] if matches else None


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return the end of a message that names the nearest allowed name; empty if none is near."""
    guess = nearest(name, allowed)
    return f" (did you mean {guess!r}?)" if guess else ""


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> str:
    """Say that ``name`` is not registered, what is, and which is nearest."""
    names = sorted(allowed)
    return f"{kind} {name!r} is not registered; registered: {', '.join(names)}" + did_you_mean(
        name, names
    )


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
