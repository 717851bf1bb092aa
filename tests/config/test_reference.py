"""The generated pages agree with the models, and the models with the methods."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from sreclip.config.methods import MethodsSettings
from sreclip.config.models import Params
from sreclip.config.reference import reference_text, schema_text
from sreclip.methods import METHODS
from sreclip.registry import load_registered

DOCS = Path(__file__).parents[2] / "docs"


def test_committed_reference_is_current() -> None:
    assert (DOCS / "parameters.md").read_text() == reference_text(), "run: make docs"
    assert (DOCS / "params.schema.json").read_text() == schema_text(), "run: make docs"


def test_every_field_is_described() -> None:
    schema = Params.model_json_schema()
    for name, model in {"Params": schema, **schema["$defs"]}.items():
        for key, field in model.get("properties", {}).items():
            if "$ref" not in field:
                assert field.get("description"), f"{name}.{key} has no description"


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_the_constructor_arguments(name: str) -> None:
    fields = MethodsSettings.model_fields[name].annotation().constructor
    arguments = dict(inspect.signature(load_registered("method", name, METHODS)).parameters)
    assert arguments.pop("seed").default == 0
    assert arguments.pop("progress").default is None
    assert {key: value.default for key, value in arguments.items()} == fields
