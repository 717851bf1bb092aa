"""Reading a feature file through, against its own checksum and what features must be."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.features.header import (
    Header,
    PayloadHash,
    blocks,
    check_seal,
    damaged,
    json_bytes,
    open_hdf5,
    read_header,
    read_json_bytes,
    reading,
)
from sreclip.features.rows import CHECKSUMS, FEATURES, StoredRows, portion_rows

# Rounding to float16 moves each component by at most 2**-11 of itself, and so the length.
NORM_TOLERANCE = {"float16": 2e-3, "float32": 1e-3}
IMAGE_PAYLOAD = (FEATURES, CHECKSUMS, "row_id", "ok", "rejects")
JOINED_PAYLOAD = ("shards", "rejects")
TEXT_PAYLOAD = ("features", "templates", "names", "prompt_names", "template_texts")


@dataclass(frozen=True)
class Reject:
    """A picture without features."""

    row_id: int
    path: str
    reason: str


@dataclass(frozen=True)
class ShardEntry:
    """A shard as a joined file remembers it; ``path`` is relative to the joined file."""

    path: str
    key: str
    rows: int


def rejects_bytes(rejects: list[Reject]) -> NDArray[np.uint8]:
    """Rejects as the bytes of a data set."""
    return json_bytes([asdict(reject) for reject in rejects])


def read_rejects(file: h5py.File) -> list[Reject]:
    """Rejects of an open image or joined file."""
    return [Reject(**entry) for entry in read_json_bytes(file["rejects"])]


def read_shard_entries(file: h5py.File) -> list[ShardEntry]:
    """Shards of an open joined file, in order."""
    return [ShardEntry(**entry) for entry in read_json_bytes(file["shards"])]


def shard_path(joined: Path, entry: ShardEntry) -> Path:
    """Where a shard of ``joined`` lies."""
    return Path(os.path.normpath(joined.parent / entry.path))


def find_rows(joined: Path, header: Header, entries: list[ShardEntry]) -> list[StoredRows]:
    """Look at every shard of a joined file: HDF5 itself reads a missing one as fill values.

    Returns
    -------
    list of StoredRows
        The rows of each shard, in order.

    Raises
    ------
    StoreError
        A shard is missing, damaged in its header, or not the one that was joined.
    """
    found = []
    for entry in entries:
        path = shard_path(joined, entry)
        with reading(path), open_hdf5(path) as file:
            shard, rows = read_header(file, path), StoredRows.of(file, path)
        if (shard.key, len(rows)) != (entry.key, entry.rows):
            raise StoreError(
                f"{path} (key {shard.key}, {len(rows)} rows) is not the shard that {joined} joins "
                f"(key {entry.key}, {entry.rows} rows)",
                f"delete {joined} and run: snakemake --cores all extract_features",
            )
        found.append(rows)
    return found


def check_rows(
    block: NDArray[Any], ok: NDArray[np.bool_], row_id: NDArray[np.int64], path: Path, kind: str
) -> None:
    """Check feature rows ``(n_rows, dim)``.

    Raises
    ------
    StoreError
        A row is not finite, an ok row is not of unit length, or a row that is not ok is not zero;
        the row is named.
    """
    values = block.astype(np.float32)
    norms = np.linalg.norm(values, axis=1)
    for wrong, what in (
        (~np.isfinite(norms), "is not finite"),
        (ok & (abs(norms - 1) > NORM_TOLERANCE[str(block.dtype)]), "is not of unit length"),
        (~ok & (norms != 0), "belongs to a rejected picture but is not zero"),
    ):
        if wrong.any():
            at = int(wrong.argmax())
            raise damaged(
                path, f"the row with row_id {row_id[at]} {what} (length {norms[at]:g})", kind
            )


def verify_file(path: Path, *, follow: bool = True) -> Header:
    """Read a feature file through.

    Checked are the header, the key, the payload checksum, the shapes, unit lengths, zero rows and
    the seal over all bytes.

    Parameters
    ----------
    path : Path
        Any kind of feature file.
    follow : bool
        Read the shards of a joined file through as well, not only their headers.

    Raises
    ------
    StoreError
        The first thing that is wrong.
    """
    with reading(path), open_hdf5(path) as file:
        header = read_header(file, path)
        with reading(path, header.kind):
            if header.kind == "joined":
                check_seal(path, header.kind)
                _verify_joined(file, header, path, follow)
                return header
            if header.kind == "text":
                _verify_text(file, header, path)
            else:
                _verify_images(file, header, path)
            # Last, for the checks above say more about what is wrong.
            check_seal(path, header.kind)
    return header


def _verify_images(file: h5py.File, header: Header, path: Path) -> None:
    row_id, ok = file["row_id"][:], file["ok"][:].astype(bool)
    check_shapes(file, header, path)
    features = StoredRows.of(file, path)
    rejects = read_rejects(file)
    if [reject.row_id for reject in rejects] != row_id[~ok].tolist():
        raise damaged(path, "the list of rejects is not that of the rows that are not ok")
    payload = PayloadHash()
    for part in blocks(len(row_id), portion_rows(features.dtype, header.dim)):
        rows = np.empty((part.stop - part.start, header.dim), features.dtype)
        features.read(part.start, rows)
        check_rows(rows, ok[part], row_id[part], path, header.kind)
        payload.update(FEATURES, rows)
    for name in IMAGE_PAYLOAD[1:]:
        payload.update(name, file[name][:])
    _compare(payload, header, path)


def _verify_joined(file: h5py.File, header: Header, path: Path, follow: bool) -> None:
    entries = read_shard_entries(file)
    find_rows(path, header, entries)
    check_shapes(file, header, path)
    payload = PayloadHash()
    for name in JOINED_PAYLOAD:
        payload.update(name, file[name][:])
    _compare(payload, header, path)
    start = 0
    for entry in entries:
        shard = shard_path(path, entry)
        if follow:
            verify_file(shard)
        with reading(shard), open_hdf5(shard) as own:
            same = np.array_equal(own["row_id"][:], file["row_id"][start : start + entry.rows])
        if not same:
            raise damaged(path, f"it does not show the rows of {shard}", header.kind)
        start += entry.rows


def _verify_text(file: h5py.File, header: Header, path: Path) -> None:
    payload = PayloadHash()
    for name in TEXT_PAYLOAD:
        payload.update(name, file[name][:])
    _compare(payload, header, path)
    names = read_json_bytes(file["names"])
    texts = read_json_bytes(file["template_texts"])
    features, templates = file["features"], file["templates"]
    if (features.shape, templates.shape) != (
        (len(names), header.dim),
        (len(names), len(texts), header.dim),
    ):
        raise damaged(path, "its data sets do not fit one another", header.kind)
    for block in (features[:], templates[:].reshape(-1, header.dim)):
        numbers = np.arange(len(block))
        check_rows(block, np.ones(len(block), dtype=bool), numbers, path, header.kind)


def check_shapes(file: h5py.File, header: Header, path: Path) -> None:
    """Compare the shapes and number formats of an image or joined file with its header.

    Raises
    ------
    StoreError
        They do not fit.
    """
    n_rows = len(file["row_id"])
    found = [(file[name].shape, str(file[name].dtype)) for name in ("features", "row_id", "ok")]
    wanted = [((n_rows, header.dim), header.dtype), ((n_rows,), "int64"), ((n_rows,), "uint8")]
    if found != wanted:
        raise damaged(path, f"its data sets are {found}, expected {wanted}", header.kind)


def _compare(payload: PayloadHash, header: Header, path: Path) -> None:
    if payload.hexdigest() != header.payload_sha256:
        raise damaged(path, "its data do not match their SHA-256", header.kind)
