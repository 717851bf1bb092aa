"""Fit one method on cached features, once a seed, and write its scores and weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.data.manifest import read_manifest
from sreclip.errors import ConfigError, FitError, StoreError
from sreclip.files import atomic_path, write_json
from sreclip.graph.build import read_graph, read_similarity
from sreclip.methods import METHODS
from sreclip.plan import TEXT_KINDS, Plan
from sreclip.registry import load_registered
from sreclip.scores import Scores, write_scores

if TYPE_CHECKING:
    import torch

    from sreclip.methods.base import ClassGraph, ClassText, Method


@dataclass(frozen=True)
class FitInputs:
    """What a fit sees, and what its scores are about; no target label is in it."""

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

    from sreclip.features.store import open_images, read_text
    from sreclip.methods.base import ClassText

    device = checked_device(plan.params.train.device)
    labels = read_manifest(plan.task_dir).set_index("row_id")["label"]
    with open_images(plan.joined_features("source")) as source:
        row_label = labels.reindex(source.row_id).to_numpy(dtype=np.int64)
        keep = source.ok & plan.known[row_label]
        source_features = source.features[:].astype(np.float32)[keep]
        header = source.header
    with open_images(plan.joined_features("target")) as target:
        target_ok, target_row_id = target.ok, target.row_id
        target_features = target.features[:].astype(np.float32)[target_ok]
        _same_backbone(header, target.header, plan.joined_features("target"))
    texts = {kind: read_text(plan.text_features(kind)) for kind in TEXT_KINDS}
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
        graph=_class_graph(plan, texts["classes"].features, texts["nodes"].features).to(device),
        backbone={"label": header.backbone, "weights_sha256": header.weights_sha256},
    )


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
    plan: Plan, class_text: NDArray[np.float32], node_text: NDArray[np.float32]
) -> ClassGraph:
    import torch

    from sreclip.graph.adjacency import normalized_adjacency
    from sreclip.graph.relation import relation_matrix, text_similarity
    from sreclip.methods.base import ClassGraph

    graph = read_graph(plan)
    relation = relation_matrix(
        read_similarity(plan), text_similarity(class_text), plan.params.graph.text_weight
    )
    adjacency = normalized_adjacency(graph.n_nodes, graph.edges).tocoo()
    sparse = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack([adjacency.row, adjacency.col]).astype(np.int64)),
        torch.from_numpy(adjacency.data.astype(np.float32)),
        adjacency.shape,
        check_invariants=False,
    )
    return ClassGraph(
        node_features=torch.from_numpy(node_text),
        adjacency=sparse.coalesce(),
        class_nodes=torch.from_numpy(np.asarray(graph.class_nodes, dtype=np.int64)),
        relation=torch.from_numpy(relation),
    )


def fit_method(plan: Plan, name: str, *, progress: bool = True) -> Path:
    """Fit a method with every seed and write ``scores.h5``, ``model.safetensors``, ``fit.json``.

    Returns
    -------
    Path
        The folder of the three files.

    Raises
    ------
    FitError
        A fit cannot start or its loss stopped being finite; nothing is written then.
    """
    from safetensors.torch import save_file

    inputs = load_inputs(plan)
    seeds = plan.params.train.seeds
    n_classes = len(plan.classes)
    logits = np.zeros((len(seeds), len(inputs.target_ok), n_classes), dtype=np.float32)
    tensors: dict[str, torch.Tensor] = {}
    history: list[dict[str, float]] = []
    for index, seed in enumerate(seeds):
        method = _fit_seed(plan, name, seed, inputs, progress)
        logits[index, inputs.target_ok] = method.logits(inputs.target_features).cpu().numpy()
        for key, value in method.state().items():
            tensors[f"seed-{seed}.{key}"] = value.detach().cpu().contiguous().clone()
        history += [{"seed": seed, **record} for record in method.history_]
    folder = plan.model_dir(name)
    settings = getattr(plan.params.methods, name).model_dump()
    key = plan.model_key(name)
    # One entry: safetensors writes several in a random order.
    metadata = {"sreclip": json.dumps({"method": name, "key": key, "settings": settings})}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary, metadata=metadata)
    cls = load_registered("method", name, METHODS)
    write_json(
        folder / "fit.json",
        {
            "method": name,
            "title": cls.title,
            "citation": cls.citation,
            "transductive": cls.transductive,
            "key": key,
            "settings": settings,
            "seeds": seeds,
            "backbone": inputs.backbone,
            "n_source": len(inputs.source_features),
            "n_target": len(inputs.target_features),
            "history": history,
        },
    )
    write_scores(
        folder / "scores.h5",
        Scores(
            row_id=inputs.target_row_id,
            ok=inputs.target_ok,
            logits=logits,
            seeds=tuple(seeds),
            classes=tuple(entry.name for entry in plan.classes),
            known=plan.known,
            method=name,
            key=key,
        ),
    )
    return folder


def _fit_seed(plan: Plan, name: str, seed: int, inputs: FitInputs, progress: bool) -> Method:
    from tqdm import tqdm

    cls = load_registered("method", name, METHODS)
    settings = getattr(plan.params.methods, name).model_dump()
    # tqdm's None means: a bar on a terminal, nothing elsewhere.
    hidden = None if progress else True
    with tqdm(desc=f"{name}, seed {seed}", unit="step", leave=False, disable=hidden) as bar:

        def show(step: int, total: int, terms: dict[str, float]) -> None:
            bar.total = total
            bar.update(step - bar.n)

        method = cls(**settings, seed=seed, progress=show)
        try:
            return method.fit(
                inputs.source_features,
                inputs.source_labels,
                inputs.target_features,
                inputs.text,
                inputs.graph,
            )
        except FitError as error:
            raise FitError(f"{name}, seed {seed}: {error.message}", error.hint) from error
