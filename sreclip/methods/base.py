"""The interface of all methods: tensors and a graph in, logits out; never files."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from sreclip.errors import FitError

Progress = Callable[[int, int, dict[str, float]], None]
LOGIT_CHUNK = 8192


@dataclass(frozen=True)
class ClassText:
    """Class vectors of the frozen model.

    Attributes
    ----------
    features : Tensor
        Unit-norm class vectors ``w_c``, ``(n_classes, dim)``.
    logit_scale : float
        The frozen model's factor ``s`` from cosine to logits.
    known : Tensor
        True for the classes with source labels, ``(n_classes,)``, bool.
    """

    features: Tensor
    logit_scale: float
    known: Tensor

    def zero_shot_logits(self, features: Tensor) -> Tensor:
        """``s f.w_c``: ``(n_images, dim)`` to ``(n_images, n_classes)``."""
        return self.logit_scale * features @ self.features.T

    def to(self, device: str) -> ClassText:
        """Move the tensors to a device."""
        return ClassText(self.features.to(device), self.logit_scale, self.known.to(device))


@dataclass(frozen=True)
class ClassGraph:
    """The semantic relation graph, ready for training.

    Attributes
    ----------
    node_features : Tensor
        Unit-norm text vectors of the nodes, ``(n_nodes, dim)``.
    adjacency : Tensor
        Row-normalised sparse adjacency with reverse edges and self-loops, ``(n_nodes, n_nodes)``.
    class_nodes : Tensor
        Node number of each class, ``(n_classes,)``, int64.
    relation : Tensor
        Class relation R, symmetric, in [0, 1], diagonal 1, ``(n_classes, n_classes)``.
    """

    node_features: Tensor
    adjacency: Tensor
    class_nodes: Tensor
    relation: Tensor

    def to(self, device: str) -> ClassGraph:
        """Move the tensors to a device."""
        return ClassGraph(
            self.node_features.to(device),
            self.adjacency.to(device),
            self.class_nodes.to(device),
            self.relation.to(device),
        )


@dataclass(frozen=True)
class FitData:
    """What `Method.fit` was given."""

    source_features: Tensor
    source_labels: Tensor
    target_features: Tensor
    text: ClassText
    graph: ClassGraph


class Method(ABC):
    """A way to adapt a frozen image-text model.

    Subclasses store their constructor's arguments and nothing else, and learn in ``_fit``; a fit
    forgets what an earlier one learned, and sets attributes that end in an underscore.
    """

    title: ClassVar[str]
    citation: ClassVar[str]
    transductive: ClassVar[bool]

    seed: int = 0
    progress: Progress | None = None

    def __init__(self) -> None:
        self.history_: list[dict[str, float]] = []

    def fit(
        self,
        source_features: Tensor,
        source_labels: Tensor,
        target_features: Tensor,
        text: ClassText,
        graph: ClassGraph,
    ) -> Self:
        """Learn from labelled source and unlabelled target features.

        Parameters
        ----------
        source_features : Tensor
            ``(n_source, dim)``, unit norm.
        source_labels : Tensor
            ``(n_source,)`` int64, known classes only.
        target_features : Tensor
            ``(n_target, dim)``, unit norm, of known and unknown classes.
        text, graph
            Class vectors and relation graph.

        Raises
        ------
        FitError
            The inputs do not fit together, or a loss stopped being finite.
        """
        data = FitData(source_features, source_labels, target_features, text, graph)
        check_data(data)
        self.history_ = []
        self.text_ = text
        torch.manual_seed(self.seed)
        self._fit(data, torch.Generator().manual_seed(self.seed))
        return self

    @abstractmethod
    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        """Learn; ``generator`` is freshly seeded, and so is torch's own."""

    @abstractmethod
    def _logits(self, features: Tensor) -> Tensor:
        """Logits of one chunk."""

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Class logits ``(n_images, n_classes)`` of unit-norm features ``(n_images, dim)``."""
        return torch.cat([self._logits(chunk) for chunk in features.split(LOGIT_CHUNK)])

    def state(self) -> dict[str, Tensor]:
        """Learned tensors by name, for safetensors."""
        return {}

    def _record(self, step: int, total: int, terms: dict[str, Tensor]) -> None:
        """Keep the loss terms of a step; stop the fit when one is not finite."""
        values = {name: float(value.detach()) for name, value in terms.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise FitError(
                    f"step {step}: loss term {name!r} is {value}",
                    "lower the learning rate or the weight of that term",
                )
        self.history_.append({"step": step, **values})
        if self.progress:
            self.progress(step, total, values)


def check_data(data: FitData) -> None:
    """Check that what goes into a fit fits together.

    Raises
    ------
    FitError
        Naming the tensor, its shape or value, and what was expected.
    """
    text, graph = data.text, data.graph
    n_classes, dim = text.features.shape
    for name, features in (("source", data.source_features), ("target", data.target_features)):
        if features.ndim != 2 or features.shape[1] != dim:
            raise FitError(
                f"{name} features have shape {tuple(features.shape)}, class vectors are {dim} wide"
            )
        if len(features) == 0:
            raise FitError(f"there is no usable {name} picture")
        bad = (~torch.isfinite(features).all(dim=1)).nonzero()
        if len(bad):
            raise FitError(f"{name} features: row {int(bad[0])} is not finite")
    if text.known.shape != (n_classes,) or not text.known.any():
        raise FitError(f"of {n_classes} classes none is known")
    present = torch.zeros(n_classes, dtype=torch.bool, device=text.known.device)
    present[data.source_labels] = True
    if (present & ~text.known).any():
        wrong = int((present & ~text.known).nonzero()[0])
        raise FitError(f"class {wrong} is unknown but has labelled source pictures in the fit")
    if (text.known & ~present).any():
        wrong = int((text.known & ~present).nonzero()[0])
        raise FitError(
            f"class {wrong} is known but has no usable source picture",
            "add pictures of it to the source domain or list it in split.unknown",
        )
    if graph.relation.shape != (n_classes, n_classes):
        raise FitError(
            f"the relation matrix has shape {tuple(graph.relation.shape)}, "
            f"expected ({n_classes}, {n_classes})",
            "build the graph again for this class list",
        )
    if graph.class_nodes.shape != (n_classes,):
        raise FitError(f"the graph places {len(graph.class_nodes)} classes of {n_classes}")


def known_labels(labels: Tensor, known: Tensor) -> Tensor:
    """Renumber class labels to positions among the known classes."""
    position = torch.cumsum(known.long(), 0) - 1
    return position[labels]


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield batches of row numbers for ever, each pass over the rows in a fresh order.

    A batch is ``min(size, n)`` long; a remainder shorter than that starts the next pass.
    """
    size = min(size, n)
    while True:
        order = torch.randperm(n, generator=generator)
        for start in range(0, n - size + 1, size):
            yield order[start : start + size]
