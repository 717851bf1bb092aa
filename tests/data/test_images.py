"""Every kind of image is read as a viewer shows it, or rejected with a reason."""

import io
import itertools
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from sreclip.data.grey import NEARLY_BLACK, OWN_RANGE
from sreclip.data.images import RejectedImage, read_image

WHITE = (255, 255, 255)
# Two by three, every pixel different, so that each turn and flip gives another image.
CORNERS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [90, 90, 90], [200, 100, 0]]],
    dtype=np.uint8,
)


def read(path: Path, max_pixels: int = 178_956_970) -> Image.Image:
    return read_image(path.read_bytes(), max_pixels=max_pixels)


def pixels(path: Path) -> np.ndarray:
    image = read(path)
    assert image.mode == "RGB"
    return np.asarray(image)


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


def png(path: Path, size: tuple[int, int], bits: int, colour: int, rows: list[bytes], *extra):
    """Write a PNG by hand: kinds that Pillow reads but does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks))
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_rgb_is_read_as_it_is(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(CORNERS), **options)
    assert np.array_equal(pixels(path), CORNERS)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, CORNERS),
        (2, CORNERS[:, ::-1]),
        (3, CORNERS[::-1, ::-1]),
        (4, CORNERS[::-1]),
        (5, CORNERS.transpose(1, 0, 2)),
        (6, np.rot90(CORNERS, -1)),
        (7, np.rot90(CORNERS, 2).transpose(1, 0, 2)),
        (8, np.rot90(CORNERS, 1)),
        (77, CORNERS),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_rotation(tmp_path, orientation, expected, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(CORNERS), exif=exif)
    assert np.array_equal(pixels(path), expected)
    assert read(path).getexif().get(0x0112) is None, "a second reader would turn it again"


def test_exif_rotation_of_a_jpeg_turns_it_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = np.zeros((16, 32, 3), np.uint8)
    wide[:, 16:] = 255  # white right half; turned clockwise it is below
    shown = pixels(save(tmp_path / "a.jpg", Image.fromarray(wide), exif=exif))
    assert shown.shape == (32, 16, 3)
    assert shown[4].mean() < 10 and shown[28].mean() > 245


def test_damaged_exif_does_not_hide_the_image(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8), (200, 30, 40)).save(path, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.abs(pixels(path).astype(int) - (200, 30, 40)).max() < 6


def test_cmyk_jpeg_as_adobe_writes_it(tmp_path):
    # No ink but cyan: red is missing. Adobe stores CMYK inverted; read straight it would be red.
    path = save(tmp_path / "a.jpg", Image.new("CMYK", (16, 16), (255, 0, 0, 0)))
    assert b"Adobe" in path.read_bytes()
    assert np.abs(pixels(path).astype(int) - (0, 255, 255)).max() < 6


def test_cmyk_tiff(tmp_path):
    path = save(tmp_path / "a.tif", Image.new("CMYK", (4, 4), (0, 255, 255, 51)))
    assert np.array_equal(pixels(path)[0, 0], (204, 0, 0))


GREY16 = np.array([[0, 257, 32768], [40000, 65278, 65535]], dtype=np.uint16)
GREY8 = np.array([[0, 1, 128], [156, 254, 255]], dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, suffix):
    path = save(tmp_path / f"a.{suffix}", Image.fromarray(GREY16))
    assert np.array_equal(pixels(path), np.repeat(GREY8[:, :, None], 3, axis=2))


def test_16_bit_pgm(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 3 2 65535\n" + GREY16.astype(">u2").tobytes())
    assert np.array_equal(pixels(path)[:, :, 1], GREY8)


def test_16_bit_grey_tiff_with_white_at_zero(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(GREY16), tiffinfo={262: 0})
    assert np.array_equal(pixels(path)[:, :, 0], 255 - GREY8)


def test_16_bit_rgb_png(tmp_path):
    row = struct.pack(">6H", 65535, 32768, 0, 300, 256 * 70, 65535)
    path = png(tmp_path / "a.png", (2, 1), 16, 2, [row])
    assert np.abs(pixels(path)[0].astype(int) - [(255, 128, 0), (1, 70, 255)]).max() <= 1


def test_16_bit_rgb_png_with_a_transparent_colour(tmp_path):
    row = struct.pack(">6H", 0x1234, 0x5678, 0x9ABC, 0x2234, 0x5678, 0x9ABC)
    key = (b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC))
    path = png(tmp_path / "a.png", (2, 1), 16, 2, [row], key)
    assert np.array_equal(pixels(path)[0], [WHITE, (0x22, 0x56, 0x9A)])


@pytest.mark.parametrize(
    ("bits", "row", "key", "expected"),
    [
        (1, b"\x40", 1, [0, 255, 0, 0]),  # white is the transparent one: still white
        (1, b"\x40", 0, [255, 255, 255, 255]),
        (2, b"\x1b", 2, [0, 85, 255, 255]),  # samples 0 1 2 3
        (4, b"\x03\x7f", 3, [0, 255, 119, 255]),
        (8, b"\x00\x05\x64\xff", 5, [0, 255, 100, 255]),
        (16, b"\x00\x00\x01\x01\x80\x00\xff\xff", 0x8000, [0, 1, 255, 255]),
    ],
)
def test_grey_png_with_a_transparent_value(tmp_path, bits, row, key, expected):
    path = png(tmp_path / "a.png", (4, 1), bits, 0, [row], (b"tRNS", struct.pack(">H", key)))
    assert pixels(path)[0, :, 0].tolist() == expected


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(tmp_path, mode):
    colour = (100, 100, 100, 51) if mode == "RGBA" else (100, 51)
    path = save(tmp_path / "a.png", Image.new(mode, (2, 2), colour))
    assert pixels(path)[0, 0].tolist() == [224] * 3  # 100 * 0.2 + 255 * 0.8


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 0, 0, 0])
    image.putpixel((1, 0), 1)
    assert np.array_equal(
        pixels(save(tmp_path / "a.png", image, transparency=1))[0], [(10, 20, 30), WHITE]
    )
    alphas = bytes([255, 51])
    assert np.array_equal(
        pixels(save(tmp_path / "b.png", image, transparency=alphas))[0],
        [(10, 20, 30), (204, 204, 204)],
    )
    assert np.array_equal(
        pixels(save(tmp_path / "c.gif", image, transparency=0))[0], [WHITE, (0, 0, 0)]
    )


def test_rgb_png_with_a_transparent_colour(tmp_path):
    path = save(tmp_path / "a.png", Image.fromarray(CORNERS), transparency=(255, 0, 0))
    expected = CORNERS.copy()
    expected[0, 0] = WHITE
    assert np.array_equal(pixels(path), expected)


def test_one_bit_and_grey(tmp_path):
    bits = np.array([[True, False]])
    assert pixels(save(tmp_path / "a.png", Image.fromarray(bits)))[0].tolist() == [
        [255] * 3,
        [0] * 3,
    ]
    grey = Image.fromarray(np.array([[7, 200]], np.uint8))
    assert pixels(save(tmp_path / "b.png", grey))[0, :, 2].tolist() == [7, 200]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 100.0, 255.0], [0, 100, 255]),
        ([0.0, 257.0, 65535.0], [0, 1, 255]),
        ([-10.0, 0.0, 10.0], [0, 128, 255]),
        ([float("nan"), 1.0, float("inf")], [0, 255, 0]),
        ([-3.0, -3.0, -3.0], [0, 0, 0]),
    ],
)
def test_float_tiff(tmp_path, values, expected):
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([values], np.float32)))
    assert pixels(path)[0, :, 0].tolist() == expected


def grey_of(path: Path, values: np.ndarray) -> list[int]:
    return pixels(save(path, Image.fromarray(values[None])))[0, :, 0].tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 100, 255], [0, 100, 255]),  # as the same image in 8 bits
        ([0, 10, 20], [0, 10, 20]),
        ([0, 150, 300], [0, 128, 255]),
        ([0, 1 << 30, (1 << 31) - 1], [0, 128, 255]),
        ([-100, 0, 255], [0, 72, 255]),
        ([-1, 127, 255], [0, 128, 255]),
    ],
)
def test_int32_tiff(tmp_path, values, expected):
    assert grey_of(tmp_path / "a.tif", np.array(values, np.int32)) == expected


def test_unsigned_32_bit_tiff(tmp_path):
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([[0, -(1 << 31), -1]], np.int32)))
    content = path.read_bytes()
    kind = struct.pack("<HHII", 339, 3, 1, 2)  # the entry that says: samples are signed
    assert content.count(kind) == 1
    path.write_bytes(content.replace(kind, struct.pack("<HHII", 339, 3, 1, 1)))
    assert pixels(path)[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", [np.float32, np.int32])
@pytest.mark.parametrize("maximum", [1, 2, 255, 256, 300, 65535, 65536, 1e6])
def test_a_slightly_greater_maximum_changes_grey_slightly(tmp_path, maximum, kind):
    """Both ends of the range, in steps of a hundredth: no cliff anywhere."""
    ramp = np.linspace(0, 0.99, 50) * maximum
    step = max(maximum / 100, 1 if kind is np.int32 else 0)
    found = []
    for more in (-step, 0, step):
        high = grey_of(tmp_path / "a.tif", np.append(ramp, maximum + more).astype(kind))
        low = grey_of(tmp_path / "b.tif", np.append(ramp, [maximum, more]).astype(kind))
        found.append(np.array([*high[:50], *low[:50]]))
    for one, other in itertools.pairwise(found):
        assert np.abs(one - other).max() <= 255 * step / maximum + 1


def test_float_images_stay_near_those_of_one_more_or_less(tmp_path):
    rng = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    rng[0, 0] = 1
    whole = pixels(save(tmp_path / "a.tif", Image.fromarray(rng))).astype(int)
    assert np.array_equal(whole[:, :, 0], np.rint(rng * 255))
    over = pixels(save(tmp_path / "b.tif", Image.fromarray(rng * np.float32(1.01)))).astype(int)
    assert np.abs(whole - over).max() <= 3
    dark = pixels(save(tmp_path / "c.tif", Image.fromarray(rng / 4))).astype(int)
    assert np.abs(dark - whole / 4).max() <= 1, "a dark image stays dark"


@pytest.mark.parametrize(
    ("values", "kind", "note"),
    [
        ([0.0, 1.0], np.float32, None),
        ([0.0, 1.01], np.float32, OWN_RANGE),
        ([-0.5, 0.5], np.float32, OWN_RANGE),
        ([0, 255], np.int32, None),
        ([0, 256], np.int32, OWN_RANGE),
        ([0, 65535], np.uint16, None),
        ([0, 4096], np.uint16, None),
        ([0, 4095], np.uint16, NEARLY_BLACK),
        ([0, 0], np.uint16, None),
        ([0, 200], np.uint8, None),
    ],
)
def test_what_is_said_of_grey_values(tmp_path, values, kind, note):
    path = save(tmp_path / "a.tif", Image.fromarray(np.array([values], kind)))
    assert read(path).info == ({"note": note} if note else {})


def test_16_bit_pgm_keeps_its_range(tmp_path):
    path = tmp_path / "a.pgm"
    path.write_bytes(b"P5 3 1 65535\n" + np.array([0, 257, 32768], ">u2").tobytes())
    assert pixels(path)[0, :, 0].tolist() == [0, 1, 128]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif", "mpo"])
def test_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), colour) for colour in [(255, 0, 0), (0, 0, 255)]]
    options = {"lossless": True} if suffix == "webp" else {}
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert Image.open(path).n_frames == 2
    assert np.abs(pixels(path)[3, 3].astype(int) - (255, 0, 0)).max() <= (suffix == "mpo")


def reason(path: Path, **options: int) -> str:
    with pytest.raises(RejectedImage) as caught:
        read(path, **options)
    return caught.value.message


def jpeg_bytes(**options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def test_text_named_jpg(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("this is no image\n" * 50)
    assert reason(path) == "not an image in a format that is read"


def test_postscript_is_not_handed_to_an_interpreter(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    assert reason(path) == "not an image in a format that is read"


@pytest.mark.parametrize("progressive", [False, True])
def test_truncated_jpeg_even_where_another_library_allows_it(tmp_path, progressive, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = jpeg_bytes(progressive=progressive)
    path = tmp_path / "a.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    assert reason(path) == "the file is truncated"


def test_truncated_anywhere_is_rejected_or_whole(tmp_path):
    path = tmp_path / "a"
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (24, 24, 3), dtype=np.uint8))
    for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG", "PPM"):
        buffer = io.BytesIO()
        image.save(buffer, name)
        whole = buffer.getvalue()
        path.write_bytes(whole)
        expected = pixels(path)
        rejected = 0
        for length in range(1, len(whole), max(1, len(whole) // 40)):
            path.write_bytes(whole[:length])
            try:
                assert np.array_equal(pixels(path), expected), (name, length)
            except RejectedImage:
                rejected += 1
        assert rejected > 30, name


def test_zero_bytes(tmp_path):
    path = tmp_path / "a.jpg"
    path.touch()
    assert reason(path) == "the file is empty (0 bytes)"


def test_bomb_is_found_before_decoding(tmp_path):
    # A header of 60000 x 60000 with no data behind it: decoding would say "truncated".
    path = png(tmp_path / "a.png", (60000, 60000), 8, 2, [b""])
    assert "pixels" in reason(path)
    between = png(tmp_path / "b.png", (20000, 13000), 8, 0, [b""])
    assert "pixels" in reason(between), "Pillow alone only warns here"


def test_max_pixels_is_the_last_that_passes(tmp_path):
    path = save(tmp_path / "a.png", Image.new("RGB", (10, 10)))
    assert read(path, max_pixels=100).size == (10, 10)
    assert reason(path, max_pixels=99) == "10 x 10 is more than 99 pixels"


def test_max_pixels_can_be_above_pillows_own_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = save(tmp_path / "a.png", Image.new("RGB", (10, 10)))
    assert read(path).size == (10, 10)


def test_rejection_survives_the_way_back_from_a_worker():
    again = pickle.loads(pickle.dumps(RejectedImage("the file is truncated")))  # noqa: S301
    assert again.message == "the file is truncated"


def seeds() -> list[bytes]:
    image = Image.fromarray(np.random.default_rng(2).integers(0, 255, (9, 7, 3), dtype=np.uint8))
    found = []
    for name in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG", "PPM", "JPEG2000", "AVIF"):
        buffer = io.BytesIO()
        image.save(buffer, name)
        found.append(buffer.getvalue())
    return found


SEEDS = seeds()


def read_or_reject(data: bytes) -> None:
    try:
        image = read_image(data, max_pixels=1_000_000)
    except RejectedImage as rejection:
        assert 0 < len(rejection.message) < 200
        assert "0x" not in rejection.message
    else:
        assert image.mode == "RGB" and image.width * image.height <= 1_000_000


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=5000)
@given(data=st.binary(max_size=300))
@example(data=b"P6 999999999 999999999 255\n")
@example(data=b"\xff\xd8\xff\xe0")
def test_random_bytes_never_crash(data):
    read_or_reject(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=300, deadline=5000)
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
    cut=st.floats(0, 1),
)
def test_damaged_images_never_crash(seed, edits, cut):
    data = bytearray(seed)
    for place, value in edits:
        data[int(place * len(data))] = value
    read_or_reject(bytes(data[: int(len(data) * cut) + 1]))


def test_a_thin_strip_is_rejected(tmp_path: Path) -> None:
    Image.new("RGB", (10, 2001)).save(tmp_path / "thin.png")
    assert "10 x 2001" in reason(tmp_path / "thin.png")
    Image.new("RGB", (10, 2000)).save(tmp_path / "thin.png")
    assert read(tmp_path / "thin.png").size == (10, 2000)
