"""From manifest rows to pixels, one image at a time, in whatever process asks.

An image whose bytes are not those of the manifest is not encoded: its features would carry the
key of another image. The very bytes that were hashed are decoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sreclip.data.images import NOTE, RejectedImage, read_image
from sreclip.data.reading import ImageReader, stored_images
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image


@dataclass
class Batch:
    """Consecutive images.

    ``pixels`` are those of the images that are ok, ``(n_ok, 3, height, width)``, None if there is
    none; ``reasons`` say why each image is rejected, and are empty where it is ok; ``notes`` are
    those of single images.

    Between processes the pixels are in shared memory, or, if ``in_pipe``, go through the pipe with
    the rest: slower, but there is always room.
    """

    pixels: torch.Tensor | None
    reasons: list[str]
    notes: list[str] = field(default_factory=list)
    failure: DataError | None = None  # the first error to stop at
    read_s: float = 0.0  # seconds for reading and hashing
    decode_s: float = 0.0  # seconds for decoding and preprocessing
    in_pipe: bool = False

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which images are not rejected, ``(n_images,)``."""
        return np.array([not reason for reason in self.reasons])

    @classmethod
    def joined(cls, parts: Sequence[Batch]) -> Batch:
        """Concatenate consecutive parts."""
        if len(parts) == 1:
            return parts[0]
        pixels = [part.pixels for part in parts if part.pixels is not None]
        return cls(
            pixels=torch.cat(pixels) if pixels else None,
            reasons=[reason for part in parts for reason in part.reasons],
            notes=[note for part in parts for note in part.notes],
            failure=next((part.failure for part in parts if part.failure), None),
            read_s=sum(part.read_s for part in parts),
            decode_s=sum(part.decode_s for part in parts),
        )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if self.in_pipe and self.pixels is not None:
            state["pixels"] = self.pixels.numpy()  # torch moves a tensor to shared memory
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(self.pixels, np.ndarray):
            self.pixels = torch.from_numpy(self.pixels)

    def pin_memory(self) -> Batch:
        """Move the pixels to pinned memory; torch's loader calls this."""
        if self.pixels is not None:
            self.pixels = self.pixels.pin_memory()
        return self


class ImageDataset(Dataset[Batch]):
    """The images of manifest rows, each a batch of one.

    ``preprocess`` makes pixels ``(3, height, width)`` of an RGB image. Images of more than
    ``max_pixels`` are rejected. A JPEG may be decoded at a half, a quarter or an eighth of its size
    if both sides keep ``least_side`` pixels; 0 decodes it in full. ``rejected`` are row numbers
    that are not decoded, with the reason; ``decoding`` makes a context around the decoding of a
    row.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        root: Path,
        preprocess: Callable[[Image], torch.Tensor],
        max_pixels: int,
        least_side: int = 0,
        *,
        outside_links: bool = False,
    ) -> None:
        self.stored = stored_images(rows)
        self.reader = ImageReader(root, outside_links=outside_links)
        self.preprocess = preprocess
        self.max_pixels, self.least_side = max_pixels, least_side
        self.rejected: dict[int, str] = {}
        self.decoding: Callable[[int], AbstractContextManager[Any]] = nullcontext

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Batch:
        # Errors travel as values: torch would reword one that a worker raises.
        item = Batch(None, [""])
        start = time.perf_counter()
        try:
            if index in self.rejected:
                raise RejectedImage(self.rejected[index])
            content = self.reader.read(self.stored[index])
            item.read_s = time.perf_counter() - start
            with self.decoding(index):
                image = read_image(content, max_pixels=self.max_pixels, least_side=self.least_side)
                item.pixels = self.preprocess(image)[None]
            item.notes = [image.info[NOTE]] if NOTE in image.info else []
        except RejectedImage as error:
            item.reasons = [error.message]
        except DataError as error:
            item.failure = error
        item.decode_s = time.perf_counter() - start - item.read_s
        return item
