"""Which texts are encoded with prompt templates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sreclip.config.models import Params


def templates_of(params: Params, ready: Mapping[str, Any], kind: str) -> list[str]:
    """Return the prompt templates of ``classes`` or ``nodes``; none where no text is encoded.

    ``ready`` is what the preparation noted of features that were made elsewhere.
    """
    from_file = kind == "classes" and ready.get("has_class_texts", False)
    encodes = params.backbone.chosen.encodes_text and not from_file
    return params.prompts.templates if encodes else []
