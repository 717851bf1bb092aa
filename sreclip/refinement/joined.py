"""Scores of images that were not in the fit, from the nodes of its graph that they are near to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.logits import Block, widened
from sreclip.refinement.candidates import ROWS, Candidates
from sreclip.refinement.neighbours import nearest_among
from sreclip.refinement.propagation import FLOOR, root_of

MOST_KEPT = 1 << 16
PARTS = ("degrees", "classes", "scores")
JOINS = "_joins"


@dataclass(frozen=True)
class Nodes:
    """Nodes of one kind, for a state.

    Attributes
    ----------
    features
        Unit-norm rows, ``(n_nodes, dim)``.
    degrees
        Sums of the weights of the nodes' edges in the fit, ``(n_nodes,)``.
    classes, scores
        The nodes' best classes and their scores, ``(n_nodes, n)``; other classes have 0.
    k, power
        An image is joined to its ``k`` nearest nodes, by their cosines to this power; negative
        cosines count as 0.
    dimensions
        Weights of the image's dimensions in the cosine, ``(dim,)``; the features have them already.
    """

    features: Tensor
    degrees: Tensor
    classes: Tensor
    scores: Tensor
    k: int
    power: float = 1.0
    dimensions: Tensor | None = None

    def edges(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nodes that images are joined to, and the weights: both ``(n_images, k)``."""
        if self.dimensions is not None:
            features = F.normalize(features * self.dimensions, dim=1)
        numbers, cosines = nearest_among(features, self.features, self.k)
        return numbers, cosines.clamp_min(0) ** self.power

    def add_to(self, scores: Tensor, numbers: Tensor, weights: Tensor) -> None:
        """Add what the nodes give over these edges to ``scores``, ``(n_images, n_classes)``."""
        for number, weight in zip(numbers.T, weights.T, strict=True):
            given = (self.scores[number] * weight[:, None]).to(scores)
            scores.scatter_add_(1, self.classes[number].long(), given)


def held(features: Tensor, degrees: Tensor, labels: Tensor, k: int, power: float) -> Nodes:
    """Return nodes with one class each, whose score is held at 1."""
    return Nodes(
        features, degrees, labels[:, None].int(), torch.ones_like(degrees)[:, None], k, power
    )


class Joined:
    """The state that scores images, each as if it were joined to the solved graph.

    ``x = alpha sum_j w_j x_j / sqrt(d (d_j + w_j)) + (1 - alpha) p``: ``w_j`` the weight of the
    edge to node j, ``d`` the sum of the image's weights (with ``apart``, of those to the kind of
    j), ``d_j`` the node's degree in the fit, to which the edge adds. The last term, from the
    image's own prediction, is there only with ``own``. ``nodes`` gives the kinds of nodes by name
    when they are first needed.
    """

    def __init__(
        self,
        nodes: Callable[[], dict[str, Nodes]],
        alpha: float = 1.0,
        *,
        own: bool = False,
        apart: bool = False,
    ) -> None:
        self._nodes = nodes
        self.alpha = alpha
        self.own = own
        self.apart = apart

    def __getstate__(self) -> dict[str, object]:
        # What gives the nodes is a closure over the fit, which cannot be pickled.
        kept = {name: value for name, value in vars(self).items() if name != "_nodes"}
        return kept | {"nodes": self.nodes}

    @cached_property
    def nodes(self) -> dict[str, Nodes]:
        """The kinds of nodes by name."""
        return self._nodes()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Joined:
        """Return the state that gave these `tensors`."""
        alpha, own, apart = tensors["joined"].tolist()
        nodes = {}
        for name in (key.removesuffix(JOINS) for key in tensors if key.endswith(JOINS)):
            k, power = tensors[f"{name}{JOINS}"].tolist()
            degrees, classes, scores = (tensors[f"{name}_{part}"] for part in PARTS)
            dimensions = tensors.get(f"{name}_dimensions")
            nodes[name] = Nodes(tensors[name], degrees, classes, scores, int(k), power, dimensions)
        return cls(lambda: nodes, alpha, own=bool(own), apart=bool(apart))

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
        found: dict[str, Tensor] = {}
        for name, nodes in self.nodes.items():
            found[name] = nodes.features
            found |= {f"{name}_{part}": getattr(nodes, part) for part in PARTS}
            numbers = nodes.degrees.double()
            found[f"{name}{JOINS}"] = numbers.new_tensor([nodes.k, nodes.power])
            found["joined"] = numbers.new_tensor([self.alpha, self.own, self.apart])
            if nodes.dimensions is not None:
                found[f"{name}_dimensions"] = nodes.dimensions
        return found

    @torch.no_grad()
    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Score images that were not in the fit; those of the fit come out nearly as in it."""
        blocks = self._blocks(features, candidates)
        return Candidates.from_blocks(blocks, len(features), candidates.n_classes)

    def _blocks(self, features: Tensor, candidates: Candidates) -> Iterator[Block]:
        classes = torch.arange(candidates.n_classes, device=features.device)
        for rows in (part for chunk in candidates.chunks() for part in chunk.split(ROWS)):
            images = widened(features[rows])
            scores = images.new_zeros(len(rows), len(classes))
            kinds = [(nodes, *nodes.edges(images)) for nodes in self.nodes.values()]
            total = torch.stack([weights.sum(dim=1) for *_, weights in kinds]).sum(dim=0)
            for nodes, numbers, weights in kinds:
                degree = weights.sum(dim=1) if self.apart else total
                roots = root_of(degree)[:, None] * root_of(nodes.degrees[numbers] + weights)
                nodes.add_to(scores, numbers, self.alpha * weights * roots)
            if self.own:
                scores += (1 - self.alpha) * candidates.dense(rows)
            yield Block(rows, classes, scores.clamp_min_(FLOOR).log_())


def drawn(n: int, device: torch.device) -> Tensor:
    """Return the numbers of the nodes that a state keeps: all, or `MOST_KEPT` drawn at random.

    The draw is the same for every seed.
    """
    if n <= MOST_KEPT:
        return torch.arange(n, device=device)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    return order[:MOST_KEPT].sort().values.to(device)
