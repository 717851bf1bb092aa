"""Decoding one image: as a viewer shows it, or not at all, with the reason.

Colour profiles are not applied: CLIP's own preprocessing ignores them too.
"""

from __future__ import annotations

import io
from functools import cache
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from sreclip.errors import DataError

# A backbone scales the short side up to its own size; a thin strip would then fill the memory.
MOST_SIDES = 200
# What people keep images in; a PostScript or PDF file must not reach an interpreter.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WHITE = 255
# What one step of a grey PNG with few bits is worth once Pillow has spread it over 8 bits.
_GREY_STEP = {"1": 255, "L;2": 85, "L;4": 17}


class RejectedImage(DataError):  # noqa: N818 - a finding about a file, not a failure
    """Bytes that cannot be shown as an image.

    The message is the same on every machine: no path, no address.
    """


def read_image(content: bytes, *, max_pixels: int, least_side: int = 0) -> Image.Image:
    """Decode the content of an image file as 8-bit RGB.

    EXIF rotation is applied, transparency laid over white, the first frame of an animation
    taken, CMYK converted, and 16-bit samples are scaled to 8 bits.

    Images of more than ``max_pixels`` are refused from their header, before anything is decoded; a
    value above Pillow's own limit raises that one for the whole process. A JPEG is decoded at a
    half, a quarter or an eighth of its size, by its own discrete cosine transform, as long as both
    sides keep ``least_side`` pixels; 0 never does.
    """
    if not content:
        raise RejectedImage("the file is empty (0 bytes)")
    try:
        return _decode(io.BytesIO(content), max_pixels, least_side)
    except RejectedImage:
        raise
    except MemoryError as error:
        raise RejectedImage("too large for this machine's memory") from error
    # A damaged file can break a decoder at any line: struct.error, KeyError, zlib.error, ...
    except Exception as error:
        raise RejectedImage(_decoder_reason(error)) from error


def _decode(handle: BinaryIO, max_pixels: int, least_side: int) -> Image.Image:
    # Both are switches of the whole process that other libraries set; a half-decoded image
    # must not pass for a whole one, and Pillow must leave the size limit to max_pixels.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(handle, formats=_formats())
    except UnidentifiedImageError as error:
        raise RejectedImage("not an image in a format that is read") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImage(f"more than {max_pixels} pixels") from error
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise RejectedImage(f"{width} x {height} is more than {max_pixels} pixels")
        if max(width, height) > MOST_SIDES * min(width, height):
            raise RejectedImage(f"{width} x {height} is too thin to be resized")
        raw_mode = _raw_mode(image)
        if least_side:
            image.draft(image.mode, (least_side, least_side))
        image.load()
        rgb = _to_rgb(image, raw_mode)
        turn = _TURNS.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    rgb.info = {}  # else a caller that applies EXIF rotation itself would turn it twice
    return rgb


@cache
def _formats() -> tuple[str, ...]:
    """Return the `_FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _raw_mode(image: Image.Image) -> str:
    """Return how the samples lie in the file; Pillow forgets it once they are decoded."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0].args if tiles else None
    if isinstance(arguments, tuple) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else ""


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # A viewer shows an image with a damaged EXIF block, just unturned.
        return 1


def _to_rgb(image: Image.Image, raw_mode: str) -> Image.Image:
    key = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        grey = Image.fromarray(_to_8_bit(image))
        hidden = np.asarray(image) == key if isinstance(key, int) else None
        return _on_white(grey.convert("RGB"), hidden)
    if image.mode in ("1", "L") and isinstance(key, int):
        grey = image.convert("L")
        return _on_white(grey.convert("RGB"), np.asarray(grey) == key * _GREY_STEP.get(raw_mode, 1))
    if image.mode == "RGB" and isinstance(key, tuple):
        # Pillow keeps the high byte of a 16-bit sample, so the transparent colour's counts.
        colour = [value >> 8 for value in key] if raw_mode == "RGB;16B" else key
        return _on_white(
            image.convert("RGB"), (np.asarray(image) == np.asarray(colour)).all(axis=2)
        )
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or key is not None:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (_WHITE,) * 4)
        return Image.alpha_composite(white, layer).convert("RGB")
    if image.mode == "LAB":
        raise RejectedImage("colour mode LAB is not read")
    return image.convert("RGB")


def _on_white(rgb: Image.Image, hidden: np.ndarray | None) -> Image.Image:
    if hidden is not None:
        rgb.paste((_WHITE,) * 3, mask=Image.fromarray(hidden.astype(np.uint8) * 255))
    return rgb


def _to_8_bit(image: Image.Image) -> np.ndarray:
    """Scale grey samples of more than 8 bits, ``(height, width)``, to 0..255.

    16-bit (and 12-bit) samples are scaled by their full range. 32-bit integers and floats have
    no agreed range: integers are taken as 16-bit, floats as 0..1, 0..255 or 0..65535, whichever
    holds them; what fits none of these is stretched from its least to its greatest value.
    """
    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    low, high = (values[finite].min(), values[finite].max()) if finite.any() else (0.0, 0.0)
    if image.mode.startswith("I;16"):
        is_12_bit = _tiff_tag(image, TiffImagePlugin.BITSPERSAMPLE) == (12,)
        low, high = 0.0, 4095.0 if is_12_bit else 65535.0
    elif low < 0 or high > 65535:
        high = max(high, np.nextafter(low, np.inf))
    elif image.mode == "F" and high <= 1:
        low, high = 0.0, 1.0
    elif image.mode == "F" and high <= 255:
        low, high = 0.0, 255.0
    else:
        low, high = 0.0, 65535.0
    scaled = (np.where(finite, values, low) - low) / (high - low)
    if _tiff_tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # zero is white
        scaled = 1 - scaled
    return np.rint(scaled * 255).astype(np.uint8)


def _tiff_tag(image: Image.Image, number: int) -> object:
    tags = getattr(image, "tag_v2", None)
    return tags.get(number) if tags is not None else None


def _decoder_reason(error: Exception) -> str:
    text = str(error)
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "the file is truncated"
    # Messages of decoders may quote addresses of objects; the first line is enough for a table.
    first = text.splitlines()[0] if text and " at 0x" not in text else type(error).__name__
    return f"cannot be decoded: {first[:120]}"
