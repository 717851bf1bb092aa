"""Files of image features: one per shard, read as one table per domain.

A shard is a sealed file (`sreclip.sealed`) with the attributes of `Header` and the data sets

- ``features``: ``(n_rows, dim)``, unit-norm, float16 by default; zero where not ok;
- ``row_id``: ``(n_rows,)``, int64, and ``ok``: ``(n_rows,)``, uint8;
- ``rejects``: JSON bytes, a list of row id, path and reason;
- ``notes``: JSON bytes, how many images each thing is true of that is worth knowing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.features.header import Header, Provenance, check_rows
from sreclip.features.rows import FeatureRows, StoredRows
from sreclip.sealed import MADE_BY, add_data, json_bytes, new_sealed, open_sealed, read_json


@dataclass(frozen=True)
class Reject:
    """An image without features."""

    row_id: int
    path: str
    reason: str


@dataclass(frozen=True)
class ImageFeatures:
    """Image features of one domain: ``(n_rows, dim)`` features and columns of ``n_rows``.

    Features are read when asked for. ``header`` is that of the first shard; what made the vectors
    is the same in all of them.
    """

    header: Header
    features: FeatureRows
    row_id: NDArray[np.int64]
    ok: NDArray[np.bool_]
    rejects: list[Reject]  # in row order
    notes: Counter[str] = field(default_factory=Counter)  # number of images by note

    def __len__(self) -> int:
        return len(self.row_id)


def write_images(
    out: Path,
    provenance: Provenance,
    row_id: NDArray[np.int64],
    features: NDArray[Any],
    rejects: Sequence[Reject],
    *,
    rows_key: str,
    domain: str,
    notes: Mapping[str, int] | None = None,
) -> None:
    """Write a shard: unit-norm ``features`` of type ``provenance.dtype``, zero where rejected.

    ``notes`` has the number of images by note.

    Raises `StoreError` if the file cannot be written, or a row is not as it must be.
    """
    ok = ~np.isin(row_id, [reject.row_id for reject in rejects])
    check_rows(features, ok, _row_names(row_id), out)
    with new_sealed(out, "images") as file:
        Header.new("images", provenance, rows_key, domain).write(file)
        listed = json_bytes([asdict(reject) for reject in rejects])
        columns = {"features": features, "row_id": row_id, "ok": ok.astype(np.uint8)}
        add_data(file, columns | {"rejects": listed, "notes": json_bytes(dict(notes or {}))})


def open_images(
    paths: Sequence[Path],
    expected: Mapping[str, Any] | None = None,
    rows_keys: Sequence[str] | None = None,
) -> ImageFeatures:
    """Open the shards of a domain, in row order, as one table.

    Each must have the ``expected`` header values, and its own of ``rows_keys``. Raises `StoreError`
    if a shard is missing, damaged, or was made from something else; if two differ in what made
    them or in their domain, or share a row.
    """
    headers, parts, rejects = [], [], []
    notes: Counter[str] = Counter()
    row_ids: list[NDArray[np.int64]] = []
    oks: list[NDArray[np.bool_]] = []
    own = [{"rows_key": key} for key in rows_keys] if rows_keys else [{}] * len(paths)
    for path, keyed in zip(paths, own, strict=True):
        seal = open_sealed(path, "images")
        with seal.hdf5() as file:
            header = Header.read(file)
            header.check({**(expected or {}), **keyed}, path)
            headers.append(header)
            parts.append(StoredRows.of(seal, file["features"]))
            row_ids.append(file["row_id"][:])
            oks.append(file["ok"][:].astype(bool))
            rejects += read_rejects(file)
            notes.update(read_notes(file))
    _check_alike(paths, headers)
    _check_distinct(paths, row_ids)
    return ImageFeatures(
        headers[0], FeatureRows(parts), np.concatenate(row_ids), np.concatenate(oks), rejects, notes
    )


def read_rejects(file: h5py.File) -> list[Reject]:
    """Return the rejects of an open shard."""
    return [Reject(**entry) for entry in read_json(file["rejects"])]


def read_notes(file: h5py.File) -> dict[str, int]:
    """Return the number of images by note of an open shard; earlier versions wrote none."""
    return dict(read_json(file["notes"])) if "notes" in file else {}


def verify_images(path: Path) -> None:
    """Read a shard and check its rows as `write_images` does."""
    images = open_images([path])
    for start in range(0, len(images), 1 << 13):
        part = slice(start, start + (1 << 13))
        check_rows(images.features[part], images.ok[part], _row_names(images.row_id[part]), path)


def _row_names(row_id: NDArray[np.int64]) -> list[str]:
    return [f"row_id {number}" for number in row_id.tolist()]


def _check_alike(paths: Sequence[Path], headers: Sequence[Header]) -> None:
    for path, header in zip(paths, headers, strict=True):
        for name in [*(one.name for one in fields(Provenance)), "domain"]:
            one, other = getattr(headers[0], name), getattr(header, name)
            if one != other:
                raise StoreError(
                    f"{paths[0]} and {path} do not belong together: "
                    f"{name} is {one!r} in the first, {other!r} in the second",
                    f"delete the stale one and run: {MADE_BY['images']}",
                )


def _check_distinct(paths: Sequence[Path], row_ids: Sequence[NDArray[np.int64]]) -> None:
    values, counts = np.unique(np.concatenate(row_ids), return_counts=True)
    if (counts > 1).any():
        row = values[counts > 1][0]
        where = [str(path) for path, own in zip(paths, row_ids, strict=True) if row in own]
        raise StoreError(
            f"row_id {row} appears twice, in {' and '.join(where)}",
            "name each shard once, and shards of one manifest",
        )
