"""Features that were made elsewhere: matrices with labels, class names and class texts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import DOMAINS, Domain, read_summary
from sreclip.data.matrices.places import files_of
from sreclip.data.matrices.stored import Stored
from sreclip.data.place import Place
from sreclip.data.ready.columns import LISTS, read_classes, read_ids, read_labels
from sreclip.data.ready.rows import UNIT_TOLERANCE, Scan, open_rows, scan_rows
from sreclip.data.ready.texts import (
    read_class_texts,
    read_node_texts,
    refuse_other_models,
    texts_key,
)
from sreclip.data.task import FirstLook, Task, TaskData, TaskImage
from sreclip.errors import DataError
from sreclip.keys import content_key

_FILES = ("source", "target", "source_labels", "target_labels", "text", "nodes", "node_names")
_IDS = ("source_ids", "target_ids")
_SLOW = (".pt", ".pth")  # torch takes seconds to import


class ReadyFeaturesTask(Task):
    """Rows of matrices in place of images; see `sreclip.config.tasks.ReadyFeaturesSettings`.

    A row is the place ``source`` or ``target``, with its id or number as member and its number as
    offset. Rows keep the order of their matrix.
    """

    def prepare(self, settings: Mapping[str, Any], folder: Path) -> TaskData:
        """Check and hash all rows, a part at a time, and read what belongs to them.

        Raises `DataError` if a file cannot be used, or two do not belong together.
        """
        root = _root(settings)
        classes = read_classes(settings)
        rows = {domain: open_rows(settings, domain) for domain in DOMAINS}
        width = _common_width(rows)
        refuse_other_models(settings, list(rows.values()))
        labels = {d: read_labels(settings, d, rows[d].shape[0], classes) for d in DOMAINS}
        ids = {d: read_ids(settings, d, rows[d].shape[0]) for d in DOMAINS}
        texts = read_class_texts(settings, len(classes), width)
        nodes = read_node_texts(settings, width)
        scans = {domain: scan_rows(rows[domain]) for domain in DOMAINS}
        hashes = _joined(scans)
        ready = {
            "width": width,
            "types": {domain: rows[domain].dtype for domain in DOMAINS},
            "texts": texts_key(texts, nodes),
            "has_class_texts": texts is not None,
        }
        entries = [item.entry for item in classes]
        ready["key"] = content_key(
            ready,
            [(e.name, e.prompt_names, e.wnid) for e in entries],
            [_digest(chunk.to_pylist()) for chunk in hashes.chunks],
            [hashlib.sha256(labels[domain].tobytes()).hexdigest() for domain in DOMAINS],
            [_digest(ids[domain] or ()) for domain in DOMAINS],
        )
        return TaskData(
            root,
            RowImages([(d, ids[d], labels[d], _row_bytes(rows[d])) for d in DOMAINS]),
            entries,
            notes=tuple(_notes(rows, scans, texts)),
            hashes=hashes,
            ready=ready,
        )

    def first_look(self, settings: Mapping[str, Any], folder: Path) -> FirstLook:
        """Name all files; the classes are read, and the labels of the source unless by torch."""
        root = _root(settings)
        inputs: list[Path] = []
        for key in (*_FILES, *_IDS):
            if settings[key] is not None:
                inputs += _inputs(root, settings[key])
        inputs += _inputs(root, settings["classes"])
        labels_from, _ = files_of(root, settings["source_labels"])
        if any(path.suffix.lower() in _SLOW for path in (*labels_from, Path(settings["classes"]))):
            return FirstLook(inputs, None)
        classes = read_classes(settings)
        n_rows = open_rows(settings, "source").shape[0]
        labels = read_labels(settings, "source", n_rows, classes)
        counts = np.bincount(labels, minlength=len(classes)).tolist()
        names = [item.entry.name for item in classes]
        return FirstLook(inputs, dict(zip(names, counts, strict=True)))

    def is_as_prepared(self, settings: Mapping[str, Any], folder: Path) -> bool:
        """Tell whether rows, labels, names and texts are those of the prepared task."""
        try:
            return self.prepare(settings, folder).ready == read_summary(folder).get("ready")
        except DataError:  # preparing it again will tell the user
            return False


class RowImages(Sequence[TaskImage]):
    """Rows as images, made when asked for: millions would fill the memory.

    Of each domain there are its ids or None, its labels, and the bytes of a row.
    """

    def __init__(
        self, domains: Sequence[tuple[Domain, list[str] | None, NDArray[np.int32], int]]
    ) -> None:
        self._domains = domains

    def __len__(self) -> int:
        return sum(len(labels) for _, _, labels, _ in self._domains)

    @overload
    def __getitem__(self, index: int) -> TaskImage: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TaskImage]: ...
    def __getitem__(self, index: int | slice) -> TaskImage | Sequence[TaskImage]:
        numbers = range(len(self))[index]
        return self._image(numbers) if isinstance(numbers, int) else list(map(self._image, numbers))

    def __iter__(self) -> Iterator[TaskImage]:
        return map(self._image, range(len(self)))

    def _image(self, number: int) -> TaskImage:
        for domain, ids, labels, size in self._domains:
            if number < len(labels):
                name = ids[number] if ids else str(number)
                label = int(labels[number])
                place = Place(domain, name, number, size)
                return TaskImage(place, domain, label if label >= 0 else None)
            number -= len(labels)
        raise IndexError(number)


def _root(settings: Mapping[str, Any]) -> Path:
    root = Path(settings["root"])
    if not root.is_dir():
        raise DataError(
            f"{root}: there is no such folder", "set task.ready_features.root to that of the files"
        )
    return root


def _inputs(root: Path, place: str) -> list[Path]:
    """Return the files behind a place, and the folder where it stands for several."""
    if Path(place).suffix.lower() in LISTS:
        return [root / place]
    files, _ = files_of(root, place)
    return [*files, *([files[0].parent] if len(files) > 1 else [])]


def _common_width(rows: Mapping[Domain, Stored]) -> int:
    source, target = rows["source"], rows["target"]
    if source.shape[1] != target.shape[1]:
        raise DataError(
            f"{source.place} has rows of {source.shape[1]} numbers, {target.place} of "
            f"{target.shape[1]}",
            "both domains must come from one model",
        )
    return source.shape[1]


def _row_bytes(rows: Stored) -> int:
    return rows.shape[1] * (2 if rows.dtype == "float16" else 4)


def _joined(scans: Mapping[Domain, Scan]) -> Any:
    import pyarrow as pa

    chunks = [chunk for domain in DOMAINS for chunk in scans[domain].sha256.chunks]
    return pa.chunked_array(chunks, pa.large_string())


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _notes(
    rows: Mapping[Domain, Stored], scans: Mapping[Domain, Scan], texts: Any
) -> Iterator[str]:
    for domain in DOMAINS:
        place, n_rows, scan = rows[domain].place, rows[domain].shape[0], scans[domain]
        if scan.n_scaled:
            yield (
                f"{place}: {scan.n_scaled} of {n_rows} rows are not of unit length (by more than "
                f"{UNIT_TOLERANCE:g}) and are scaled"
            )
        if scan.n_zero:
            yield f"{place}: {scan.n_zero} of {n_rows} rows are zero, and count as rejected images"
        if rows[domain].dtype == "float64":
            yield f"{place} is float64: what float32 cannot hold is rounded"
    if texts is not None:
        yield "class texts come from a file: prompts.templates is not used for them"
