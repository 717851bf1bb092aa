"""Batches of pixels through a frozen backbone.

On a GPU the next batch is copied, on a CUDA stream of its own, while the model works on the
previous one; the host waits for rows only when the following batch is queued behind them. On a CPU
a batch is encoded when it arrives.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.features.dataset import Batch
from sreclip.features.progress import Seconds

log = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """A batch with the rows of its images that are ok, ``(n_ok, dim)``.

    On a GPU the rows are there once ``arrived``. Both are None if no image is ok.
    """

    batch: Batch
    rows: torch.Tensor | None = None
    arrived: torch.cuda.Event | None = None

    def features(self, dim: int) -> NDArray[np.float32]:
        """Wait for the rows; ``(n_rows, dim)``, zero where an image is not ok."""
        features = np.zeros((len(self.batch), dim), dtype=np.float32)
        if self.arrived is not None:
            self.arrived.synchronize()
        if self.rows is not None:
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
            return Encoded(batch)
        rows = self._forward(batch.pixels)
        if self.uploads is None:
            return Encoded(batch, rows.cpu())
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
    backbone: Backbone, batches: Iterator[Batch], seconds: Seconds
) -> Iterator[tuple[Batch, NDArray[np.float32]]]:
    """Yield batches with their features, ``(n_rows, dim)``, in order; zero rows where not ok.

    The time for waiting and in the model is added to ``seconds``.
    """
    encoder = Encoder(backbone)
    ahead = 0 if encoder.uploads is None else 1
    started: deque[Encoded] = deque()
    while True:
        with seconds.spent_on("wait"):
            batch = next(batches, None)
        with seconds.spent_on("model"):
            if batch is not None:
                started.append(encoder.start(batch))
        while len(started) > (ahead if batch is not None else 0):
            with seconds.spent_on("model"):
                done = started.popleft()
                features = done.features(backbone.dim)
            yield done.batch, features
        if batch is None:
            return
