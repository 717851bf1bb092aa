"""A list of classes that the user wrote: plain text, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sreclip.data.class_names import ListedClass, decode_names, display_name, tell_apart
from sreclip.data.manifest import ClassEntry
from sreclip.errors import DataError, did_you_mean
from sreclip.files import read_utf8

FIELDS = ("name", "prompt_names", "wnid", "folder")
_WNID = re.compile(r"n\d{8}")
_FORMATS_HINT = (
    "write one class per line; or CSV with the columns name, prompt_names (separated by ';'), "
    "wnid, folder; or a JSON list of names or of objects with these keys; only the name is needed"
)


def read_class_list(path: Path) -> list[ListedClass]:
    """Read the classes in the order of the file, which becomes the order of the labels.

    The suffix decides the format: ``.csv``, ``.json``, anything else is plain text, where lines
    that start with ``#`` are comments.

    A name that is a WordNet id is replaced by that of its synset (`decode_names`), and one that
    several classes with WordNet ids share is told apart (`tell_apart`).

    Raises `DataError`, with file and line: not readable, an unknown column, a class without a name
    or named twice or by a number, a folder given twice, something else where a WordNet id belongs.
    """
    text = read_utf8(path, "class list", _FORMATS_HINT)
    read = {".csv": _csv_records, ".json": _json_records}.get(path.suffix.lower(), _text_records)
    return _finished([_listed(record, where) for where, record in read(text, path)], str(path))


def listed_names(names: Sequence[str], where: str) -> list[ListedClass]:
    """Return the classes of a list of names; raises as `read_class_list`."""
    entries = enumerate(names)
    return _finished([_listed({"name": name}, f"{where}, row {at}") for at, name in entries], where)


def _finished(listed: list[ListedClass], where: str) -> list[ListedClass]:
    classes = tell_apart(decode_names(listed))
    if not classes:
        raise DataError(f"{where}: the class list names no class", _FORMATS_HINT)
    _refuse_repeats(classes)
    return classes


def _text_records(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield f"{path}, line {number}", {"name": line.strip()}


def _csv_records(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        _check_fields(reader.fieldnames or (), f"{path}, line 1")
        for record in reader:
            where = f"{path}, line {reader.line_num}"
            if None in record:
                raise DataError(f"{where}: more values than columns", _FORMATS_HINT)
            names = [name for name in (record.get("prompt_names") or "").split(";") if name.strip()]
            yield where, {**record, "prompt_names": names}
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}", _FORMATS_HINT) from error


def _json_records(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        records = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error})", _FORMATS_HINT) from error
    if not isinstance(records, list):
        raise DataError(f"{path}: the JSON is not a list", _FORMATS_HINT)
    for number, item in enumerate(records, start=1):
        where = f"{path}, entry {number}"
        record = {"name": item} if isinstance(item, str) else item
        if not isinstance(record, dict):
            raise DataError(f"{where}: {record!r} is neither a name nor an object", _FORMATS_HINT)
        _check_fields(record, where)
        names = record.get("prompt_names")
        yield where, {**record, "prompt_names": [names] if isinstance(names, str) else names}


def _check_fields(fields: Any, where: str) -> None:
    for name in fields:
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS)
            raise DataError(f"{where}: unknown column {name!r}{hint}", _FORMATS_HINT)
    if "name" not in fields:
        raise DataError(f"{where}: no column 'name'", _FORMATS_HINT)


def _listed(record: Mapping[str, Any], where: str) -> ListedClass:
    texts = [record.get(key) or "" for key in ("name", "wnid", "folder")]
    prompt_names = record.get("prompt_names") or []
    if not isinstance(prompt_names, list) or not all(
        isinstance(value, str) for value in (*texts, *prompt_names)
    ):
        raise DataError(f"{where}: a value is not text", _FORMATS_HINT)
    name, wnid, folder = (text.strip() for text in texts)
    shown = display_name(name)
    if not shown:
        raise DataError(f"{where}: a class without a name", "give it one, or remove the line")
    if wnid and not _WNID.fullmatch(wnid):
        raise DataError(
            f"{where}: {wnid!r} is not a WordNet id",
            "write n and eight digits (WordNet 3.0 nouns), such as n02084071, or leave it empty",
        )
    cleaned = tuple(dict.fromkeys(" ".join(text.split()) for text in prompt_names if text.strip()))
    return ListedClass(ClassEntry(shown, cleaned or (shown,), wnid or None), folder or name, where)


def _refuse_repeats(classes: list[ListedClass]) -> None:
    names: dict[str, str] = {}
    folders: dict[str, str] = {}
    for entry, folder, where in classes:
        for seen, key in ((names, entry.name.casefold()), (folders, display_name(folder))):
            if key in seen:
                raise DataError(
                    f"{where}: class {entry.name!r} (folder {folder!r}) appears already at "
                    f"{seen[key]}",
                    "remove one of the two",
                )
            seen[key] = where
