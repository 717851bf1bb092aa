"""Images below a folder, those in archives among them, for tasks that know their layout."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sreclip.data.archives import COMPRESSED_SUFFIXES, compressed_error, list_archive
from sreclip.data.heif import HEIF_SUFFIXES, INSTALL_HEIF, heif_package
from sreclip.data.manifest import MANIFEST_FILE, read_summary
from sreclip.data.place import Place
from sreclip.data.walk import ARCHIVE_SUFFIX, Listed, suffix, walk, walk_folders
from sreclip.errors import DataError, StoreError


@dataclass
class Listing:
    """Images below one folder, or in one archive.

    ``places`` are by name: the path below the root; of an image in an archive, as if the archive
    had been unpacked into a folder of its own name (``n01440764.tar`` is the folder ``n01440764``).
    ``archives`` has sizes and modification times, ``ignored`` counts other files by suffix,
    ``skipped`` folders and hidden images by name (see `walk`).
    """

    places: dict[str, Place] = field(default_factory=dict)
    archives: dict[str, tuple[int, int]] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)

    def add_archive(self, root: Path, path: str) -> None:
        """Add the images of an archive, ``path`` below the root."""
        archive = list_archive(root, path)
        self.archives[path] = archive.stamp
        self.ignored.update(archive.ignored)
        self.skipped.update(archive.skipped)
        folder = path.removesuffix(PurePosixPath(path).suffix)
        for place in archive.images:
            name = f"{folder}/{place.member}"
            if name in self.places:
                raise DataError(
                    f"{root / path}: its {place.member!r} lies beside it, too, as {name}",
                    "keep the archive or what was unpacked from it, not both",
                )
            self.places[name] = place


def list_images(root: Path, start: str, *, outside_links: bool = False) -> Listing:
    """List what lies below ``start``, a folder or an archive below the root.

    Raises as `walk` and `list_archive`; `DataError` if an archive is compressed.
    """
    listing = Listing()
    if is_archive(root, start):
        listing.add_archive(root, start)
        return listing
    archives: list[str] = []
    for found in walk(root, start, outside_links=outside_links):
        refuse_compressed(root, found)
        for path in (f"{found.folder}/{name}" for name in found.images):
            listing.places[path] = Place(path)
        archives += [f"{found.folder}/{name}" for name in found.archives]
        listing.ignored.update(suffix(name) for name in found.ignored)
        listing.skipped.update(found.skipped)
    for path in archives:
        listing.add_archive(root, path)
    return listing


def is_archive(root: Path, start: str) -> bool:
    """Tell whether ``start`` below the root is an archive and not a folder."""
    return suffix(start) == ARCHIVE_SUFFIX and (root / start).is_file()


def refuse_compressed(root: Path, found: Listed) -> None:
    """Raise `DataError` if a folder holds a compressed archive."""
    for name in found.ignored:
        if name.lower().endswith(COMPRESSED_SUFFIXES):
            raise compressed_error(root / found.folder / name)


def count_heif(ignored: Counter[str]) -> int:
    """Return the number of HEIC images among the ignored files."""
    return sum(ignored[kind] for kind in HEIF_SUFFIXES)


def left_out(ignored: Counter[str], skipped: Counter[str]) -> Iterator[str]:
    """Say what is not among the images: how many files by suffix, how many folders by name."""
    kinds = [kind for kind in sorted(ignored) if kind not in HEIF_SUFFIXES]
    if kinds:
        counted = ", ".join(f"{ignored[kind]} {kind or 'no suffix'}" for kind in kinds)
        yield f"files ignored because they are not images: {counted}"
    if n_heif := count_heif(ignored):
        yield f"HEIC images left out: {n_heif}; pillow-heif reads them ({INSTALL_HEIF})"
    names = [f"{count} {name}" for name, count in sorted(skipped.items()) if count]
    if names:
        yield f"skipped as hidden, or made by a system or program: {', '.join(names)}"


def newly_readable(prepared: Path) -> list[Path]:
    """Return what was installed since HEIC images had to be left out of the prepared task.

    It is as if the images were new: the task is to be prepared again.
    """
    with contextlib.suppress(StoreError):  # not prepared yet
        if read_summary(prepared).get("heif_left_out"):
            return heif_package()
    return []


def folders_and_archives(
    root: Path, starts: Collection[str], prepared: Path, *, outside_links: bool = False
) -> tuple[dict[str, list[str]], list[Path]]:
    """Return the folders below all starts (as `walk_folders`), and all archives.

    As long as no folder is newer than the manifest in the folder ``prepared``, the archives are
    those that it was made from, and few folders are opened.
    """

    def below(*, open_all: bool) -> dict[str, list[str]]:
        found = (
            walk_folders(root, start, open_all=open_all, outside_links=outside_links)
            for start in starts
        )
        return dict(itertools.chain.from_iterable(found))

    seen = below(open_all=False)
    manifest = prepared / MANIFEST_FILE
    if manifest.exists():
        made = manifest.stat().st_mtime_ns
        newer = any((root / name).stat().st_mtime_ns > made for name in seen)
        with contextlib.suppress(StoreError, KeyError):  # damaged: it will be made again
            archives = [root / path for path in read_summary(prepared)["archives"]]
            if not newer and all(path.exists() for path in archives):
                return seen, archives
    seen = below(open_all=True)
    return seen, [root / name / archive for name, found in seen.items() for archive in found]
