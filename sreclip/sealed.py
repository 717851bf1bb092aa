"""HDF5 files of which no byte is used before it is checked.

A sealed file is a plain HDF5 file, which any reader opens, followed by checksums that HDF5 ignores:

    HDF5 file | XXH3 (64 bit) of each `BLOCK` bytes of it | footer

The footer holds the kind, the format version, the size of the HDF5 file, the XXH3 of the checksums
and of these three, and a magic number. `open_sealed` checks the footer and the checksums. HDF5 and
`sreclip.features.rows` then read through `Reader`, which hands out checked blocks only. So a
flipped bit, a truncation or an appended byte is found before a wrong number is used.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest

from sreclip.errors import DamagedError, StoreError
from sreclip.files import atomic_path

VERSION = 1
MAGIC = b"SRECLIP\x1a"
BLOCK = 1 << 14  # small, so that a scattered row costs little
PORTION = 1 << 18  # read at once; still in the processor's cache when it is hashed
_ABOUT = struct.Struct("<12sIQ")  # kind, version, size of the HDF5 file
_FOOTER = struct.Struct(f"<{_ABOUT.size}s8s8s")  # these, digest, magic

MADE_BY: Mapping[str, str] = {
    "images": "snakemake --cores all extract_features (one shard: sreclip extract-images)",
    "text": "snakemake --cores all extract_features (this file: sreclip extract-text)",
    "similarity": "snakemake --cores all graph",
    "scores": "snakemake --cores all train",
}
"""The kinds of sealed files, and the step that makes each."""


class DamagedBlockError(DamagedError):
    """Bytes ``start`` to ``stop`` (exclusive) do not match their checksum."""

    def __init__(self, seal: Seal, start: int, stop: int) -> None:
        error = seal.damaged(f"bytes {start} to {stop - 1} do not match their checksum")
        super().__init__(error.path, error.message, error.hint)
        self.start, self.stop = start, stop


@dataclass(frozen=True)
class Seal:
    """What the end of a sealed file says about it; the file itself is not kept open."""

    path: Path
    kind: str
    size: int  # of the HDF5 file
    checksums: bytes  # eight per block

    @contextlib.contextmanager
    def reader(self) -> Iterator[Reader]:
        """Open the file for checked reads; `StoreError` where it cannot be read."""
        with _open(self.path, self.kind) as file:
            yield Reader(self, file)

    @contextlib.contextmanager
    def hdf5(self) -> Iterator[h5py.File]:
        """Open the HDF5 file; errors as `reader` and `Reader.read_at`."""
        with self.reader() as reader, h5py.File(reader, "r") as file:
            yield file

    def verify(self) -> None:
        """Check every block; the error names the first damaged one."""
        buffer = memoryview(bytearray(PORTION))
        with self.reader() as reader:
            for start in range(0, self.size, PORTION):
                reader.read_at(start, buffer[: self.size - start])

    def damaged(self, what: str) -> DamagedError:
        """Return the error of a file that cannot be trusted."""
        return _damaged(self.path, what, self.kind)


class Reader(io.RawIOBase):
    """The HDF5 part of a sealed file, as a file object that checks what it reads."""

    def __init__(self, seal: Seal, file: io.FileIO) -> None:
        self._seal, self._file, self._at = seal, file, 0
        self._scratch = memoryview(bytearray(PORTION))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._seal.size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        out = memoryview(buffer).cast("B")[: max(0, self._seal.size - self._at)]
        self.read_at(self._at, out)
        self._at += len(out)
        return len(out)

    def read_at(self, start: int, out: memoryview) -> None:
        """Fill ``out`` with the bytes from ``start`` on.

        Raises
        ------
        DamagedBlockError
            A block that holds some of them is not what was written.
        """
        stop = start + len(out)
        last = min(-(-stop // BLOCK) * BLOCK, self._seal.size)
        for begin in range(start - start % BLOCK, stop, PORTION):
            end = min(begin + PORTION, last)
            whole = start <= begin and end <= stop
            part = out[begin - start : end - start] if whole else self._scratch[: end - begin]
            self._load(begin, part)
            if not whole:
                low, high = max(start, begin), min(stop, end)
                out[low - start : high - start] = part[low - begin : high - begin]

    def _load(self, begin: int, part: memoryview) -> None:
        """Fill ``part`` with whole blocks and check them."""
        _fill(self._file, begin, part, self._seal.path)
        first = begin // BLOCK
        found = _checksums(part)
        wanted = self._seal.checksums[8 * first : 8 * first + len(found)]
        if found != wanted:
            at = next(i for i in range(0, len(found), 8) if found[i : i + 8] != wanted[i : i + 8])
            start = begin + at // 8 * BLOCK
            raise DamagedBlockError(self._seal, start, min(start + BLOCK, self._seal.size))


@contextlib.contextmanager
def new_sealed(path: Path, kind: str) -> Iterator[h5py.File]:
    """Yield an empty HDF5 file in memory; when the block succeeds it is sealed at ``path``.

    Large data sets start at a block. The same content gives the same bytes if data sets are
    created with ``track_times=False``. Errors as `sreclip.files.atomic_path`.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", alignment_threshold=BLOCK, alignment_interval=BLOCK) as file:
        yield file
    content = image.getbuffer()
    checksums = _checksums(content)
    about = _ABOUT.pack(kind.encode(), VERSION, len(content))
    with atomic_path(path) as temporary, temporary.open("wb") as out:
        out.write(content)
        out.write(checksums)
        out.write(_FOOTER.pack(about, xxh3_64_digest(checksums + about), MAGIC))


