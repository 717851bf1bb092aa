"""The bytes of a manifest row, from a file or from an archive, and only if they are still those."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sreclip.data.archives import open_regular, read_at
from sreclip.data.images import RejectedPicture, open_picture
from sreclip.data.manifest import IN_ARCHIVES, resolve_inside, shown_name
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

# No picture of the largest size that is decoded has as many bytes.
MOST_BYTES = 1 << 31


class Stored(NamedTuple):
    """Where the manifest says that a picture's bytes are, and which they are.

    Attributes
    ----------
    path : str
        Picture or archive, relative to the data root.
    size : int
        Bytes of the picture.
    sha256 : str
        Empty when it could not be read.
    member : str or None
        Name in the archive.
    offset : int or None
        Where its bytes begin in the archive.
    """

    path: str
    size: int
    sha256: str
    member: str | None = None
    offset: int | None = None

    @property
    def name(self) -> str:
        """What to call the picture."""
        return shown_name(self.path, self.member)


def stored_pictures(rows: pd.DataFrame) -> list[Stored]:
    """Give manifest rows as what `PictureReader` reads."""
    columns = [rows["path"].tolist(), rows["size"].tolist(), rows["sha256"].fillna("").tolist()]
    columns += [
        rows[name].astype(object).where(rows[name].notna(), None).tolist()
        for name in IN_ARCHIVES
        if name in rows
    ]
    return [Stored(*values) for values in zip(*columns, strict=True)]


def read_picture(root: Path, picture: Stored) -> bytes:
    """Read the bytes of one picture.

    Raises
    ------
    RejectedPicture, DataError
        As `PictureReader.read`.
    """
    reader = PictureReader(root)
    try:
        return reader.read(picture)
    finally:
        reader.close()


class PictureReader:
    """Reads the bytes of pictures; the archive of the last one stays open.

    Parameters
    ----------
    root : Path
        Data root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._path = ""
        self._handle: BinaryIO | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the open archive out: a worker process opens its own."""
        return {"root": self.root, "_path": "", "_handle": None}

    def close(self) -> None:
        """Close the archive."""
        if self._handle is not None:
            self._handle.close()
        self._path, self._handle = "", None

    def read(self, picture: Stored) -> bytes:
        """Read the bytes that the manifest names.

        Raises
        ------
        RejectedPicture
            The picture is too large, or could not be read when it was listed and cannot now.
        DataError
            The path leaves the root, or the bytes are no longer those of the manifest.
        """
        if picture.size > MOST_BYTES:
            raise RejectedPicture(f"{picture.size} bytes are more than {MOST_BYTES}")
        try:
            content = self._member(picture) if picture.member is not None else self._file(picture)
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            if not picture.sha256:
                raise RejectedPicture(reason) from error
            raise self._changed(picture, reason) from error
        if not picture.sha256:
            raise self._changed(picture, "it could not be read then, and now it can")
        if hashlib.sha256(content).hexdigest() != picture.sha256:
            raise self._changed(picture, "its SHA-256 is another one")
        return content

    def _file(self, picture: Stored) -> bytes:
        path = resolve_inside(self.root, picture.path)
        if not picture.sha256:
            with open_picture(path) as handle:
                return handle.read()
        with open_regular(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size != picture.size:
                raise self._changed(picture, f"it had {picture.size} bytes and now has {size}")
            return read_at(handle.fileno(), 0, size)

    def _member(self, picture: Stored) -> bytes:
        if self._handle is None or picture.path != self._path:
            self.close()
            self._handle = open_regular(resolve_inside(self.root, picture.path))
            self._path = picture.path
        content = read_at(self._handle.fileno(), picture.offset or 0, picture.size)
        if len(content) < picture.size:
            raise self._changed(picture, "the archive is cut off")
        return content

    def _changed(self, picture: Stored, what: str) -> DataError:
        return DataError(
            f"{self.root / picture.name} is not the picture of the manifest: {what}",
            "list the pictures again: sreclip prepare-data",
        )
