"""Decoding one image: as a viewer shows it, or not at all, with the reason.

Colour profiles are not applied: CLIP's own preprocessing ignores them too.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from sreclip.data.grey import to_8_bit
from sreclip.data.heif import INSTALL_HEIF, can_read_heif, is_heif, register_heif
from sreclip.data.mending import JPEG_START, PNG_START, ended_jpeg, has_end, is_cut_off, plain_png
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
_TRUNCATED = "the file is truncated"
_READ_STARTS = {
    **{JPEG_START: "JPEG", PNG_START: "PNG", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
}
_OTHER_STARTS = {
    b"version https://git-lfs": "a Git LFS pointer: git lfs pull fetches the image",
    **{b"<!": "a web page", b"<html": "a web page", b"<svg": "SVG", b"<?xml": "XML or SVG"},
    **{b"%PDF": "PDF", b"8BPS": "a Photoshop file", b"PK\3\4": "a ZIP archive"},
    **{b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL": "JPEG XL"},
}
NOTE = "note"


class RejectedImage(DataError):  # noqa: N818 - a finding about a file, not a failure
    """Bytes that cannot be shown as an image.

    The message is the same on every machine: no path, no address.
    """


def read_image(content: bytes, *, max_pixels: int, least_side: int = 0) -> Image.Image:
    """Decode the content of an image file as 8-bit RGB.

    EXIF rotation is applied, transparency laid over white, the first frame of an animation
    taken, CMYK converted, and grey samples of more than 8 bits are scaled (`to_8_bit`); what is
    worth knowing of that is in ``info["note"]``. A file that lacks nothing but its end mark, or is
    wrong only in what decides no pixel, is read as a viewer does.

    Images of more than ``max_pixels`` are refused from their header, before anything is decoded; a
    value above Pillow's own limit raises that one for the whole process. A JPEG is decoded at a
    half, a quarter or an eighth of its size, by its own discrete cosine transform, as long as both
    sides keep ``least_side`` pixels; 0 never does.
    """
    if not content:
        raise RejectedImage("the file is empty (0 bytes)")
    if content.startswith(JPEG_START) and not has_end(content):
        content = _with_end(content, max_pixels)
    try:
        return _decode_or_reject(content, max_pixels, least_side)
    except RejectedImage:
        if not content.startswith(PNG_START):
            raise
    return _decode_or_reject(plain_png(content), max_pixels, least_side)


def _with_end(jpeg: bytes, max_pixels: int) -> bytes:
    try:
        ended = ended_jpeg(jpeg, lambda data: _decode_or_reject(data, max_pixels, 0))
    # What is left of a file can be taken apart in any wrong way.
    except (IndexError, ValueError):
        ended = None
    if ended is None:
        raise RejectedImage(_TRUNCATED)
    return ended


def _decode_or_reject(content: bytes, max_pixels: int, least_side: int) -> Image.Image:
    try:
        return _decode(content, max_pixels, least_side)
    except RejectedImage:
        raise
    except MemoryError as error:
        raise RejectedImage("too large for this machine's memory") from error
    # A damaged file can break a decoder at any line: struct.error, KeyError, zlib.error, ...
    except Exception as error:
        raise RejectedImage(_decoder_reason(error, content)) from error


def _decode(content: bytes, max_pixels: int, least_side: int) -> Image.Image:
    # Both are switches of the whole process that other libraries set; a half-decoded image
    # must not pass for a whole one, and Pillow must leave the size limit to max_pixels.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        image = Image.open(io.BytesIO(content), formats=_formats(content))
    except UnidentifiedImageError as error:
        raise RejectedImage(_unidentified_reason(content)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RejectedImage(f"more than {max_pixels} pixels") from error
    with image:
        width, height = image.size
        if width * height > max_pixels:
            raise RejectedImage(f"{width} x {height} is more than {max_pixels} pixels")
        if max(width, height) > MOST_SIDES * min(width, height):
            raise RejectedImage(f"{width} x {height} is too thin to be resized")
        raw_mode = _raw_mode(image)
        if least_side and image.format in ("JPEG", "MPO"):
            image.draft(image.mode, (least_side, least_side))
        image.load()
        rgb, note = _to_rgb(image, raw_mode)
        turn = _TURNS.get(_orientation(image))
    if turn is not None:
        rgb = rgb.transpose(turn)
    # Nothing else: a caller that applies EXIF rotation itself would turn it twice.
    rgb.info = {NOTE: note} if note else {}
    return rgb


def _formats(content: bytes) -> tuple[str, ...]:
    """Return the formats that content may have, of those that are read here."""
    if not is_heif(content):
        return _pillow_formats()
    if not can_read_heif():
        raise RejectedImage(f"a HEIC image, and pillow-heif is not installed ({INSTALL_HEIF})")
    register_heif()
    return ("HEIF",)


@cache
def _pillow_formats() -> tuple[str, ...]:
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


def _to_rgb(image: Image.Image, raw_mode: str) -> tuple[Image.Image, str]:
    """Convert an image; return it with a note that `to_8_bit` made, or ""."""
    key = image.info.get("transparency")
    if image.mode.startswith("I") or image.mode == "F":
        grey, note = to_8_bit(image)
        hidden = np.asarray(image) == key if isinstance(key, int) else None
        return _on_white(Image.fromarray(grey).convert("RGB"), hidden), note
    return _8_bit_to_rgb(image, raw_mode, key), ""


def _8_bit_to_rgb(image: Image.Image, raw_mode: str, key: object) -> Image.Image:
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


def _unidentified_reason(content: bytes) -> str:
    if is_cut_off(content):
        return _TRUNCATED
    name = next((name for start, name in _READ_STARTS.items() if content.startswith(start)), "")
    if name or is_heif(content):
        return f"a {name or 'HEIC'} file that is damaged, or of a kind that is not read"
    found = next((name for start, name in _OTHER_STARTS.items() if content.startswith(start)), "")
    return "not an image in a format that is read" + (f", but {found}" if found else "")


def _decoder_reason(error: Exception, content: bytes) -> str:
    text = str(error)
    if "truncated" in text.lower() or isinstance(error, EOFError) or is_cut_off(content):
        return _TRUNCATED
    # Messages of decoders may quote addresses of objects; the first line is enough for a table.
    first = text.splitlines()[0] if text and " at 0x" not in text else type(error).__name__
    return f"cannot be decoded: {first[:120]}"
