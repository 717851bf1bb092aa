"""A file of sentences per class: CSV with the columns class and prompt, or YAML."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

from sreclip.errors import DataError, some
from sreclip.files import read_utf8

COLUMNS = ("class", "prompt")
_HINT = (
    "write CSV with the columns class and prompt, one sentence per row, those with a comma in "
    "double quotes; or YAML with a list of sentences per class"
)
# libyaml's is several times as fast, and not everywhere.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING = "tag:yaml.org,2002:str"


class Sentence(NamedTuple):
    """A sentence of the file, the class beside it, and its row."""

    class_name: str
    text: str
    where: str


def read_prompts(path: Path) -> list[Sentence]:
    """Read sentences in the order of the file.

    Raises `DataError` if it is missing, not UTF-8, neither CSV nor YAML or has other columns; and,
    with rows, if a class or a sentence is empty, a sentence of a class is there twice, or holds
    the gap of a template.
    """
    read = {".csv": _csv, ".yaml": _yaml, ".yml": _yaml}.get(path.suffix.lower())
    if read is None:
        raise DataError(f"{path}: prompts are read from .csv, .yaml and .yml", _HINT)
    sentences = list(read(read_utf8(path, "file of prompts", f"check prompts.file; {_HINT}"), path))
    if not sentences:
        raise DataError(f"{path}: the file of prompts has no sentence", _HINT)
    _refuse_unusable(sentences, path)
    return sentences


def _csv(text: str, path: Path) -> Iterator[Sentence]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if sorted(header) != sorted(COLUMNS):
            raise DataError(
                f"{path}, line 1: the columns are {', '.join(header) or 'missing'}, "
                f"not {' and '.join(COLUMNS)}",
                _HINT,
            )
        of_class, of_prompt = (header.index(name) for name in COLUMNS)
        for row in reader:
            if not row:
                continue
            where = f"line {reader.line_num}"
            if len(row) != len(COLUMNS):
                raise DataError(f"{path}, {where}: {len(row)} values, not {len(COLUMNS)}", _HINT)
            yield _cleaned(row[of_class], row[of_prompt], where)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", _HINT) from error


def _yaml(text: str, path: Path) -> Iterator[Sentence]:
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise DataError(f"{path} is not valid YAML: {error}", _HINT) from error
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path}: the YAML is not a mapping of classes to sentences", _HINT)
    for key, value in root.value:
        listed = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for item in listed:
            where = f"line {item.start_mark.line + 1}"
            # A name may look like a number; a sentence that does is a mistake.
            if not isinstance(key, yaml.ScalarNode) or not _is_text(item):
                raise DataError(f"{path}, {where}: not a sentence of a class", _HINT)
            yield _cleaned(key.value, item.value, where)
        if not listed:
            where = f"line {key.start_mark.line + 1}"
            raise DataError(f"{path}, {where}: class {key.value!r} has no sentence", _HINT)


def _is_text(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == _STRING


def _cleaned(class_name: str, text: str, where: str) -> Sentence:
    return Sentence(" ".join(class_name.split()), " ".join(text.split()), where)


def _refuse_unusable(sentences: list[Sentence], path: Path) -> None:
    problems = []
    seen: dict[tuple[str, str], str] = {}
    for class_name, text, where in sentences:
        if not class_name:
            problems.append(f"{where}: no class")
        elif not text:
            problems.append(f"{where}: the sentence of {class_name!r} is empty")
        elif "{}" in text:
            problems.append(f"{where}: {{}} belongs into prompts.templates alone")
        elif (first := seen.setdefault((class_name, text), where)) != where:
            problems.append(f"{where}: the same sentence of {class_name!r} as in {first}")
    if problems:
        raise DataError(
            f"{path}: rows that cannot be used: {some(problems, 10)}", "mend or remove these rows"
        )
