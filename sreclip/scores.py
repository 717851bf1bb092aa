"""Scores of one method on the target: logits a seed, in one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.files import atomic_path

FORMAT = "sreclip-scores/1"
CHUNK_ROWS = 4096


@dataclass(frozen=True)
class Scores:
    """Target logits of one method.

    Attributes
    ----------
    row_id : ndarray
        ``(n_target,)``, int64.
    ok : ndarray
        False where the picture was rejected, ``(n_target,)``.
    logits : ndarray
        ``(n_seeds, n_target, n_classes)``, float32; zeros where not ok.
    seeds : tuple of int
    classes : tuple of str
    known : ndarray
        ``(n_classes,)``, bool.
    method : str
    key : str
        Content key of the fit.
    """

    row_id: NDArray[np.int64]
    ok: NDArray[np.bool_]
    logits: NDArray[np.float32]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    known: NDArray[np.bool_]
    method: str
    key: str


def write_scores(path: Path, scores: Scores) -> None:
    """Write scores, whole or not at all."""
    import h5py

    header: dict[str, Any] = {
        "format": FORMAT,
        "method": scores.method,
        "key": scores.key,
        "seeds": list(scores.seeds),
    }
    names = np.frombuffer(json.dumps(scores.classes).encode(), dtype=np.uint8)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, value in header.items():
            file.attrs[name] = value
        _dataset(file, "logits", scores.logits, (1, CHUNK_ROWS, scores.logits.shape[2]))
        _dataset(file, "row_id", scores.row_id)
        _dataset(file, "ok", scores.ok)
        _dataset(file, "known", scores.known)
        _dataset(file, "classes", names)


def _dataset(file: Any, name: str, values: Any, chunks: Sequence[int] | None = None) -> None:
    shape = [max(1, size) for size in values.shape]
    chunk = tuple(map(min, chunks or shape, shape))
    file.create_dataset(name, data=values, chunks=chunk, fletcher32=True, track_times=False)


def read_scores(path: Path, key: str) -> Scores:
    """Read scores.

    Raises
    ------
    StoreError
        The file is missing or damaged, or was made from something else than ``key`` says.
    """
    import h5py

    if not path.exists():
        raise StoreError(f"{path} is missing", "make it with: snakemake --cores all train")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT or file.attrs.get("key") != key:
                raise StoreError(
                    f"{path}: expected {FORMAT} with key {key}, found "
                    f"{file.attrs.get('format')} with key {file.attrs.get('key')}",
                    "delete the file and make it again with: snakemake --cores all train",
                )
            return Scores(
                row_id=file["row_id"][:],
                ok=file["ok"][:],
                logits=file["logits"][:],
                seeds=tuple(int(seed) for seed in file.attrs["seeds"]),
                classes=tuple(json.loads(file["classes"][:].tobytes())),
                known=file["known"][:],
                method=str(file.attrs["method"]),
                key=key,
            )
    except (OSError, KeyError) as error:
        raise StoreError(
            f"{path} is damaged ({error})",
            "delete it and make it again with: snakemake --cores all train",
        ) from error
