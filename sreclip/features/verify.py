"""Check every sealed file below a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sreclip.errors import StoreError
from sreclip.features.images import verify_images
from sreclip.features.text import verify_text
from sreclip.sealed import open_sealed


@dataclass(frozen=True)
class Problem:
    """One file that cannot be trusted, what is wrong with it, and the way out.

    ``unfinished`` is true of a file that a running step may still be writing.
    """

    path: Path
    what: str
    hint: str
    unfinished: bool = False

    def __str__(self) -> str:
        return f"{self.what}\n  -> {self.hint}"


def verify_file(path: Path) -> None:
    """Check all bytes of a sealed file, and the rows of features.

    Raises
    ------
    StoreError
        The first thing that is wrong.
    """
    seal = open_sealed(path)
    if seal.kind == "images":
        verify_images(path)
    elif seal.kind == "text":
        verify_text(path)
    seal.verify()


def verify_tree(folder: Path) -> tuple[list[Problem], int]:
    """Check every HDF5 file below ``folder``, and name files that a killed step left behind.

    Returns
    -------
    list of Problem
    int
        How many HDF5 files there are.

    Raises
    ------
    StoreError
        There is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder", "name the folder of the cached files")
    problems = []
    files = [path for path in sorted(folder.rglob("*.h5")) if path.is_file()]
    for path in files:
        try:
            verify_file(path)
        except StoreError as error:
            problems.append(Problem(path, error.message, error.hint))
    for path in sorted(folder.rglob("*.tmp")):
        if path.is_file():
            what = f"{path} was left by a step that was killed, or is being written"
            hint = "delete it when no step is running"
            problems.append(Problem(path, what, hint, unfinished=True))
    return problems, len(files)
