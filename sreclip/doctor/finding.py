"""What was looked at, how it stands, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sreclip.errors import SreclipError
from sreclip.workflow.command import as_here

Mark = Literal["ok", "note", "problem"]
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor; a ``problem`` stops a run, and ``mend`` is the way out."""

    what: str
    mark: Mark
    text: str
    mend: str = ""


def ok(what: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(what, "ok", text)


def note(what: str, text: str, mend: str) -> Finding:
    """Return a finding that makes a run slower, or matters to some runs alone."""
    return Finding(what, "note", as_here(text), as_here(mend))


def problem(what: str, text: str, mend: str) -> Finding:
    """Return a finding that stops a run."""
    return Finding(what, "problem", as_here(text), as_here(mend))


def of_error(what: str, error: SreclipError) -> Finding:
    """Return an error as a finding; its lines become one."""
    return problem(what, _one_line(error.message), _one_line(error.hint))


def _one_line(text: str) -> str:
    return "; ".join(line.strip() for line in text.splitlines())


def size(n_bytes: float) -> str:
    """Say a number of bytes in the largest unit that leaves at least 1."""
    for unit in _UNITS[:-1]:
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} {_UNITS[-1]}"


def duration(seconds: float) -> str:
    """Say a time in the unit that suits it."""
    for length, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.0f} seconds"


def rate(per_second: float) -> str:
    """Say images per second with as many digits as are known."""
    return f"{per_second:.2g} images/s" if per_second < 100 else f"{per_second:.0f} images/s"
