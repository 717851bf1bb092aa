"""Walking a tree of images without leaving its root, for millions of files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from sreclip.data.heif import HEIF_SUFFIXES, can_read_heif
from sreclip.data.place import OUTSIDE_LINKS
from sreclip.errors import DataError

ARCHIVE_SUFFIX = ".tar"
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif"}
)

# Folders that systems and programs make among images, in lower case: thumbnails, recycle bins,
# snapshots, what was found after a crash. Hidden ones (.thumbnails, .AppleDouble) are skipped as
# all that is hidden.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "@__thumb", "@tmp", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"}
    | {"~snapshot", "__macosx", "network trash folder", "temporary items"}
    | {"thevolumesettingsfolder", "$recycle.bin", "system volume information", "found.000"}
    | {"lost+found", "lost.dir", "__pycache__"}
)
HIDDEN_IMAGES = "hidden images"

# The real folders that lie behind us where a link made the path jump.
_Trail = tuple[str, ...]


class Listed(NamedTuple):
    """One folder below the root, and the sorted names of its files.

    ``ignored`` are the files that are neither images nor archives by their suffix, or not
    regular files; ``skipped`` counts folders that are skipped by their name, and hidden images.
    """

    folder: str
    images: list[str]
    archives: list[str]
    ignored: list[str]
    skipped: Counter[str]


def suffix(name: str) -> str:
    """Return a file name's suffix in lower case, with its dot; faster than `Path.suffix`."""
    _, dot, end = name.rpartition(".")
    return (dot + end).lower() if dot else ""


def image_suffixes() -> frozenset[str]:
    """Return the suffixes of images that can be read here."""
    return IMAGE_SUFFIXES | HEIF_SUFFIXES if can_read_heif() else IMAGE_SUFFIXES


def is_skipped_folder(name: str) -> bool:
    """Tell whether a folder of this name is skipped wherever it lies."""
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def walk(root: Path, start: str, *, outside_links: bool = False) -> Iterator[Listed]:
    """List ``start`` (a folder below ``root``, ``/`` between parts) and all folders below it.

    Hidden files and folders and `SYSTEM_FOLDERS` are skipped unseen. Links are followed as long as
    they stay inside the root, or ``outside_links`` allows others. Depth first, in the order of the
    names, so two walks of one tree are equal.

    Raises `DataError` if a link leads where it may not, nowhere, or round in a circle, a name is
    not UTF-8, or a folder cannot be read.
    """
    bounds = "/" if outside_links else os.path.realpath(root)
    kinds = image_suffixes()
    stack: list[tuple[str, _Trail]] = [(start, ())]
    while stack:
        folder, trail = stack.pop()
        below, files, skipped = _scan(root, folder, bounds, trail)
        found = Listed(folder, [], [], [], skipped)
        for entry in files:
            kind = suffix(entry.name) if entry.is_file() else ""
            if kind in kinds:
                found.images.append(entry.name)
            else:
                (found.archives if kind == ARCHIVE_SUFFIX else found.ignored).append(entry.name)
        for names in (found.images, found.archives, found.ignored):
            names.sort()
        yield found
        stack += sorted(((name, jump) for name, jump, _ in below), reverse=True)


def walk_folders(
    root: Path, start: str, *, open_all: bool = False, outside_links: bool = False
) -> Iterator[tuple[str, list[str]]]:
    """List the folders of `walk` without looking at every file, in no particular order.

    Each comes with the names of its archives, if the folder was opened; ``open_all`` opens all.

    Where a folder's link count is seen to count its subfolders (2 + their number: ext4, xfs, but
    not btrfs or most network mounts), one below it on the same device with a count of 2 has none
    and is not opened. So a link to a folder is followed from folders that hold subfolders, but
    may be overlooked among images.

    Raises as `walk`.
    """
    bounds = "/" if outside_links else os.path.realpath(root)
    # The device of the folder above, if link counts told its subfolders.
    stack: list[tuple[str, _Trail, int | None]] = [(start, (), None)]
    while stack:
        folder, trail, device = stack.pop()
        status = (root / folder).stat()
        if not open_all and status.st_dev == device and status.st_nlink == 2:
            yield folder, []
            continue
        below, files, _ = _scan(root, folder, bounds, trail)
        yield folder, [entry.name for entry in files if suffix(entry.name) == ARCHIVE_SUFFIX]
        n_real = sum(not is_link for *_, is_link in below)
        counted = n_real > 0 and status.st_nlink == 2 + n_real
        for name, jump, is_link in below:
            stack.append((name, jump, status.st_dev if counted and not is_link else None))


def _scan(
    root: Path, folder: str, bounds: str, trail: _Trail
) -> tuple[list[tuple[str, _Trail, bool]], list[os.DirEntry[str]], Counter[str]]:
    """Return the folders in a folder, with trails and which are links; its files; what to skip."""
    below: list[tuple[str, _Trail, bool]] = []
    files: list[os.DirEntry[str]] = []
    skipped: Counter[str] = Counter()
    for entry in _entries(root, folder):
        name = entry.name
        is_link = entry.is_symlink()
        if is_skipped_folder(name) and (is_link or entry.is_dir()):
            skipped[name] += 1
            continue
        if name.startswith("."):
            skipped[HIDDEN_IMAGES] += suffix(name) in IMAGE_SUFFIXES | HEIF_SUFFIXES
            continue
        if not name.isascii():
            _check_name(folder, name)
        jump = _follow(entry, bounds, trail) if is_link else trail
        if jump is not None and entry.is_dir(follow_symlinks=is_link):
            below.append((f"{folder}/{name}", jump, is_link))
        else:
            files.append(entry)
    return below, files, skipped


def _entries(root: Path, folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder) as entries:
            yield from entries
    except OSError as error:
        raise DataError(
            f"{root / folder}: the folder cannot be read ({error.strerror})",
            "make it readable, or move it out of the data root",
        ) from error


def _check_name(folder: str, name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder}/{name!r}: the file name is not UTF-8", "rename it (convmv can do many)"
        ) from error


def _follow(entry: os.DirEntry[str], bounds: str, trail: _Trail) -> _Trail | None:
    """Check a link, which may lead anywhere below ``bounds``.

    Returns the trail for the folder it leads to, None when it leads to a file.
    """
    real = os.path.realpath(entry.path)
    if not _holds(bounds, real):
        raise DataError(
            f"{entry.path}: the link leads out of the data root",
            "copy the images into the root, set the root to a folder that holds both, or allow "
            f"such links: {OUTSIDE_LINKS}",
        )
    if not Path(real).exists():
        raise DataError(f"{entry.path}: the link leads nowhere", "fix or remove it")
    if not Path(real).is_dir():
        return None
    trail = (*trail, os.path.realpath(Path(entry.path).parent))
    if any(_holds(real, behind) for behind in trail):
        raise DataError(f"{entry.path}: the link leads back to a folder above it", "remove it")
    return trail


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
