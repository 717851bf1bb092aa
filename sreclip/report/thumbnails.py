"""Small images as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sreclip.features.viewing import Viewer
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 82


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
    with Viewer(plan, row_ids) as viewer:
        for at in range(len(row_ids)):
            image = viewer.image(at)
            yield None if image is None else thumbnail(viewer.name(at), image, pixels)


def thumbnail(path: str, image: Image.Image, pixels: int) -> Thumbnail:
    """Shrink an image and write it as PNG or JPEG, whichever is smaller."""
    small = image.copy()
    small.thumbnail((pixels, pixels))
    encodings = {}
    for kind, options in (("png", {"optimize": True}), ("jpeg", {"quality": JPEG_QUALITY})):
        buffer = io.BytesIO()
        small.save(buffer, kind.upper(), **options)
        encodings[kind] = buffer.getvalue()
    kind, encoded = min(encodings.items(), key=lambda pair: len(pair[1]))
    text = base64.b64encode(encoded).decode("ascii")
    return Thumbnail(path, f"data:image/{kind};base64,{text}", small.width, small.height)
