"""The user's own pictures: ``source/<class>/**`` and ``target/**``, below one root.

The target may have class folders too; then its labels are known to the evaluation, and to
nothing else. A class without a picture in the source is an unknown class.

Pictures may lie in tar archives as well: one in a class folder holds pictures of that class, one
right in a domain's folder is laid out like that folder, or as WebDataset does it (see
`sreclip.data.tasks.folder_archives`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sreclip.data.archives import Archive, list_archive
from sreclip.data.class_list import ListedClass, display_name, read_class_list
from sreclip.data.listing import folders_and_archives, folders_below, refuse_packed
from sreclip.data.manifest import (
    DOMAINS,
    ClassEntry,
    Domain,
    Picture,
    TaskData,
    read_archives,
    read_classes,
    read_manifest,
    read_summary,
    resolve_inside,
    shown_name,
)
from sreclip.data.tasks import FirstLook
from sreclip.data.tasks.folder_archives import ClassNames, with_classes
from sreclip.data.walk import suffix, walk
from sreclip.errors import DataError, some
from sreclip.registry import nearest

_LAYOUT_HINT = "the layout is ROOT/source/CLASS/*.jpg and ROOT/target/*.jpg"


class Packed(NamedTuple):
    """A picture in an archive: the archive's path, and its member's name, offset and size."""

    path: str
    member: str
    offset: int
    size: int


Place = str | Packed


@dataclass
class _Found:
    """What lies below one domain's folder.

    ``by_class`` has the pictures of each class folder or class name, one spelling a class, and
    ``loose`` those without a class; ``spelled`` says where each spelling was met.
    """

    by_class: dict[str, list[Place]] = field(default_factory=dict)
    loose: list[Place] = field(default_factory=list)
    spelled: dict[str, str] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    _spellings: dict[str, str] = field(default_factory=dict)

    def of(self, name: str, folder: str) -> list[Place]:
        """Give the pictures of a class that is called ``name`` in ``folder``."""
        self.spelled.setdefault(f"{folder}/{name}", name)
        name = self._spellings.setdefault(display_name(name), name)
        return self.by_class.setdefault(name, [])


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
        A folder is missing, empty, not in the list, or like another; a link leaves the root; an
        archive cannot be used.
    """
    root, starts = _layout(settings)
    list_path = classes_file(settings)
    listed = read_class_list(list_path) if list_path else None
    found = {domain: _find(root, starts[domain], ClassNames(listed)) for domain in DOMAINS}
    _refuse_gaps(root, starts, found)
    _refuse_twins(found["source"].spelled | found["target"].spelled)

    if listed is None:
        classes, label_of = _classes_from_folders(found)
    else:
        classes, label_of = _classes_from_list(listed, f"{list_path}", found)
    pictures = [
        _picture(place, domain, label)
        for domain in DOMAINS
        for label, places in _labelled(found[domain], label_of)
        for place in places
    ]
    return TaskData(
        root,
        pictures,
        classes,
        notes=tuple(_notes(starts, found, classes, label_of)),
        archives=found["source"].archives | found["target"].archives,
    )


def picture_folders(settings: Mapping[str, Any]) -> list[Path]:
    """Folders whose modification time tells that a picture or an archive came or went, sorted.

    A file rewritten under its own name changes none of them. See `walk_folders` for links.

    Raises
    ------
    DataError
        As `prepare`, for folders that are missing and the links that are met.
    """
    root, starts = _layout(settings)
    return sorted(root / name for name in folders_below(root, starts.values()))


def classes_file(settings: Mapping[str, Any]) -> Path | None:
    """Where the class list lies, None when the folders alone tell the classes."""
    name = settings.get("classes")
    return Path(settings["root"]) / name if name else None


def first_look(settings: Mapping[str, Any], folder: Path) -> FirstLook:
    """Look at the names of folders and archives.

    The inputs are the picture folders, the archives and the class list. Which classes an archive
    holds is not known yet, unless it lies in a class folder.
    """
    root, starts = _layout(settings)
    list_path = classes_file(settings)
    seen, archives = folders_and_archives(root, starts.values(), folder)
    folders = {
        domain: {
            display_name(name.removeprefix(f"{start}/").partition("/")[0])
            for name in seen
            if name.startswith(f"{start}/")
        }
        for domain, start in starts.items()
    }
    inputs = [*sorted(root / name for name in seen), *sorted(archives)]
    if list_path is None:
        listed = {name: name for domain in DOMAINS for name in sorted(folders[domain])}
    else:
        inputs.append(list_path)
        listed = {item.entry.name: display_name(item.folder) for item in read_class_list(list_path)}
    if any(seen[start] for start in starts.values()):
        return FirstLook(inputs, None)
    return FirstLook(
        inputs, {name: int(path in folders["source"]) for name, path in listed.items()}
    )


