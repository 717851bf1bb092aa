"""The user's own pictures: ``source/<class>/**`` and ``target/**``, below one root.

The target may have class folders too; then its labels are known to the evaluation, and to
nothing else. A class with no folder in the source is an unknown class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sreclip.data.class_list import display_name, read_class_list
from sreclip.data.manifest import (
    DOMAINS,
    ClassEntry,
    Domain,
    Picture,
    TaskData,
    resolve_inside,
)
from sreclip.data.walk import suffix, walk, walk_folders
from sreclip.errors import DataError
from sreclip.registry import nearest

_SHOWN = 5
_LAYOUT_HINT = "the layout is ROOT/source/CLASS/*.jpg and ROOT/target/*.jpg"


@dataclass
class _Found:
    """What lies below one domain's folder: picture paths by class folder, and loose ones."""

    by_class: dict[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def prepare(settings: Mapping[str, Any], folder: Path) -> TaskData:
    """List the pictures of both domains and the classes.

    Parameters
    ----------
    settings : Mapping
        ``root``; ``source`` and ``target``, folders below it, named so by default; ``classes``,
        a class list (see `read_class_list`), absolute or below the root. Without a list the
        classes are the class folders of the source in natural order, then those that only the
        target has.
    folder : Path
        Not used: this task makes no files.

    Raises
    ------
    DataError
        A folder is missing, empty, not in the list, or like another; a link leaves the root.
    """
    root, starts = _layout(settings)
    found = {domain: _find(root, starts[domain]) for domain in DOMAINS}
    _refuse_gaps(root, starts, found)
    _refuse_twins({f"{starts[d]}/{name}": name for d in DOMAINS for name in found[d].by_class})

    list_path = classes_file(settings)
    if list_path is None:
        classes, label_of = _classes_from_folders(found)
    else:
        classes, label_of = _classes_from_list(list_path, starts, found)
    pictures = [
        Picture(path, domain, label)
        for domain in DOMAINS
        for label, paths in _labelled(found[domain], label_of)
        for path in paths
    ]
    return TaskData(root, pictures, classes, notes=tuple(_notes(starts, found, classes, label_of)))


def picture_folders(settings: Mapping[str, Any]) -> list[Path]:
    """Folders whose modification time tells that a picture came or went, sorted.

    A picture rewritten under its own name changes none of them. See `walk_folders` for links.

    Raises
    ------
    DataError
        As `prepare`, for folders that are missing and the links that are met.
    """
    root, starts = _layout(settings)
    return sorted(root / name for start in starts.values() for name in walk_folders(root, start))


def classes_file(settings: Mapping[str, Any]) -> Path | None:
    """Where the class list lies, None when the folders alone tell the classes."""
    name = settings.get("classes")
    return Path(settings["root"]) / name if name else None


def inputs(settings: Mapping[str, Any]) -> list[Path]:
    """What the preparation depends on: the picture folders, and the class list if there is one."""
    listed = classes_file(settings)
    return [*picture_folders(settings), *([listed] if listed else [])]


def expected_classes(settings: Mapping[str, Any]) -> dict[str, int]:
    """Class names, with 1 for those that have a source folder, from folder names alone.

    Cheap: for checking the split before anything is prepared.
    """
    root, starts = _layout(settings)
    folders = {
        domain: {
            display_name(path.name) for path in (root / starts[domain]).iterdir() if path.is_dir()
        }
        for domain in DOMAINS
    }
    list_path = classes_file(settings)
    if list_path is None:
        listed = {name: name for domain in DOMAINS for name in folders[domain]}
    else:
        listed = {item.entry.name: display_name(item.folder) for item in read_class_list(list_path)}
    return {name: int(folder in folders["source"]) for name, folder in listed.items()}


def _layout(settings: Mapping[str, Any]) -> tuple[Path, dict[Domain, str]]:
    if not settings.get("root"):
        raise DataError("the folder task has no data root", "set task.folder.root")
    root = Path(settings["root"])
    if not root.is_dir():
        raise DataError(
            f"{root}: the data root is missing or not a folder", "mend task.folder.root"
        )
    starts: dict[Domain, str] = {}
    for domain in DOMAINS:
        name = settings.get(domain) or domain
        if not resolve_inside(root, name).is_dir():
            raise DataError(
                f"{root / name}: the {domain} folder is missing",
                f"{_LAYOUT_HINT}; set task.folder.{domain} if yours has another name",
            )
        starts[domain] = PurePosixPath(name).as_posix()
    one, other = (resolve_inside(root, starts[domain]) for domain in DOMAINS)
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise DataError(
            f"{root}: source {starts['source']!r} and target {starts['target']!r} overlap",
            "give the domains two separate folders below the root",
        )
    return root, starts


def _find(root: Path, start: str) -> _Found:
    found = _Found()
    depth = len(PurePosixPath(start).parts)
    for listed in walk(root, start):
        parts = listed.folder.split("/")
        paths = [f"{listed.folder}/{name}" for name in listed.pictures]
        if len(parts) == depth:
            found.loose += paths
        else:
            found.by_class.setdefault(parts[depth], []).extend(paths)
        found.ignored.update(suffix(name) for name in listed.ignored)
    return found


def _refuse_gaps(root: Path, starts: Mapping[Domain, str], found: Mapping[Domain, _Found]) -> None:
    loose = found["source"].loose
    if loose:
        raise DataError(
            f"{len(loose)} source pictures lie in no class folder: {_some(loose)}",
            "move them into the folder of their class: a source picture needs a label",
        )
    for domain in DOMAINS:
        here = found[domain]
        if not here.loose and not any(here.by_class.values()):
            raise DataError(
                f"{root / starts[domain]}: no picture at all{_ignored(here.ignored)}", _LAYOUT_HINT
            )
    empty = [
        f"{starts[domain]}/{name}"
        for domain in DOMAINS
        for name, paths in found[domain].by_class.items()
        if not paths
    ]
    if empty:
        raise DataError(
            f"class folders without a picture: {_some(empty)}",
            "put pictures in or remove the folder; a class known by name alone belongs in the "
            "class list (task.folder.classes)",
        )


def _refuse_twins(folders: Mapping[str, str]) -> None:
    """Refuse class folders that a person would take for one class.

    The same name in both domains is what ties them together; two spellings of one name in a
    domain, or another case anywhere, is a slip.
    """
    seen: dict[str, tuple[str, str]] = {}
    for path, name in folders.items():
        key = display_name(name).casefold()
        other_path, other_name = seen.setdefault(key, (path, name))
        same_place = other_path.removesuffix(other_name) == path.removesuffix(name)
        if other_path != path and (same_place or display_name(other_name) != display_name(name)):
            raise DataError(
                f"class folders {other_path!r} and {path!r} differ only in how the name is written",
                "give them the same name if they are one class, clearly different ones if not",
            )


def _classes_from_folders(
    found: Mapping[Domain, _Found],
) -> tuple[list[ClassEntry], dict[str, int]]:
    names: dict[str, None] = {}
    for domain in DOMAINS:
        names |= dict.fromkeys(sorted(map(display_name, found[domain].by_class), key=_natural))
    return [ClassEntry(name, (name,)) for name in names], {
        name: label for label, name in enumerate(names)
    }


def _classes_from_list(
    path: Path, starts: Mapping[Domain, str], found: Mapping[Domain, _Found]
) -> tuple[list[ClassEntry], dict[str, int]]:
    listed = read_class_list(path)
    label_of = {display_name(item.folder): label for label, item in enumerate(listed)}
    spelled = {name.casefold(): name for name in label_of}
    for domain in DOMAINS:
        unlisted = [name for name in found[domain].by_class if display_name(name) not in label_of]
        if unlisted:
            guess = nearest(display_name(unlisted[0]).casefold(), spelled)
            raise DataError(
                f"{domain} class folders that {path} does not list: "
                + _some(f"{starts[domain]}/{name}" for name in unlisted)
                + (f"; nearest to the first is {spelled[guess]!r}" if guess else ""),
                "add them to the list, rename the folders, or move them out of the way"
                + ("; unlabelled pictures go right into it" if domain == "target" else ""),
            )
    return [item.entry for item in listed], label_of


def _labelled(
    found: _Found, label_of: Mapping[str, int]
) -> Iterator[tuple[int | None, Iterable[str]]]:
    yield None, found.loose
    by_label = {label_of[display_name(name)]: paths for name, paths in found.by_class.items()}
    yield from sorted(by_label.items())


def _notes(
    starts: Mapping[Domain, str],
    found: Mapping[Domain, _Found],
    classes: Iterable[ClassEntry],
    label_of: Mapping[str, int],
) -> Iterator[str]:
    known = {label_of[display_name(name)] for name in found["source"].by_class}
    unlabelled = [entry.name for label, entry in enumerate(classes) if label not in known]
    if unlabelled:
        yield f"classes without a source picture: {', '.join(unlabelled)}"
    for domain in DOMAINS:
        if found[domain].ignored:
            yield f"{starts[domain]}{_ignored(found[domain].ignored)}"


def _ignored(suffixes: Counter[str]) -> str:
    if not suffixes:
        return ""
    counts = ", ".join(f"{suffixes[name]} {name or 'no suffix'}" for name in sorted(suffixes))
    return f": files ignored for not being pictures: {counts}"


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key by which ``class 2`` comes before ``class 10``; the last part breaks ties."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return (*key, (2, 0, name))


def _some(names: Iterable[str]) -> str:
    names = list(names)
    rest = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
