"""The bytes of a manifest row, from a file or from an archive, if they are still the same."""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from sreclip.data.archives import FileOpener, read_at
from sreclip.data.images import RejectedImage
from sreclip.data.place import Place, places_of
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

# No image of the largest size that is decoded has as many bytes.
MOST_BYTES = 1 << 31


class StoredImage(NamedTuple):
    """Where an image's bytes are, and their SHA-256; empty when they could not be read."""

    place: Place
    sha256: str


def stored_images(rows: pd.DataFrame) -> list[StoredImage]:
    """Return manifest rows as what `ImageReader` reads."""
    hashes = rows["sha256"].fillna("").tolist()
    return [StoredImage(*values) for values in zip(places_of(rows), hashes, strict=True)]


class ImageReader(FileOpener):
    """Reads the bytes of images below a data root."""

    def read(self, image: StoredImage) -> bytes:
        """Read the bytes that the manifest names.

        Raises `RejectedImage` if the image is too large, or could not be read when it was listed
        and cannot now; else `DataError` if the bytes are no longer those of the manifest.
        """
        place, sha256 = image
        size = place.size or 0
        if size > MOST_BYTES:
            raise RejectedImage(f"{size} bytes are more than {MOST_BYTES}")
        try:
            descriptor = self.descriptor(place.path)
            content = read_at(descriptor, place.offset or 0, size)
            now = os.fstat(descriptor).st_size
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
            if not sha256:
                raise RejectedImage(reason) from error
            raise self._changed(place, reason) from error
        if not sha256:
            raise self._changed(place, "it could not be read then, and now it can")
        if place.member is None and now != size:
            raise self._changed(place, f"it had {size} bytes and now has {now}")
        if len(content) < size:
            raise self._changed(place, "the archive is cut off")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise self._changed(place, "it has another SHA-256")
        return content

    def _changed(self, place: Place, what: str) -> DataError:
        return DataError(
            f"{self.root / place.name} is not the image of the manifest: {what}",
            "list the images again: sreclip prepare-data",
        )


class NamedImageReader(ImageReader):
    """Reads the images that ids of ready features name; nothing says what bytes they had."""

    def read(self, image: StoredImage) -> bytes:
        """Read the file of that name below the root; `RejectedImage` where that cannot be."""
        name = PurePosixPath(image.place.member or "")
        if name.is_relative_to(self.root.as_posix()):
            name = name.relative_to(self.root.as_posix())
        try:
            descriptor = self.descriptor(name.as_posix())
            size = os.fstat(descriptor).st_size
            if size > MOST_BYTES:
                raise RejectedImage(f"{size} bytes are more than {MOST_BYTES}")
            return read_at(descriptor, 0, size)
        except OSError as error:
            raise RejectedImage(f"it cannot be read ({error.strerror or error})") from error
