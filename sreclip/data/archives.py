"""Pictures in tar archives: listed from the headers and read in place, never unpacked."""

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
from typing import BinaryIO, NamedTuple, cast

from sreclip.data.walk import PICTURE_SUFFIXES, suffix
from sreclip.errors import DataError

# What may hold the class of the picture beside it, as WebDataset lays samples out.
LABEL_SUFFIXES = (".cls", ".json")
_COMPRESSED = (
    *(f".tar.{end}" for end in ("gz", "bz2", "xz", "zst", "lz4", "lzma", "z", "br")),
    *(".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".taz", ".tlz"),
)
_PACKED_STARTS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x1f\x9d")
_LONGEST_HEADER = 1 << 20
_BLOCK = 512


class Member(NamedTuple):
    """A file in an archive: its name, and where its bytes lie in the archive."""

    name: str
    offset: int
    size: int


@dataclass
class Archive:
    """What an archive holds, and what the archive was when that was found out.

    Attributes
    ----------
    path : str
        Relative to the data root.
    size, mtime_ns : int
        Of the archive.
    pictures : list of Member
        In the order of the archive.
    labels : dict
        Members that may hold a class, by name without suffix.
    ignored : Counter
        Members that are no pictures, by suffix; links and devices by what they are.
    """

    path: str
    size: int
    mtime_ns: int
    pictures: list[Member] = field(default_factory=list)
    labels: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    ignored: Counter[str] = field(default_factory=Counter)


def is_compressed(name: str) -> bool:
    """Tell whether a file name is that of a compressed tar archive."""
    return name.lower().endswith(_COMPRESSED)


def refuse_compressed(place: Path) -> DataError:
    """Word the error for a compressed archive."""
    return DataError(
        f"{place}: a compressed archive has no random access: to read one picture, all before it "
        "would have to be unpacked",
        "decompress it to a plain .tar (gunzip, unxz, zstd -d); pictures hardly shrink anyway. If "
        "its pictures lie beside it, move it out of the data root",
    )


def list_archive(root: Path, path: str) -> Archive:
    """List the members of a tar archive.

    Hidden members are passed over as hidden files are. Links, devices and sparse files are
    counted among the ignored and never followed.

    Parameters
    ----------
    root : Path
        Data root.
    path : str
        The archive, relative to the root.

    Raises
    ------
    DataError
        The archive cannot be read, is compressed, damaged, cut off or changes meanwhile; a
        member's name is absolute, climbs, is not UTF-8 or stands twice.
    """
    full = root / path
    with opened(full) as handle:
        before = os.fstat(handle.fileno())
        archive = Archive(path, before.st_size, before.st_mtime_ns)
        seen: set[str] = set()
        for info in _headers(full, handle, before.st_size):
            name = _safe_name(full, info.name)
            if name is None or info.isdir():
                continue
            kind = suffix(name)
            is_picture = kind in PICTURE_SUFFIXES
            if not info.isreg() or info.sparse is not None:
                archive.ignored[_kind(info)] += 1
            elif is_picture or kind in LABEL_SUFFIXES:
                if name in seen:
                    raise DataError(
                        f"{full}: two members are named {name!r}",
                        "make the archive anew; 'tar -r' and 'tar -u' leave the older one in it",
                    )
                seen.add(name)
                member = Member(name, info.offset_data, info.size)
                if is_picture:
                    archive.pictures.append(member)
                else:
                    archive.labels[name[: -len(kind)]].append(member)
            else:
                archive.ignored[kind] += 1
        after = os.fstat(handle.fileno())
    if (after.st_size, after.st_mtime_ns) != (archive.size, archive.mtime_ns):
        raise changed_meanwhile(full)
    return archive


def changed_meanwhile(place: Path) -> DataError:
    """Word the error for a file that does not keep still."""
    return DataError(
        f"{place}: the file changed while it was read",
        "wait until the pictures are in place and run again",
    )


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; nothing else is opened, for that may wait or act.

    Raises
    ------
    OSError
        It cannot be opened, or is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    return path.open("rb")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open an archive for as long as the block lasts.

    Raises
    ------
    DataError
        It cannot be opened, or reading it fails within the block.
    """
    try:
        with open_regular(path) as handle:
            yield handle
    except OSError as error:
        raise DataError(
            f"{path}: the archive cannot be read ({error.strerror or error})",
            "make it readable, or take it out of the data root",
        ) from error


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Read bytes of an open file; fewer where it ends.

    The position of the file is neither used nor moved, so threads may share it.
    """
    parts: list[bytes] = []
    while size > 0:
        part = os.pread(descriptor, size, offset)
        if not part:
            break
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _headers(full: Path, handle: BinaryIO, size: int) -> Iterator[tarfile.TarInfo]:
    """Read the headers one by one; tarfile itself keeps them all, and takes damage for the end."""
    try:
        # "r:" is plain tar alone; the cast is for the few methods that tarfile calls.
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
            raise refuse_compressed(full) from error
        raise _damaged(full, str(error) or type(error).__name__) from error


def _check_end(full: Path, handle: BinaryIO, at: int) -> None:
    """Refuse an archive that stops without its block of zeros, or goes on after it."""
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
                f"{full}: something stands behind the end mark of the archive",
                "if two archives were strung together, give them as two files",
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
        "make it anew; 'tar -tf ARCHIVE' must list it without a complaint",
    )


def _safe_name(full: Path, name: str) -> str | None:
    """Give a member's name without needless parts; None for a hidden one."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{full}: the name of member {name!r} is not UTF-8", "make the archive anew"
        ) from error
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise DataError(
            f"{full}: the name of member {name!r} leads out of the archive",
            "make it anew with names relative to the class folders (tar -C FOLDER -cf ARCHIVE .)",
        )
    kept = [part for part in parts if part not in ("", ".")]
    if not kept or any(part.startswith(".") for part in kept):
        return None
    return "/".join(kept)


def _kind(info: tarfile.TarInfo) -> str:
    if info.issym() or info.islnk():
        return "link"
    if info.isdev():
        return "device"
    return "sparse file" if info.isreg() else "special member"
