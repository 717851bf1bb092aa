"""The user's own images: ``source/<class>/**`` and ``target/**``, below one root.

The target may have class folders too; then its labels are known to the evaluation, and to
nothing else. A class without an image in the source is an unknown class.

Images may lie in tar archives as well: one in a class folder holds images of that class, one
right in a domain's folder is laid out like that folder, or as WebDataset does it (see
`sreclip.data.tasks.folder_archives`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from sreclip.data.archives import list_archive
from sreclip.data.class_list import read_class_list
from sreclip.data.class_names import (
    ListedClass,
    decode_names,
    display_name,
    holds_wordnet_id,
)
from sreclip.data.heif import INSTALL_HEIF
from sreclip.data.listing import (
    count_heif,
    folders_and_archives,
    left_out,
    newly_readable,
    refuse_compressed,
)
from sreclip.data.manifest import DOMAINS, ClassEntry, Domain
from sreclip.data.natural import natural
from sreclip.data.place import Place, resolve_inside
from sreclip.data.task import FirstLook, Task, TaskData, TaskImage
from sreclip.data.tasks.folder_archives import ClassNames, with_classes
from sreclip.data.walk import suffix, walk
from sreclip.errors import DataError, nearest, some

_LAYOUT_HINT = "the layout is ROOT/source/CLASS/*.jpg and ROOT/target/*.jpg"


class FolderTask(Task):
    """Lists images below two folders.

    Settings: ``root``; ``source`` and ``target``, folders below it; ``classes``, a class list
    (see `read_class_list`), absolute or below the root, or None: then the classes are the class
    folders of the source in natural order, followed by those that only the target has.
    """

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """List the images of both domains and the classes.

        Raises `DataError` if a folder is missing, empty, not in the list, or like another, a link
        leaves the root, or an archive cannot be used.
        """
        root, starts = _layout(settings)
        list_path = _class_list(settings)
        listed = read_class_list(list_path) if list_path else None
        outside = settings.get("outside_links", False)
        found = {
            domain: _find(root, starts[domain], ClassNames(listed), outside) for domain in DOMAINS
        }
        _refuse_gaps(root, starts, found)
        _refuse_twins(found["source"].spelled | found["target"].spelled)
        classes = listed or _of_folders([found[domain].spelled for domain in DOMAINS])
        label_of = {display_name(item.folder): label for label, item in enumerate(classes)}
        if listed:
            _refuse_unlisted(label_of, f"{list_path}", found)
        images = [
            TaskImage(place, domain, label)
            for domain in DOMAINS
            for label, places in found[domain].labelled(label_of)
            for place in places
        ]
        return TaskData(
            root,
            images,
            [item.entry for item in classes],
            notes=tuple(_notes(starts, found, classes, label_of)),
            archives=found["source"].archives | found["target"].archives,
            heif_left_out=sum(count_heif(here.ignored) for here in found.values()),
        )

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Look at the names of folders and archives.

        The inputs are the image folders, the archives and the class list. The time of a folder
        tells that an image was added or removed, not that one was rewritten under its own name.
        Which classes an archive holds is not known yet, unless it lies in a class folder.
        """
        root, starts = _layout(settings)
        list_path = _class_list(settings)
        outside = settings.get("outside_links", False)
        seen, archives = folders_and_archives(root, starts.values(), folder, outside_links=outside)
        folders = {
            domain: {
                f"{start}/{name}": name
                for path in seen
                if path.startswith(f"{start}/")
                for name in [path.removeprefix(f"{start}/").partition("/")[0]]
            }
            for domain, start in starts.items()
        }
        inputs = [*sorted(root / name for name in seen), *sorted(archives)]
        inputs += newly_readable(folder)
        if list_path is None:
            listed = _of_folders([folders[domain] for domain in DOMAINS])
        else:
            inputs.append(list_path)
            listed = read_class_list(list_path)
        if any(seen[start] for start in starts.values()):
            return FirstLook(inputs, None)
        in_source = set(map(display_name, folders["source"].values()))
        classes = {item.entry.name: int(display_name(item.folder) in in_source) for item in listed}
        return FirstLook(inputs, classes)


