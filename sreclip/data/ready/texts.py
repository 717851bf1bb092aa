"""Text vectors that other programs made, of classes and of graph nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.matrices.places import open_stored
from sreclip.data.matrices.stored import Stored, as_floats
from sreclip.data.ready.rows import lengths, to_unit
from sreclip.errors import DataError


def read_class_texts(
    settings: Mapping[str, Any], n_classes: int, width: int
) -> NDArray[np.float32] | None:
    """Read the unit text vectors of the classes, ``(n_classes, n_templates, width)``.

    The file has one row per class; or one per class and template, in three dimensions; or a column
    per class, as CLIP_benchmark saves its classifiers. None where no file is named. Raises
    `DataError` if it does not fit the classes or the features.
    """
    if settings["text"] is None:
        return None
    return _read(settings, "text", n_classes, "classes", width)


def read_node_texts(settings: Mapping[str, Any], width: int) -> dict[str, NDArray[np.float32]]:
    """Read unit text vectors of graph nodes by name; empty where no file is named."""
    if settings["nodes"] is None:
        return {}
    column = open_stored(Path(settings["root"]), settings["node_names"], "column")
    names = [str(name) for name in column.part(0, column.shape[0]).tolist()]
    vectors = _read(settings, "nodes", len(names), "node names", width)
    if vectors.shape[1] > 1:
        raise DataError(f"{settings['nodes']}: one vector per node is needed", "average them")
    return dict(zip(names, vectors[:, 0], strict=True))


def refuse_other_models(settings: Mapping[str, Any], rows: Sequence[Stored]) -> None:
    """Raise `DataError` if files that name their model name several."""
    places = [settings[key] for key in ("text", "nodes") if settings[key] is not None]
    texts = [open_stored(Path(settings["root"]), place, "matrix") for place in places]
    named = [each for each in (*rows, *texts) if each.made_by is not None]
    for other in named[1:]:
        if other.made_by != named[0].made_by:
            raise DataError(
                f"{named[0].place} was made by {named[0].made_by}, {other.place} by "
                f"{other.made_by}",
                "images and texts must come from one model",
            )


def texts_key(
    classes: NDArray[np.float32] | None, nodes: Mapping[str, NDArray[np.float32]]
) -> str | None:
    """Hash all text vectors, None if there is none; what was made with others has another key."""
    if classes is None and not nodes:
        return None
    digest = hashlib.sha256(repr([classes is not None, list(nodes)]).encode())
    for vectors in (*([] if classes is None else [classes]), *nodes.values()):
        digest.update(repr(vectors.shape).encode() + np.ascontiguousarray(vectors).tobytes())
    return digest.hexdigest()


def _read(
    settings: Mapping[str, Any], key: str, count: int, what: str, width: int
) -> NDArray[np.float32]:
    stored = open_stored(Path(settings["root"]), settings[key], "matrix")
    values = as_floats(stored.part(0, stored.shape[0]))
    if values.shape == (width, count) != (count, width):
        values = np.ascontiguousarray(values.T)
    if values.shape[-1] != width:
        raise DataError(
            f"{stored.place} has vectors of {values.shape[-1]} numbers, the features have {width}",
            "texts and images must come from one model",
        )
    if len(values) != count:
        raise DataError(
            f"{stored.place} has {len(values)} text vectors for {count} {what}",
            "one row per name, in the order of the names",
        )
    flat = values.reshape(-1, width)
    norms = lengths(flat)
    if not (np.isfinite(norms) & (norms > 0)).all():
        row = int(np.argmin(np.isfinite(norms) & (norms > 0))) // (len(flat) // count)
        raise DataError(
            f"{stored.place}: the text vector of row {row} is not finite or zero",
            "make it again with the model's text encoder",
        )
    unit, _ = to_unit(flat)
    return unit.astype(np.float32).reshape(count, -1, width)
