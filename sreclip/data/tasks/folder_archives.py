"""The class of an image in an archive: that of its folder there, or of a label beside it.

A label beside an image is a member of the same name that ends in ``.cls`` (the number or the name
of a class) or ``.json`` (an object with ``label``, ``class`` or ``cls``), as in WebDataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sreclip.data.archives import Archive, opened, read_at
from sreclip.data.class_names import ListedClass, display_name
from sreclip.data.place import Place
from sreclip.data.walk import suffix
from sreclip.errors import DataError, did_you_mean

JSON_KEYS = ("label", "class", "cls")
_LONGEST_LABEL = 1 << 20


class ClassNames:
    """What numbers and names in archives mean.

    ``listed`` is the class list in label order; without one a name is any name and a number none.
    """

    def __init__(self, listed: Sequence[ListedClass] | None) -> None:
        self._listed = listed
        self._folders = {display_name(item.folder): item.folder for item in listed or ()}
        self._names = {item.entry.name: item.folder for item in listed or ()} | self._folders

    def holds(self, folder: str) -> bool:
        """Tell whether the class list has this folder."""
        return display_name(folder) in self._folders

    def folder_of(self, labels: Sequence[str | int], image: str) -> str:
        """Return the one class, by its folder name, that all labels of an image mean."""
        if self._listed is None:
            # If a name is given, too, a number need not be understood.
            labels = [label for label in labels if isinstance(label, str)] or labels
        folders = {display_name(folder): folder for folder in (self._one(x, image) for x in labels)}
        if len(folders) > 1:
            raise DataError(
                f"{image} has more than one class: {', '.join(map(repr, labels))}",
                "an image has one class; fix its labels",
            )
        return next(iter(folders.values()))

    def _one(self, label: str | int, image: str) -> str:
        if isinstance(label, str):
            return self._named(label, image)
        if self._listed is None:
            raise DataError(
                f"{image} has the class number {label}, and no class list says which class that is",
                "list the classes in the order of their numbers, from 0 (task.folder.classes)",
            )
        if not 0 <= label < len(self._listed):
            raise DataError(
                f"{image} has the class number {label}, but the class list has "
                f"{len(self._listed)} classes, numbered from 0",
                "fix the label or the class list (task.folder.classes)",
            )
        folder = self._listed[label].folder
        if self._names.get(str(label), folder) != folder:
            raise DataError(
                f"{image} has the label {label}, which is class {folder!r} by number and another "
                "class by name",
                "give the classes names that are not numbers (task.folder.classes)",
            )
        return folder

    def _named(self, label: str, image: str) -> str:
        if self._listed is None:
            return label
        name = display_name(label)
        if name not in self._names:
            raise DataError(
                f"{image} has the class {label!r}, which the class list does not name"
                + did_you_mean(name, self._names),
                "add it to the list, or fix the label",
            )
        return self._names[name]


def with_classes(
    root: Path, archive: Archive, start: str, names: ClassNames
) -> Iterator[tuple[str | None, Place]]:
    """Pair each image of an archive with the folder name of its class, None if neither says it.

    A label beside the image goes before the folder that the image lies in. Labels that belong to
    no image are counted among the archive's ignored members.

    Raises `DataError` for a label that cannot be understood, that contradicts the folder, or that
    two images share, and for a folder of the name of the domain's own folder ``start``.
    """
    full = root / archive.path
    domain = PurePosixPath(start).name
    owner: dict[str, str] = {}
    unused = set(archive.labels)
    with opened(full) as handle:
        for place in archive.images:
            name = place.member or ""
            image = f"{full}: {name!r}"
            folder = name.partition("/")[0] if "/" in name else None
            key = _sample_key(archive, name)
            unused.discard(key)
            labels = [
                label
                for member in archive.labels.get(key, ())
                for label in _labels(handle.fileno(), full, member)
            ]
            if not labels:
                if folder == domain:
                    raise DataError(
                        f"{image} would be of a class {domain!r}, which is the name of the "
                        "domain's own folder",
                        f"make the archive from within it: tar -C {domain} -cf ARCHIVE .",
                    )
                yield folder, place
                continue
            if key in owner:
                raise DataError(
                    f"{full}: {owner[key]!r} and {name!r} share the label {key!r}",
                    "one image per label: remove the other one, or give it another name",
                )
            owner[key] = name
            labelled = names.folder_of(labels, image)
            if folder and names.holds(folder) and display_name(folder) != display_name(labelled):
                raise DataError(
                    f"{image} lies in the folder of one class and has the label of another, "
                    f"{labelled!r}",
                    "fix the label, or move the image",
                )
            yield labelled, place
    for key in unused:
        archive.ignored.update(suffix(member.name) for member in archive.labels[key])


def _sample_key(archive: Archive, name: str) -> str:
    """Return the name of an image's labels: up to its last dot, or its first."""
    whole = name.rpartition(".")[0]
    folder, slash, base = name.rpartition("/")
    return whole if whole in archive.labels else f"{folder}{slash}{base.partition('.')[0]}"


def _labels(descriptor: int, full: Path, place: Place) -> list[str | int]:
    name, offset, size = place.member or "", place.offset or 0, place.size or 0
    where = f"{full}: {name!r}"
    if size > _LONGEST_LABEL:
        raise DataError(f"{where} is too long for a label ({size} bytes)", "it holds one class")
    try:
        text = read_at(descriptor, offset, size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text", "it holds one class") from error
    if name.lower().endswith(".json"):
        return _json_labels(text, where)
    if len(text.splitlines()) != 1 or not text.strip():
        raise DataError(
            f"{where} does not hold one class", "write the number or the name of one class into it"
        )
    return [_number_or_name(text)]


def _json_labels(text: str, where: str) -> list[str | int]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{where} is not valid JSON ({error})", "fix it") from error
    if not isinstance(record, dict):
        raise DataError(f"{where} does not hold a JSON object", f"keys: {', '.join(JSON_KEYS)}")
    found: list[str | int] = []
    for key in JSON_KEYS:
        value = record.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise DataError(
                f"{where}: {key!r} is {value!r}, neither the number nor the name of one class",
                "fix it, or remove the key where no class is known",
            )
        found.append(_number_or_name(value) if isinstance(value, str) else value)
    return found


def _number_or_name(text: str) -> str | int:
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else text