def source_folders(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the source's class folders, those in archives among them, in order."""
    root, starts = _layout(settings)
    outside = settings.get("outside_links", False)
    found = _find(root, starts["source"], ClassNames(None), outside)
    spelled = {display_name(name): name for name in found.spelled.values()}
    return [spelled[name] for name in sorted(spelled, key=natural)]


@dataclass
class _Found:
    """What lies below one domain's folder.

    ``by_class`` has the images of each class folder or class name, one spelling per class, and
    ``loose`` those without a class; ``spelled`` says where each spelling was seen; ``heif`` counts
    HEIC images by class folder where they cannot be read.
    """

    by_class: dict[str, list[Place]] = field(default_factory=dict)
    loose: list[Place] = field(default_factory=list)
    spelled: dict[str, str] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    heif: Counter[str] = field(default_factory=Counter)
    _spellings: dict[str, str] = field(default_factory=dict)

    def of(self, name: str | None, folder: str) -> list[Place]:
        """Return the images of a class that is called ``name`` in ``folder``; None: loose ones."""
        if name is None:
            return self.loose
        self.spelled.setdefault(f"{folder}/{name}", name)
        name = self._spellings.setdefault(display_name(name), name)
        return self.by_class.setdefault(name, [])

    def labelled(self, label_of: Mapping[str, int]) -> Iterator[tuple[int | None, Iterable[Place]]]:
        """Yield labels and their images, those without a label first."""
        yield None, self.loose
        by_label = {label_of[display_name(name)]: at for name, at in self.by_class.items()}
        yield from sorted(by_label.items())


def _class_list(settings: Mapping[str, Any]) -> Path | None:
    return Path(settings["root"]) / settings["classes"] if settings["classes"] else None


def _layout(settings: Mapping[str, Any]) -> tuple[Path, dict[Domain, str]]:
    root = Path(settings["root"])
    if not root.is_dir():
        raise DataError(
            f"{root.absolute()}: the data root is missing or not a folder", "fix task.folder.root"
        )
    starts: dict[Domain, str] = {}
    outside = settings.get("outside_links", False)
    for domain in DOMAINS:
        name = settings[domain]
        if not resolve_inside(root, name, outside_links=outside).is_dir():
            raise DataError(
                f"{root / name}: the {domain} folder is missing",
                f"{_LAYOUT_HINT}; set task.folder.{domain} if yours has another name",
            )
        starts[domain] = PurePosixPath(name).as_posix()
    one, other = (resolve_inside(root, starts[domain], outside_links=outside) for domain in DOMAINS)
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise DataError(
            f"{root}: source {starts['source']!r} and target {starts['target']!r} overlap",
            "give the domains two separate folders below the root",
        )
    return root, starts


def _find(root: Path, start: str, names: ClassNames, outside_links: bool) -> _Found:
    found = _Found()
    depth = len(PurePosixPath(start).parts)
    for listed in walk(root, start, outside_links=outside_links):
        refuse_compressed(root, listed)
        class_folder = next(iter(listed.folder.split("/")[depth : depth + 1]), None)
        places = found.of(class_folder, start)
        places += [Place(f"{listed.folder}/{name}") for name in listed.images]
        for name in listed.archives:
            archive = list_archive(root, f"{listed.folder}/{name}")
            found.archives[archive.path] = archive.stamp
            if class_folder is None:
                for class_name, place in with_classes(root, archive, start, names):
                    found.of(class_name, archive.path).append(place)
                folders = [name.rpartition("/")[0].partition("/")[0] for name in archive.heif]
            else:
                places += archive.images
                folders = [class_folder] * len(archive.heif)
            found.ignored.update(archive.ignored)
            found.heif.update(filter(None, folders))
            found.skipped.update(archive.skipped)
        kinds = Counter(suffix(name) for name in listed.ignored)
        found.ignored.update(kinds)
        if class_folder is not None:
            found.heif[class_folder] += count_heif(kinds)
        found.skipped.update(listed.skipped)
    return found


def _refuse_gaps(root: Path, starts: Mapping[Domain, str], found: Mapping[Domain, _Found]) -> None:
    loose = found["source"].loose
    if loose:
        names = _some(place.name for place in loose)
        raise DataError(
            f"{len(loose)} source images lie in no class folder: {names}",
            "a source image needs a label: move it into the folder of its class, or put NAME.cls "
            "beside NAME.jpg in the archive",
        )
    for domain in DOMAINS:
        here = found[domain]
        if not here.loose and not any(here.by_class.values()):
            seen = "; ".join(left_out(here.ignored, here.skipped))
            raise DataError(
                f"{root / starts[domain]}: no image at all" + (f": {seen}" if seen else ""),
                _LAYOUT_HINT,
            )
    empty, n_heif = [], 0
    for domain in DOMAINS:
        here = found[domain]
        for name in {**here.by_class, **here.heif}:
            if not here.of(name, starts[domain]):
                only = f" ({here.heif[name]} HEIC images)" if here.heif[name] else ""
                empty.append(f"'{starts[domain]}/{name}'{only}")
                n_heif += here.heif[name]
    if n_heif:
        raise DataError(
            f"class folders without an image that can be read: {some(empty)}",
            f"pillow-heif reads HEIC: {INSTALL_HEIF}",
        )
    if empty:
        raise DataError(
            f"class folders without an image: {some(empty)}",
            "put images in or remove the folder; a class known by name alone belongs in the "
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


def _of_folders(spelled: Sequence[Mapping[str, str]]) -> list[ListedClass]:
    """Return the classes of folders, from names by path of each domain, in the natural order."""
    found: dict[str, ListedClass] = {}
    for paths in spelled:
        for path, folder in sorted(paths.items(), key=lambda item: natural(display_name(item[1]))):
            name = display_name(folder)
            found.setdefault(name, ListedClass(ClassEntry(name, (name,)), folder, path))
    return decode_names(list(found.values()))


def _refuse_unlisted(
    label_of: Mapping[str, int], list_name: str, found: Mapping[Domain, _Found]
) -> None:
    spelled = {name.casefold(): name for name in label_of}
    for domain in DOMAINS:
        unlisted = {
            path: display_name(name)
            for path, name in found[domain].spelled.items()
            if display_name(name) not in label_of
        }
        if unlisted:
            guess = nearest(next(iter(unlisted.values())).casefold(), spelled)
            raise DataError(
                f"{domain} class folders that {list_name} does not list: {_some(unlisted)}"
                + (f"; nearest to the first is {spelled[guess]!r}" if guess else ""),
                "add them to the list, rename the folders, or move them out of the way"
                + ("; unlabelled images go right into it" if domain == "target" else ""),
            )


def _notes(
    starts: Mapping[Domain, str],
    found: Mapping[Domain, _Found],
    classes: Sequence[ListedClass],
    label_of: Mapping[str, int],
) -> Iterator[str]:
    known = {label_of[display_name(name)] for name in found["source"].by_class}
    unlabelled = [item.entry.name for label, item in enumerate(classes) if label not in known]
    if unlabelled:
        yield f"classes without a source image: {', '.join(unlabelled)}"
    ids = [f"{x.folder} ({x.entry.name})" for x in classes if holds_wordnet_id(x.folder)]
    if ids:
        yield f"class folders that are WordNet ids: {some(ids)}"
    for domain in DOMAINS:
        for note in left_out(found[domain].ignored, found[domain].skipped):
            yield f"{starts[domain]}: {note}"


def _some(names: Iterable[str]) -> str:
    return some([repr(name) for name in names])
