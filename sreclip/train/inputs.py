"""What fits read: cached features, texts and graph, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import read_manifest
from sreclip.errors import ConfigError, StoreError
from sreclip.graph.build import read_graph, read_similarity
from sreclip.plan.plan import TEXT_KINDS, Plan

if TYPE_CHECKING:
    import torch

    from sreclip.features.store import ImageFeatures
    from sreclip.graph.relation_graph import RelationGraph
    from sreclip.methods.base import ClassGraph, ClassText


# Rows that are read together.
CHUNK = 1 << 15


@dataclass(frozen=True)
class FitInputs:
    """What a fit sees, and what its scores are about; no target label is in it.

    Features are as they are stored, in float16 by default: half the memory of float32, and what
    methods make of them is the same (`sreclip.methods.logits.widened`).
    """

    source_features: torch.Tensor
    source_labels: torch.Tensor
    target_features: torch.Tensor
    target_row_id: NDArray[np.int64]
    target_ok: NDArray[np.bool_]
    text: ClassText
    graph: ClassGraph
    backbone: dict[str, Any]


def load_inputs(plan: Plan) -> FitInputs:
    """Read features, texts and graph, on the device that ``train.device`` names.

    Source rows of unknown classes and rejected pictures are left out.

    Raises
    ------
    StoreError
        A file is missing, damaged, or was made with another backbone than the rest.
    """
    import torch

    from sreclip.features.expected import expected_joined, expected_text
    from sreclip.features.store import open_images, read_text
    from sreclip.methods.base import ClassText

    device = checked_device(plan.params.train.device)
    with open_images(plan.joined_features("source"), expected_joined(plan, "source")) as source:
        row_label = _source_labels(plan, source.row_id)
        keep = source.ok & plan.known[row_label]
        source_features = _kept_rows(source, keep)
        header = source.header
    with open_images(plan.joined_features("target"), expected_joined(plan, "target")) as target:
        target_ok, target_row_id = target.ok, target.row_id
        target_features = _kept_rows(target, target_ok)
        _same_backbone(header, target.header, plan.joined_features("target"))
    graph = read_graph(plan)
    texts = {
        kind: read_text(plan.text(kind).path, expected_text(plan, kind, graph))
        for kind in TEXT_KINDS
    }
    for vectors in texts.values():
        _same_backbone(header, vectors.header, vectors.path)
    text = ClassText(
        features=torch.from_numpy(texts["classes"].features),
        logit_scale=header.logit_scale,
        known=torch.from_numpy(plan.known),
    )
    return FitInputs(
        source_features=torch.from_numpy(source_features).to(device),
        source_labels=torch.from_numpy(row_label[keep]).to(device),
        target_features=torch.from_numpy(target_features).to(device),
        target_row_id=target_row_id,
        target_ok=target_ok,
        text=text.to(device),
        graph=_class_graph(plan, graph, **{k: t.features for k, t in texts.items()}).to(device),
        backbone={"label": header.backbone, "weights_sha256": header.weights_sha256},
    )


def _source_labels(plan: Plan, row_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Class numbers of source rows, ``(n_rows,)``.

    By sorting both sides: an index of pandas leaves 200 MB behind for a million rows, and a search
    for ids in any order waits for memory.
    """
    rows = read_manifest(plan.task.path, ["row_id", "label"])
    numbers = rows["row_id"].to_numpy()
    labels = rows["label"].to_numpy(dtype=np.int64, na_value=-1)
    order, wanted = np.argsort(numbers), np.argsort(row_id)
    places = np.empty(len(row_id), dtype=np.int64)
    found = np.searchsorted(numbers[order], row_id[wanted])
    places[wanted] = order[found.clip(max=len(numbers) - 1)]
    absent = (numbers[places] != row_id) | (labels[places] < 0)
    if absent.any():
        raise StoreError(
            f"{plan.joined_features('source')}: the row with row_id {row_id[absent][0]} is no "
            "source picture of the manifest",
            "delete it and run: snakemake --cores all extract_features",
        )
    return labels[places]


def _kept_rows(images: ImageFeatures, keep: NDArray[np.bool_]) -> NDArray[Any]:
    """Stored rows where ``keep``, without a copy of the others: ``(keep.sum(), dim)``."""
    rows = images.features
    kept = np.empty((int(keep.sum()), rows.shape[1]), dtype=rows.dtype)
    done = 0
    for start in range(0, len(rows), CHUNK):
        chosen = np.flatnonzero(keep[start : start + CHUNK])
        part = kept[done : done + len(chosen)]
        # With another mode, or by a mask, numpy is several times slower.
        np.take(rows[start : start + CHUNK], chosen, axis=0, out=part, mode="clip")
        done += len(chosen)
    return kept


def checked_device(name: str) -> str:
    """Give ``name`` back when torch has that device.

    Raises
    ------
    ConfigError
        It has not.
    """
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used: {reason}", "use 'cpu'") from error
    return name


def _same_backbone(first: Any, other: Any, path: Path) -> None:
    if other.weights_sha256 != first.weights_sha256:
        raise StoreError(
            f"{path} was made with weights {other.weights_sha256[:12]}, "
            f"the source features with {first.weights_sha256[:12]}",
            "the checkpoint changed: delete the older feature files and run again",
        )


def _class_graph(
    plan: Plan,
    graph: RelationGraph,
    classes: NDArray[np.float32],
    nodes: NDArray[np.float32],
) -> ClassGraph:
    import torch

    from sreclip.graph.adjacency import normalized_adjacency
    from sreclip.graph.relation import relation_matrix, text_similarity
    from sreclip.methods.base import ClassGraph

    similarity, text_weight = read_similarity(plan), plan.params.graph.text_weight
    by_text = text_similarity(classes) if text_weight or np.isnan(similarity).any() else None
    relation = relation_matrix(similarity, by_text, text_weight)
    adjacency = normalized_adjacency(graph.n_nodes, graph.edges).tocoo()
    sparse = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64)),
        torch.from_numpy(adjacency.data.astype(np.float32)),
        adjacency.shape,
        check_invariants=False,
    )
    return ClassGraph(
        node_features=torch.from_numpy(nodes),
        adjacency=sparse.coalesce(),
        edges=torch.from_numpy(np.asarray(graph.edges, dtype=np.int64).reshape(-1, 2)),
        class_nodes=torch.from_numpy(np.asarray(graph.class_nodes, dtype=np.int64)),
        relation=torch.from_numpy(relation),
    )
