"""The interface of all methods: tensors and a graph in, logits out; never files."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from sreclip.errors import FitError
from sreclip.methods.blocks import Block, assemble, score_in_blocks, widened
from sreclip.refinement import Neighbours
from sreclip.train.states import Checkpoints, checkpoint_steps

Progress = Callable[[int, int, dict[str, float]], None]
Terms = Mapping[str, tuple[float, Tensor]]
KEEP_EVERY = 20
CHECKED_ROWS = 1 << 15


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
    edges : Tensor
        Node numbers, child and parent, ``(n_edges, 2)``, int64.
    class_nodes : Tensor
        Node number of each class, ``(n_classes,)``, int64.
    relation : Tensor
        Class relation R, symmetric, in [0, 1], diagonal 1, ``(n_classes, n_classes)``.
    """

    node_features: Tensor
    adjacency: Tensor
    edges: Tensor
    class_nodes: Tensor
    relation: Tensor

    @cached_property
    def near_nodes(self) -> Tensor:
        """Numbers of the class nodes and of all that are joined to one, ``(n_near,)``, in order."""
        return self._class_rows.coalesce().indices()[1].unique()

    @cached_property
    def near_adjacency(self) -> Tensor:
        """Rows of the adjacency for the near nodes, ``(n_near, n_nodes)``."""
        return self.adjacency.index_select(0, self.near_nodes)

    @cached_property
    def class_adjacency(self) -> Tensor:
        """Rows of the adjacency for the class nodes, columns for near ones: the others are zero.

        ``(n_classes, n_near)``.
        """
        return self._class_rows.index_select(1, self.near_nodes)

    @cached_property
    def _class_rows(self) -> Tensor:
        return self.adjacency.index_select(0, self.class_nodes)

    def to(self, device: str) -> ClassGraph:
        """Move the tensors to a device."""
        return ClassGraph(
            self.node_features.to(device),
            self.adjacency.to(device),
            self.edges.to(device),
            self.class_nodes.to(device),
            self.relation.to(device),
        )


@dataclass(frozen=True)
class FitData:
    """What `Method.fit` was given; features may be kept in float16."""

    source_features: Tensor
    source_labels: Tensor
    target_features: Tensor
    text: ClassText
    graph: ClassGraph

    def source(self, rows: Tensor) -> Tensor:
        """Features of some source images, `widened`."""
        return widened(self.source_features[rows])

    def target(self, rows: Tensor) -> Tensor:
        """Features of some target images, `widened`."""
        return widened(self.target_features[rows])


class Diverged(FitError):  # noqa: N818 - it names what happened
    """A loss term or a parameter stopped being finite; the method holds its last good state."""


