"""Images in tar archives: listed from the headers and read in place, never unpacked."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from sreclip.data.heif import HEIF_SUFFIXES
from sreclip.data.place import Place, resolve_inside
from sreclip.data.walk import (
    HIDDEN_IMAGES,
    IMAGE_SUFFIXES,
    image_suffixes,
    is_skipped_folder,
    suffix,
)
from sreclip.errors import DataError

# What may hold the class of the image beside it, as WebDataset lays samples out.
LABEL_SUFFIXES = (".cls", ".json")
COMPRESSED_SUFFIXES = (
    *(f".tar.{end}" for end in ("gz", "bz2", "xz", "zst", "lz4", "lzma", "z", "br")),
    *(".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".taz", ".tlz"),
)
_PACKED_STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x1f\x9d")
_LONGEST_HEADER = 1 << 20
_BLOCK = 512


@dataclass
class Archive:
    """What an archive holds.

    ``path`` is relative to the data root, ``stamp`` its size and modification time when it was
    listed. ``images`` are in the order of the archive; ``labels`` are the members that may hold a
    class, by name without suffix; ``ignored`` counts other members by suffix, or links and devices;
    ``skipped`` counts folders that are skipped by their name, and hidden images, as in `walk`;
    ``heif`` are the members that are HEIC where that cannot be read, which are ignored.
    """

    path: str
    stamp: tuple[int, int]
    images: list[Place] = field(default_factory=list)
    labels: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    ignored: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    heif: list[str] = field(default_factory=list)


def compressed_error(path: Path) -> DataError:
    """Return the error for a compressed archive."""
    return DataError(
        f"{path}: a compressed archive has no random access: to read one image, all before it "
        "would have to be unpacked",
        "decompress it to a plain .tar (gunzip, unxz, zstd -d); images hardly shrink anyway. If "
        "its images lie beside it, move it out of the data root",
    )


def changed_error(path: Path) -> DataError:
    """Return the error for a file that changes while it is in use."""
    return DataError(
        f"{path}: the file changed while it was read",
        "wait until the images are in place and run again",
    )


def list_archive(root: Path, path: str) -> Archive:
    """List the members of a tar archive, ``path`` below the data root.

    Hidden members and those in `SYSTEM_FOLDERS` are skipped as files are. Links, devices and sparse
    files are counted among the ignored and never followed.

    Raises `DataError` if the archive cannot be read, is compressed, damaged, cut off or changes
    meanwhile, or a member's name is absolute, climbs, is not UTF-8 or appears twice.
    """
    full = root / path
    with opened(full) as handle:
        archive = Archive(path, stamp_of(handle.fileno()))
        kinds = image_suffixes()
        seen: set[str] = set()
        skipped: set[str] = set()
        for info in _headers(full, handle, archive.stamp[0]):
            name = _safe_name(full, info.name)
            folder = _skipped_folder(name, is_folder=info.isdir())
            if folder:
                skipped.add(folder)
                continue
            if not name or info.isdir():
                continue
            if name.rpartition("/")[2].startswith("."):
                archive.skipped[HIDDEN_IMAGES] += suffix(name) in IMAGE_SUFFIXES | HEIF_SUFFIXES
                continue
            kind = suffix(name)
            is_image = kind in kinds
            if not info.isreg() or info.sparse is not None:
                archive.ignored[_kind(info)] += 1
            elif is_image or kind in LABEL_SUFFIXES:
                if name in seen:
                    raise DataError(
                        f"{full}: two members are named {name!r}",
                        "make the archive again; 'tar -r' and 'tar -u' keep the older one in it",
                    )
                seen.add(name)
                members = archive.images if is_image else archive.labels[name[: -len(kind)]]
                members.append(Place(path, name, info.offset_data, info.size))
            else:
                archive.ignored[kind] += 1
                if kind in HEIF_SUFFIXES:
                    archive.heif.append(name)
        if stamp_of(handle.fileno()) != archive.stamp:
            raise changed_error(full)
    archive.skipped.update(folder.rpartition("/")[2] for folder in skipped)
    return archive


def stamp_of(descriptor: int) -> tuple[int, int]:
    """Return size and modification time of an open file."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, else raise `OSError`: opening a FIFO waits, opening a device can act."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return path.open("rb")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open an archive; an `OSError` here or within the block becomes a `DataError`."""
    try:
        with open_regular(path) as handle:
            yield handle
    except OSError as error:
        raise DataError(
            f"{path}: the archive cannot be read ({error.strerror or error})",
            "make it readable, or move it out of the data root",
        ) from error


class FileOpener:
    """Opens files below a root; the last one stays open, since an archive holds many images.

    ``outside_links`` is as in `resolve_inside`.
    """

    def __init__(self, root: Path, *, outside_links: bool = False) -> None:
        self.root, self.outside_links = root, outside_links
        self._path = ""
        self._handle: BinaryIO | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the open file out: a worker process opens its own."""
        return vars(self) | {"_path": "", "_handle": None}

    def descriptor(self, path: str) -> int:
        """Open a file, relative to the root.

        Raises as `resolve_inside` and `open_regular`.
        """
        if self._handle is None or path != self._path:
            self.close()
            full = resolve_inside(self.root, path, outside_links=self.outside_links)
            self._handle = open_regular(full)
            self._path = path
        return self._handle.fileno()

    def close(self) -> None:
        """Close the last file."""
        if self._handle is not None:
            self._handle.close()
        self._path, self._handle = "", None


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Read bytes of an open file; fewer where it ends.

    The position of the file is neither used nor moved, so threads may share it.
    """
    parts: list[bytes] = []
    while size > 0 and (part := os.pread(descriptor, size, offset)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _headers(full: Path, handle: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    """Read the headers one by one; tarfile itself keeps them all, and takes damage for the end."""
    try:
        # The cast is for the few methods that tarfile calls; mode "r" reads plain tar alone.
        tar = tarfile.TarFile(fileobj=cast(BinaryIO, _Headers(handle)), mode="r", errorlevel=2)
        end = 0
        while (info := tar.next()) is not None:
            tar.members.clear()  # type: ignore[attr-defined] # they would fill the memory
            if info.size < 0 or tar.offset <= end:
                raise _damaged(full, f"a header at byte {info.offset} makes no sense")
            end = tar.offset
            if info.isreg() and info.offset_data + info.size > size:
                raise DataError(
                    f"{full}: the archive is cut off in the middle of {info.name!r}",
                    "copy it again",
                )
            yield info
        _check_end(full, handle, tar.offset)
    except (DataError, OSError):
        raise
    # Damage can break tarfile at any line: ValueError, struct.error, RecursionError, ...
    except Exception as error:
        handle.seek(0)
        if handle.read(6).startswith(_PACKED_STARTS):
            raise compressed_error(full) from error
        raise _damaged(full, str(error) or type(error).__name__) from error


def _check_end(full: Path, handle: BinaryIO, at: int) -> None:
    """Refuse an archive that stops without its block of zeros, or continues after it."""
    mark = read_at(handle.fileno(), at, _BLOCK)
    if len(mark) < _BLOCK:
        raise DataError(
            f"{full}: the archive has no end mark, so it may be cut off",
            "copy it again; if it is whole, add the mark: truncate --size=+1024 ARCHIVE",
        )
    if any(mark):
        raise _damaged(full, f"no header at byte {at}")
    while part := read_at(handle.fileno(), at, _LONGEST_HEADER):
        if any(part):
            raise DataError(
                f"{full}: there is something behind the end mark of the archive",
                "if two archives were joined, give them as two files",
            )
        at += len(part)


class _Headers:
    """An archive as tarfile may read it: a forged length must not fill the memory."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self.seek, self.tell = handle.seek, handle.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._handle.read(size)


def _damaged(full: Path, what: str) -> DataError:
    return DataError(
        f"{full}: not a tar archive that can be read ({what})",
        "make it again; 'tar -tf ARCHIVE' must list it without a complaint",
    )


def _safe_name(full: Path, name: str) -> str:
    """Return a member's name without empty parts."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{full}: the name of member {name!r} is not UTF-8", "make the archive again"
        ) from error
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise DataError(
            f"{full}: the name of member {name!r} leads out of the archive",
            "make it again with names relative to the class folders (tar -C FOLDER -cf ARCHIVE .)",
        )
    return "/".join(part for part in parts if part not in ("", "."))


def _skipped_folder(name: str, *, is_folder: bool) -> str:
    """Return the first folder on a member's way that is skipped by its name, "" without one."""
    parts = name.split("/")
    folders = parts if is_folder else parts[:-1]
    at = next((at for at, part in enumerate(folders) if is_skipped_folder(part)), None)
    return "" if at is None else "/".join(parts[: at + 1])


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "link"
    if info.isdev():
        return "device"
    return "sparse file" if info.isreg() else "special member"
