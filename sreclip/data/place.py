"""Where an image's bytes are; paths that leave the data root are refused."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

# The setting of a task that allows links out of its root.
OUTSIDE_LINKS = "set task.NAME.outside_links, NAME being that of the task"


class Place(NamedTuple):
    """Where an image's bytes are: a file, or ``size`` bytes from ``offset`` of an archive.

    ``path`` is relative to the data root; ``member`` is the name in the archive. The size of a file
    is None until it has been hashed.
    """

    path: str
    member: str | None = None
    offset: int | None = None
    size: int | None = None

    @property
    def name(self) -> str:
        """Path of the image; in an archive, that of the archive and the member."""
        return self.path if self.member is None else f"{self.path}/{self.member}"


def places_of(rows: pd.DataFrame) -> list[Place]:
    """Return the places of manifest rows."""
    columns = [
        rows[name].to_numpy(object, na_value=None).tolist()  # type: ignore[call-overload]
        for name in Place._fields
    ]
    return list(map(Place, *columns))


def image_names(rows: pd.DataFrame) -> pd.Series:
    """Return `Place.name` of each row."""
    return rows["path"].where(rows["member"].isna(), rows["path"] + "/" + rows["member"])


def resolve_inside(root: Path, relative: str, *, outside_links: bool = False) -> Path:
    """Join a manifest path to the data root: absolute, links followed; it need not exist.

    Raises `DataError` if the path leaves the root, a link does so and ``outside_links`` does not
    allow it, or links form a circle.
    """
    try:
        pure = PurePosixPath(relative)
        if not pure.is_absolute() and ".." not in pure.parts:
            full = (root / relative).resolve()
            if outside_links or full.is_relative_to(root.resolve()):
                return full
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a NUL byte
        raise DataError(
            f"manifest path {relative!r} cannot be followed ({error})", "fix or remove it"
        ) from error
    raise DataError(
        f"manifest path {relative!r} leaves the data root {root}",
        "keep images (and the targets of links) under the root; for links out of it: "
        f"{OUTSIDE_LINKS}",
    )


def check_paths(paths: pd.Series, where: str) -> None:
    """Raise `DataError` for a path that is empty, absolute or climbs, without touching the disk."""
    wrong = paths.isna() | (paths == "") | paths.str.contains(r"^/|(?:^|/)\.\.(?:/|$)")
    bad = np.flatnonzero(wrong.to_numpy(dtype=bool, na_value=True))
    if len(bad):
        raise DataError(
            f"{where}, row {bad[0]}: path {paths.iloc[bad[0]]!r} leaves the data root",
            "paths are relative to the root, without '..'",
        )
