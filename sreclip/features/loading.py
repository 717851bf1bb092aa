"""Batches of pixels from decoding processes, which may hang, die or run out of memory.

A piece of a batch comes from one process, through shared memory, or through a pipe where that has
no room. When a process dies, for example killed by the system for memory, the pieces are halved and
what was not delivered is decoded again. The batches stay the same, and so do the features. An image
that hangs its decoder is rejected.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from sreclip.errors import DataError
from sreclip.features.dataset import Batch, ImageDataset

POLL_SECONDS = 0.5
# A piece does not come any more when nobody has been at work for so long.
LOST_SECONDS = 30.0
SHARED_MEMORY = "/dev/shm"
# What is left of it to the locks and queues of this and other programs.
RESERVE_BYTES = 4 * 2**20
_ALONE = "this process decodes itself, which is slower"

log = logging.getLogger(__name__)


class HangingDecoderError(Exception):
    """Decoding processes that take too long for one image: row number by process."""

    def __init__(self, stuck: dict[int, int]) -> None:
        super().__init__(stuck)
        self.stuck = stuck


class DeadDecoderError(Exception):
    """A decoding process died."""


class LostPieceError(Exception):
    """No process is at work, and the next piece has not come."""


class NoProcessesError(Exception):
    """Decoding processes cannot be started."""


class Watch:
    """What each decoding process does, in memory that the processes share.

    An image may take ``limit_s`` seconds. Time counts only while the main process waits, so that a
    suspended job is not late.

    Raises `NoProcessesError` if there is no memory to share.
    """

    def __init__(self, workers: int, limit_s: float) -> None:
        self.limit_s = limit_s
        # By worker: its process, the row number that it decodes or -1, whether it makes a piece.
        self._table = torch.tensor([[0, -1, 0]] * workers)
        self._waited: dict[tuple[int, int], float] = {}
        self._idle_s = 0.0
        if workers:
            try:
                multiprocessing.Lock()  # the queues of a loader have some
                self._table.share_memory_()
            except (OSError, RuntimeError) as error:
                raise NoProcessesError(error) from error

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Note, in a decoding process, that it makes a piece."""
        info = get_worker_info()
        if info is None:
            yield
            return
        self._table[info.id] = torch.tensor([os.getpid(), -1, 1])
        try:
            yield
        finally:
            self._table[info.id, 2] = 0

    @contextlib.contextmanager
    def decoding(self, index: int) -> Iterator[None]:
        """Note, in a decoding process, that it is at this image."""
        info = get_worker_info()
        if info is None:
            yield
            return
        self._table[info.id, 1] = index
        try:
            yield
        finally:
            self._table[info.id, 1] = -1

    def now(self) -> dict[int, int]:
        """Return the row number that each process is at."""
        return {process: index for process, index, _ in self._table.tolist() if index >= 0}

    def waited(self, seconds: float) -> None:
        """Count time in which no piece came.

        Raises `HangingDecoderError` if an image takes longer than the limit, `LostPieceError` if
        nobody works.
        """
        self._waited = {
            place: self._waited.get(place, 0.0) + seconds for place in self.now().items()
        }
        stuck = {process: index for (process, index), s in self._waited.items() if s > self.limit_s}
        if stuck:
            raise HangingDecoderError(stuck)
        is_idle = self._table[:, 0].any() and not self._table[:, 2].any()
        self._idle_s = self._idle_s + seconds if is_idle else 0.0
        if self._idle_s > LOST_SECONDS:
            raise LostPieceError

    def came(self) -> None:
        """Note that a piece came."""
        self._idle_s = 0.0


class Pieces(Dataset[Batch]):
    """Pieces of batches by their row numbers, handed over in shared memory where it has room."""

    def __init__(self, images: ImageDataset, watch: Watch, in_pipe: bool) -> None:
        self.images, self.watch, self.in_pipe = images, watch, in_pipe

    def __getitem__(self, rows: list[int]) -> Batch:
        with self.watch.at_work():
            piece = Batch.joined([self.images[row] for row in rows])
            if get_worker_info() is not None and piece.pixels is not None:
                piece.in_pipe = self.in_pipe or not _share(piece.pixels)
            return piece


def _share(pixels: torch.Tensor) -> bool:
    """Move pixels to shared memory, unless it has too little room.

    torch would do it where nobody hears of an error: the piece would never come.
    """
    with contextlib.suppress(OSError):  # not every system has the folder
        disk = os.statvfs(SHARED_MEMORY)
        if pixels.nbytes + RESERVE_BYTES > disk.f_bavail * disk.f_frsize:
            return False
    try:
        pixels.share_memory_()
    except (OSError, RuntimeError):
        return False
    return True


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
    """Decode piece by piece; where something goes wrong, again from where it stopped."""
    at, size, in_pipe = 0, batch_size, False
    while at < len(images):
        try:
            watch = Watch(workers, limit_s)
            images.decoding = watch.decoding
            loader = DataLoader(
                Pieces(images, watch, in_pipe),
                batch_size=None,
                sampler=cuts(at, len(images), batch_size, size),
                num_workers=workers,
                timeout=POLL_SECONDS if workers else 0,
                pin_memory=pinned,
            )
            for piece in _polled(loader, watch):
                if piece.in_pipe and not in_pipe:
                    in_pipe = True
                    log.warning(
                        "%s has no room for the pixels of %d images at a time; they take another "
                        "way, which is slower",
                        SHARED_MEMORY,
                        len(piece),
                    )
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
            if size == 1 and in_pipe:
                names = [images.stored[index].place.name for index in watch.now().values()]
                raise DataError(
                    f"a decoding process died while single images were decoded: {', '.join(names)}",
                    "if it was killed for memory, lower features.workers or features.max_pixels; "
                    "otherwise remove the image",
                ) from error
            # The system also kills a process that writes to shared memory without room.
            size, in_pipe = max(1, size // 2), True
            log.warning(
                "a decoding process died, perhaps killed for memory; "
                "continuing with %d images at a time in each",
                size,
            )
        except LostPieceError:
            workers, in_pipe = (0 if in_pipe else workers), True
            log.warning(
                "decoded images do not arrive; %s",
                "they take another way, which is slower" if workers else _ALONE,
            )
        except NoProcessesError as error:
            workers = 0
            log.warning("decoding processes cannot be started (%s); %s", error, _ALONE)


def _polled(loader: DataLoader[Batch], watch: Watch) -> Iterator[Batch]:
    before = signal.getsignal(signal.SIGCHLD)
    try:
        pieces = iter(loader)
    except OSError as error:
        raise NoProcessesError(error) from error
    if before is not None and signal.getsignal(signal.SIGCHLD) is not before:
        # torch's handler raises when a worker dies, wherever this process is at that moment.
        signal.signal(signal.SIGCHLD, before)
    while True:
        try:
            piece = next(pieces)
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
        else:
            watch.came()
            yield piece
