"""HEIC, the images of telephones: Pillow reads them if the package pillow-heif is installed."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
INSTALL_HEIF = "pip install pillow-heif"
_PACKAGE = "pillow_heif"
_HEVC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}


def can_read_heif() -> bool:
    """Tell whether pillow-heif is installed."""
    return find_spec(_PACKAGE) is not None


def is_heif(content: bytes) -> bool:
    """Tell whether a file is HEIC, whatever its name; AVIF, which Pillow reads, is not."""
    if content[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(content[:4], "big"), 1024)
    brands = {content[at : at + 4] for at in (8, *range(16, end, 4))}
    return bool(brands & _HEVC_BRANDS) or (b"mif1" in brands and b"avif" not in brands)


@cache
def register_heif() -> None:
    """Let Pillow read HEIC; images come turned as a viewer shows them, and their EXIF says so."""
    from pillow_heif import register_heif_opener

    register_heif_opener(decode_threads=1)


def heif_package() -> list[Path]:
    """Return the folder of pillow-heif, whose time is that of its installation."""
    spec = find_spec(_PACKAGE)
    return [Path(spec.origin).parent] if spec is not None and spec.origin else []
