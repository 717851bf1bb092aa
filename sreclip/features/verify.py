"""Every cached HDF5 file below a folder, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sreclip.errors import StoreError
from sreclip.features.checks import read_shard_entries, shard_path, verify_file
from sreclip.features.header import blocks, open_hdf5, read_header, reading

SCORES_PREFIX = "sreclip-scores"
_TRAIN = "snakemake --cores all train"


@dataclass(frozen=True)
class Problem:
    """One file that cannot be trusted, what is wrong with it, and the way out.

    ``unfinished`` is true of a file that a running step may still be writing.
    """

    path: Path
    what: str
    hint: str
    unfinished: bool = False

    def __str__(self) -> str:
        return f"{self.what}\n  -> {self.hint}"


def verify_tree(folder: Path) -> list[Problem]:
    """Read every HDF5 file below ``folder`` through.

    Feature files are checked against their keys and checksums (`verify_file`), other HDF5 files
    of sreclip (scores) against the checksums of their blocks. Files that a killed step left
    behind are reported too.

    Raises
    ------
    StoreError
        There is no such folder.
    """
    if not folder.is_dir():
        raise StoreError(f"{folder} is not a folder", "give the folder of the cached files")
    problems: dict[Path, Problem] = {}
    for path in _with_shards(_hdf5_files(folder)):
        try:
            _verify(path)
        except StoreError as error:
            problems[path] = Problem(path, error.message, error.hint)
    for path in sorted(folder.rglob("*.tmp")):
        if path.is_file():
            problems[path] = Problem(
                path,
                f"{path} was left by a step that was killed, or is being written",
                "delete it when no step is running",
                unfinished=True,
            )
    return list(problems.values())


def count_files(folder: Path) -> int:
    """How many HDF5 files `verify_tree` reads below ``folder``."""
    return len(_hdf5_files(folder))


def _hdf5_files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*.h5")) if path.is_file()]


def _with_shards(files: list[Path]) -> Iterator[Path]:
    """Add shards that lie elsewhere; each file comes once."""
    seen = {path.resolve() for path in files}
    yield from files
    for path in files:
        try:
            with reading(path), open_hdf5(path) as file:
                joined = file.attrs.get("kind") == b"joined"
                shards = read_shard_entries(file) if joined else []
        except StoreError:
            continue
        for entry in shards:
            shard = shard_path(path, entry)
            if shard.exists() and shard.resolve() not in seen:
                seen.add(shard.resolve())
                yield shard


def _verify(path: Path) -> None:
    with reading(path), open_hdf5(path) as file:
        scores = _format_of(file.attrs.get("format")).startswith(SCORES_PREFIX)
        if not scores:
            read_header(file, path)
    if not scores:
        verify_file(path, follow=False)
        return
    try:
        with reading(path), open_hdf5(path) as file:
            for dataset in file.values():
                for part in blocks(len(dataset), 1 if dataset.ndim == 3 else 1 << 16):
                    _ = dataset[part]
    except StoreError as error:
        raise StoreError(error.message, f"delete it and run: {_TRAIN}") from error


def _format_of(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
