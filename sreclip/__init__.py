"""sreclip: adapt frozen CLIP to a new visual domain that also holds unlabelled classes."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# What is imported when it is first asked for: `import sreclip` imports neither sklearn nor torch.
_PLACES = {"Estimator": "sreclip.estimator", "load": "sreclip.model.model"}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
