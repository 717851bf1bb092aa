"""Image files that are not whole: those that a viewer shows are made so that a decoder takes them.

Nothing that decides a pixel is made up: a file of which any is missing stays refused.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image, ImageChops

Decode = Callable[[bytes], Image.Image]

PNG_START = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
_END_OF_IMAGE = b"\xff\xd9"
# The chunks that decide how a PNG is shown; of the others some hold more than is decoded.
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"})
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SCAN, _END = 0xDA, 0xD9
_SCAN_MARK = b"\xff\xda"
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
# A marker that begins a segment, or the end mark; in the data of a scan there is none.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_COEFFICIENTS = 64
# Unlike one another from the first bit on, since the last bits that are missing may be few.
_FILLERS = [
    *(b"\x00\x00\x00\x00", b"\xaa\xaa\xaa\xaa", b"\xfe\xfe\xfe\xfe", b"\x55\x55\x55\x55"),
    *(b"\x92\x49\x24\x92", b"\x33\x33\x33\x33", b"\xc7\x1c\x71\xc7", b"\x6d\xb6\xdb\x6d"),
]


def is_cut_off(content: bytes) -> bool:
    """Tell whether a WebP, AVIF, HEIC or JPEG 2000 ends before the size that it gives itself."""
    if content.startswith(b"RIFF"):
        return int.from_bytes(content[4:8], "little") + 8 > len(content)
    at = 0
    while content[4:8] in (b"ftyp", b"jP  ") and at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(content[at + 8 : at + 16], "big")
        if size == 0:  # up to the end, wherever that is
            return False
        at += max(size, 8)
    return at > len(content)


def plain_png(content: bytes) -> bytes:
    """Return a PNG without the chunks that decide no pixel: profiles, texts, animation.

    A chunk that any reader may leave out, which the first letter tells, goes too if its checksum is
    wrong.
    """
    parts = [PNG_START]
    at = len(PNG_START)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        chunk = content[at : at + 12 + length]
        at += 12 + length
        is_optional = bool(kind[0] & 0x20)
        is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if kind in _PNG_KEPT and (is_sound or not is_optional):
            parts.append(chunk)
    return b"".join(parts)


def has_end(jpeg: bytes) -> bool:
    """Tell whether a JPEG has its end mark; a thumbnail's own is in a segment and does not count.

    Without one a decoder takes whatever follows for data, such as the zeros of a file that was not
    written to its end.
    """
    return jpeg.endswith(_END_OF_IMAGE) or any(marker == _END for marker, _ in _segments(jpeg))


def ended_jpeg(content: bytes, decode: Decode) -> bytes | None:
    """Return a JPEG without an end mark with one, None if more than the mark is missing.

    All is there if every scan is, and ``decode`` gives the same pixels whatever bytes stand before
    the added mark. Zeros at the end may stand for what was never written, so they are not data.
    """
    data = content.rstrip(b"\0")
    if data.endswith(b"\xff"):
        # Either half of the mark, or a byte of the data, which a zero follows.
        data = data + b"\0" if len(data) < len(content) else data.rstrip(b"\xff")
    if not _has_all_scans(data):
        return None
    images = (decode(data + filler + _END_OF_IMAGE) for filler in _fillers(data))
    first = next(images)
    if any(ImageChops.difference(first, other).getbbox() for other in images):
        return None
    return data + _END_OF_IMAGE


def _fillers(data: bytes) -> Iterator[bytes]:
    """Yield nothing, and bytes that a decoder takes for more data, also at a restart mark."""
    yield b""
    restarts = _RESTART.findall(data, data.rfind(_SCAN_MARK))
    first = restarts[-1][1] + 1 if restarts else 0xD0
    marks = [bytes([0xFF, 0xD0 | (first + number) % 8]) for number in range(8)]
    for bits in _FILLERS:
        yield b"".join(8 * bits + mark for mark in marks)


def _has_all_scans(data: bytes) -> bool:
    """Tell whether the scans of a JPEG send every bit of every coefficient.

    A sequential JPEG sends a component at once, a progressive one in many scans; what the last
    ones refine is missing from a file that is cut off between two of them.
    """
    wanted: set[int] = set()
    is_progressive = False
    precise: set[tuple[int, int]] = set()
    for marker, body in _segments(data):
        if marker in _FRAMES:
            wanted = {body[6 + 3 * number] for number in range(body[5])}
            is_progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif marker == _SCAN:
            n_parts = body[0]
            parts = {body[1 + 2 * number] for number in range(n_parts)}
            first, last, bits = body[1 + 2 * n_parts : 4 + 2 * n_parts]
            if not is_progressive:
                first, last, bits = 0, _COEFFICIENTS - 1, 0
            if not bits & 0x0F:  # the position of the last bit that was sent
                precise |= {(part, k) for part in parts for k in range(first, last + 1)}
    return bool(wanted) and len(precise) == len(wanted) * _COEFFICIENTS


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of each segment, up to the end mark; other bytes are passed."""
    at = 2
    while found := _MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        length = int.from_bytes(data[at : at + 2], "big")
        yield marker, data[at + 2 : at + length]
        if marker == _END:
            return
        at += length
