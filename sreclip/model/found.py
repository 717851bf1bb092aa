"""Images that a user names: files, folders, patterns, tar archives."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sreclip.data.archives import list_archive
from sreclip.data.place import Place
from sreclip.data.walk import ARCHIVE_SUFFIX, image_suffixes, is_skipped_folder, suffix
from sreclip.errors import DataError

ROOT = Path("/")


class Found(NamedTuple):
    """An image as the user calls it, where its bytes are below `ROOT`, and why there are none."""

    name: str
    place: Place
    reason: str = ""


@dataclass
class Finder:
    """Finds images; ``ignored`` counts files in folders that are none, by their suffix."""

    ignored: Counter[str] = field(default_factory=Counter)

    def find(self, names: Iterable[str]) -> Iterator[Found]:
        """Yield the images that names stand for, in their order, as they are found.

        A name is a file, a folder (with all below it, hidden ones left out), a plain tar archive
        or a pattern as the shell has it, ``**`` for any folders. What is not there is found with
        a reason.

        Raises
        ------
        DataError
            An archive is compressed, damaged, or has unsafe names.
        """
        for name in names:
            if Path(name).exists():
                yield from self._at(name)
                continue
            matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - not below a folder
            folders = tuple(f"{m.rstrip('/')}/" for m in matches if Path(m).is_dir())
            for match in matches:
                if not match.rstrip("/").startswith(folders):  # its folder brings it
                    yield from self._at(match)
            if not matches:
                yield Found(name, _place(name), "there is no such file")

    def _at(self, name: str) -> Iterator[Found]:
        if Path(name).is_dir():
            yield from self._below(name, frozenset())
        elif suffix(name) == ARCHIVE_SUFFIX:
            for place in list_archive(ROOT, _place(name).path).images:
                yield Found(f"{name}/{place.member}", place)
        else:
            yield Found(name, _place(name))

    def _below(self, folder: str, above: frozenset[str]) -> Iterator[Found]:
        real = os.path.realpath(folder)
        if real in above:  # a link that leads back
            return
        kinds = image_suffixes()
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(
                f"{folder}: the folder cannot be read ({error.strerror})", "make it readable"
            ) from error
        folders = []
        for entry in listed:
            path = f"{folder.rstrip('/')}/{entry.name}"
            if entry.is_dir():
                if not is_skipped_folder(entry.name):
                    folders.append(path)
            elif entry.name.startswith("."):
                continue
            elif (kind := suffix(entry.name)) in kinds or kind == ARCHIVE_SUFFIX:
                yield from self._at(path)
            else:
                self.ignored[kind or "no suffix"] += 1
        for path in folders:
            yield from self._below(path, above | {real})


def _place(name: str) -> Place:
    # Without following links: what a link leads to may have another suffix.
    return Place(os.path.abspath(name).lstrip("/"))  # noqa: PTH100
