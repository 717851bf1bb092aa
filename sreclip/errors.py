"""What a user is meant to read when something is wrong: exceptions and their wording."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def some(texts: Sequence[str], most: int = 5) -> str:
    """Name the first ones, and say how many more there are."""
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")


def counted(n: int, noun: str) -> str:
    """Write a number and a noun, which takes an s if there is not one: ``1 image``, ``0 images``.

    Examples
    --------
    >>> counted(1, "image"), counted(2000, "labelled image")
    ('1 image', '2,000 labelled images')
    """
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def shortened(text: str, most: int = 60) -> str:
    """Cut the middle out of a long text."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


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


class SreclipError(Exception):
    """Something the user can fix: what was wrong, where, and what to do.

    Parameters
    ----------
    message : str
        What was wrong and where (file, key or row).
    hint : str, optional
        The way out, shown on a line of its own, with commands as they work in this folder.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        # Nearly every module imports this one, which itself is to import nothing.
        from sreclip.workflow.command import as_here

        return f"{self.message}\n  -> {as_here(self.hint)}" if self.hint else self.message


class ConfigError(SreclipError):
    """A parameter that cannot be used."""


class DataError(SreclipError):
    """Images, class lists or label files that cannot be used."""


class StoreError(SreclipError):
    """A cached file that is missing, damaged, or made from something else."""


class DamagedError(StoreError):
    """A cached file whose bytes are not those that were written.

    Parameters
    ----------
    path : Path
        The file.
    message, hint : str
        As in `SreclipError`.
    """

    def __init__(self, path: Path, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.path = path


class GraphError(SreclipError):
    """Class names or WordNet ids that do not lead to a usable graph."""


class FitError(SreclipError):
    """Training that cannot start or did not converge."""


class ArgumentError(SreclipError, ValueError):
    """An argument from Python that cannot be used."""
