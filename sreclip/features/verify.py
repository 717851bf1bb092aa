"""Check every sealed file below a folder."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sreclip.errors import StoreError
from sreclip.features.images import verify_images
from sreclip.features.text import verify_text
from sreclip.sealed import open_sealed


class Problem(NamedTuple):
    """One file that cannot be trusted; a running step may still be writing an unfinished one."""

    path: Path
    error: StoreError
    unfinished: bool = False


def verify_file(path: Path) -> None:
    """Check all bytes of a sealed file, and the rows of features; `StoreError` names a fault."""
    seal = open_sealed(path)
    if seal.kind == "images":
        verify_images(path)
    elif seal.kind == "text":
        verify_text(path)
    seal.verify()


def verify_tree(folder: Path) -> tuple[list[Problem], int]:
    """Check every HDF5 file below ``folder``, and name files that a killed step left behind.

    The number is that of the HDF5 files.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder", "name the folder of the cached files")
    problems = []
    files = [path for path in sorted(folder.rglob("*.h5")) if path.is_file()]
    if not files:
        raise StoreError(f"{folder} holds no cached HDF5 file", "make them: snakemake --cores all")
    for path in files:
        try:
            verify_file(path)
        except StoreError as error:
            problems.append(Problem(path, error))
    for path in sorted(folder.rglob("*.tmp")):
        if path.is_file():
            what = f"{path} was left by a step that was killed, or is being written"
            hint = "delete it when no step is running"
            problems.append(Problem(path, StoreError(what, hint), unfinished=True))
    return problems, len(files)
