"""The key of the code behind a method's fits."""

from __future__ import annotations

from sreclip.methods import METHODS
from sreclip.plan.code import ENTRIES, code_key


def fit_code(method: str) -> str:
    """Return the key of all that decides a method's fits."""
    return code_key(ENTRIES["fit"], METHODS[method].partition(":")[0])
