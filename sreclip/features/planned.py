"""The feature files of a plan: making them, and reading them as what they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sreclip.backbones.base import Backbone
from sreclip.data.manifest import MADE_BY, MANIFEST_FILE, Domain, read_manifest, read_manifest_part
from sreclip.data.shards import shard_key
from sreclip.errors import StoreError
from sreclip.features import EXTRACTION_VERSION
from sreclip.features.header import Provenance
from sreclip.features.images import ImageFeatures, open_images
from sreclip.features.ready import (
    class_vectors,
    node_vectors,
    refuse_other_width,
    text_provenance,
    write_shard,
)
from sreclip.features.text import (
    TextFeatures,
    TextVectors,
    encode_texts,
    read_text,
    text_rows_key,
    write_text,
)
from sreclip.graph.relation_graph import RelationGraph
from sreclip.plan.plan import Plan
from sreclip.plan.prompts import BACKGROUND, Prompts, other_prompts
from sreclip.plan.results import outputs_of


def extract_shard(
    plan: Plan, rows_key: str, *, threads: int | None = None, progress: bool = True
) -> None:
    """Encode the images of one shard, on ``threads`` cores or on all."""
    shard = plan.shard(rows_key)
    rows = read_manifest_part(plan.task.path, shard.start, shard.stop)
    if shard_key(rows) != rows_key:
        raise StoreError(
            f"rows {shard.start} to {shard.stop} of {plan.task.path / MANIFEST_FILE} are not those "
            f"of shard {rows_key}",
            f"delete the manifest and run: {MADE_BY}",
        )
    if plan.ready:
        write_shard(plan, rows, plan.shard_features(rows_key).path, rows_key)
        return
    from sreclip.features.extract import extract_images

    extract_images(
        rows,
        Path(plan.summary["root"]),
        _backbone(plan),
        plan.shard_features(rows_key).path,
        plan.params.features,
        rows_key=rows_key,
        outside_links=plan.outside_links,
        threads=threads,
        progress=progress,
    )


def _backbone(plan: Plan) -> Backbone:
    return plan.params.backbone.load(plan.params.features.device)


def extract_names(plan: Plan, kind: str) -> None:
    """Encode the texts of ``classes``, ``nodes`` or ``background``; see `texts_of`.

    Of ready features take the vectors of their files as far as there are any.
    """
    graph = RelationGraph.load(plan.graph["graph.json"]) if kind == "nodes" else None
    names, prompts = texts_of(plan, kind, graph)
    vectors: TextVectors | None = None
    if prompts.templates or prompts.sentences:
        backbone = _backbone(plan)
        if plan.ready:
            refuse_other_width(plan, backbone.dim)
        vectors = encode_texts(names, prompts.names, prompts.templates, backbone, prompts.sentences)
        provenance = Provenance.of(backbone, "float32")
    else:
        provenance = text_provenance(plan)
    if plan.ready and graph is not None:
        vectors = node_vectors(plan, graph, vectors)
    write_text(
        plan.text(kind).path,
        provenance,
        vectors or class_vectors(plan),
        names=names,
        prompt_names=prompts.names,
        templates=prompts.templates,
        sentences=prompts.sentences,
    )


def open_domain(plan: Plan, domain: Domain) -> ImageFeatures:
    """Open the image features of a domain, which must be those that the plan asks for."""
    expected = _made_with(plan) | {"domain": domain, "dtype": plan.params.features.dtype}
    rows_keys = [shard.key for shard in plan.domain_shards(domain)]
    return open_images(outputs_of(plan.images(domain)), expected, rows_keys)


def source_labels(plan: Plan, source: ImageFeatures) -> NDArray[np.int64]:
    """Class numbers of the source rows, ``(n_rows,)``: the manifest has the rows in their order."""
    shards = plan.domain_shards("source")
    rows = read_manifest(plan.task.path, ["row_id", "label"])[shards[0].start : shards[-1].stop]
    if not np.array_equal(rows["row_id"], source.row_id):
        raise StoreError(
            f"{plan.task.path}: the source rows of the manifest are not those of the features",
            "run: snakemake --cores all extract_features",
        )
    return rows["label"].to_numpy(dtype=np.int64)


def read_names(plan: Plan, kind: str, graph: RelationGraph | None = None) -> TextFeatures:
    """Read the text features of a kind; ``graph`` as in `texts_of`."""
    names, prompts = texts_of(plan, kind, graph)
    rows_key = text_rows_key(names, *prompts)
    return read_text(plan.text(kind).path, _made_with(plan) | {"rows_key": rows_key})


def texts_of(
    plan: Plan, kind: str, graph: RelationGraph | None = None
) -> tuple[list[str], Prompts]:
    """Return the names of ``classes``, ``nodes`` or ``background``, and what is encoded of each.

    For ``nodes`` the plan's graph is read unless it is given.
    """
    if kind == "classes":
        return [entry.name for entry in plan.classes], plan.class_prompts
    if kind == BACKGROUND:
        return plan.params.prompts.background, other_prompts(plan.params, kind)
    names = list((graph or RelationGraph.load(plan.graph["graph.json"])).names)
    return names, other_prompts(plan.params, kind, names)


def _made_with(plan: Plan) -> dict[str, Any]:
    return {"backbone": plan.params.backbone.label, "extraction_version": EXTRACTION_VERSION}
