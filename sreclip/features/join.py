"""One logical file over the shards of a domain: HDF5 virtual data sets with relative paths."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.features.checks import (
    Reject,
    ShardEntry,
    check_shapes,
    read_rejects,
    rejects_bytes,
)
from sreclip.features.header import (
    Header,
    PayloadHash,
    joined_rows_key,
    json_bytes,
    new_header,
    open_hdf5,
    read_header,
    reading,
    write_header,
)
from sreclip.features.writer import add_dataset, new_file


@dataclass(frozen=True)
class _Shard:
    path: Path
    header: Header
    row_id: NDArray[np.int64]
    rejects: list[Reject]


def join_shards(out: Path, shard_paths: Sequence[Path]) -> Header:
    """Write a file that shows shards one below the other, without copying their rows.

    The joined file and its shards may be moved together. Where a shard is missing the rows read
    as NaN, and `sreclip.features.store.open_images` refuses the file.

    Parameters
    ----------
    out : Path
        The joined file.
    shard_paths : sequence of Path
        Shards of one domain, in row order.

    Raises
    ------
    StoreError
        A shard is missing or damaged, two of them differ in backbone, weights, preprocessing,
        precision, number format or domain, or share a row.
    """
    if not shard_paths:
        raise StoreError(f"{out}: no shards to join", "run: snakemake --cores all prepare_data")
    shards = [_read_shard(path) for path in shard_paths]
    _check_alike(shards)
    first = shards[0].header
    entries = [
        ShardEntry(_relative(shard.path, out), shard.header.key, len(shard.row_id))
        for shard in shards
    ]
    own = {
        "shards": json_bytes([asdict(entry) for entry in entries]),
        "rejects": rejects_bytes([reject for shard in shards for reject in shard.rejects]),
    }
    payload = PayloadHash()
    for name, values in own.items():
        payload.update(name, values)
    rows_key = joined_rows_key([entry.key for entry in entries])
    header = new_header("joined", first.provenance, rows_key, first.domain, payload.hexdigest())
    with new_file(out) as (file, disk):
        _add_view(file, "features", entries, (first.dim,), first.dtype, np.nan)
        _add_view(file, "row_id", entries, (), "int64", -1)
        _add_view(file, "ok", entries, (), "uint8", 0)
        for name, values in own.items():
            add_dataset(file, name, values)
            disk.check()
        write_header(file, header)
    return header


def _read_shard(path: Path) -> _Shard:
    with reading(path), open_hdf5(path) as file:
        header = read_header(file, path)
        check_shapes(file, header, path)
        if header.kind != "images":
            raise StoreError(f"{path} holds {header.kind}, not a shard of images")
        return _Shard(path, header, file["row_id"][:], read_rejects(file))


def _check_alike(shards: Sequence[_Shard]) -> None:
    first = shards[0]
    for shard in shards[1:]:
        for name in (*asdict(first.header.provenance), "domain"):
            mine, other = getattr(first.header, name), getattr(shard.header, name)
            if mine != other:
                raise StoreError(
                    f"{first.path} and {shard.path} cannot be joined: "
                    f"{name} is {mine!r} in the one, {other!r} in the other",
                    "delete the stale one and run: snakemake --cores all extract_features",
                )
    row_id = np.concatenate([shard.row_id for shard in shards])
    values, counts = np.unique(row_id, return_counts=True)
    if len(values) < len(row_id):
        twice = values[counts > 1][0]
        where = [str(shard.path) for shard in shards if twice in shard.row_id]
        raise StoreError(
            f"row_id {twice} stands in {' and in '.join(where)}",
            "give each shard once, and those of one manifest",
        )


def _relative(path: Path, out: Path) -> str:
    return Path(os.path.relpath(path, out.parent)).as_posix()


def _add_view(
    file: h5py.File,
    name: str,
    entries: Sequence[ShardEntry],
    width: tuple[int, ...],
    dtype: str,
    fill: float,
) -> None:
    layout = h5py.VirtualLayout((sum(entry.rows for entry in entries), *width), dtype)
    layout.dcpl.set_obj_track_times(False)
    start = 0
    for entry in entries:
        # HDF5 takes "%b" in a path for the number of a block; "%%" stands for the sign itself.
        source = h5py.VirtualSource(
            entry.path.replace("%", "%%"), name, (entry.rows, *width), dtype
        )
        layout[start : start + entry.rows] = source
        start += entry.rows
    file.create_virtual_dataset(name, layout, fillvalue=fill)
