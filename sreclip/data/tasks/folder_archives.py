"""Which class a picture in an archive has: by its folder there, or by a label beside it.

A label beside a picture is a member of the same name that ends in ``.cls`` (the number or the name
of a class) or ``.json`` (an object with ``label``, ``class`` or ``cls``), as in WebDataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from sreclip.data.archives import Archive, Member, opened, read_at
from sreclip.data.class_list import ListedClass, display_name
from sreclip.data.walk import suffix
from sreclip.errors import DataError
from sreclip.registry import nearest

JSON_KEYS = ("label", "class", "cls")
_LONGEST_LABEL = 1 << 20


class ClassNames:
    """What numbers and names in archives stand for.

    Parameters
    ----------
    listed : sequence of ListedClass, optional
        The class list, in label order; without one a name is any name and a number none.
    """

    def __init__(self, listed: Sequence[ListedClass] | None) -> None:
        self._listed = listed
        self._folders = {display_name(item.folder): item.folder for item in listed or ()}
        self._names = {item.entry.name: item.folder for item in listed or ()} | self._folders

    def holds(self, folder: str) -> bool:
        """Tell whether the class list has this folder."""
        return display_name(folder) in self._folders

    def folder_of(self, labels: Sequence[str | int], place: str) -> str:
        """Give the one class, by its folder name, that all labels of a picture mean.

        Raises
        ------
        DataError
            They mean none, or more than one; ``place`` says whose they are.
        """
        if self._listed is None:
            # Where a name is given, too, a number need not be understood.
            labels = [label for label in labels if isinstance(label, str)] or labels
        folders = {display_name(folder): folder for folder in (self._one(x, place) for x in labels)}
        if len(folders) > 1:
            raise DataError(
                f"{place} has more than one class: {', '.join(map(repr, labels))}",
                "a picture has one class; mend its labels",
            )
        return next(iter(folders.values()))

    def _one(self, label: str | int, place: str) -> str:
        if isinstance(label, str):
            return self._named(label, place)
        if self._listed is None:
            raise DataError(
                f"{place} has the class number {label}, and no class list says which class that is",
                "list the classes in the order of their numbers, from 0 (task.folder.classes)",
            )
        if not 0 <= label < len(self._listed):
            raise DataError(
                f"{place} has the class number {label}, but the class list has "
                f"{len(self._listed)} classes, numbered from 0",
                "mend the label or the class list (task.folder.classes)",
            )
        folder = self._listed[label].folder
        other = self._names.get(str(label))
        if other not in (None, folder):
            raise DataError(
                f"{place} has the label {label}, which is class {folder!r} by number and another "
                "class by name",
                "give the classes names that are no numbers (task.folder.classes)",
            )
        return folder

    def _named(self, label: str, place: str) -> str:
        if self._listed is None:
            return label
        name = display_name(label)
        if name not in self._names:
            guess = nearest(name, self._names)
            raise DataError(
                f"{place} has the class {label!r}, which the class list does not name"
                + (f"; nearest is {guess!r}" if guess else ""),
                "add it to the list, or mend the label",
            )
        return self._names[name]


def with_classes(
    root: Path, archive: Archive, start: str, names: ClassNames
) -> Iterator[tuple[str | None, Member]]:
    """Pair each picture of an archive with the folder name of its class, None where nothing tells.

    A label beside the picture goes before the folder that the picture lies in. Labels that
    belong to no picture are counted among the archive's ignored members.

    Raises
    ------
    DataError
        Naming archive and member: a label that cannot be understood, that contradicts the folder,
        or that two pictures share.
    """
    full = root / archive.path
    owner: dict[str, str] = {}
    unused = set(archive.labels)
    with opened(full) as handle:
        for picture in archive.pictures:
            place = f"{full}: {picture.name!r}"
            folder = picture.name.partition("/")[0] if "/" in picture.name else None
            key = _sample_key(archive, picture.name)
            unused.discard(key)
            labels = [
                label
                for member in archive.labels.get(key, ())
                for label in _labels(handle.fileno(), full, member)
            ]
            if not labels:
                _refuse_domain_folder(folder, start, place)
                yield folder, picture
                continue
            if key in owner:
                raise DataError(
                    f"{full}: {owner[key]!r} and {picture.name!r} share the label {key!r}",
                    "one picture a label: take the other one out, or give it another name",
                )
            owner[key] = picture.name
            labelled = names.folder_of(labels, place)
            if folder and names.holds(folder) and display_name(folder) != display_name(labelled):
                raise DataError(
                    f"{place} lies in the folder of one class and has the label of another, "
                    f"{labelled!r}",
                    "mend the label, or move the picture",
                )
            yield labelled, picture
    for key in unused:
        archive.ignored.update(suffix(member.name) for member in archive.labels[key])


def _sample_key(archive: Archive, name: str) -> str:
    """Give the name under which labels of a picture stand: up to its last dot, or its first."""
    whole = name.rpartition(".")[0]
    folder, slash, base = name.rpartition("/")
    return whole if whole in archive.labels else f"{folder}{slash}{base.partition('.')[0]}"


def _refuse_domain_folder(folder: str | None, start: str, place: str) -> None:
    domain = PurePosixPath(start).name
    if folder == domain:
        raise DataError(
            f"{place} would be of a class {domain!r}, which is the name of the domain's own folder",
            f"make the archive from within that folder: tar -C {domain} -cf ARCHIVE .",
        )


def _labels(descriptor: int, full: Path, member: Member) -> list[str | int]:
    place = f"{full}: {member.name!r}"
    if member.size > _LONGEST_LABEL:
        raise DataError(
            f"{place} is too long for a label ({member.size} bytes)", "it holds one class"
        )
    try:
        text = read_at(descriptor, member.offset, member.size).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text", "it holds one class") from error
    if member.name.lower().endswith(".json"):
        return _json_labels(text, place)
    if len(text.splitlines()) != 1 or not text.strip():
        raise DataError(
            f"{place} does not hold one class", "write the number or the name of one class into it"
        )
    return [_number_or_name(text)]


def _json_labels(text: str, place: str) -> list[str | int]:
    try:
        record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{place} is not valid JSON ({error})", "mend it") from error
    if not isinstance(record, dict):
        raise DataError(f"{place} does not hold a JSON object", f"keys: {', '.join(JSON_KEYS)}")
    found: list[str | int] = []
    for key in JSON_KEYS:
        value = record.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            raise DataError(
                f"{place}: {key!r} is {value!r}, neither the number nor the name of one class",
                "mend it, or leave the key out where no class is known",
            )
        found.append(_number_or_name(value) if isinstance(value, str) else value)
    return found


def _number_or_name(text: str) -> str | int:
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 10 else text
