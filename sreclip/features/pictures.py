"""From manifest rows to pixels, in worker processes.

A picture whose bytes are not those of the manifest is not encoded: its features would carry the
key of another picture. The very bytes that were hashed are decoded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sreclip.data.images import RejectedPicture, read_image
from sreclip.data.reading import PictureReader, stored_pictures
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


@dataclass
class Batch:
    """Consecutive pictures of a shard.

    Attributes
    ----------
    pixels : Tensor or None
        Of the pictures that are ok, ``(n_ok, 3, height, width)``; None when none is.
    ok : ndarray
        ``(n_rows,)``.
    reasons : list of str
        One a row, empty where ok.
    failure : DataError or None
        The first error to stop at.
    read_s, decode_s : float
        Seconds that workers spent on reading and hashing, and on decoding and preprocessing.
    """

    pixels: torch.Tensor | None
    ok: NDArray[np.bool_]
    reasons: list[str]
    failure: DataError | None
    read_s: float
    decode_s: float


class PictureSet(Dataset[Item]):
    """The pictures of manifest rows.

    Parameters
    ----------
    rows : DataFrame
        ``path``, ``size`` and ``sha256``; ``member`` and ``offset`` of those in archives.
    root : Path
        Data root.
    preprocess : callable
        RGB picture to pixels ``(3, height, width)``.
    max_pixels : int
        Larger pictures are rejected.
    """

    def __init__(
        self, rows: pd.DataFrame, root: Path, preprocess: Preprocess, max_pixels: int
    ) -> None:
        self.stored = stored_pictures(rows)
        self.reader = PictureReader(root)
        self.preprocess, self.max_pixels = preprocess, max_pixels

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Item:
        # Errors travel as values: torch would reword one that a worker raises.
        item = Item()
        start = time.perf_counter()
        try:
            content = self.reader.read(self.stored[index])
            item.read_s = time.perf_counter() - start
            item.pixels = self.preprocess(read_image(content, max_pixels=self.max_pixels))
        except RejectedPicture as error:
            item.reason = error.reason
        except DataError as error:
            item.failure = error
        item.decode_s = time.perf_counter() - start - item.read_s
        return item


def collate(items: Sequence[Item]) -> Batch:
    """Stack the pixels of the pictures that are ok."""
    import torch

    pixels = [item.pixels for item in items if item.pixels is not None]
    failures = [item.failure for item in items if item.failure is not None]
    return Batch(
        pixels=torch.stack(pixels) if pixels else None,
        ok=np.array([item.pixels is not None for item in items]),
        reasons=[item.reason for item in items],
        failure=failures[0] if failures else None,
        read_s=sum(item.read_s for item in items),
        decode_s=sum(item.decode_s for item in items),
    )


def load_batches(pictures: PictureSet, batch_size: int, workers: int) -> Iterator[Batch]:
    """Decode pictures in order, in ``workers`` processes or in this one when it is 0.

    Raises
    ------
    DataError
        A picture is not the manifest's, or a worker died.
    """
    loader = DataLoader(
        pictures, batch_size=batch_size, shuffle=False, num_workers=workers, collate_fn=collate
    )
    try:
        for batch in loader:
            if batch.failure is not None:
                raise batch.failure
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            f"a decoding process died: {str(error).splitlines()[0]}",
            "it may have run out of memory: lower features.workers or features.batch_size",
        ) from error


def usable_cores() -> int:
    """Cores that this process may use, which a cluster may set below those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
