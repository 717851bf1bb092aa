"""Methods that learn from labelled source images alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Self

import torch
from torch import Tensor, nn

from sreclip.config.methods import SourceOnlySettings
from sreclip.methods.base import Method, Terms, minimize
from sreclip.methods.data import FitData, batches
from sreclip.methods.losses import known_cross_entropy
from sreclip.methods.stacked import MOST_VALUES, stacked


class SourceOnlyMethod(Method):
    """A method that trains one adapter with Adam; fits with several seeds are one batch."""

    settings: SourceOnlySettings
    adapter_: nn.Module

    @abstractmethod
    def _adapter(self, text: Tensor) -> nn.Module:
        """Return the adapter as it is before the first step; ``text`` are the class vectors."""

    @abstractmethod
    def _scores(self, adapter: nn.Module, features: Tensor) -> Tensor:
        """Return logits ``(..., n_images, n_classes)``, with a first dimension of `stacked` ones.

        Each of several adapters has its own ``features`` ``(n_adapters, n_images, dim)``, or all
        have the same, ``(n_images, dim)``.
        """

    def at_once(self, data: FitData) -> int:
        """Return how many seeds' activations are `MOST_VALUES` at most."""
        n_classes, dim = data.text.features.shape
        values = 8 * self.settings.batch_size * (dim + n_classes) + 8 * n_classes * dim
        return max(1, MOST_VALUES // values)

    @classmethod
    def _fit_all(cls, methods: Sequence[Self], data: FitData) -> None:
        settings, text = methods[0].settings, data.text.features
        for method in methods:
            torch.manual_seed(method.seed)
            method.adapter_ = method._adapter(text).to(text.device)
        adapter = stacked([method.adapter_ for method in methods])
        optimizer = torch.optim.Adam(adapter.parameters(), lr=settings.lr, fused=True)
        generators = [torch.Generator().manual_seed(method.seed) for method in methods]
        scores = partial(methods[0]._scores, adapter)
        terms = source_loss(data, settings.batch_size, generators, scores)
        minimize(methods, optimizer, terms, settings.steps)

    def _logits(self, features: Tensor) -> Tensor:
        return self._scores(self.adapter_, features)


def source_loss(
    data: FitData,
    size: int,
    generators: Sequence[torch.Generator],
    scores: Callable[[Tensor], Tensor],
) -> Callable[[], Terms]:
    """Return the loss of batches of source images, drawn for each fit by its own generator.

    ``scores`` maps features ``(n_images, dim)`` or ``(n_fits, n_images, dim)`` to logits.
    """
    images = source_batches(data, size, generators)

    def terms() -> Terms:
        features, labels = next(images)
        loss = known_cross_entropy(scores(features), labels, data.text.known)
        return {"source": (1.0, loss)}

    return terms


def source_batches(
    data: FitData, size: int, generators: Sequence[torch.Generator]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield features and labels without end; without a dimension of fits if all have the same."""
    n_images = len(data.source_labels)
    if size >= n_images:
        # Always all images, in an order that changes no mean.
        yield from repeat((data.source(torch.arange(n_images)), data.source_labels))
    drawn = [batches(n_images, size, generator) for generator in generators]
    while True:
        rows = torch.stack([*map(next, drawn)]).squeeze(0)
        yield data.source(rows), data.source_labels[rows]
