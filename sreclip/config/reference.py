"""Parameter reference and JSON schema, made from the models."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from sreclip.config.models import Params
from sreclip.files import write_text

HEADER = """# Parameters

Made from the models in `sreclip/config/` by `sreclip reference`. Every key of `params.yaml`, its
type, its default and what it means. Unknown keys are errors.
"""


def schema_text() -> str:
    """Return the JSON schema of ``params.yaml``."""
    return json.dumps(Params.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference_text() -> str:
    """Return the parameter reference in Markdown, one table per section."""
    return HEADER + "".join(_section(Params, ""))


def write_reference(folder: Path) -> list[Path]:
    """Write ``parameters.md`` and ``params.schema.json`` and return their paths."""
    texts = {"parameters.md": reference_text(), "params.schema.json": schema_text()}
    for name, text in texts.items():
        write_text(folder / name, text)
    return [folder / name for name in texts]


def _section(model: type[BaseModel], path: str) -> list[str]:
    parts, rows, inner = [], [], []
    # Types and bounds in words come from the JSON schema, so that both always agree.
    schema = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        key = f"{path}.{name}" if path else name
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            inner += _section(nested, key)
            continue
        shown = json.dumps(field.default, ensure_ascii=False)
        kinds = " or ".join(map(_describe, schema[name].get("anyOf", [schema[name]])))
        rows.append(f"| `{key}` | {kinds} | `{shown}` | {field.description} |")
    if path:
        parts.append(f"\n## {path}\n\n{inspect.cleandoc(model.__doc__ or '')}\n")
    if rows:
        parts.append("\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n")
        parts.append("\n".join(rows) + "\n")
    return parts + inner


def _describe(schema: dict[str, Any]) -> str:
    if "const" in schema:
        return f"`{schema['const']}`"
    if "$ref" in schema:
        return "mapping"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    text = {"array": "list", "object": "mapping"}.get(schema["type"], schema["type"])
    if "items" in schema:
        text += f" of {_describe(schema['items'])}"
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "minItems": "length ≥",
    }
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    return f"{text} {', '.join(bounds)}".strip()
