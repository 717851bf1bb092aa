"""Batches of pixels through a frozen backbone.

On a GPU the next batch is copied, on a CUDA stream of its own, while the model works on the
previous one; the host waits for rows only when the following batch is queued behind them. On a CPU
a batch is encoded when it arrives.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.features.loading import Batch
from sreclip.features.progress import Seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """A batch that is encoded, or will be.

    Attributes
    ----------
    batch : Batch
    rows : Tensor or None
        Of the images that are ok, ``(n_ok, dim)``, on the host; None if there is none.
    arrived : torch.cuda.Event or None
        What to wait for before ``rows`` can be read.
    """

    batch: Batch
    rows: torch.Tensor | None
    arrived: torch.cuda.Event | None

    def features(self, dim: int) -> NDArray[np.float32]:
        """Wait for the rows; ``(n_rows, dim)``, zero where an image is not ok."""
        features = np.zeros((len(self.batch), dim), dtype=np.float32)
        if self.rows is not None:
            if self.arrived is not None:
                self.arrived.synchronize()
            features[self.batch.ok] = self.rows.numpy()
        return features


class Encoder:
    """A backbone with the copies to its device and back."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        on_gpu = backbone.device.type == "cuda"
        self.uploads = torch.cuda.Stream(backbone.device) if on_gpu else None

    def start(self, batch: Batch) -> Encoded:
        """Encode a batch; on a GPU, only queue it."""
        if batch.pixels is None:
            return Encoded(batch, None, None)
        rows = self._forward(batch.pixels)
        if self.uploads is None:
            return Encoded(batch, rows.cpu(), None)
        # torch copies to pinned memory here, so the host need not wait.
        rows = rows.to("cpu", non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(self.backbone.device))
        return Encoded(batch, rows, arrived)

    def _forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels, in halves if the device has too little memory."""
        try:
            return self.backbone.encode_image(self._upload(pixels))
        except RuntimeError as error:  # torch.OutOfMemoryError is one; a CPU has no own type
            if len(pixels) == 1 or "allocate" not in str(error):
                raise
        half = len(pixels) // 2
        log.warning(
            "not enough memory for %d images at a time, continuing with %d", len(pixels), half
        )
        return torch.cat([self._forward(part) for part in (pixels[:half], pixels[half:])])

    def _upload(self, pixels: torch.Tensor) -> torch.Tensor:
        """Copy pixels to a GPU while it works; its next work waits for them."""
        if self.uploads is None:
            return pixels
        with torch.cuda.stream(self.uploads):
            sent = pixels.to(self.backbone.device, non_blocking=True)
        working = torch.cuda.current_stream(self.backbone.device)
        working.wait_stream(self.uploads)
        # Allocated on one stream, read on the other.
        sent.record_stream(working)
        return sent


def encode_batches(
    backbone: Backbone, batches: Iterator[Batch], seconds: Seconds, *, ahead: int | None = None
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Encode batches in order.

    Parameters
    ----------
    backbone : Backbone
    batches : iterator of Batch
    seconds : Seconds
        The time for waiting for images and in the model is added to it.
    ahead : int, optional
        How many batches are started before the first is waited for; by default 1 on a GPU, else 0.

    Yields
    ------
    batch : Batch
    features : ndarray
        ``(n_rows, dim)`` float32, zero rows where not ok.
    """
    encoder = Encoder(backbone)
    if ahead is None:
        ahead = 0 if encoder.uploads is None else 1
    started: deque[Encoded] = deque()

    def oldest() -> tuple[Batch, NDArray[np.float32]]:
        with seconds.spent_on("model"):
            done = started.popleft()
            return done.batch, done.features(backbone.dim)

    for batch in _waited_for(batches, seconds):
        with seconds.spent_on("model"):
            started.append(encoder.start(batch))
        if len(started) > ahead:
            yield oldest()
    while started:
        yield oldest()


def _waited_for(batches: Iterator[Batch], seconds: Seconds) -> Iterator[Batch]:
    while True:
        with seconds.spent_on("wait"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
