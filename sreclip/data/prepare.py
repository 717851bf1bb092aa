"""From a task's images to its files: hashed, checked for duplicates, sorted and cut."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sreclip.data.duplicates import DuplicateRule, settle_duplicates
from sreclip.data.hashes import UNREADABLE, hash_images
from sreclip.data.manifest import COLUMNS, DOMAINS, row_id, withdraw_task, write_task
from sreclip.data.place import image_names
from sreclip.data.shards import cut_shards, write_shards
from sreclip.data.task import TaskData, TaskImage
from sreclip.data.tasks import load_task
from sreclip.errors import DataError
from sreclip.keys import content_key

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BATCH = 65_536


def prepare_data(
    task: str,
    settings: Mapping[str, Any],
    folder: Path,
    *,
    shard_size: int,
    duplicates: DuplicateRule,
    hash_cache: Path,
    progress: bool = False,
) -> dict[str, Any]:
    """Run a task and write its files (see `sreclip.data.manifest`).

    The same images and settings give the same bytes. When anything is refused, the files of an
    earlier run stay as they were.

    ``settings`` are the task's own, ``shard_size`` and ``duplicates`` as in `cut_shards` and
    `settle_duplicates`. ``hash_cache`` is where hashes are remembered between runs: not in
    ``folder``, since it holds times.

    Returns the content of ``summary.json``. It counts the target's images, not its labels: those
    are for ``evaluate``.
    """
    data = load_task(task).prepare(settings, folder)
    rows = image_rows(data)
    data = replace(data, images=())  # rows say the same in a fifth of the memory
    if data.hashes is None:
        sha256, size = hash_images(
            data.root,
            rows,
            archives=data.archives,
            cache=hash_cache,
            outside_links=settings.get("outside_links", False),
            progress=progress,
        )
        rows = rows.assign(size=size, sha256=sha256)
    else:
        rows = rows.assign(sha256=data.hashes.to_pandas().astype("string"))
    rows, repeats = settle_duplicates(rows, duplicates)
    shards = cut_shards(rows, shard_size)
    summary = summarise_task(task, data, rows, repeats, shard_size=shard_size, n_shards=len(shards))
    withdraw_task(folder)
    write_shards(folder, shards)
    write_task(folder, rows, data.classes, summary)
    return summary


def image_rows(data: TaskData) -> pd.DataFrame:
    """Return a task's images as rows, sorted by domain, path and member unless they have hashes.

    They have all `COLUMNS` but ``sha256``, target labels included; the size is null for images
    that are files. Raises `DataError` if an image is listed twice, has a label that is not a
    class, or is a source image without one.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = [
        _table(data.images[at : at + _BATCH]) for at in range(0, len(data.images) or 1, _BATCH)
    ]
    table = pa.concat_tables(parts)
    order = [(name, "ascending") for name in ("domain", "path", "member")]
    kinds = {pa.int64(): pd.Int64Dtype(), pa.large_string(): pd.StringDtype()}
    if data.hashes is None:
        table = table.take(pc.sort_indices(table, sort_keys=order))
    rows = table.to_pandas(types_mapper=kinds.get)
    rows = rows.astype({name: COLUMNS[name] for name in rows if name != "size"})
    unlabelled = rows["label"].isna()
    n_classes = len(data.classes)
    for wrong, complaint in (
        (~rows["domain"].isin(DOMAINS), f"domain is not {' or '.join(DOMAINS)}"),
        ((rows["domain"] == "source") & unlabelled, "a source image without a label"),
        (
            ~unlabelled & ~rows["label"].between(0, n_classes - 1),
            f"the label is not one of the {n_classes} classes",
        ),
        (rows["row_id"].duplicated(), "the image is listed twice"),
    ):
        bad = np.flatnonzero(wrong.to_numpy(dtype=bool, na_value=False))
        if len(bad):
            name = image_names(rows.iloc[bad[:1]]).iloc[0]
            raise DataError(f"{name}: {complaint}", "fix the task's listing")
    return rows


def _table(images: Sequence[TaskImage]) -> pa.Table:
    """Turn some images into columns, so that few exist as Python objects twice."""
    import pyarrow as pa

    return pa.table(
        {
            "row_id": pa.array([row_id(i.domain, i.place.name) for i in images], pa.int64()),
            "path": pa.array([i.place.path for i in images], pa.large_string()),
            "domain": pa.array([i.domain for i in images], pa.large_string()),
            "label": pa.array([i.label for i in images], pa.int32()),
            "member": pa.array([i.place.member for i in images], pa.large_string()),
            "offset": pa.array([i.place.offset for i in images], pa.int64()),
            "size": pa.array([i.place.size for i in images], pa.int64()),
        }
    )


def summarise_task(
    task: str,
    data: TaskData,
    rows: pd.DataFrame,
    repeats: dict[str, Any],
    *,
    shard_size: int,
    n_shards: int,
) -> dict[str, Any]:
    """Return the content of ``summary.json``: counts, and keys of the labels."""
    source = rows["domain"] == "source"
    per_class = np.bincount(
        rows["label"][source].to_numpy(dtype=np.int64), minlength=len(data.classes)
    )
    empty = image_names(rows[rows["size"] == 0]).tolist()
    unreadable = image_names(rows[rows["sha256"] == UNREADABLE]).tolist()
    within = repeats["within"]
    target_labels = int(rows["label"][~source].notna().sum())
    unlabelled = ["no target image has a label: nothing will be evaluated, predictions are counted"]
    counted = {
        "target images dropped because the source has them": len(repeats["dropped"]),
        "images kept in both domains": 0 if repeats["dropped"] else repeats["across"],
        "source images that repeat another source image": within["source"],
        "target images that repeat another target image": within["target"],
        "source images that appear under two classes": repeats["source_with_two_labels"],
        "empty files, to be rejected at extraction": len(empty),
        "unreadable files, to be rejected at extraction": len(unreadable),
    }
    return {
        "task": task,
        "root": data.root.as_posix(),
        "archives": sorted(data.archives),
        "images": {"source": int(source.sum()), "target": int((~source).sum())},
        "target_labels": target_labels,
        "source_labels_key": _labels_key(rows[source]),
        "target_labels_key": _labels_key(rows[~source]),
        "classes": len(data.classes),
        "source_images": {
            entry.name: int(count) for entry, count in zip(data.classes, per_class, strict=True)
        },
        "duplicates": repeats,
        "empty_files": empty,
        "unreadable_files": unreadable,
        "bytes": int(rows["size"].sum()),
        "shard_size": shard_size,
        "shards": n_shards,
        "credits": data.credits,
        "heif_left_out": data.heif_left_out,
        **({"ready": data.ready} if data.ready else {}),
        "notes": [
            *data.notes,
            *([] if target_labels else unlabelled),
            *(f"{what}: {count}" for what, count in counted.items() if count),
        ],
    }


def _labels_key(rows: pd.DataFrame) -> str:
    """Hash a domain's labels, so that what was made with others has another name."""
    labels = rows["label"].fillna(-1).astype("int32").to_numpy()
    return content_key(hashlib.sha256(labels.tobytes()).hexdigest())
