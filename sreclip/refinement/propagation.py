"""Class scores that spread over a graph, some classes at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import MOST_CANDIDATES
from sreclip.refinement.neighbours import csr

BLOCK_VALUES = 1 << 23
FLOOR = 1e-12
NEGLIGIBLE = 1e-20


class Propagation:
    """Scores ``x_c`` of nodes, from ``x_c = b_c`` in ``steps`` steps ``x_c = b_c + alpha S x_c``.

    S is the graph, CSR, ``(n_nodes, n_nodes)``; ``right`` gives b of the classes from a first to
    before a last one, ``(n_nodes, n)``. Images are the nodes from ``first`` on; ``kept`` are the
    nodes that `best` is about.
    """

    def __init__(
        self,
        graph: Tensor,
        right: Callable[[int, int], Tensor],
        n_classes: int,
        alpha: float,
        steps: int,
        kept: Tensor,
        first: int = 0,
    ) -> None:
        self.graph = graph
        self.right = right
        self.n_classes = n_classes
        self.alpha = alpha
        self.steps = steps
        self.kept = kept
        self.first = first
        self._best: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def blocks(self) -> Iterator[Block]:
        """Yield ``log max(x, 1e-12)`` of the images, as many classes as `BLOCK_VALUES` allows."""
        n = self.graph.shape[0]
        rows = torch.arange(n - self.first, device=self.graph.device)
        best = _Best()
        size = max(1, BLOCK_VALUES // n)
        for start in range(0, self.n_classes, size):
            stop = min(start + size, self.n_classes)
            scores = spread(self.graph, self.right(start, stop), self.alpha, self.steps)
            if self._best is None:
                best.add(scores[self.kept], start)
            classes = torch.arange(start, stop, device=self.graph.device)
            yield Block(rows, classes, scores[self.first :].clamp_min_(FLOOR).log_())
        if self._best is None:
            self._best = best.classes, best.scores

    def best(self) -> tuple[Tensor, Tensor]:
        """Return the kept nodes' best classes, at most `MOST_CANDIDATES`, and their scores.

        Both are ``(n_kept, k)``. They come with the first whole pass through `blocks`.
        """
        if self._best is None:
            for _ in self.blocks():
                pass
        assert self._best is not None
        return self._best


class _Best:
    """The largest scores per row, of columns that come a block at a time."""

    def __init__(self) -> None:
        self.scores = self.classes = torch.empty(0)

    def add(self, scores: Tensor, start: int) -> None:
        top = scores.topk(min(MOST_CANDIDATES, scores.shape[1]), dim=1)
        classes = (top.indices + start).int()
        if start == 0:
            self.scores, self.classes = top.values, classes
            return
        merged = torch.cat([self.scores, top.values], dim=1)
        kept = merged.topk(min(MOST_CANDIDATES, merged.shape[1]), dim=1)
        self.scores = kept.values
        self.classes = torch.cat([self.classes, classes], dim=1).gather(1, kept.indices)


def spread(graph: Tensor, right: Tensor, alpha: float, steps: int) -> Tensor:
    """Take steps ``x = b + alpha S x`` from ``x = b``, for each column b of ``right``.

    The iteration of Zhou et al. (NIPS 2003) for ``(I - alpha S) x = b``. None of its terms is
    negative, so small scores, of which logarithms are taken, keep their order.
    """
    # Denormal numbers would make the products many times slower.
    solution = right = torch.threshold(right, NEGLIGIBLE, 0)
    for _ in range(steps):
        solution = torch.addmm(right, graph, solution, alpha=alpha)
    return solution


def steps_needed(alpha: float, tolerance: float) -> int:
    """Return how many steps solve ``(I - alpha S) x = b`` to a residual of ``tolerance |b|``.

    After m steps the residual is ``(alpha S)^(m + 1) b``; the eigenvalues of S are in [-1, 1], so
    the least m with ``alpha^(m + 1) <= tolerance`` is enough.
    """
    return 0 if alpha <= tolerance else math.ceil(math.log(tolerance) / math.log(alpha)) - 1


def degrees(graph: Tensor) -> Tensor:
    """Return the row sums of a CSR matrix."""
    return (graph @ graph.values().new_ones(graph.shape[1], 1))[:, 0]


def root_of(degree: Tensor) -> Tensor:
    """Return ``degree^-1/2``, 1 for a node without edges."""
    return degree.where(degree > 0, 1).rsqrt()


def scaled(graph: Tensor, scale: Tensor) -> Tensor:
    """Multiply rows and columns of a square CSR matrix by ``scale``."""
    counts, numbers, weights = graph.crow_indices().diff(), graph.col_indices(), graph.values()
    return csr(
        counts, numbers, weights * scale.repeat_interleave(counts) * scale[numbers], len(scale)
    )
