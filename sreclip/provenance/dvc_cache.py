"""Look through a DVC cache, or a remote that is a folder, for objects that were damaged.

DVC names an object by the MD5 of its bytes and takes it at its word when it is pulled, unless the
remote is set to ``verify``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from sreclip.errors import StoreError
from sreclip.features.verify import Problem

OBJECTS = Path("files") / "md5"
LISTING = ".dir"
WAY_OUT = "delete it, and push again from where it is whole, or run: dvc repro"


def is_cache(folder: Path) -> bool:
    """Whether a folder is laid out as DVC's caches and remotes are."""
    return (folder / OBJECTS).is_dir()


def damaged_objects(folder: Path) -> tuple[list[Problem], int]:
    """Compare every object with its name.

    Returns
    -------
    list of Problem
        One an object that is not what its name says, with the files that it is the content of.
    int
        How many objects there are.

    Raises
    ------
    StoreError
        An object cannot be read.
    """
    wrong: dict[str, Path] = {}
    names: dict[str, list[str]] = {}
    count = 0
    for path in _objects(folder):
        count += 1
        oid = path.parent.name + path.name
        try:
            if _md5(path) != oid.removesuffix(LISTING):
                wrong[oid] = path
            elif oid.endswith(LISTING):
                for entry in json.loads(path.read_text(encoding="utf-8")):
                    names.setdefault(entry["md5"], []).append(entry["relpath"])
        except OSError as error:
            raise StoreError(f"{path} cannot be read ({error.strerror})") from error
    problems = []
    for oid, path in wrong.items():
        of = ", ".join(names.get(oid, []))
        what = f"the content of {of}" if of else "a list of files" * oid.endswith(LISTING)
        said = f"{path} is damaged: its bytes have another MD5" + (what and f" ({what})")
        problems.append(Problem(path, said, WAY_OUT))
    return problems, count


def _objects(folder: Path) -> Iterator[Path]:
    for place in sorted((folder / OBJECTS).glob("??/*")):
        if place.is_file() and len(place.name.removesuffix(LISTING)) == 30:
            yield place


def _md5(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
