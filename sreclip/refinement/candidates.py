"""The likely classes of each image: what a refinement keeps of logits for many classes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from sreclip.methods.logits import BLOCK_VALUES, Block, assemble, softmax_and_log_sum

MOST_CANDIDATES = 64
ROWS = 1 << 14


@dataclass(frozen=True)
class Candidates:
    """Log-probabilities of each image's ``k`` most likely classes, in the order of the classes.

    With at most `MOST_CANDIDATES` classes every class is a candidate and nothing is lost.
    ``classes`` are numbers, ascending along a row, int32. Both tensors are ``(n_images, k)``.
    """

    classes: Tensor
    log_p: Tensor
    n_classes: int

    @classmethod
    @torch.no_grad()
    def from_blocks(
        cls, blocks: Iterable[Block], n_images: int, n_classes: int, most: int = MOST_CANDIDATES
    ) -> Candidates:
        """Keep the most likely classes per image, by the log-softmax over all classes.

        Each pair of an image and a class is exactly once in the blocks, in any order; ``most`` is
        below 256.
        """
        if n_classes <= most:
            logits = assemble(blocks, n_images, n_classes)
            classes = torch.arange(n_classes, dtype=torch.int32, device=logits.device)
            return cls(classes.expand(n_images, -1), logits.log_softmax(dim=1), n_classes)
        best: Tensor | None = None
        for block in blocks:
            if best is None:
                best = block.logits.new_full((n_images, most), -torch.inf)
                numbers = block.classes.new_zeros(best.shape, dtype=torch.int32)
                log_sum = best.new_full((n_images,), -torch.inf)
            rows = block.rows
            log_sum[rows] = torch.logaddexp(log_sum[rows], softmax_and_log_sum(block.logits)[1])
            top = block.logits.topk(min(most, len(block.classes)), dim=1)
            merged = torch.cat([best[rows], top.values], dim=1)
            merged_numbers = torch.cat([numbers[rows], block.classes[top.indices].int()], dim=1)
            kept = merged.topk(most, dim=1)
            best[rows] = kept.values
            numbers[rows] = merged_numbers.gather(1, kept.indices)
        if best is None:
            return cls(torch.empty(0, most, dtype=torch.int32), torch.empty(0, most), n_classes)
        # In place, some rows at a time: whole sorted tables would be the memory peak of a fit.
        for start in range(0, n_images, ROWS):
            part = slice(start, start + ROWS)
            numbers[part], order = numbers[part].sort(dim=1)
            best[part] = best[part].gather(1, order) - log_sum[part, None]
        return cls(numbers, best, n_classes)

    def __len__(self) -> int:
        return len(self.log_p)

    @property
    def complete(self) -> bool:
        """Every class is a candidate of every image."""
        return self.log_p.shape[1] == self.n_classes

    def parts(self) -> Iterator[tuple[slice, Candidates]]:
        """Yield consecutive images, `ROWS` at a time, with their predictions."""
        for start in range(0, len(self), ROWS):
            rows = slice(start, start + ROWS)
            yield rows, replace(self, classes=self.classes[rows], log_p=self.log_p[rows])

    def chunks(self) -> Iterator[Tensor]:
        """Yield consecutive image numbers, so few that a table by all classes stays small."""
        rows = torch.arange(len(self), device=self.log_p.device)
        yield from rows.split(max(1, BLOCK_VALUES // self.n_classes))

    def spread(self, rows: Tensor, values: Tensor, fill: Tensor | float) -> Tensor:
        """Put values of candidates ``(n_rows, k)`` at their classes: ``(n_rows, n_classes)``."""
        table = values.new_empty(len(rows), self.n_classes)
        table.copy_(torch.as_tensor(fill, dtype=values.dtype, device=values.device))
        return table.scatter_(1, self.classes[rows].long(), values)

    @torch.no_grad()
    def blocks(self) -> Iterator[Block]:
        """Yield log-probabilities of all classes as logits, some images at a time.

        A class that is no candidate gets the logarithm of the smallest normal number, or the
        image's least log-probability where that is smaller.
        """
        classes = torch.arange(self.n_classes, device=self.log_p.device)
        least = math.log(torch.finfo(self.log_p.dtype).tiny)
        for rows in self.chunks():
            log_p = self.log_p[rows]
            floor = log_p.amin(dim=1, keepdim=True).clamp_max(least)
            yield Block(rows, classes, self.spread(rows, log_p, floor))

    @torch.no_grad()
    def dense(self, rows: Tensor) -> Tensor:
        """Return probabilities ``(n_rows, n_classes)`` of some images, 0 for no candidate."""
        return self.spread(rows, self.log_p[rows].exp(), 0.0)

    @torch.no_grad()
    def columns(self, start: int, stop: int) -> Tensor:
        """Return probabilities ``(n_images, stop - start)`` of consecutive classes, as `dense`."""
        if self.complete:
            return self.log_p[:, start:stop].exp()
        images, places = ((self.classes >= start) & (self.classes < stop)).nonzero(as_tuple=True)
        table = self.log_p.new_zeros(len(self), stop - start)
        table[images, self.classes[images, places] - start] = self.log_p[images, places].exp()
        return table


class State(Protocol):
    """What is kept of a fit or a refinement, to score images that were not in it."""

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """Return the state that gave these `tensors`; `KeyError` where one is missing."""

    def __call__(self, features: Tensor, candidates: Candidates) -> Candidates:
        """Return better predictions than the given ones."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors by name, for safetensors."""
