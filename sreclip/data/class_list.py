"""A list of classes that the user wrote: plain text, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sreclip.data.manifest import ClassEntry
from sreclip.errors import DataError
from sreclip.registry import nearest

FIELDS = ("name", "prompt_names", "wnid", "folder")
_WNID = re.compile(r"n\d{8}")
_FORMATS_HINT = (
    "write one class a line; or CSV with the columns name, prompt_names (separated by ';'), wnid, "
    "folder; or a JSON list of names or of objects with these keys; only the name is needed"
)


@dataclass(frozen=True)
class ListedClass:
    """One class of the list, the folder name that holds its pictures, and where it stands."""

    entry: ClassEntry
    folder: str
    place: str


def display_name(name: str) -> str:
    """Write a folder's or a listed name as words: ``polar_bear`` becomes ``polar bear``."""
    return " ".join(unicodedata.normalize("NFC", name).replace("_", " ").split())


def read_utf8(path: Path, what: str, hint: str) -> str:
    """Read a text that the user wrote, with or without a byte order mark.

    Raises
    ------
    DataError
        It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise DataError(f"{path}: the {what} cannot be read ({cause})", hint) from error


def read_class_list(path: Path) -> list[ListedClass]:
    """Read the classes in the order of the file, which becomes the order of the labels.

    The suffix decides the format: ``.csv``, ``.json``, anything else is plain text, where lines
    that start with ``#`` are left out.

    Raises
    ------
    DataError
        Naming the file and the line: not readable, an unknown column, a class without a name or
        named twice, a folder given twice, a WordNet id that is none.
    """
    text = read_utf8(path, "class list", _FORMATS_HINT)
    read = {".csv": _csv_records, ".json": _json_records}.get(path.suffix.lower(), _text_records)
    classes = [_listed(record, place) for place, record in read(text, path)]
    if not classes:
        raise DataError(f"{path}: the class list names no class", _FORMATS_HINT)
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
            place = f"{path}, line {reader.line_num}"
            if None in record:
                raise DataError(f"{place}: more values than columns", _FORMATS_HINT)
            names = [name for name in (record.get("prompt_names") or "").split(";") if name.strip()]
            yield place, {**record, "prompt_names": names}
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
        place = f"{path}, entry {number}"
        record = {"name": item} if isinstance(item, str) else item
        if not isinstance(record, dict):
            raise DataError(f"{place}: {record!r} is neither a name nor an object", _FORMATS_HINT)
        _check_fields(record, place)
        names = record.get("prompt_names")
        yield place, {**record, "prompt_names": [names] if isinstance(names, str) else names}


def _check_fields(fields: Any, place: str) -> None:
    for name in fields:
        if name not in FIELDS:
            guess = nearest(name, FIELDS)
            raise DataError(
                f"{place}: unknown column {name!r}" + (f", did you mean {guess!r}?" * bool(guess)),
                _FORMATS_HINT,
            )
    if "name" not in fields:
        raise DataError(f"{place}: no column 'name'", _FORMATS_HINT)


def _listed(record: Mapping[str, Any], place: str) -> ListedClass:
    texts = {key: record.get(key) or "" for key in ("name", "wnid", "folder")}
    prompt_names = record.get("prompt_names") or []
    if not isinstance(prompt_names, list) or not all(
        isinstance(value, str) for value in (*texts.values(), *prompt_names)
    ):
        raise DataError(f"{place}: a value is not text", _FORMATS_HINT)
    name, wnid, folder = (texts[key].strip() for key in ("name", "wnid", "folder"))
    if not display_name(name):
        raise DataError(f"{place}: a class without a name", "give it one, or take the line out")
    if wnid and not _WNID.fullmatch(wnid):
        raise DataError(
            f"{place}: {wnid!r} is not a WordNet id",
            "write n and eight digits (WordNet 3.0 nouns), such as n02084071, or leave it empty",
        )
    cleaned = tuple(dict.fromkeys(" ".join(text.split()) for text in prompt_names if text.strip()))
    entry = ClassEntry(display_name(name), cleaned or (display_name(name),), wnid or None)
    return ListedClass(entry, folder or name, place)


def _refuse_repeats(classes: list[ListedClass]) -> None:
    names: dict[str, ListedClass] = {}
    folders: dict[str, ListedClass] = {}
    for listed in classes:
        for seen, key in (
            (names, listed.entry.name.casefold()),
            (folders, display_name(listed.folder)),
        ):
            if key in seen:
                raise DataError(
                    f"{listed.place}: class {listed.entry.name!r} (folder {listed.folder!r}) "
                    f"stands already at {seen[key].place}",
                    "take one of the two out",
                )
            seen[key] = listed
