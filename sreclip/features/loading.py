"""Batches of pixels from decoding processes, which may hang, die or run out of memory.

A piece of a batch comes from one process. When a process dies, for example killed by the system
for memory, the pieces are halved and what was not delivered is decoded again. The batches stay the
same, and so do the features. An image that hangs its decoder is rejected.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, get_worker_info

from sreclip.errors import DataError
from sreclip.features.dataset import Batch, ImageDataset

POLL_SECONDS = 0.5

log = logging.getLogger(__name__)


class HangingDecoderError(Exception):
    """Decoding processes that take too long for one image: row number by process."""

    def __init__(self, stuck: dict[int, int]) -> None:
        super().__init__(stuck)
        self.stuck = stuck


class DeadDecoderError(Exception):
    """A decoding process died."""


class Watch:
    """Which image each decoding process is at, in memory that the processes share.

    An image may take ``limit_s`` seconds. Time counts only while the main process waits, so that a
    suspended job is not late.
    """

    def __init__(self, workers: int, limit_s: float) -> None:
        self.limit_s = limit_s
        self._table = torch.full((workers, 2), -1, dtype=torch.int64).share_memory_()
        self._waited: dict[tuple[int, int], float] = {}

    @contextlib.contextmanager
    def decoding(self, index: int) -> Iterator[None]:
        """Note, in a decoding process, that it is at this image."""
        info = get_worker_info()
        if info is None:
            yield
            return
        self._table[info.id] = torch.tensor([os.getpid(), index])
        try:
            yield
        finally:
            self._table[info.id, 1] = -1

    def now(self) -> dict[int, int]:
        """Return the row number that each process is at."""
        return {process: index for process, index in self._table.tolist() if index >= 0}

    def waited(self, seconds: float) -> None:
        """Count time in which no image came; `HangingDecoderError` beyond the limit."""
        self._waited = {
            place: self._waited.get(place, 0.0) + seconds for place in self.now().items()
        }
        stuck = {process: index for (process, index), s in self._waited.items() if s > self.limit_s}
        if stuck:
            raise HangingDecoderError(stuck)


def load_batches(
    images: ImageDataset, batch_size: int, workers: int, *, limit_s: float, pinned: bool = False
) -> Iterator[Batch]:
    """Decode images in order, in ``workers`` processes; the last batch may be smaller.

    With 0 processes this one decodes, where nothing can be stopped. An image is given up after
    ``limit_s`` seconds. If ``pinned``, the pixels are in pinned memory.

    Raises `DataError` if an image is not the manifest's, or a process dies over a single image.
    """
    pieces: list[Batch] = []
    for piece in _load_pieces(images, batch_size, workers, limit_s, pinned):
        if piece.failure is not None:
            raise piece.failure
        pieces.append(piece)
        if sum(map(len, pieces)) == batch_size:
            yield Batch.joined(pieces)
            pieces = []
    if pieces:
        yield Batch.joined(pieces)


def cuts(start: int, stop: int, batch_size: int, size: int) -> list[list[int]]:
    """Cut rows into pieces of at most ``size`` rows, each within one batch."""
    pieces: list[list[int]] = []
    while start < stop:
        next_batch = start - start % batch_size + batch_size
        pieces.append(list(range(start, min(start + size, next_batch, stop))))
        start = pieces[-1][-1] + 1
    return pieces


def _load_pieces(
    images: ImageDataset, batch_size: int, workers: int, limit_s: float, pinned: bool
) -> Iterator[Batch]:
    """Decode piece by piece; where a process hangs or dies, again from where it stopped."""
    at, size = 0, batch_size
    while at < len(images):
        watch = Watch(workers, limit_s)
        images.decoding = watch.decoding
        loader = DataLoader(
            images,
            batch_sampler=cuts(at, len(images), batch_size, size),
            num_workers=workers,
            collate_fn=Batch.joined,
            timeout=POLL_SECONDS if workers else 0,
            pin_memory=pinned,
        )
        try:
            for piece in _polled(loader, watch):
                yield piece
                at += len(piece)
        except HangingDecoderError as hang:
            for process, index in hang.stuck.items():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
                images.rejected[index] = f"not decoded within {limit_s:g} s"
                name = images.stored[index].place.name
                log.warning("%s: not decoded within %g s", name, limit_s)
        except DeadDecoderError as error:
            if size == 1:
                names = [images.stored[index].place.name for index in watch.now().values()]
                raise DataError(
                    f"a decoding process died while single images were decoded: {', '.join(names)}",
                    "if it was killed for memory, lower features.workers or features.max_pixels; "
                    "otherwise remove the image",
                ) from error
            size //= 2
            log.warning(
                "a decoding process died, perhaps killed for memory; "
                "continuing with %d images at a time in each",
                size,
            )


def _polled(loader: DataLoader[Batch], watch: Watch) -> Iterator[Batch]:
    before = signal.getsignal(signal.SIGCHLD)
    pieces = iter(loader)
    if before is not None and signal.getsignal(signal.SIGCHLD) is not before:
        # torch's handler raises when a worker dies, wherever this process is at that moment.
        signal.signal(signal.SIGCHLD, before)
    while True:
        try:
            yield next(pieces)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" in str(error):
                raise DeadDecoderError from error
            if "timed out" not in str(error):
                raise
            watch.waited(POLL_SECONDS)
        except (ConnectionError, EOFError, FileNotFoundError) as error:
            # The process died while it sent a batch; the system does not report that yet.
            raise DeadDecoderError from error
