"""Content keys: short hashes of everything that decides the numbers in a file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

KEY_LENGTH = 12


def content_key(*parts: Any) -> str:
    """Hash JSON-able parts to ``KEY_LENGTH`` hexadecimal digits, the same on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
