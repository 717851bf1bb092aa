"""Small images as data URIs."""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sreclip.features.viewing import Viewer
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    from PIL import Image

# Of a photograph the slowest encodings take 20 times as long as these, for 4 % fewer bytes.
LOSSY = {"quality": 80, "method": 2}
LOSSLESS = {"lossless": True, "quality": 20, "method": 1}
# Of images that the reader opens one after the other.
OPENED_PIXELS = 128


@dataclass(frozen=True)
class Thumbnail:
    """An image, and its size in pixels; shown at half of it, to be sharp on a dense screen."""

    path: str
    uri: str
    width: int
    height: int


def thumbnails(
    plan: Plan, row_ids: Sequence[int], pixels: int
) -> Generator[Thumbnail | None, None, None]:
    """Yield images of at most ``pixels`` per side, in turn; None where one cannot be read."""
    if not row_ids:
        return  # features that were made elsewhere have no place for images
    with contextlib.closing(Viewer(plan, row_ids)) as viewer:
        for at in range(len(row_ids)):
            image = viewer.image(at)
            yield None if image is None else thumbnail(viewer.name(at), image, pixels)


def thumbnail(path: str, image: Image.Image, pixels: int) -> Thumbnail:
    """Shrink an image and write it as WebP, with or without loss, whichever is smaller."""
    small = image.copy()
    small.thumbnail((pixels, pixels))
    encodings = []
    for options in (LOSSY, LOSSLESS):
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", **options)
        encodings.append(buffer.getvalue())
    text = base64.b64encode(min(encodings, key=len)).decode("ascii")
    return Thumbnail(path, f"data:image/webp;base64,{text}", small.width, small.height)
