"""Grey samples of more than 8 bits as 8 bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

OWN_RANGE = "grey values scaled by the image's own range"
NEARLY_BLACK = "16-bit grey values that are all below 4096, which is nearly black"


def to_8_bit(image: Image.Image) -> tuple[NDArray[np.uint8], str]:
    """Scale grey samples, ``(height, width)``, to 0..255; say what is worth knowing, or "".

    0 becomes black. White is 65535 of 16-bit samples and 4095 of 12-bit ones: the range of their
    format. Other samples, of 32 bits or signed, have no agreed range: white is 255 of integers and
    1 of floats, or the image's greatest value if that is more, and black its least value if that
    is negative. So a slightly greater maximum changes an image only slightly. NaN and infinite
    values become black.
    """
    values = np.asarray(image)
    if image.mode == "I" and _is_unsigned_tiff(image):
        values = values.view(np.uint32)  # Pillow has no mode for them, but keeps their bits
    finite = np.isfinite(values)
    least, greatest = _range(values[finite])
    black, white = _format_range(image)
    note = ""
    if image.mode.startswith("I;16") and white > 4095 and 0 < greatest < 4096:
        note = NEARLY_BLACK
    if least < black or greatest > white:
        black, white, note = min(black, least), max(white, greatest), OWN_RANGE
    scaled = (np.where(finite, values, black).astype(np.float64) - black) / (white - black)
    if _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # zero is white
        scaled = 1 - scaled
    return np.rint(scaled * 255).astype(np.uint8), note


def _range(values: NDArray[np.generic]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)


def _format_range(image: Image.Image) -> tuple[float, float]:
    """Return what black and white are as long as the samples are between them."""
    if image.mode.startswith("I;16"):
        return 0.0, 4095.0 if _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,) else 65535.0
    if image.format != "TIFF" and image.mode == "I":  # 16 bits, in Pillow's mode for 32
        return 0.0, 65535.0
    return 0.0, 1.0 if image.mode == "F" else 255.0


def _is_unsigned_tiff(image: Image.Image) -> bool:
    kind = _tiff_tag(image, TiffImagePlugin.SAMPLEFORMAT)
    return image.format == "TIFF" and kind in (None, (1,))


def _tiff_tag(image: Image.Image, number: int) -> object:
    tags = getattr(image, "tag_v2", None)
    return tags.get(number) if tags is not None else None
