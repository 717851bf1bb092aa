"""The generated pages agree with the models."""

from __future__ import annotations

from pathlib import Path

from sreclip.cli.reference import commands_text
from sreclip.config.models import Params
from sreclip.config.reference import reference_text, schema_text

DOCS = Path(__file__).parents[2] / "docs"


def test_committed_reference_is_current() -> None:
    assert (DOCS / "parameters.md").read_text() == reference_text(), "run: make docs"
    assert (DOCS / "params.schema.json").read_text() == schema_text(), "run: make docs"
    assert (DOCS / "commands.md").read_text() == commands_text(), "run: make docs"


def test_every_field_is_described() -> None:
    schema = Params.model_json_schema()
    for name, model in {"Params": schema, **schema["$defs"]}.items():
        for key, field in model.get("properties", {}).items():
            if "$ref" not in field:
                assert field.get("description"), f"{name}.{key} has no description"
