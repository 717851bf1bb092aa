"""The messages that docs/troubleshooting.md explains are those that the program prints."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^### `(.+)`$", PAGE, flags=re.MULTILINE)


def texts(path: Path) -> str:
    """All string literals of a module, with implicit joins and f-strings as one text each."""
    return "\n".join(
        "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        if isinstance(node, ast.JoinedStr)
        else str(node.value)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr | ast.Constant)
    )


PRINTED = [texts(path) for path in (ROOT / "sreclip").rglob("*.py")]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_module_holds_every_part_of_an_explained_message(message: str) -> None:
    parts = [part.strip() for part in message.split("…") if part.strip()]
    assert any(all(part in text for part in parts) for text in PRINTED)


def test_every_message_is_explained_once() -> None:
    assert len(set(MESSAGES)) == len(MESSAGES)
