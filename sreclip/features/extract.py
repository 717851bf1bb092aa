"""Pictures of one shard through a frozen backbone into one file."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.features.checks import Reject
from sreclip.features.header import Dtype, Provenance
from sreclip.features.progress import Progress, Seconds
from sreclip.features.rejects import too_many_rejects
from sreclip.features.writer import image_writer

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.backbones.base import Backbone
    from sreclip.features.loading import Batch

log = logging.getLogger(__name__)

REDUCED_SIDES = 2
"""Reduced JPEG files keep this many times the pixels that the backbone's resizing asks for."""
COMPARED = 8
"""Pictures of a shard that half precision is compared with float32 on, which takes a GPU many times
as long."""


@dataclass(frozen=True)
class ExtractionReport:
    """What an extraction did.

    Attributes
    ----------
    pictures : int
        Rows in the file, rejected ones included.
    rejects : tuple of Reject
        In row order.
    seconds : Seconds
        The split of the time.
    wall_s : float
        All of it.
    rounding : float
        In half precision, the largest 1 - cosine between the first rows (`COMPARED`) and the same
        in float32; else 0.
    """

    pictures: int
    rejects: tuple[Reject, ...]
    seconds: Seconds
    wall_s: float
    rounding: float

    @property
    def pictures_per_s(self) -> float:
        """Pictures a second."""
        return self.pictures / self.wall_s


def extract_images(
    rows: pd.DataFrame,
    root: Path,
    backbone: Backbone,
    out: Path,
    *,
    rows_key: str,
    dtype: Dtype = "float16",
    batch_size: int = 64,
    workers: int = 0,
    max_rejects: float = 1.0,
    max_pixels: int,
    reduced_jpeg: bool = False,
    limit_s: float = 60.0,
    threads: int | None = None,
    progress: bool = True,
) -> ExtractionReport:
    """Encode the pictures of one shard.

    Rows are stored in float16 by default: each component moves by at most 2**-11 of itself, so
    that the cosine of two stored rows is off by less than 1e-3. Measured on 4,000 random rows of
    width 512: 1e-5 in the mean, 1.1e-4 at most (a row with itself).
    The same pictures, backbone, libraries, batch size and thread count give the same bytes.

    Parameters
    ----------
    rows : DataFrame
        Manifest rows of the shard, of one domain, in order.
    root : Path
        Data root.
    backbone : Backbone
        Its ``preprocess`` runs in the workers; where processes are spawned and not forked it
        has to pickle.
    out : Path
        The file; it appears when it is whole.
    rows_key : str
        Hash of the rows (`sreclip.data.shards.Shard.key`).
    dtype : {'float16', 'float32'}
        Stored number format.
    batch_size : int
        Pictures in a forward pass.
    workers : int
        Decoding processes; 0 decodes in this one.
    max_rejects : float
        Largest share of the shard's pictures that may be rejected, 0 to 1.
    max_pixels : int
        Larger pictures are rejected.
    reduced_jpeg : bool
        Decode large JPEG files at a half, a quarter or an eighth of their size, but never below
        `REDUCED_SIDES` times the side that the backbone works with. Faster, other features.
    limit_s : float
        Seconds after which a picture is given up and rejected; needs ``workers``.
    threads : int, optional
        Cores for the model, which the decoding processes share; by default all that this process
        may use.
    progress : bool
        Show a bar on a terminal, or lines elsewhere.

    Raises
    ------
    DataError
        A picture is not the manifest's, leaves the root, or too many are rejected.
    StoreError
        The file cannot be written, or the backbone's rows are not finite and unit-norm.
    """
    from sreclip.features.encode import encode_batches
    from sreclip.features.loading import load_batches
    from sreclip.features.pictures import PictureSet

    domain = _only_domain(rows)
    row_id = rows["row_id"].to_numpy(dtype=np.int64)
    least_side = REDUCED_SIDES * backbone.image_size if reduced_jpeg else 0
    provenance = Provenance.of(backbone, dtype, least_side)
    pictures = PictureSet(rows, root, backbone.preprocess, max_pixels, least_side)
    pinned = backbone.device.type == "cuda"
    seconds, rounding = Seconds(), 0.0
    rejects: list[Reject] = []
    start = time.perf_counter()
    bar = Progress(f"{backbone.label}, {domain} shard {rows_key}", len(rows), "pictures", progress)
    with (
        contextlib.closing(bar),
        contextlib.closing(pictures.reader),
        _model_threads(threads),
        image_writer(out, row_id, provenance, rows_key=rows_key, domain=domain) as writer,
    ):
        batches = load_batches(pictures, batch_size, workers, limit_s=limit_s, pinned=pinned)
        at = 0
        for batch, features in encode_batches(backbone, batches, seconds):
            if at == 0 and provenance.precision != "float32":
                rounding = _rounding(backbone, batch, features)
            new = [
                Reject(int(row_id[at + i]), pictures.stored[at + i].name, batch.reasons[i])
                for i in np.flatnonzero(~batch.ok)
            ]
            rejects += new
            if len(rejects) > max_rejects * len(rows):
                raise too_many_rejects(
                    rejects, at + len(batch), max_rejects, f"{domain} shard {rows_key}"
                )
            with seconds.spent_on("write"):
                writer.append(features, batch.ok, new)
            seconds.read += batch.read_s
            seconds.decode += batch.decode_s
            at += len(batch)
            bar.update(len(batch), str(seconds))
        closing = time.perf_counter()
    seconds.write += time.perf_counter() - closing
    wall_s = time.perf_counter() - start
    return ExtractionReport(len(rows), tuple(rejects), seconds, wall_s, rounding)


def _only_domain(rows: pd.DataFrame) -> str:
    domains = rows["domain"].unique().tolist()
    if len(domains) != 1:
        raise ValueError(f"a shard has rows of one domain, found {domains or 'no rows'}")
    return str(domains[0])


def _rounding(backbone: Backbone, batch: Batch, features: NDArray[np.float32]) -> float:
    """Largest 1 - cosine between the first rows in half precision and the same in float32."""
    if batch.pixels is None:
        return 0.0
    exact = backbone.encode_image(batch.pixels[:COMPARED], exact=True).cpu().numpy()
    rows = features[batch.ok][:COMPARED]
    error = float((1 - (rows * exact).sum(axis=1)).max())
    log.info(
        "%s: 1 - cosine to float32 is at most %.1e in %d pictures",
        backbone.precision,
        error,
        len(exact),
    )
    return error


@contextlib.contextmanager
def _model_threads(threads: int | None) -> Iterator[None]:
    """Give the model all cores.

    Decoding takes a small part of one, and a core that waits for it does nothing: with a core left
    to each decoding process, two cores encoded half as many pictures.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads or _usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _usable_cores() -> int:
    """Cores that this process may use, which a cluster may set below those of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
