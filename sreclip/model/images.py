"""Pixels of any images, without a manifest: what is read is what is there now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.config.models import FeatureSettings
from sreclip.data.archives import read_at
from sreclip.data.images import RejectedImage
from sreclip.data.place import Place
from sreclip.data.reading import MOST_BYTES, ImageReader, StoredImage
from sreclip.errors import DataError
from sreclip.features.dataset import ImageDataset
from sreclip.features.encode import encode_batches
from sreclip.features.extract import REDUCED_SIDES
from sreclip.features.loading import load_batches
from sreclip.features.progress import Seconds
from sreclip.model.found import ROOT, Found

# For fewer images decoding processes take longer to start than they save.
FEW = 32


class AnyReader(ImageReader):
    """Reads the bytes of images that nothing was noted of before."""

    def read(self, image: StoredImage) -> bytes:
        """Read a file or a member of an archive; `RejectedImage` where that cannot be."""
        place = image.place
        try:
            descriptor = self.descriptor(place.path)
            size = os.fstat(descriptor).st_size if place.size is None else place.size
            if size > MOST_BYTES:
                raise RejectedImage(f"{size} bytes are more than {MOST_BYTES}")
            content = read_at(descriptor, place.offset or 0, size)
        except (OSError, DataError) as error:
            if isinstance(error, RejectedImage):
                raise
            reason = getattr(error, "strerror", None) or error
            raise RejectedImage(f"it cannot be read ({reason})") from error
        if not content:
            raise RejectedImage("it is empty")
        return content


def encode(
    found: Sequence[Found], backbone: Backbone, settings: FeatureSettings
) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """Yield reasons why images have no features, and their features; a batch at a time, in order.

    The features are unit-norm, ``(n_rows, dim)``, zeros where there is a reason.
    """
    least_side = REDUCED_SIDES * backbone.image_size if settings.reduced_jpeg else 0
    no_rows = pd.DataFrame(columns=[*Place._fields, "sha256"])
    images = ImageDataset(no_rows, ROOT, backbone.preprocess, settings.max_pixels, least_side)
    images.stored = [StoredImage(each.place, "") for each in found]
    images.reader = AnyReader(ROOT)
    images.rejected = {row: each.reason for row, each in enumerate(found) if each.reason}
    batches = load_batches(
        images,
        settings.batch_size,
        settings.workers if len(found) > FEW else 0,
        limit_s=settings.decode_limit,
        pinned=backbone.device.type == "cuda",
    )
    for batch, features in encode_batches(backbone, batches, Seconds()):
        yield batch.reasons, features
