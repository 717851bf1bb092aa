"""Writing feature files: whole, read back and on the disk, or not at all."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.features.checks import Reject, check_rows, rejects_bytes, verify_file
from sreclip.features.header import (
    USER_BLOCK,
    Header,
    PayloadHash,
    Provenance,
    json_bytes,
    new_header,
    seal,
    text_rows_key,
    write_header,
)
from sreclip.features.rows import CHECKSUMS, FEATURES, checksums, portion_rows
from sreclip.files import atomic_path

_FLAT_CHUNK = 1 << 14


class _Disk(io.RawIOBase):
    """The file under an HDF5 file, which keeps the first write error for later.

    HDF5 crashes the process when it cannot flush while closing (a full disk), so it is told that
    all went well, and `check` raises the error as soon as it has returned.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb+", buffering=0)
        self._error: OSError | None = None

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int | None:
        return self._file.readinto(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        done = 0
        with self._deferred():
            while done < len(view) and self._error is None:
                done += self._file.write(view[done:])
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        with self._deferred():
            self._file.truncate(size)
        return size if size is not None else self.tell()

    def flush(self) -> None:
        """Nothing is buffered here."""

    def check(self) -> None:
        """Raise the first error, if there was one."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        if not self._file.closed:
            with self._deferred():
                os.fsync(self._file.fileno())
            self._file.close()
        super().close()

    @contextlib.contextmanager
    def _deferred(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = self._error or error


@contextlib.contextmanager
def new_file(out: Path) -> Iterator[tuple[h5py.File, _Disk]]:
    """Give an empty HDF5 file that appears at ``out`` when the block succeeds.

    It is flushed, synchronised and read through (`verify_file`) before it gets its name.

    Raises
    ------
    StoreError
        The folder cannot be written, the disk is full, or the file does not read back.
    """
    with atomic_path(out) as temporary:
        with contextlib.closing(_Disk(temporary)) as disk:
            try:
                with h5py.File(disk, "w", userblock_size=USER_BLOCK) as file:
                    yield file, disk
            except Exception:
                # A write error is the cause of whatever HDF5 makes of it.
                disk.check()
                raise
            seal(disk)
        disk.check()
        try:
            verify_file(temporary, follow=False)
        except StoreError as error:
            raise StoreError(
                f"{out}: reading the new file back failed ({error.message})",
                "check the disk, then run the step again",
            ) from error


def add_dataset(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Write a small data set at once, with checksums."""
    chunks = (min(len(values), _FLAT_CHUNK), *values.shape[1:])
    file.create_dataset(name, data=values, chunks=chunks, fletcher32=True, track_times=False)


class ImageWriter:
    """Takes feature rows in order and writes them a portion at a time.

    Portions are filled before they are written, so that neither memory nor the bytes of the file
    depend on the size of the batches.
    """

    def __init__(
        self,
        file: h5py.File,
        disk: _Disk,
        out: Path,
        row_id: NDArray[np.int64],
        provenance: Provenance,
    ) -> None:
        self._file, self._disk, self._out, self._row_id = file, disk, out, row_id
        self._dtype = np.dtype(provenance.dtype)
        dim = provenance.dim
        self._features = file.create_dataset(
            FEATURES, (len(row_id), dim), self._dtype, fill_time="never", track_times=False
        )
        self._ok = np.zeros(len(row_id), dtype=np.uint8)
        portion = min(portion_rows(self._dtype, dim), len(row_id))
        self._portion = np.zeros((portion, dim), dtype=self._dtype)
        self._filled = self._written = 0
        self._payload = PayloadHash()
        self._checksums: list[NDArray[np.uint64]] = []
        self._rejects: list[Reject] = []

    def append(
        self, features: NDArray[np.float32], ok: NDArray[np.bool_], rejects: Sequence[Reject] = ()
    ) -> None:
        """Add the next rows.

        Parameters
        ----------
        features : ndarray
            ``(n_rows, dim)``, unit-norm where ok and zero elsewhere.
        ok : ndarray
            ``(n_rows,)``.
        rejects : sequence of Reject
            One for each row that is not ok, in order.

        Raises
        ------
        StoreError
            A row is not finite or not of unit length.
        OSError
            It could not be written.
        """
        start = self._written + self._filled
        rows = slice(start, start + len(features))
        stored = features.astype(self._dtype)
        check_rows(stored, ok, self._row_id[rows], self._out, "images")
        self._ok[rows] = ok
        self._rejects += rejects
        while len(stored):
            part = stored[: len(self._portion) - self._filled]
            self._portion[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            stored = stored[len(part) :]
            if self._filled == len(self._portion):
                self._write_portion()

    def _write_portion(self) -> None:
        rows = self._portion[: self._filled]
        self._features[self._written : self._written + len(rows)] = rows
        self._payload.update(FEATURES, rows)
        self._checksums.append(checksums(rows))
        self._written += len(rows)
        self._filled = 0
        self._disk.check()

    def finish(self) -> str:
        """Write what is left and give the payload's hash."""
        if self._filled:
            self._write_portion()
        if self._written != len(self._row_id):
            raise ValueError(f"{self._written} of {len(self._row_id)} rows were written")
        rest: dict[str, NDArray[Any]] = {
            CHECKSUMS: np.concatenate(self._checksums),
            "row_id": self._row_id,
            "ok": self._ok,
            "rejects": rejects_bytes(self._rejects),
        }
        for name, values in rest.items():
            add_dataset(self._file, name, values)
            self._payload.update(name, values)
            self._disk.check()
        return self._payload.hexdigest()


@contextlib.contextmanager
def image_writer(
    out: Path, row_id: NDArray[np.int64], provenance: Provenance, *, rows_key: str, domain: str
) -> Iterator[ImageWriter]:
    """Open a shard for writing; it appears at ``out`` when the block succeeds.

    Parameters
    ----------
    out : Path
        The file.
    row_id : ndarray
        Row ids of the shard, int64, ``(n_rows,)``.
    provenance : Provenance
        What makes the features.
    rows_key : str
        Hash of the manifest rows.
    domain : str
        ``source`` or ``target``.
    """
    with new_file(out) as (file, disk):
        writer = ImageWriter(file, disk, out, row_id, provenance)
        yield writer
        payload_sha256 = writer.finish()
        write_header(file, new_header("images", provenance, rows_key, domain, payload_sha256))


def write_text(
    out: Path,
    provenance: Provenance,
    *,
    names: Sequence[str],
    prompt_names: Sequence[Sequence[str]],
    templates: Sequence[str],
    features: NDArray[np.float32],
    template_features: NDArray[np.float32],
) -> Header:
    """Write a text file.

    Parameters
    ----------
    out : Path
        The file.
    provenance : Provenance
        What made the features; its ``dtype`` is that of ``features``.
    names, prompt_names, templates : sequence
        What was encoded.
    features : ndarray
        ``(n_names, dim)``, unit-norm; stored as float32.
    template_features : ndarray
        ``(n_names, n_templates, dim)``, unit-norm; stored as float16.
    """
    datasets: dict[str, NDArray[Any]] = {
        "features": features.astype(np.float32),
        "templates": template_features.astype(np.float16),
        "names": json_bytes(list(names)),
        "prompt_names": json_bytes([list(group) for group in prompt_names]),
        "template_texts": json_bytes(list(templates)),
    }
    payload = PayloadHash()
    for name, values in datasets.items():
        payload.update(name, values)
    rows_key = text_rows_key(names, prompt_names, templates)
    header = new_header("text", provenance, rows_key, "", payload.hexdigest())
    with new_file(out) as (file, disk):
        for name, values in datasets.items():
            add_dataset(file, name, values)
            disk.check()
        write_header(file, header)
    return header
