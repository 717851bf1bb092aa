"""Files that every viewer shows are read, to the pixel; those that lack data are still refused."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from sreclip.data.images import RejectedImage, read_image

MB = 1 << 20
NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 80, 3), dtype=np.uint8))


def pixels(content: bytes, **options: int) -> np.ndarray:
    return np.asarray(read_image(content, max_pixels=10**6, **options))


def reason(content: bytes) -> str:
    with pytest.raises(RejectedImage) as caught:
        pixels(content)
    return caught.value.message


def encoded(kind: str, image: Image.Image = NOISE, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "PPM", "TIFF", "PNG"])
def test_what_is_cut_off_in_the_middle_is_called_so(kind: str) -> None:
    whole = encoded(kind)
    for length in (len(whole) // 3, len(whole) // 2, len(whole) - 60):
        assert reason(whole[:length]) == "the file is truncated"


# PNG


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    found = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", found)


def with_chunk(png: bytes, *chunks: bytes, before: bytes = b"IDAT") -> bytes:
    at = png.index(before) - 4
    return png[:at] + b"".join(chunks) + png[at:]


BIG = zlib.compress(bytes(2 * MB))
ORIENTED = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"big\0\0" + BIG),
        chunk(b"iCCP", b"odd\0\x07" + BIG),
        chunk(b"zTXt", b"big\0\0" + BIG),
        chunk(b"iTXt", b"big\0\1\0\0\0" + BIG),
        chunk(b"tEXt", b"big\0" + b"a" * 2 * MB),
        chunk(b"tEXt", b"Title\0cat", checksum=7),
        chunk(b"gAMA", struct.pack(">I", 45455), checksum=7),
        chunk(b"iCCP", b"short\0\0" + zlib.compress(b"profile"), checksum=7),
        chunk(b"tRNS", struct.pack(">3H", *NOISE.getpixel((0, 0))), checksum=7),
        chunk(b"eXIf", ORIENTED, checksum=7),
        chunk(b"acTL", b"\0"),
    ],
    ids=lambda extra: extra[4:8].decode() if extra[:1] == b"\0" else extra.decode(),
)
def test_what_decides_no_pixel_does_not_hide_a_png(extra: bytes, before: bytes) -> None:
    if extra[4:8] in (b"tRNS", b"eXIf"):
        before = b"IDAT"
    png = with_chunk(encoded("PNG"), extra, before=before)
    assert np.array_equal(pixels(png), np.asarray(NOISE))


def test_what_decides_pixels_stays_beside_a_large_profile() -> None:
    profile = chunk(b"iCCP", b"big\0\0" + BIG)
    png = with_chunk(encoded("PNG"), profile, chunk(b"eXIf", ORIENTED))
    assert np.array_equal(pixels(png), np.rot90(np.asarray(NOISE), -1))
    image = NOISE.quantize(16)
    png = with_chunk(encoded("PNG", image, transparency=3), profile)
    assert np.array_equal(pixels(png), pixels(encoded("PNG", image, transparency=3)))
    assert (pixels(png)[np.asarray(image) == 3] == 255).all()


def test_many_texts() -> None:
    texts = PngImagePlugin.PngInfo()
    for number in range(80):
        texts.add_text(f"key{number}", "a" * MB, zip=True)
    assert np.array_equal(pixels(encoded("PNG", pnginfo=texts)), np.asarray(NOISE))


def test_animation_with_a_large_profile_shows_its_first_frame() -> None:
    other = Image.new("RGB", NOISE.size, "red")
    png = encoded("PNG", save_all=True, append_images=[other, other])
    assert b"fdAT" in png
    png = with_chunk(png, chunk(b"iCCP", b"big\0\0" + BIG))
    assert np.array_equal(pixels(png), np.asarray(NOISE))


def test_damage_of_a_png_is_named() -> None:
    png = with_chunk(encoded("PNG"), chunk(b"iCCP", b"big\0\0" + BIG))
    assert reason(png[: len(png) // 2]) == "the file is truncated"
    header = bytearray(encoded("PNG"))
    header[29] ^= 1  # the checksum of the header
    assert reason(bytes(header)) == "a PNG file that is damaged, or of a kind that is not read"


# JPEG

KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "optimized": {"optimize": True, "quality": 95, "subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "restarts_of_rows": {"restart_marker_rows": 1, "progressive": True},
}
IMAGES = {
    "noise": NOISE,
    "white": Image.new("RGB", (80, 64), "white"),
    "grey": NOISE.convert("L"),
    "odd": NOISE.crop((0, 0, 37, 23)),
    "cmyk": NOISE.convert("CMYK"),
}


@pytest.mark.parametrize("least_side", [0, 16])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", IMAGES)
def test_a_jpeg_without_its_end_mark_is_whole(image: str, kind: str, least_side: int) -> None:
    whole = encoded("JPEG", IMAGES[image], **KINDS[kind])
    expected = pixels(whole, least_side=least_side)
    for end in (b"", b"\xff", bytes(50), b"\xff" * 50, b"\xff" + bytes(50)):
        found = pixels(whole[:-2] + end, least_side=least_side)
        assert np.array_equal(found, expected), end
    assert np.array_equal(pixels(whole + b"rubbish\0\0" * 20, least_side=least_side), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", IMAGES)
def test_a_jpeg_that_lacks_data_is_refused(image: str, kind: str) -> None:
    """Wherever it is cut off: also between two scans, and at restart marks; padded or not."""
    whole = encoded("JPEG", IMAGES[image], **KINDS[kind])
    expected = pixels(whole)
    marks = [at for at in range(len(whole) - 1) if whole[at] == 0xFF and whole[at + 1]]
    cuts = {*range(3, len(whole) - 2, max(1, len(whole) // 60)), *range(len(whole) - 8, len(whole))}
    for length in sorted(cuts | set(marks) | {at + 2 for at in marks}):
        for end in (b"", bytes(len(whole) - length), bytes(5000), b"\xff" * 100):
            try:
                found = pixels(whole[:length] + end)
            except RejectedImage:
                continue
            assert np.array_equal(found, expected), (length, len(whole), end[:1])


@pytest.mark.parametrize("kind", ["baseline", "progressive", "restarts"])
def test_the_reason_is_that_a_jpeg_is_truncated(kind: str) -> None:
    whole = encoded("JPEG", **KINDS[kind])
    scans = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    for length in (len(whole) // 2, len(whole) - 20, *(scans[1:] and [scans[-1]])):
        assert reason(whole[:length]) == "the file is truncated"


def test_an_mpo_with_a_second_image_that_is_cut_off() -> None:
    whole = encoded("MPO", save_all=True, append_images=[NOISE])
    assert np.array_equal(pixels(whole[:-200]), pixels(whole))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"%PDF-1.7\n", "PDF"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, words: str) -> None:
    found = reason(content)
    assert found.startswith("not an image in a format that is read, but ") and words in found
