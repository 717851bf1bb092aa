"""Pictures below a folder, those in archives among them, for tasks that know their layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sreclip.data.archives import is_compressed, list_archive, refuse_compressed
from sreclip.data.manifest import MANIFEST_FILE, read_archives
from sreclip.data.walk import ARCHIVE_SUFFIX, Listed, suffix, walk, walk_folders
from sreclip.errors import DataError


class Place(NamedTuple):
    """Where a picture's bytes are: a file's path, or its name, offset and size in an archive."""

    path: str
    member: str | None = None
    offset: int | None = None
    size: int | None = None


@dataclass
class Listing:
    """Pictures below one folder, or in one archive.

    Attributes
    ----------
    places : dict
        By name: the path below the root; of a picture in an archive, as if the archive had been
        unpacked into a folder of its own name. ``n01440764.tar`` is the folder ``n01440764``.
    archives : dict
        Size and modification time of each archive.
    ignored : Counter
        Files that are no pictures, by suffix.
    """

    places: dict[str, Place] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)

    def add_archive(self, root: Path, path: str) -> None:
        """Add the pictures of an archive, ``path`` below the root."""
        archive = list_archive(root, path)
        self.archives[path] = (archive.size, archive.mtime_ns)
        self.ignored.update(archive.ignored)
        folder = path.removesuffix(PurePosixPath(path).suffix)
        for member in archive.pictures:
            name = f"{folder}/{member.name}"
            if name in self.places:
                raise DataError(
                    f"{root / path}: its {member.name!r} lies beside it, too, as {name}",
                    "keep the archive or what was unpacked from it, not both",
                )
            self.places[name] = Place(path, *member)


def list_pictures(root: Path, start: str) -> Listing:
    """List what lies below ``start``, a folder or an archive below the root.

    Raises
    ------
    DataError
        As `sreclip.data.walk.walk` and `sreclip.data.archives.list_archive`; or an archive is
        compressed.
    """
    listing = Listing()
    if is_archive(root, start):
        listing.add_archive(root, start)
        return listing
    archives: list[str] = []
    for found in walk(root, start):
        refuse_packed(root, found)
        listing.places.update(
            (f"{found.folder}/{name}", Place(f"{found.folder}/{name}")) for name in found.pictures
        )
        archives += [f"{found.folder}/{name}" for name in found.archives]
        listing.ignored.update(suffix(name) for name in found.ignored)
    for path in archives:
        listing.add_archive(root, path)
    return listing


def is_archive(root: Path, start: str) -> bool:
    """Tell whether ``start`` below the root is an archive and not a folder."""
    return suffix(start) == ARCHIVE_SUFFIX and (root / start).is_file()


def refuse_packed(root: Path, found: Listed) -> None:
    """Refuse compressed archives.

    Raises
    ------
    DataError
        There is one.
    """
    for name in found.ignored:
        if is_compressed(name):
            raise refuse_compressed(root / found.folder / name)


def folders_below(
    root: Path, starts: Iterable[str], *, open_all: bool = False
) -> dict[str, list[str]]:
    """Give the folders below all starts, each with the names of its archives that were seen."""
    return {
        name: archives
        for start in starts
        for name, archives in walk_folders(root, start, open_all=open_all)
    }


def folders_and_archives(
    root: Path, starts: Iterable[str], prepared: Path
) -> tuple[dict[str, list[str]], list[Path]]:
    """Give `folders_below` and where all archives are, opening few folders where that is enough.

    As long as no folder is newer than the manifest in the folder ``prepared``, the archives are
    those that it was made from.
    """
    starts = list(starts)
    seen = folders_below(root, starts)
    manifest = prepared / MANIFEST_FILE
    if manifest.exists():
        made = manifest.stat().st_mtime_ns
        archives = [root / path for path in read_archives(prepared)]
        newer = any((root / name).stat().st_mtime_ns > made for name in seen)
        if not newer and all(path.exists() for path in archives):
            return seen, archives
    seen = folders_below(root, starts, open_all=True)
    return seen, [root / name / archive for name, found in seen.items() for archive in found]


def folders_of(name: str) -> Iterator[str]:
    """Give the folders of a picture's name, the nearest first."""
    yield from reversed(name.split("/")[:-1])
