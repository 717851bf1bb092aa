"""From manifest rows to pixels, one picture at a time, in whatever process asks.

A picture whose bytes are not those of the manifest is not encoded: its features would carry the
key of another picture. The very bytes that were hashed are decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.data import Dataset

from sreclip.data.images import RejectedImage, read_image
from sreclip.data.reading import ImageReader, stored_images
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from PIL.Image import Image

Preprocess = Callable[["Image"], "torch.Tensor"]


@dataclass
class Item:
    """One picture: its pixels, or the reason why there are none, or an error to stop at."""

    pixels: torch.Tensor | None = None
    reason: str = ""
    failure: DataError | None = None
    read_s: float = 0.0
    decode_s: float = 0.0


class PictureSet(Dataset[Item]):
    """The pictures of manifest rows.

    Parameters
    ----------
    rows : DataFrame
        ``path``, ``member``, ``offset``, ``size`` and ``sha256``.
    root : Path
        Data root.
    preprocess : callable
        RGB picture to pixels ``(3, height, width)``.
    max_pixels : int
        Larger pictures are rejected.
    least_side : int
        A JPEG may be decoded at a half, a quarter or an eighth, if both sides keep as many
        pixels; 0 decodes all of it.

    Attributes
    ----------
    rejected : dict
        Row numbers that are not decoded, with the reason.
    decoding : callable
        Makes a context around the decoding of a row, for who watches it.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        root: Path,
        preprocess: Preprocess,
        max_pixels: int,
        least_side: int = 0,
    ) -> None:
        self.stored = stored_images(rows)
        self.reader = ImageReader(root)
        self.preprocess = preprocess
        self.max_pixels, self.least_side = max_pixels, least_side
        self.rejected: dict[int, str] = {}
        self.decoding: Callable[[int], AbstractContextManager[None]] = _unwatched

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Item:
        # Errors travel as values: torch would reword one that a worker raises.
        item = Item()
        start = time.perf_counter()
        try:
            if index in self.rejected:
                raise RejectedImage(self.rejected[index])
            content = self.reader.read(self.stored[index])
            item.read_s = time.perf_counter() - start
            with self.decoding(index):
                item.pixels = self.preprocess(
                    read_image(content, max_pixels=self.max_pixels, least_side=self.least_side)
                )
        except RejectedImage as error:
            item.reason = error.reason
        except DataError as error:
            item.failure = error
        item.decode_s = time.perf_counter() - start - item.read_s
        return item


def _unwatched(index: int) -> AbstractContextManager[None]:
    return nullcontext()