class Method(ABC):
    """A way to adapt a frozen image-text model.

    Subclasses store their constructor's arguments and nothing else, and learn in ``_fit``; a fit
    forgets what an earlier one learned, and sets attributes that end in an underscore.

    Attributes
    ----------
    title, citation : str
        Display name and source.
    transductive : bool
        The fit sees the unlabelled target images.
    deterministic : bool
        Nothing is drawn: every seed gives the same.
    baseline : bool
        False for SRE-CLIP itself, in the authors' form or in ours.
    batch_dependent : bool
        An image's logits depend on the images that are scored with it.
    checkpoints : Checkpoints or None
        What to keep of the fit before its last step; only of fits by `_minimise`.
    neighbours : str
        How the nearest target images are found, by methods that look for them.
    scoring_batches : sequence of Tensor or None
        Row numbers of the batches in which a ``batch_dependent`` method scores images, each row
        once; None for its own.
    """

    title: ClassVar[str]
    citation: ClassVar[str]
    transductive: ClassVar[bool]
    deterministic: ClassVar[bool] = False
    baseline: ClassVar[bool] = True
    batch_dependent: ClassVar[bool] = False

    seed: int = 0
    progress: Progress | None = None
    checkpoints: Checkpoints | None = None
    neighbours: Neighbours = "exact"
    scoring_batches: Sequence[Tensor] | None = None

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
            ``(n_source, dim)``, unit norm; float16 gives what the same numbers in float32 give.
        source_labels : Tensor
            ``(n_source,)`` int64, known classes only.
        target_features : Tensor
            ``(n_target, dim)``, unit norm, of known and unknown classes.
        text, graph
            Class vectors and relation graph.

        Raises
        ------
        FitError
            The inputs do not fit together.
        Diverged
            A loss stopped being finite; `state` then gives the last good state, at most
            `KEEP_EVERY` steps older.
        """
        data = FitData(source_features, source_labels, target_features, text, graph)
        check_data(data)
        self.history_ = []
        self.text_ = text
        self._data = data
        torch.manual_seed(self.seed)
        try:
            self._fit(data, torch.Generator().manual_seed(self.seed))
        except Diverged:
            self._finish(data)
            raise
        finally:
            del self._data
        self._finish(data)
        return self

    @abstractmethod
    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        """Learn; ``generator`` is freshly seeded, and so is torch's own."""

    def _finish(self, data: FitData) -> None:  # noqa: B027 - most methods add nothing
        """Work out what predictions need from the learned parameters."""

    @abstractmethod
    def _logits(self, features: Tensor) -> Tensor:
        """Logits of one chunk."""

    def logit_blocks(self, features: Tensor) -> Iterator[Block]:
        """Give the logits of unit-norm features ``(n_images, dim)`` in blocks of bounded size."""
        return score_in_blocks(self._logits, features, len(self.text_.features))

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Class logits ``(n_images, n_classes)`` of unit-norm features ``(n_images, dim)``."""
        blocks = self.logit_blocks(features)
        return assemble(blocks, len(features), len(self.text_.features))

    def image_features(self, features: Tensor) -> Tensor:
        """Unit-norm features that the method compares with class vectors: the frozen ones here."""
        return widened(features)

    def state(self) -> dict[str, Tensor]:
        """Learned tensors by name, for safetensors."""
        return {}

    def restore(self, state: Mapping[str, Tensor], text: ClassText) -> Self:
        """Take on a saved `state`, to score images again; ``batch_dependent`` methods can."""
        raise NotImplementedError

    def _finished_copy(self) -> Self:
        """The method as it is in the middle of its fit, ready to predict; the fit goes on."""
        copied = copy.copy(self)
        memo: dict[int, object] = {}
        for name, value in vars(self).items():
            if isinstance(value, nn.Module):
                setattr(copied, name, copy.deepcopy(value, memo))
        copied._finish(self._data)
        return copied

    def _minimise(
        self,
        optimizer: torch.optim.Optimizer,
        terms_of: Callable[[], Terms],
        steps: int,
        *,
        schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
        done: int = 0,
        total: int | None = None,
    ) -> None:
        """Take ``steps`` steps down the weighted sum of loss terms.

        Parameters
        ----------
        optimizer : Optimizer
        terms_of : callable
            Gives a step's loss terms: for each name its weight and its value.
        steps : int
        schedule : LRScheduler, optional
            Moved on after each step.
        done, total : int
            Steps of earlier rounds and of all of them.

        Raises
        ------
        Diverged
            A term or a parameter is not finite. The parameters go back to the last that were kept,
            which gave a finite loss.

        Notes
        -----
        With ``checkpoints``, a finished copy of the method is given away after some of the steps.
        """
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        total = done + steps if total is None else total
        kept = [parameter.detach().clone() for parameter in parameters]
        checkpoints = self.checkpoints
        marks = checkpoint_steps(total, checkpoints.count) if checkpoints else ()
        try:
            for step in range(done + 1, done + steps + 1):
                terms = terms_of()
                self._record(step, total, {name: term for name, (_, term) in terms.items()})
                if (step - done) % KEEP_EVERY == 0:
                    for copy, parameter in zip(kept, parameters, strict=True):
                        copy.copy_(parameter.detach())
                optimizer.zero_grad()
                torch.stack([weight * term for weight, term in terms.values()]).sum().backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                if checkpoints and step in marks:
                    _require_finite(parameters, step)
                    checkpoints.keep(step, self._finished_copy())
            _require_finite(parameters, done + steps)
        except Diverged:
            with torch.no_grad():
                for copy, parameter in zip(kept, parameters, strict=True):
                    parameter.copy_(copy)
            raise

    def _record(self, step: int, total: int, terms: Mapping[str, Tensor]) -> None:
        """Keep the loss terms of a step; stop the fit when one is not finite."""
        values = {name: float(value.detach()) for name, value in terms.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"step {step}: loss term {name!r} is {value}",
                    "lower the learning rate or the weight of that term",
                )
        self.history_.append({"step": step, **values})
        if self.progress:
            self.progress(step, total, values)


def _require_finite(parameters: Sequence[Tensor], step: int) -> None:
    if not all(torch.isfinite(parameter).all() for parameter in parameters):
        raise Diverged(f"step {step}: a parameter is not finite", "lower the learning rate")


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
        for start in range(0, len(features), CHECKED_ROWS):
            chunk = features[start : start + CHECKED_ROWS]
            bad = (~torch.isfinite(chunk).all(dim=1)).nonzero()
            if len(bad):
                raise FitError(f"{name} features: row {start + int(bad[0])} is not finite")
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
