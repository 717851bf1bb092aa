"""sreclip: adapt frozen CLIP to a new visual domain that also holds unlabelled classes."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import what needs heavy libraries when it is asked for."""
    if name == "load":
        from sreclip.model.model import load

        return load
    raise AttributeError(f"module 'sreclip' has no attribute {name!r}")
