"""Problems of known shapes with planted classes, for benchmarks: no image, no download."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import coo_array
from torch import Tensor

from sreclip.graph.adjacency import normalized_adjacency
from sreclip.methods.base import ClassGraph, ClassText
from sreclip.train.fits import FitInputs

I2AWA = Path(__file__).parents[1] / "tests" / "graph" / "i2awa_reference.json"
LOGIT_SCALE = 100.0
CHUNK = 2048


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Attributes
    ----------
    n_source, n_target : int
        Images.
    n_classes, n_known, n_nodes, dim : int
    look : float
        Norm of what images of a class have in common beside the class vector, which has norm 1.
    noise : float
        Norm of an image's own noise.
    shift : float
        Norm of the vector by which all target images are off.
    published : bool
        The graph is I2AwA's, and not a random tree.
    """

    n_source: int
    n_target: int
    n_classes: int
    n_known: int
    n_nodes: int
    dim: int = 512
    look: float = 5.0
    noise: float = 4.0
    shift: float = 4.0
    published: bool = False

    def scaled(self, scale: Fraction) -> Size:
        """As many classes, and a share of the images: at least one a class."""
        return replace(
            self,
            n_source=max(self.n_known, round(self.n_source * scale)),
            n_target=max(self.n_classes, round(self.n_target * scale)),
        )


SIZES = {
    "i2awa": Size(2_970, 37_322, 50, 40, 255, published=True),
    "i2webv": Size(1_281_167, 294_099, 5_000, 1_000, 8_000),
    "tiny": Size(24, 36, 9, 6, 20, dim=32, look=1.0, noise=1.0, shift=1.0),
}


@dataclass(frozen=True)
class Problem:
    """What a fit sees, and the labels that it does not see.

    Attributes
    ----------
    inputs : FitInputs
    target_labels : Tensor
        ``(n_target,)``, int64.
    """

    inputs: FitInputs
    target_labels: Tensor

    @property
    def summary(self) -> str:
        """Shapes, in a line."""
        inputs = self.inputs
        known, graph = inputs.text.known, inputs.graph
        return (
            f"{len(inputs.source_features):,} source and {len(inputs.target_features):,} target "
            f"images x {inputs.text.features.shape[1]}, {len(known):,} classes, "
            f"{int(known.sum()):,} of them known, {len(graph.node_features):,} nodes, "
            f"{len(graph.edges):,} edges"
        )


def make_problem(size: Size, seed: int = 0) -> Problem:
    """Plant classes on a hierarchy.

    A node's vector is its parents' mean plus a random unit vector, normalised. An image's is that
    of its class, plus what the class looks like (a vector that no text tells), plus noise,
    normalised; targets are all off by one more vector. Class sizes are equal. The relation is
    random: symmetric, in [0, 1], diagonal 1.
    """
    generator = torch.Generator().manual_seed(seed)
    edges, class_nodes, known = _i2awa() if size.published else _random_tree(size, generator)
    nodes = _node_vectors(edges, size, generator)
    text = ClassText(nodes[class_nodes], LOGIT_SCALE, known)
    graph = ClassGraph(
        node_features=nodes,
        adjacency=_sparse(normalized_adjacency(size.n_nodes, edges.numpy()).tocoo()),
        edges=edges,
        class_nodes=class_nodes,
        relation=_relation(size.n_classes, generator),
    )
    known_classes = known.nonzero().squeeze(1)
    source_labels = known_classes[torch.arange(size.n_source) % size.n_known]
    target_labels = torch.randperm(size.n_target, generator=generator) % size.n_classes
    centres = text.features + size.look * _directions(size.n_classes, size.dim, generator)
    shift = size.shift * _directions(1, size.dim, generator)
    source = _images(centres, source_labels, size.noise, generator)
    target = _images(centres + shift, target_labels, size.noise, generator)
    inputs = FitInputs(
        source_features=source,
        source_labels=source_labels,
        target_features=target,
        target_row_id=np.arange(size.n_target),
        target_ok=np.ones(size.n_target, dtype=np.bool_),
        text=text,
        graph=graph,
        backbone={"label": "synthetic"},
    )
    return Problem(inputs, target_labels)


def _i2awa() -> tuple[Tensor, Tensor, Tensor]:
    """The graph as published; building it would add WordNet to the memory that is measured."""
    published = json.loads(I2AWA.read_text(encoding="utf-8"))
    place = {wnid: node for node, wnid in enumerate(published["wnids"])}
    class_nodes = torch.tensor([place[wnid] for wnid in published["class_wnids"]])
    return torch.tensor(published["edges"]), class_nodes, torch.tensor(published["known"])


def _random_tree(size: Size, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Classes are the leaves, nodes 0 to n_classes - 1; the last node is the root."""
    children = torch.arange(size.n_nodes - 1)
    lowest = (children + 1).clamp_min(size.n_classes)
    draws = torch.rand(len(children), generator=generator, dtype=torch.float64)
    parents = lowest + (draws * (size.n_nodes - lowest)).long()
    known = torch.zeros(size.n_classes, dtype=torch.bool)
    known[torch.randperm(size.n_classes, generator=generator)[: size.n_known]] = True
    return torch.stack([children, parents], dim=1), torch.arange(size.n_classes), known


def _node_vectors(edges: Tensor, size: Size, generator: torch.Generator) -> Tensor:
    parents: dict[int, list[int]] = {node: [] for node in range(size.n_nodes)}
    for child, parent in edges.tolist():
        parents[child].append(parent)
    vectors = _directions(size.n_nodes, size.dim, generator)
    for node in TopologicalSorter(parents).static_order():
        if parents[node]:
            vectors[node] += vectors[parents[node]].mean(dim=0)
            vectors[node] /= vectors[node].norm()
    return vectors


def _sparse(matrix: coo_array) -> Tensor:
    places = torch.from_numpy(np.stack([matrix.row, matrix.col]).astype(np.int64))
    values = torch.from_numpy(matrix.data)
    return torch.sparse_coo_tensor(places, values, matrix.shape, check_invariants=True).coalesce()


def _relation(n_classes: int, generator: torch.Generator) -> Tensor:
    relation = torch.rand(n_classes, n_classes, generator=generator).triu_(1)
    relation += relation.T.clone()
    return relation.fill_diagonal_(1)


def _images(centres: Tensor, labels: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """In chunks, so that no more than the result is held."""
    dim = centres.shape[1]
    images = torch.empty(len(labels), dim)
    for start in range(0, len(labels), CHUNK):
        chunk = labels[start : start + CHUNK]
        own = torch.randn(len(chunk), dim, generator=generator) * (noise / dim**0.5)
        images[start : start + CHUNK] = F.normalize(centres[chunk] + own, dim=1)
    return images


def _directions(n: int, dim: int, generator: torch.Generator) -> Tensor:
    return F.normalize(torch.randn(n, dim, generator=generator), dim=1)
