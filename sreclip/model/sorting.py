"""Images sorted into a folder per class."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sreclip.data.archives import FileOpener, read_at
from sreclip.errors import ConfigError, StoreError
from sreclip.evaluate.background import REASON
from sreclip.files import atomic_path
from sreclip.model import Way
from sreclip.model.found import ROOT, Found
from sreclip.model.prediction import Prediction

UNCERTAIN, UNREADABLE, BACKGROUND = "_uncertain", "_unreadable", "_background"
# What a folder's name may not have, or not at its start; it is written as %XX.
UNSAFE, UNSAFE_START = "/\\%", "._"


class Sorter:
    """Puts images below a folder, by class; nothing that is there is written over.

    Links are relative where the images lie beside the folder. Of an archive's members copies are
    made, whatever the ``way``.

    Attributes
    ----------
    counts
        Images per folder.

    With ``again`` the folder may hold what was sorted before.

    Raises
    ------
    ConfigError
        The folder is not empty, or is a file.
    """

    def __init__(self, folder: Path, way: Way, *, again: bool = False) -> None:
        if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not again)):
            raise ConfigError(f"{folder} is not empty", "give a folder that is new or empty")
        self.folder, self.way = folder, way
        self.counts: Counter[str] = Counter()
        self._opener = FileOpener(ROOT)

    def sorted(self, pairs: Iterable[tuple[Found, Prediction]]) -> Iterator[Prediction]:
        """Put each image where its prediction says, and pass the prediction on.

        Raises
        ------
        StoreError
            An image cannot be put there.
        """
        for found, prediction in pairs:
            if found.reason:
                yield prediction  # there is no image
                continue
            name = folder_of(prediction)
            try:
                self._put(found, self.folder / name)
            except OSError as error:
                raise StoreError(
                    f"{found.name} cannot be put into {self.folder / name} ({error.strerror})",
                    "check the disk; what was sorted so far stays",
                ) from error
            self.counts[name] += 1
            yield prediction

    def _put(self, found: Found, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        place, source = found.place, ROOT / found.place.path
        out = _free(folder, Path(place.member or place.path).name)
        if place.member is not None:
            content = read_at(
                self._opener.descriptor(place.path), place.offset or 0, place.size or 0
            )
            with atomic_path(out) as temporary:
                temporary.write_bytes(content)
        elif self.way == "link":
            out.symlink_to(os.path.relpath(source, folder.resolve()))
        elif self.way == "copy":
            with atomic_path(out) as temporary:
                shutil.copyfile(source, temporary)
        else:
            shutil.move(source, out)


def folder_of(prediction: Prediction) -> str:
    """Return the name of the folder for an image."""
    if prediction.label:
        return "".join(
            f"%{ord(letter):02X}"
            if letter in UNSAFE or not letter.isprintable() or (at == 0 and letter in UNSAFE_START)
            else letter
            for at, letter in enumerate(prediction.label)
        )
    if prediction.reason == REASON:
        return BACKGROUND
    return UNCERTAIN if prediction.classes else UNREADABLE


def _free(folder: Path, name: str) -> Path:
    """Return a path that is not taken: the name, or with a number before its suffix."""
    path, number = folder / name, 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{Path(name).stem}-{number}{Path(name).suffix}"
    return path
