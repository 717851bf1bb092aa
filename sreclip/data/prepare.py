"""From a task's pictures to its files: hashed, checked for duplicates, sorted and cut."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sreclip.data.hashes import UNREADABLE, hash_pictures
from sreclip.data.manifest import (
    COLUMNS,
    DOMAINS,
    Picture,
    TaskData,
    row_id,
    shown_names,
    withdraw_task,
    write_task,
)
from sreclip.data.shards import cut_shards, write_shards
from sreclip.data.tasks import load_task
from sreclip.errors import DataError
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

DuplicateRule = Literal["error", "drop_target", "keep"]
_SHOWN = 5
_BATCH = 65_536


def prepare_data(
    task: str,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    shard_size: int,
    duplicates: DuplicateRule = "error",
    hash_cache: Path | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Run a task and write its files (see `sreclip.data.manifest`).

    The same pictures and settings give the same bytes. When anything is refused, the files of an
    earlier run stay as they were.

    Parameters
    ----------
    task : str
        A name in `sreclip.data.tasks.TASKS`.
    settings : Mapping
        The task's own settings.
    folder : Path
        Where the files go.
    shard_size : int
        Mean number of rows in a shard.
    duplicates : {'error', 'drop_target', 'keep'}
        What to do with one picture (by SHA-256) in both domains: stop, leave it out of the
        target, or keep both. Empty and unreadable files are never duplicates.
    hash_cache : Path, optional
        Where hashes are remembered between runs; by default a hidden file beside ``folder``,
        not in it, for it holds times.
    progress : bool
        Show bars.

    Returns
    -------
    dict
        What stands in ``summary.json``. It counts the target's pictures, not its labels: those
        are for ``evaluate``.

    Raises
    ------
    ConfigError
        The task is not registered.
    DataError
        The task's pictures or classes cannot be used.
    StoreError
        The folder cannot be written.
    """
    data = load_task(task)(settings, folder)
    rows = picture_rows(data)
    data = replace(data, pictures=())  # rows say the same in a fifth of the memory
    hashes = hash_pictures(
        data.root,
        rows,
        archives=data.archives,
        cache=hash_cache or folder.with_name(f".{folder.name}.hashes.parquet"),
        progress=progress,
    )
    rows = rows.assign(size=hashes.size, sha256=hashes.sha256)
    rows, repeats = _settle_duplicates(rows, duplicates)
    shards = cut_shards(rows, shard_size)
    summary = summarise_task(task, data, rows, repeats, shard_size=shard_size, n_shards=len(shards))
    withdraw_task(folder)
    write_shards(folder, shards)
    write_task(folder, rows, data, summary)
    return summary


def picture_rows(data: TaskData) -> pd.DataFrame:
    """Give a task's pictures as rows, sorted by domain, path and name in an archive.

    Returns
    -------
    DataFrame
        ``row_id``, ``path``, ``domain``, ``label``, ``member``, ``offset`` and ``size``, target
        labels still in it; the size is null for pictures that are files.

    Raises
    ------
    DataError
        A picture stands twice, has a label that is no class, or is a source picture without one.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [
        _table(data.pictures[at : at + _BATCH]) for at in range(0, len(data.pictures) or 1, _BATCH)
    ]
    table = pa.concat_tables(parts)
    order = [(name, "ascending") for name in ("domain", "path", "member")]
    kinds = {pa.int64(): pd.Int64Dtype(), pa.large_string(): pd.StringDtype()}
    rows = table.take(pc.sort_indices(table, sort_keys=order)).to_pandas(types_mapper=kinds.get)
    rows = rows.astype({name: COLUMNS[name] for name in rows if name != "size"})
    unlabelled = rows["label"].isna()
    for wrong, complaint in (
        (~rows["domain"].isin(DOMAINS), f"domain is not {' or '.join(DOMAINS)}"),
        ((rows["domain"] == "source") & unlabelled, "a source picture without a label"),
        (
            ~unlabelled & ~rows["label"].between(0, len(data.classes) - 1),
            f"the label is not one of the {len(data.classes)} classes",
        ),
        (rows["row_id"].duplicated(), "the picture is listed twice"),
    ):
        bad = np.flatnonzero(wrong.to_numpy(dtype=bool, na_value=False))
        if len(bad):
            name = shown_names(rows.iloc[bad[:1]]).iloc[0]
            raise DataError(f"{name}: {complaint}", "mend the task's listing")
    return rows


def _table(pictures: Sequence[Picture]) -> pa.Table:
    """Turn some pictures into columns, so that few exist as Python objects twice."""
    import pyarrow as pa

    columns = {
        "path": pa.large_string(),
        "domain": pa.large_string(),
        "label": pa.int32(),
        "member": pa.large_string(),
        "offset": pa.int64(),
        "size": pa.int64(),
    }
    ids = [row_id(picture.domain, picture.path, picture.member) for picture in pictures]
    return pa.table(
        {"row_id": pa.array(ids, pa.int64())}
        | {
            name: pa.array([getattr(picture, name) for picture in pictures], kind)
            for name, kind in columns.items()
        }
    )


def _settle_duplicates(
    rows: pd.DataFrame, rule: DuplicateRule
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Apply the rule to pictures that both domains have; count what repeats in a domain."""
    if rule not in ("error", "drop_target", "keep"):
        raise ValueError(f"unknown rule for duplicates: {rule!r}")
    codes, _ = _codes(rows)
    source = (rows["domain"] == "source").to_numpy(dtype=bool)
    real = codes >= 0
    in_source = np.zeros(codes.max(initial=-1) + 1, dtype=bool)
    in_source[codes[source & real]] = True
    shared = ~source & real
    shared[shared] = in_source[codes[shared]]

    if shared.any() and rule == "error":
        raise DataError(
            f"target pictures that the source has too (same bytes), {int(shared.sum())} in all: "
            + _some_pairs(rows, codes, source, np.flatnonzero(shared)),
            "a picture with a label must not be in the test; take them out of one domain, or set "
            "task.duplicates to 'drop_target' (leave them out of the target) or 'keep'",
        )
    dropped = shown_names(rows[shared]).tolist() if rule == "drop_target" else []
    repeats = {
        "across": int(shared.sum()),
        "dropped": dropped,
        "within": {
            domain: int(_again(codes, real & mask & ~(shared & bool(dropped))).sum())
            for domain, mask in (("source", source), ("target", ~source))
        },
        "source_with_two_labels": _label_conflicts(rows, codes, source & real),
    }
    if dropped:
        rows = rows[~shared].reset_index(drop=True)
        if not (rows["domain"] == "target").any():
            raise DataError(
                "every target picture is also in the source (same bytes)",
                "check that task.folder.target is the right folder",
            )
    return rows, repeats


