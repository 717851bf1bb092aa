"""A planted problem of I2WebV's shape as a prepared task: classes, vectors, images' features."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.data.manifest import ClassEntry
    from sreclip.graph.relation_graph import RelationGraph
    from sreclip.plan.plan import Plan

N_SOURCE, N_TARGET = 1_281_167, 294_099
LOGIT_SCALE = 100.0
DIM = 512
# Norms of what an image is the sum of, beside its class's text vector of norm 1: what the class
# looks like and no text says, the image's own noise, and what all target images are off by.
LOOK, NOISE, SHIFT = 1.5, 3.0, 1.5
# One image in so many could not be read.
REJECTED_ONE_IN = 10_000
ROWS = 4096
REAL_VECTORS = ("lvis_v1_clip_a+cname.npy", "lvis_v1_train_cat_info.json")


@dataclass(frozen=True)
class Shape:
    """How much of everything; ``vectors`` is a folder of real text vectors, empty for none."""

    scale: Fraction
    n_known: int
    n_unknown: int
    vectors: str = ""

    @property
    def n_source(self) -> int:
        """At least two a known class."""
        return max(2 * self.n_known, round(N_SOURCE * self.scale))

    @property
    def n_target(self) -> int:
        """At least one a class."""
        return max(self.n_known + self.n_unknown, round(N_TARGET * self.scale))


def planted_classes(shape: Shape) -> list[ClassEntry]:
    """Classes of I2WebV, the known ones first, and no more than the shape has of either."""
    from sreclip.data.benchmarks.classes import read_benchmark_classes

    table = read_benchmark_classes("i2webv")
    known = [row.entry for row in table if row.known]
    unknown = [row.entry for row in table if not row.known]
    return known[: shape.n_known] + unknown[: shape.n_unknown]


def write_planted_task(plan: Plan, shape: Shape) -> None:
    """Prepare the task: made-up paths and hashes, class sizes as equal as can be."""
    from sreclip.data.manifest import write_task
    from sreclip.data.prepare import summarise_task
    from sreclip.data.shards import cut_shards, write_shards
    from sreclip.data.task import TaskData

    classes = planted_classes(shape)
    data = TaskData(Path(plan.params.task.folder.root), (), classes, notes=("planted",))
    rows = _rows([str(entry.wnid) for entry in classes], shape)
    shards = cut_shards(rows, plan.params.task.shard_size)
    counted = {"across": 0, "dropped": [], "within": {"source": 0, "target": 0}}
    summary = summarise_task(
        "folder",
        data,
        rows,
        counted | {"source_with_two_labels": 0},
        shard_size=plan.params.task.shard_size,
        n_shards=len(shards),
    )
    write_shards(plan.task.path, shards)
    write_task(plan.task.path, rows, classes, summary)


def _rows(wnids: Sequence[str], shape: Shape) -> pd.DataFrame:
    """Sorted by domain and path, as those of a folder."""
    import pandas as pd

    from sreclip.data.manifest import COLUMNS, row_id

    parts = []
    for domain, n, n_classes in (
        ("source", shape.n_source, shape.n_known),
        ("target", shape.n_target, len(wnids)),
    ):
        order = np.argsort(np.array(wnids[:n_classes]), kind="stable")
        sizes = np.full(n_classes, n // n_classes) + (np.arange(n_classes) < n % n_classes)
        labels = np.repeat(order, sizes[order])
        paths = [f"{domain}/{wnids[label]}/{at:07d}.jpg" for at, label in enumerate(labels)]
        parts.append(
            pd.DataFrame(
                {
                    "row_id": [row_id(domain, path) for path in paths],
                    "path": paths,
                    "domain": domain,
                    "label": labels,
                    "size": 1,
                    "sha256": [hashlib.sha256(path.encode()).hexdigest() for path in paths],
                    "member": None,
                    "offset": None,
                }
            )
        )
    rows = pd.concat(parts, ignore_index=True)
    return rows.astype({name: COLUMNS[name] for name in rows})


def node_vectors(graph: RelationGraph, vectors: str) -> NDArray[np.float32]:
    """Unit vectors of all nodes, in which near nodes are near, ``(n_nodes, 512)``.

    A node is the mean of its parents plus a random vector, normalised. Where ``vectors`` names the
    folder of real CLIP vectors of LVIS names, a class with such a name has the real vector, and the
    others are moved to where those lie: around their mean, as far from it as they are.
    """
    from graphlib import TopologicalSorter

    rng = np.random.default_rng(1)
    parents: dict[int, list[int]] = {node: [] for node in range(graph.n_nodes)}
    for child, parent in graph.edges.tolist():
        parents[child].append(parent)
    planted = unit(rng.standard_normal((graph.n_nodes, DIM), dtype=np.float32))
    for node in TopologicalSorter(parents).static_order():
        if parents[node]:
            planted[node] = unit(planted[node] + planted[parents[node]].mean(axis=0))
    if not vectors:
        return planted
    table, info = (Path(vectors) / name for name in REAL_VECTORS)
    real = unit(np.load(table, allow_pickle=False).astype(np.float32))
    place = {
        name.replace("_", " "): number
        for number, entry in enumerate(json.loads(info.read_text(encoding="utf-8")))
        for name in (entry["name"], *entry["synonyms"])
    }
    centre = real.mean(axis=0)
    spread = float(np.linalg.norm(real - centre, axis=1).mean())
    moved = unit(centre + spread * planted)
    for node in graph.class_nodes.tolist():
        # Each once: no two classes are to have the same vector.
        number = place.pop(graph.names[node], None)
        if number is not None:
            moved[node] = real[number]
            place = {name: other for name, other in place.items() if other != number}
    return moved


def write_planted_texts(plan: Plan, vectors: str) -> None:
    """Write the text vectors of classes and nodes."""
    from sreclip.features.planned import texts_of
    from sreclip.features.text import TextVectors, write_text
    from sreclip.graph.relation_graph import RelationGraph

    graph = RelationGraph.load(plan.graph["graph.json"])
    nodes, templates = node_vectors(graph, vectors), plan.params.prompts.templates
    for kind, features in (("classes", nodes[graph.class_nodes]), ("nodes", nodes)):
        names, prompts = texts_of(plan, kind, graph)
        write_text(
            plan.text(kind).path,
            provenance(plan, "float32"),
            TextVectors(np.repeat(features[:, None], len(templates), axis=1), features),
            names=names,
            prompt_names=prompts.names,
            templates=templates,
        )


def provenance(plan: Plan, dtype: str) -> Any:
    """What the files say of the vectors: planted, under the name of the plan's backbone."""
    from sreclip.features.header import Provenance

    return Provenance(
        backbone=plan.params.backbone.label,
        weights_sha256=hashlib.sha256(b"planted").hexdigest(),
        network="planted",
        preprocessing="planted",
        precision="float32",
        dtype=dtype,
        logit_scale=LOGIT_SCALE,
        dim=DIM,
    )


