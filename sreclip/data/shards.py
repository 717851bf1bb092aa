"""Cutting the manifest into shards, so that a change of images touches few of them.

Where a shard ends is decided by the hash of its last row (content-defined chunking), not by
counting from the start: after an image is added or removed, the later cuts stay where they were.
Up to about the wanted size a row rarely ends a shard, after that it often does, which keeps the
sizes close together (as in FastCDC, Xia et al., 2016).

One change of one image touches one run of shards, which begins at the image. How long it is, is a
matter of chance, without a bound but the number of shards:

- If the first end after the image is the same as before, the run is one shard. With shards of 20
  images this is so of 82 in 100 additions and removals, with 60 of 94, with 4,096 of 999 in 1,000.
- Else old and new ends alternate until they meet. Say the later end was found from where its shard
  started. The earlier one lies past that start, so between the two it finds no row that ends its
  own shard: what is too early, or too rare, for the one is so for the other. Its next end is the
  later end, if the row there may end a shard of that size, or lies past it, among rows at which
  neither has looked. So the lead of the later end and the kind of its row make a Markov chain,
  and the chance that the ends have not met falls geometrically: by 0.54 per shard made
  (0.53 with larger shards). The tests compute the chain and compare it with cuts.
- Of changes with shards of 20 images 4 in 100 make four shards or more, 1 in 1,000 ten, 1 in
  30,000 sixteen; the mean is 1.3. With larger shards cuts move more seldom, in proportion.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.data.manifest import DOMAINS, MADE_BY
from sreclip.errors import DataError, StoreError
from sreclip.files import read_json, write_json
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pandas as pd

SHARDS_FILE = "shards.json"
# In wanted sizes: the least, where rows begin to end shards often, the most.
_LEAST, _BEND, _MOST = 0.25, 0.875, 4.0
# Chances of a row to end a shard before and after the bend, times the wanted size. With these
# five numbers the mean size is the wanted one, the standard deviation a third of it.
_RARELY, _OFTEN = 0.25, 4.0


@dataclass(frozen=True)
class Shard:
    """Rows from ``start`` to before ``stop`` of the manifest, all of one domain."""

    domain: str
    key: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def cut_shards(rows: pd.DataFrame, shard_size: int) -> list[Shard]:
    """Cut the rows of a manifest, sorted by domain and path, without gaps.

    ``shard_size`` is the mean number of rows per shard; none has more than four times as many.
    Domains do not share a shard.
    """
    shards: list[Shard] = []
    row_ids = rows["row_id"].to_numpy()
    n_rows = rows["domain"].value_counts()
    first = 0
    for domain in DOMAINS:
        start = first
        for end in _ends(row_ids[start : start + n_rows.get(domain, 0)], shard_size):
            last = start + end
            shards.append(Shard(domain, shard_key(rows.iloc[first:last]), first, last))
            first = last
    return shards


def shard_key(rows: pd.DataFrame) -> str:
    """Hash the rows of one shard: which images, in which order, with which bytes."""
    return content_key(list(zip(rows["row_id"].tolist(), rows["sha256"].tolist(), strict=True)))


def _ends(row_ids: np.ndarray, shard_size: int) -> list[int]:
    """Return the ends (exclusive) of the shards of one domain."""
    n_rows = len(row_ids)
    least, bend, most = (max(1, int(shard_size * part)) for part in (_LEAST, _BEND, _MOST))
    chance = _scatter(row_ids) * shard_size
    often = np.flatnonzero(chance < _OFTEN) + 1
    rarely = np.flatnonzero(chance < _RARELY) + 1
    ends: list[int] = []
    start = 0
    while start < n_rows:
        start = min(
            _first_from(rarely, start + least),
            _first_from(often, start + bend),
            start + most,
            n_rows,
        )
        ends.append(start)
    return ends


def _first_from(positions: np.ndarray, least: int) -> int:
    index = np.searchsorted(positions, least)
    return int(positions[index]) if index < len(positions) else np.iinfo(np.int64).max


def _scatter(row_ids: np.ndarray) -> np.ndarray:
    """Map each row id to a number in [0, 1) that looks random (splitmix64's last steps)."""
    x = row_ids.astype(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(11)) * 2.0**-53


def write_shards(folder: Path, shards: list[Shard]) -> None:
    """Write ``shards.json``."""
    write_json(folder / SHARDS_FILE, [asdict(shard) for shard in shards])


def read_shards(folder: Path) -> list[Shard]:
    """Read ``shards.json``.

    Raises `StoreError` if it is missing, or does not hold shards that follow one another.
    """
    path = folder / SHARDS_FILE
    again = f"make it again with: {MADE_BY}"
    try:
        shards = [Shard(**entry) for entry in read_json(path, made_by=MADE_BY)]
        starts = [0, *(shard.stop for shard in shards)]
        whole = all(
            shard.start == start < shard.stop for shard, start in zip(shards, starts, strict=False)
        )
    except TypeError as error:
        raise StoreError(f"{path} is not a list of shards ({error})", again) from error
    if not whole:
        raise StoreError(f"{path}: the shards have gaps", again)
    return shards


def find_shard(folder: Path, shards: list[Shard], key: str) -> Shard:
    """Return the shard of a task with a key; `DataError` if there is none."""
    for shard in shards:
        if shard.key == key:
            return shard
    raise DataError(
        f"no shard of {folder} has the key {key!r}", f"the keys are in {folder / SHARDS_FILE}"
    )