def open_sealed(path: Path, kind: str | None = None) -> Seal:
    """Read and check the end of a sealed file, which must be of ``kind`` where that is given.

    Raises
    ------
    StoreError
        The file is missing, cannot be read, or is of another kind or version.
    DamagedError
        It does not end as it did when written.
    """
    with _open(path, kind) as file:
        size = os.fstat(file.fileno()).st_size
        end = bytearray(_FOOTER.size)
        _fill(file, max(0, size - len(end)), memoryview(end), path)
        if not end.endswith(MAGIC):
            what = (
                "it does not end in its checksums (truncated, extended, or made by another version "
                "of sreclip or another program)"
            )
            raise _damaged(path, what, kind)
        about, digest, _ = _FOOTER.unpack(end)
        name, version, hdf5_size = _ABOUT.unpack(about)
        n_checksums = 8 * -(-hdf5_size // BLOCK)
        if size != hdf5_size + n_checksums + _FOOTER.size:
            raise _damaged(path, "its size is not the one it had when written", kind)
        checksums = bytearray(n_checksums)
        _fill(file, hdf5_size, memoryview(checksums), path)
    if xxh3_64_digest(checksums + about) != digest:
        raise _damaged(path, "its checksums do not match their own checksum", kind)
    found = name.rstrip(b"\0").decode()
    if version != VERSION:
        what = f"{path}: format version {version}, this sreclip reads {VERSION}"
        raise StoreError(what, f"delete it and run: {_step(found)}")
    if kind is not None and found != kind:
        raise StoreError(f"{path} holds {found}, not {kind}", f"give a file of {kind}")
    return Seal(path, found, hdf5_size, bytes(checksums))


def add_data(file: h5py.File, datasets: Mapping[str, NDArray[Any]]) -> None:
    """Write contiguous data sets, without times."""
    for name, values in datasets.items():
        file.create_dataset(name, data=values, track_times=False)


def json_bytes(value: Any) -> NDArray[np.uint8]:
    """JSON text as bytes, for a data set; an attribute holds at most 64 kB."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return np.frombuffer(text.encode(), dtype=np.uint8)


def read_json(dataset: h5py.Dataset) -> Any:
    """Read what `json_bytes` made."""
    return json.loads(dataset[()].tobytes())


def _open(path: Path, kind: str | None) -> io.FileIO:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", f"run: {_step(kind)}") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _fill(file: io.FileIO, start: int, buffer: memoryview, path: Path) -> None:
    """Read from ``start`` on; the end stays as it is where the file is too short."""
    done = 0
    try:
        while count := os.preadv(file.fileno(), [buffer[done:]], start + done):
            done += count
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be read ({error.strerror})", "check the path and the disk")


def _checksums(data: memoryview) -> bytes:
    return b"".join(xxh3_64_digest(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))


def _damaged(path: Path, what: str, kind: str | None) -> DamagedError:
    return DamagedError(path, f"{path} is damaged: {what}", f"delete it and run: {_step(kind)}")


def _step(kind: str | None) -> str:
    return MADE_BY.get(kind or "", "snakemake --cores all")
