"""Read parameters, with errors that name the key, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sreclip.config.models import Params
from sreclip.errors import ConfigError, did_you_mean

MERGE_MARKERS = ("<<<<<<<", "=======", ">>>>>>>")


def load_params(path: Path) -> Params:
    """Read a YAML file of parameters; raises as `read_values` and `parse_params`."""
    return parse_params(read_values(path), str(path))


def read_values(path: Path) -> Any:
    """Read a YAML file; raise `ConfigError` if it is missing or not YAML.

    Markers of an unfinished merge and keys that appear twice are errors, too.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason})", "save it as UTF-8") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(MERGE_MARKERS):
            raise ConfigError(
                f"{path}, line {number}: a merge marker ({line[:7]})",
                "finish the merge: keep one side, remove the markers",
            )
    try:
        return yaml.load(text, _EachKeyOnce) or {}  # noqa: S506 - a kind of SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error


class _EachKeyOnce(yaml.SafeLoader):
    """YAML's own loader keeps the last of equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise yaml.YAMLError(
                    f"line {line}: {key.value!r} is in line {lines[key.value]} already"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep=deep)


def parse_params(values: Any, origin: str = "parameters") -> Params:
    """Check a nested mapping against the models; ``origin`` names it in errors.

    Raises `ConfigError` with all problems, one per line: key path, what was found, what is allowed.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise ConfigError(f"{origin}: " + "\n".join(lines)) from None


def dump_params(params: Params) -> str:
    """Write every parameter as YAML, in the models' order."""
    return yaml.safe_dump(params.model_dump(), sort_keys=False, allow_unicode=True)


def _explain(problem: Any) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join(location) or ("" if problem["type"] == "value_error" else "(top)")
    if problem["type"] == "extra_forbidden":
        allowed = _field_names(location[:-1])
        hint = did_you_mean(location[-1], allowed)
        return f"{path}: unknown key{hint}; allowed here: {', '.join(sorted(allowed))}"
    found = problem["input"]
    shown = "" if isinstance(found, dict | BaseModel) else f", found {found!r}"
    if problem["type"] == "literal_error":
        shown += did_you_mean(str(found), problem["ctx"]["expected"].replace("'", " ").split())
    message = problem["msg"].removeprefix("Value error, ")
    if not path:
        return f"{message}{shown}"
    return f"{path}: {message[:1].lower()}{message[1:]}{shown}"


def _field_names(location: list[str]) -> list[str]:
    model: Any = Params
    for part in location:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(model.model_fields)


def missing_params(params: Path, pipeline: Path) -> list[str]:
    """Return the parameters that stages of ``dvc.yaml`` name and a file leaves to defaults."""
    try:
        stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"].values()
        names = [str(name) for stage in stages for name in stage.get("params", [])]
    except (OSError, yaml.YAMLError, KeyError, AttributeError, TypeError):
        return []
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    return [name for name in dict.fromkeys(names) if not _has(values, name.split("."))]


def _has(values: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True
