"""Images of one shard through a frozen backbone into one file."""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.config.models import FeatureSettings
from sreclip.data.heif import HEIF_SUFFIXES, INSTALL_HEIF, can_read_heif
from sreclip.data.place import image_names
from sreclip.errors import DataError
from sreclip.features.header import Provenance, check_finite
from sreclip.features.images import Reject, write_images
from sreclip.features.progress import Progress, Seconds

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.features.dataset import Batch

log = logging.getLogger(__name__)

# Reduced JPEG files keep this many times the side that the backbone resizes to.
REDUCED_SIDES = 2
# Images per shard on which half precision is compared with float32, which is slow on a GPU.
COMPARED = 8


@dataclass(frozen=True)
class ExtractionReport:
    """Where the time of an extraction went, and the error of half precision (`_rounding`)."""

    seconds: Seconds
    rounding: float


def extract_images(
    rows: pd.DataFrame,
    root: Path,
    backbone: Backbone,
    out: Path,
    settings: FeatureSettings,
    *,
    rows_key: str,
    outside_links: bool = False,
    threads: int | None = None,
    progress: bool = True,
) -> ExtractionReport:
    """Encode the images of one shard.

    Rows are stored in float16 by default: each component moves by at most 2**-11 of itself, so
    the cosine of two stored rows is off by less than 1e-3. Measured on 4,000 random rows of
    width 512: 1e-5 on average, 1.1e-4 at most (a row with itself).
    The same images, backbone, libraries, batch size and thread count give the same bytes.

    ``rows`` are the manifest rows of the shard, of one domain, in order, and ``rows_key`` is their
    hash (`sreclip.data.shards.Shard.key`); ``outside_links`` is as in `resolve_inside`. The
    backbone's ``preprocess`` runs in the workers; where processes are spawned and not forked it
    must pickle. ``threads`` are cores for the model, which the decoding processes share; by default
    all that this process may use. ``progress`` shows a bar on a terminal, or lines elsewhere.

    Raises `DataError` if an image is not the manifest's, leaves the root, or is HEIC, which cannot
    be read here; `StoreError` if the file cannot be written, or the backbone's rows are not of unit
    length; `ConfigError` if they are not finite.
    """
    from sreclip.features.dataset import ImageDataset
    from sreclip.features.encode import encode_batches
    from sreclip.features.loading import load_batches

    _refuse_heif(rows)
    domain = rows["domain"].iloc[0]
    row_id = rows["row_id"].to_numpy(dtype=np.int64)
    least_side = REDUCED_SIDES * backbone.image_size if settings.reduced_jpeg else 0
    provenance = Provenance.of(backbone, settings.dtype, least_side)
    images = ImageDataset(
        rows,
        root,
        backbone.preprocess,
        settings.max_pixels,
        least_side,
        outside_links=outside_links,
    )
    stored = np.zeros((len(rows), provenance.dim), dtype=provenance.dtype)
    seconds, rounding = Seconds(), 0.0
    rejects: list[Reject] = []
    notes: Counter[str] = Counter()
    bar = Progress(f"{backbone.label}, {domain} shard {rows_key}", len(rows), progress)
    with contextlib.closing(bar), contextlib.closing(images.reader), _model_threads(threads):
        batches = load_batches(
            images,
            settings.batch_size,
            settings.workers,
            limit_s=settings.decode_limit,
            pinned=backbone.device.type == "cuda",
        )
        at = 0
        for batch, features in encode_batches(backbone, batches, seconds):
            if at == 0 and provenance.precision != "float32":
                rounding = _rounding(backbone, batch, features)
            names = [images.stored[at + i].place.name for i in range(len(batch))]
            check_finite(backbone, features, names)
            stored[at : at + len(batch)] = features
            rejects += [
                Reject(int(row_id[at + i]), names[i], batch.reasons[i])
                for i in np.flatnonzero(~batch.ok)
            ]
            notes.update(batch.notes)
            seconds.read += batch.read_s
            seconds.decode += batch.decode_s
            at += len(batch)
            bar.update(len(batch), str(seconds))
    with seconds.spent_on("write"):
        write_images(
            out, provenance, row_id, stored, rejects, rows_key=rows_key, domain=domain, notes=notes
        )
    _tell(f"of {len(rows)} {domain} images", rejects, notes)
    return ExtractionReport(seconds, rounding)


def _refuse_heif(rows: pd.DataFrame) -> None:
    """Stop where another machine listed HEIC images: they would be rejected by this one alone."""
    names = image_names(rows).str.lower()
    n_heif = int(names.str.endswith(tuple(HEIF_SUFFIXES)).sum())
    if n_heif and not can_read_heif():
        raise DataError(
            f"{n_heif} of the {len(rows)} images are HEIC, and pillow-heif is not installed here",
            f"{INSTALL_HEIF}; or prepare the task again here, which leaves them out",
        )


def _tell(of_how_many: str, rejects: Sequence[Reject], notes: Mapping[str, int]) -> None:
    """Log what was not as it should be: the counts as warnings, the images for the log file."""
    if rejects:
        log.warning("rejected: %d %s, such as %s", len(rejects), of_how_many, rejects[0].path)
    for reject in rejects:
        log.info("rejected: %s: %s", reject.path, reject.reason)
    for note, count in notes.items():
        log.warning("%d %s: %s", count, of_how_many, note)


def _rounding(backbone: Backbone, batch: Batch, features: NDArray[np.float32]) -> float:
    """Return the largest 1 - cosine between the first rows and the same in float32."""
    if batch.pixels is None:
        return 0.0
    exact = backbone.encode_image(batch.pixels[:COMPARED], exact=True).cpu().numpy()
    rows = features[batch.ok][:COMPARED]
    error = float((1 - (rows * exact).sum(axis=1)).max())
    what = "%s: 1 - cosine to float32 is at most %.1e in %d images"
    log.info(what, backbone.precision, error, len(exact))
    return error


@contextlib.contextmanager
def _model_threads(threads: int | None) -> Iterator[None]:
    """Let the model use all cores.

    Decoding needs little of one, and a core that waits for it does nothing: with one core reserved
    per decoding process, two cores encoded half as many images.
    """
    import torch

    if threads is None:
        # A cluster may allow fewer than the machine has; not every system tells.
        tells = hasattr(os, "sched_getaffinity")
        threads = len(os.sched_getaffinity(0)) if tells else os.cpu_count() or 1
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