def _codes(rows: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Number the contents; -1 for files that are empty or unreadable."""
    import pandas as pd

    codes, contents = pd.factorize(rows["sha256"])
    codes = codes.astype(np.int64)
    codes[((rows["size"] == 0) | (rows["sha256"] == UNREADABLE)).to_numpy(dtype=bool)] = -1
    return codes, len(contents)


def _again(codes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tell which of the masked rows have a content that stood in one of them before."""
    picked = codes[mask]
    again = np.ones(len(picked), dtype=bool)
    again[np.unique(picked, return_index=True)[1]] = False
    return again


def _label_conflicts(rows: pd.DataFrame, codes: np.ndarray, mask: np.ndarray) -> int:
    labels = rows["label"].to_numpy(dtype=np.int64, na_value=-1)[mask]
    pairs = np.unique(np.stack([codes[mask], labels]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _some_pairs(
    rows: pd.DataFrame, codes: np.ndarray, source: np.ndarray, shared: np.ndarray
) -> str:
    shown = shared[:_SHOWN]
    also = [np.flatnonzero(source & (codes == codes[at]))[0] for at in shown]
    names = (shown_names(rows.iloc[rows_of]) for rows_of in (shown, also))
    pairs = [f"{name} = {other}" for name, other in zip(*names, strict=True)]
    rest = len(shared) - len(pairs)
    return "; ".join(pairs) + (f" and {rest} more" if rest else "")


def summarise_task(
    task: str,
    data: TaskData,
    rows: pd.DataFrame,
    repeats: dict[str, Any],
    *,
    shard_size: int,
    n_shards: int,
) -> dict[str, Any]:
    """What stands in ``summary.json``: counts, and keys of the labels."""
    source = rows["domain"] == "source"
    per_class = np.bincount(
        rows["label"][source].to_numpy(dtype=np.int64), minlength=len(data.classes)
    )
    empty = shown_names(rows[rows["size"] == 0]).tolist()
    unreadable = shown_names(rows[rows["sha256"] == UNREADABLE]).tolist()
    return {
        "task": task,
        "root": data.root.as_posix(),
        "archives": sorted(data.archives),
        "pictures": {"source": int(source.sum()), "target": int((~source).sum())},
        "target_labels": int(rows["label"][~source].notna().sum()),
        "source_labels_key": _labels_key(rows[source]),
        "target_labels_key": _labels_key(rows[~source]),
        "classes": len(data.classes),
        "source_pictures": {
            entry.name: int(count) for entry, count in zip(data.classes, per_class, strict=True)
        },
        "duplicates": repeats,
        "empty_files": empty,
        "unreadable_files": unreadable,
        "bytes": int(rows["size"].sum()),
        "shard_size": shard_size,
        "shards": n_shards,
        "credits": data.credits,
        "notes": [*data.notes, *_notes(repeats, empty, unreadable)],
    }


def _labels_key(rows: pd.DataFrame) -> str:
    """Hash a domain's labels, so that what was made with others has another name."""
    labels = rows["label"].fillna(-1).astype("int32").to_numpy()
    return content_key(hashlib.sha256(labels.tobytes()).hexdigest())


def _notes(repeats: dict[str, Any], empty: Sequence[str], unreadable: Sequence[str]) -> list[str]:
    within = repeats["within"]
    counted = {
        "target pictures dropped because the source has them": len(repeats["dropped"]),
        "pictures kept in both domains": 0 if repeats["dropped"] else repeats["across"],
        "source pictures that repeat another source picture": within["source"],
        "target pictures that repeat another target picture": within["target"],
        "source pictures that stand under two classes": repeats["source_with_two_labels"],
        "empty files, to be rejected at extraction": len(empty),
        "unreadable files, to be rejected at extraction": len(unreadable),
    }
    return [f"{what}: {count}" for what, count in counted.items() if count]