def is_as_prepared(settings: Mapping[str, Any], folder: Path) -> bool:
    """Whether the pictures and the class list are those of a prepared task, by names and sizes.

    Of an archive the name alone is looked at: extraction holds each picture against its SHA-256.

    Raises
    ------
    DataError
        As `prepare`, for what is met on the way.
    """
    root, starts = _layout(settings)
    list_path = classes_file(settings)
    if list_path is not None:
        listed = [item.entry for item in read_class_list(list_path)]
        if listed != read_classes(folder):
            return False
    rows = read_manifest(folder, ["path", "size", "member"])
    files = rows[rows["member"].isna()]
    expected = dict(zip(files["path"], files["size"], strict=True))
    dropped = set(read_summary(folder)["duplicates"]["dropped"])
    archives = dict.fromkeys(read_archives(folder), False)
    for found in (each for start in starts.values() for each in walk(root, start)):
        for name in found.pictures:
            path = f"{found.folder}/{name}"
            size = expected.pop(path, None)
            if size != (root / path).stat().st_size and path not in dropped:
                return False
        for name in found.archives:
            path = f"{found.folder}/{name}"
            if path not in archives:
                return False
            archives[path] = True
    return not expected and all(archives.values())


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


def _picture(place: Place, domain: Domain, label: int | None) -> Picture:
    if isinstance(place, str):
        return Picture(place, domain, label)
    return Picture(place.path, domain, label, place.member, place.offset, place.size)


def _find(root: Path, start: str, names: ClassNames) -> _Found:
    found = _Found()
    depth = len(PurePosixPath(start).parts)
    for listed in walk(root, start):
        refuse_packed(root, listed)
        class_folder = next(iter(listed.folder.split("/")[depth : depth + 1]), None)
        places = found.loose if class_folder is None else found.of(class_folder, start)
        places += [f"{listed.folder}/{name}" for name in listed.pictures]
        for name in listed.archives:
            archive = list_archive(root, f"{listed.folder}/{name}")
            found.archives[archive.path] = (archive.size, archive.mtime_ns)
            if class_folder is None:
                _sort_out(root, archive, start, names, found)
            else:
                places += [Packed(archive.path, *member) for member in archive.pictures]
            found.ignored.update(archive.ignored)
        found.ignored.update(suffix(name) for name in listed.ignored)
    return found


def _sort_out(root: Path, archive: Archive, start: str, names: ClassNames, found: _Found) -> None:
    """Put the pictures of an archive to their classes."""
    for name, member in with_classes(root, archive, start, names):
        places = found.loose if name is None else found.of(name, archive.path)
        places.append(Packed(archive.path, *member))


def _refuse_gaps(root: Path, starts: Mapping[Domain, str], found: Mapping[Domain, _Found]) -> None:
    loose = found["source"].loose
    if loose:
        raise DataError(
            f"{len(loose)} source pictures lie in no class folder: {_some(map(_shown, loose))}",
            "a source picture needs a label: move it into the folder of its class, or put NAME.cls "
            "beside NAME.jpg in the archive",
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
        for name, places in found[domain].by_class.items()
        if not places
    ]
    if empty:
        raise DataError(
            f"class folders without a picture: {_some(empty)}",
            "put pictures in or remove the folder; a class known by name alone belongs in the "
            "class list (task.folder.classes)",
        )


def _refuse_twins(spelled: Mapping[str, str]) -> None:
    """Refuse class names that a person would take for one class.

    The same name in both domains is what ties them together; two spellings of one name in a
    domain or an archive, or another case anywhere, is a slip.
    """
    seen: dict[str, tuple[str, str]] = {}
    for path, name in spelled.items():
        key = display_name(name).casefold()
        other_path, other_name = seen.setdefault(key, (path, name))
        same_place = other_path.removesuffix(other_name) == path.removesuffix(name)
        if other_path != path and (same_place or display_name(other_name) != display_name(name)):
            raise DataError(
                f"classes {other_path!r} and {path!r} differ only in how the name is written",
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
    listed: Sequence[ListedClass], list_name: str, found: Mapping[Domain, _Found]
) -> tuple[list[ClassEntry], dict[str, int]]:
    label_of = {display_name(item.folder): label for label, item in enumerate(listed)}
    spelled = {name.casefold(): name for name in label_of}
    for domain in DOMAINS:
        unlisted = {
            place: name
            for place, name in found[domain].spelled.items()
            if display_name(name) not in label_of
        }
        if unlisted:
            guess = nearest(display_name(next(iter(unlisted.values()))).casefold(), spelled)
            raise DataError(
                f"{domain} class folders that {list_name} does not list: {_some(unlisted)}"
                + (f"; nearest to the first is {spelled[guess]!r}" if guess else ""),
                "add them to the list, rename the folders, or move them out of the way"
                + ("; unlabelled pictures go right into it" if domain == "target" else ""),
            )
    return [item.entry for item in listed], label_of


def _labelled(
    found: _Found, label_of: Mapping[str, int]
) -> Iterator[tuple[int | None, Iterable[Place]]]:
    yield None, found.loose
    by_label = {label_of[display_name(name)]: places for name, places in found.by_class.items()}
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


def _shown(place: Place) -> str:
    return place if isinstance(place, str) else shown_name(place.path, place.member)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key by which ``class 2`` comes before ``class 10``; the last part breaks ties."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return (*key, (2, 0, name))


def _some(names: Iterable[str]) -> str:
    return some([repr(name) for name in names])
