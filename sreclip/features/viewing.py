"""Images of a task for people to look at, decoded as extraction decodes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.data.images import RejectedImage, read_image
from sreclip.data.manifest import find_rows
from sreclip.data.reading import ImageReader, NamedImageReader, stored_images
from sreclip.errors import DataError
from sreclip.plan.plan import Plan

if TYPE_CHECKING:
    from PIL.Image import Image


class Viewer:
    """Some images of both domains, by row id; archives stay open until `close`."""

    def __init__(self, plan: Plan, row_ids: Sequence[int]) -> None:
        self._stored = stored_images(find_rows(plan.task.path, row_ids))
        self._most = plan.params.features.max_pixels
        root = Path(plan.summary["root"])
        self._reader: ImageReader
        if plan.ready:
            self._reader = NamedImageReader((root / plan.params.task.settings["images"]).resolve())
        else:
            self._reader = ImageReader(root, outside_links=plan.outside_links)

    def name(self, at: int) -> str:
        """Return the name of one of the images."""
        return self._stored[at].place.name

    def image(self, at: int) -> Image | None:
        """Decode one of the images; None where it cannot be read."""
        try:
            return read_image(self._reader.read(self._stored[at]), max_pixels=self._most)
        except (RejectedImage, DataError):
            return None

    def close(self) -> None:
        """Close archives."""
        self._reader.close()


def has_images(plan: Plan) -> bool:
    """Tell whether the rows have images: those of ready features may have none."""
    return not plan.ready or plan.params.task.settings["images"] is not None
