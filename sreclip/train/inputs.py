"""What fits read: cached features, texts and graph, as tensors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sreclip.data.manifest import Domain
from sreclip.errors import ConfigError, DataError, StoreError
from sreclip.features.images import ImageFeatures
from sreclip.features.planned import open_domain, read_names, source_labels
from sreclip.features.rows import FeatureRows
from sreclip.features.text import TextFeatures
from sreclip.graph.adjacency import normalized_adjacency
from sreclip.graph.relation import relation_matrix, text_similarity
from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.similarity import read_similarity
from sreclip.methods.data import ClassGraph, ClassText, sparse_tensor
from sreclip.plan.plan import TEXT_KINDS, Plan
from sreclip.train.fits import FitInputs

CHUNK = 1 << 15
SHOWN_REJECTS = 10

log = logging.getLogger("sreclip")


@dataclass(frozen=True)
class StoredInputs:
    """What all fits on one task's features read, whatever their split; see `read_stored`."""

    source: ImageFeatures
    source_labels: NDArray[np.int64]  # of all rows of ``source``
    target_features: torch.Tensor
    target_row_id: NDArray[np.int64]
    target_ok: NDArray[np.bool_]
    class_text: torch.Tensor
    graph: ClassGraph

    def of_split(self, known: NDArray[np.bool_]) -> FitInputs:
        """Return what a fit sees of a split: no source row of an unknown class."""
        header, device = self.source.header, self.target_features.device
        keep = self.source.ok & known[self.source_labels]
        features = torch.from_numpy(kept_rows(self.source.features, keep))
        text = ClassText(self.class_text, header.logit_scale, torch.from_numpy(known))
        return FitInputs(
            source_features=features.to(device),
            source_labels=torch.from_numpy(self.source_labels[keep]).to(device),
            target_features=self.target_features,
            target_row_id=self.target_row_id,
            target_ok=self.target_ok,
            text=text.to(str(device)),
            graph=self.graph,
            backbone={"label": header.backbone, "weights_sha256": header.weights_sha256},
        )


def load_inputs(plan: Plan) -> FitInputs:
    """Read what the fits of a plan see; raises as `read_stored`."""
    return read_stored(plan).of_split(plan.known)


def read_stored(plan: Plan) -> StoredInputs:
    """Read features, texts and graph, on the device that ``train.device`` names.

    Source features stay in their files until a split says which rows it needs; rejected images are
    left out. Raises `StoreError` where files are of different backbones.
    """
    device = checked_device(plan.params.train.device)
    source, target = (open_checked(plan, domain) for domain in ("source", "target"))
    header = source.header
    row_label = source_labels(plan, source)
    graph = RelationGraph.load(plan.graph["graph.json"])
    texts = {kind: read_names(plan, kind, graph) for kind in TEXT_KINDS}
    others = {plan.images("target")[0].path: target.header}
    others |= {vectors.path: vectors.header for vectors in texts.values()}
    for path, other in others.items():
        if other.weights_sha256 != header.weights_sha256:
            raise StoreError(
                f"{path} was made with weights {other.weights_sha256[:12]}, "
                f"the source features with {header.weights_sha256[:12]}",
                "the checkpoint changed: delete the older feature files and run again",
            )
    return StoredInputs(
        source=source,
        source_labels=row_label,
        target_features=torch.from_numpy(kept_rows(target.features, target.ok)).to(device),
        target_row_id=target.row_id,
        target_ok=target.ok,
        class_text=torch.from_numpy(texts["classes"].features),
        graph=_class_graph(plan, graph, texts).to(device),
    )


def open_checked(plan: Plan, domain: Domain) -> ImageFeatures:
    """Open the features of a domain, and print its rejected images, or refuse them if too many."""
    images = open_domain(plan, domain)
    rejects, limit = images.rejects, plan.params.features.max_rejects
    if not rejects:
        return images
    lines = [f"  {reject.path}: {reject.reason}" for reject in rejects[:SHOWN_REJECTS]]
    if len(rejects) > SHOWN_REJECTS:
        lines.append(f"  and {len(rejects) - SHOWN_REJECTS} more (sreclip inspect names shards)")
    count = f"{len(rejects)} of the {len(images)} {domain} images cannot be used"
    listed = "\n".join(lines)
    if len(rejects) > limit * len(images):
        raise DataError(
            f"{count}, more than features.max_rejects = {limit:g} allows:\n{listed}",
            "fix or remove them, or raise features.max_rejects in params.yaml",
        )
    log.warning("%s:\n%s", count, listed)
    return images


def kept_rows(rows: FeatureRows, keep: NDArray[np.bool_]) -> NDArray[Any]:
    """Stored rows where ``keep``, without a copy of the others: ``(keep.sum(), dim)``."""
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
    """Return ``name`` if torch has that device, else raise `ConfigError`."""
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"device {name!r} cannot be used: {reason}", "use 'cpu'") from error
    return name


def _class_graph(plan: Plan, graph: RelationGraph, texts: Mapping[str, TextFeatures]) -> ClassGraph:
    classes, nodes = texts["classes"].features, texts["nodes"].features
    similarity, text_weight = read_similarity(plan.graph), plan.params.graph.text_weight
    by_text = text_similarity(classes) if text_weight or np.isnan(similarity).any() else None
    relation = relation_matrix(similarity, by_text, text_weight)
    return ClassGraph(
        node_features=torch.from_numpy(nodes),
        adjacency=sparse_tensor(normalized_adjacency(graph.n_nodes, graph.edges)),
        edges=torch.from_numpy(np.asarray(graph.edges, dtype=np.int64).reshape(-1, 2)),
        class_nodes=torch.from_numpy(np.asarray(graph.class_nodes, dtype=np.int64)),
        relation=torch.from_numpy(relation),
    )
