"""Feature files from features that were made elsewhere."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.precomputed import ELSEWHERE
from sreclip.data.matrices.stored import Stored
from sreclip.data.place import image_names
from sreclip.data.ready.rows import open_rows, read_rows, to_unit
from sreclip.data.ready.texts import read_class_texts, read_node_texts, texts_key
from sreclip.errors import ConfigError, DataError
from sreclip.features.header import Provenance
from sreclip.features.images import Reject, write_images
from sreclip.features.text import TextVectors
from sreclip.graph.relation_graph import RelationGraph

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.plan.plan import Plan

log = logging.getLogger(__name__)

# Between what is written in a file and in the parameters, relative.
SCALE_TOLERANCE = 1e-4
ZERO = "the row is zero: there are no features"


def write_shard(plan: Plan, rows: pd.DataFrame, out: Path, rows_key: str) -> None:
    """Write the shard of some manifest rows, of one domain and in the order of its matrix.

    Rows are of unit length afterwards. Raises `DataError` if they are not those of the manifest,
    `ConfigError` if their file says another logit scale than the backbone.
    """
    domain = rows["domain"].iloc[0]
    stored = open_rows(plan.params.task.settings, domain)
    _refuse_other_scale(plan, stored)
    at = rows["offset"].to_numpy(dtype=np.int64)
    values = read_rows(stored, at, rows["sha256"].fillna("").tolist())
    unit, scaled = to_unit(values)
    row_id = rows["row_id"].to_numpy(dtype=np.int64)
    names = image_names(rows)
    rejects = [
        Reject(int(row_id[row]), names.iloc[row], ZERO)
        for row in np.flatnonzero(~values.any(axis=1)).tolist()
    ]
    dtype = plan.params.features.dtype
    notes = Counter({"scaled to unit length": int(scaled.sum())})
    if stored.dtype == "float64" or values.dtype.itemsize > np.dtype(dtype).itemsize:
        notes[f"{stored.dtype} made elsewhere, stored as {dtype}"] = len(rows)
    notes = +notes
    # Of what was hashed, not of the file: shards that are kept belong to those of a new file.
    provenance = _provenance(plan, values.dtype.name, dtype, values.shape[1])
    write_images(
        out,
        provenance,
        row_id,
        unit.astype(dtype),
        rejects,
        rows_key=rows_key,
        domain=domain,
        notes=notes,
    )
    if rejects:
        log.warning("rejected: %d of %d %s rows: %s", len(rejects), len(rows), domain, ZERO)
    for note, count in notes.items():
        log.info("%d of %d %s rows: %s", count, len(rows), domain, note)


def text_provenance(plan: Plan) -> Provenance:
    """Describe text vectors that come from a file."""
    return _provenance(plan, "float32", "float32", plan.ready["width"])


def class_vectors(plan: Plan) -> TextVectors:
    """Read the text vectors of the classes from their file, which must not have changed."""
    templates = _texts(plan)[0]
    assert templates is not None  # asked only where there is a file
    if templates.shape[1] == 1:
        return TextVectors(templates, templates[:, 0])
    mean, _ = to_unit(templates.mean(axis=1))
    return TextVectors(templates, mean.astype(np.float32))


def node_vectors(plan: Plan, graph: RelationGraph, encoded: TextVectors | None) -> TextVectors:
    """Return the text vectors of all nodes.

    A node has the vector of its name in the file, else that of the text encoder, ``encoded``, else,
    without one, the unit mean of the classes below it; a class node has that of its class.
    """
    own = _texts(plan)[1]
    if encoded is None:
        rows = below_means(graph, class_vectors(plan).features, set(own))
        encoded = TextVectors(rows[:, None].copy(), rows)
    for node, name in enumerate(graph.names):
        if name in own:
            encoded.features[node] = own[name]
            encoded.templates[node] = own[name]
    return encoded


def below_means(
    graph: RelationGraph, classes: NDArray[np.float32], named: set[str]
) -> NDArray[np.float32]:
    """Return the unit mean of the class vectors below each node, ``(n_nodes, dim)``.

    Raises `ConfigError` for a node without a class below it, unless it is in ``named``.
    """
    parents: dict[int, list[int]] = {}
    for child, parent in graph.edges.tolist():
        parents.setdefault(child, []).append(parent)
    sums = np.zeros((graph.n_nodes, classes.shape[1]))
    for node, vector in zip(graph.class_nodes.tolist(), classes.astype(np.float64), strict=True):
        for above in _ancestors(node, parents):
            sums[above] += vector
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    for node in np.flatnonzero(lengths[:, 0] < 1e-6).tolist():
        if graph.names[node] not in named:
            raise ConfigError(
                f"the graph node {graph.names[node]!r} has no class below it, and no text vector",
                "set backbone.precomputed.text_encoder, or graph.include_imagenet: false",
            )
    unit = (sums / np.maximum(lengths, 1e-6)).astype(np.float32)
    unit[graph.class_nodes] = classes
    return unit


def refuse_other_width(plan: Plan, dim: int) -> None:
    """Raise `ConfigError` if the text encoder is of another width than the features."""
    if dim != plan.ready["width"]:
        raise ConfigError(
            f"backbone.precomputed.text_encoder makes vectors of {dim} numbers, the features have "
            f"{plan.ready['width']}",
            "name the model that made the features",
        )


def _refuse_other_scale(plan: Plan, stored: Stored) -> None:
    backbone: Any = plan.params.backbone.chosen
    said = stored.logit_scale
    if said is not None and abs(float(said) / backbone.logit_scale - 1) > SCALE_TOLERANCE:
        raise ConfigError(
            f"{stored.place} says logit scale {said}, backbone.precomputed.logit_scale is "
            f"{backbone.logit_scale:g}",
            f"set backbone.precomputed.logit_scale: {said}",
        )


def _ancestors(node: int, parents: Mapping[int, Sequence[int]]) -> set[int]:
    found, waiting = {node}, [node]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


def _texts(plan: Plan) -> tuple[NDArray[np.float32] | None, dict[str, NDArray[np.float32]]]:
    settings, width = plan.params.task.settings, plan.ready["width"]
    classes = read_class_texts(settings, len(plan.classes), width)
    nodes = read_node_texts(settings, width)
    if texts_key(classes, nodes) != plan.ready["texts"]:
        raise DataError(
            f"the text vectors below {settings['root']} are not those that the task was prepared "
            "with",
            "prepare it again: sreclip prepare-data",
        )
    return classes, nodes


def _provenance(plan: Plan, precision: str, dtype: Any, dim: int) -> Provenance:
    backbone: Any = plan.params.backbone.chosen
    return Provenance(
        backbone=plan.params.backbone.label,
        weights_sha256=ELSEWHERE,
        network=ELSEWHERE,
        preprocessing=ELSEWHERE,
        precision=precision,
        dtype=dtype,
        logit_scale=float(backbone.logit_scale),
        dim=dim,
    )