def write_planted_images(plan: Plan) -> None:
    """Write the feature file of every shard."""
    from sreclip.data.manifest import read_manifest_part
    from sreclip.features.images import Reject, write_images
    from sreclip.features.text import read_text

    centres = image_centres(read_text(plan.text("classes").path).features)
    labels = planted_labels(plan)
    about = provenance(plan, "float16")
    for shard in plan.shards:
        rows = read_manifest_part(plan.task.path, shard.start, shard.stop)
        out = plan.shard_features(shard.key).path
        row_ids = rows["row_id"].to_numpy()
        features = np.empty((len(shard), DIM), dtype=about.dtype)
        rng = np.random.default_rng(int(shard.key, 16))
        for start in range(0, len(shard), ROWS):
            part = slice(start, min(start + ROWS, len(shard)))
            own = labels[shard.start + part.start : shard.start + part.stop]
            features[part] = noisy(centres[shard.domain][own], rng)
        bad = np.flatnonzero(row_ids % REJECTED_ONE_IN == 0)
        features[bad] = 0
        rejects = [Reject(int(row_ids[at]), rows["path"].iloc[at], "planted") for at in bad]
        write_images(
            out, about, row_ids, features, rejects, rows_key=shard.key, domain=shard.domain
        )


def image_centres(texts: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """What images of each class have in common, by domain: ``(n_classes, 512)``."""
    rng = np.random.default_rng(2)
    looks = unit(rng.standard_normal(texts.shape, dtype=np.float32))
    shift = unit(rng.standard_normal((1, DIM), dtype=np.float32))
    return {"source": texts + LOOK * looks, "target": texts + LOOK * looks + SHIFT * shift}


def noisy(centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Unit features of an image at each of these centres."""
    noise = rng.standard_normal(centres.shape, dtype=np.float32)
    return unit(centres + noise * (NOISE / DIM**0.5))


def planted_labels(plan: Plan) -> NDArray[np.int64]:
    """Class number of every manifest row, from the folder in its path."""
    from sreclip.data.manifest import read_manifest

    number = {entry.wnid: label for label, entry in enumerate(plan.classes)}
    folders = read_manifest(plan.task.path, ["path"])["path"].str.split("/").str[1]
    return folders.map(number).to_numpy(dtype=np.int64)


def target_shards(plan: Plan) -> Iterator[tuple[NDArray[np.float16], NDArray[np.bool_]]]:
    """Features and ok of the target's shards, read without sreclip's readers."""
    import h5py

    for shard in plan.domain_shards("target"):
        with h5py.File(plan.shard_features(shard.key).path) as file:
            yield file["features"][:], file["ok"][:].astype(bool)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of norm 1 along the last axis."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
