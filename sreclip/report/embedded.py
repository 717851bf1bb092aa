"""JSON inside of an HTML page."""

from __future__ import annotations

import json
from typing import Any


def embedded_json(value: Any) -> str:
    """Return compact JSON in which no character can end or open an element."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
