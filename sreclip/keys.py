"""Content keys: short hashes of everything that decides the numbers in a file."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

KEY_LENGTH = 12


def content_key(*parts: Any) -> str:
    """Hash JSON-able parts to ``KEY_LENGTH`` hexadecimal digits, the same on every machine."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


@cache
def code_key(*modules: str) -> str:
    """Hash the source of modules of this package, named as ``"methods/sre_clip.py"``.

    Cheap results (fits, tables, pages) are keyed by the code that makes them; dear ones
    (features) carry a version number instead, so that a reworded comment extracts nothing again.
    """
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for module in sorted(modules):
        digest.update(module.encode() + b"\0" + (root / module).read_bytes())
    return digest.hexdigest()[:KEY_LENGTH]
