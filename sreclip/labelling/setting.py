"""The line of a parameter file that names the file of labels."""

from __future__ import annotations

from pathlib import Path

import yaml

from sreclip.config.load import parse_params, read_values
from sreclip.errors import ConfigError
from sreclip.files import write_text


def name_labels(params_file: Path, labels: Path) -> bool:
    """Write ``evaluate.labels`` into a parameter file; all else of it stays as it is.

    Returns False where that cannot be done with certainty, and then changes nothing.
    """
    text = params_file.read_text(encoding="utf-8")
    value = labels.as_posix()
    changed = _with_labels(text, f'"{value}"')
    if changed is None:
        return False
    before = read_values(params_file)
    try:
        after = yaml.safe_load(changed)
        expected = before | {"evaluate": (before.get("evaluate") or {}) | {"labels": value}}
        if after != expected:
            return False
        parse_params(after)
    except (yaml.YAMLError, ConfigError):
        return False
    write_text(params_file, changed)
    return True


def _with_labels(text: str, value: str) -> str | None:
    root = yaml.compose(text, yaml.SafeLoader)
    line = f"labels: {value}\n"
    if not isinstance(root, yaml.MappingNode):
        return None
    sections = {key.value: node for key, node in root.value}
    section = sections.get("evaluate")
    if section is None:
        end = "" if text.endswith("\n") else "\n"
        return f"{text}{end}\nevaluate:\n  {line}"
    if not isinstance(section, yaml.MappingNode) or section.flow_style:
        return None
    for key, node in section.value:
        if key.value == "labels":
            start, stop = node.start_mark.index, node.end_mark.index
            gap = "" if stop > start else " "
            return f"{text[:start]}{gap}{value}{text[stop:]}"
    first = section.value[0][0].start_mark
    return f"{text[: first.index]}{line}{' ' * first.column}{text[first.index :]}"
