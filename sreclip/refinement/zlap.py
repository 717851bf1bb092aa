"""Label propagation: ZLaP (Stojnic, Kalantidis, Tolias; CVPR 2024), and after any method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sreclip.methods.logits import Block
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import NeighbourSearch, csr, nearest_neighbours, symmetric

CHUNK = 2048
BLOCK_VALUES = 1 << 23
FLOOR = 1e-12
NEGLIGIBLE = 1e-20


@torch.no_grad()
def normalized_graph(
    features: Tensor,
    text: Tensor,
    k: int,
    gamma: float,
    search: NeighbourSearch = nearest_neighbours,
) -> Tensor:
    """Join texts and images to ``D^-1/2 W D^-1/2``, D the row sums of W.

    ``W = S + S^T``, S holding each image's cosines to its k nearest images (itself counted, as in
    the authors' code; exact by default, unlike there) and, raised to ``gamma``, to its k nearest
    texts. Negative cosines count as 0. Features and texts are unit-norm rows. Returns a CSR matrix,
    the texts before the images, ``(n_classes + n_images, n_classes + n_images)``.
    """
    n_classes = len(text)
    images, cosines = search(features, k - 1)
    tops = [(chunk @ text.T).topk(min(k, n_classes), dim=1) for chunk in features.split(CHUNK)]
    texts = torch.cat([top.indices for top in tops])
    powers = torch.cat([top.values for top in tops]).clamp_min(0) ** gamma
    columns = torch.cat([texts, images + n_classes], dim=1)
    values = torch.cat([powers, cosines.clamp_min(0)], dim=1)
    return _normalized(columns, values, n_classes)


@torch.no_grad()
def solve_blocks(
    graph: Tensor, n_classes: int, alpha: float = 0.3, tolerance: float = 1e-6
) -> Iterator[Block]:
    """Spread each class's label from its text, some classes at a time.

    The scores of class c solve ``(I - alpha S) x = y_c``, S the `normalized_graph` and y_c 1 at the
    text of c. The authors use conjugate gradients, `spread` another iteration. ``tolerance`` bounds
    each class's residual relative to y_c; float32 features end at about 1e-7. Yields ``log max(x,
    1e-12)``.
    """

    def labels(start: int, stop: int) -> Tensor:
        labels = graph.values().new_zeros(graph.shape[0], stop - start)
        labels[start:stop].fill_diagonal_(1)
        return labels

    yield from _spread_blocks(graph, labels, n_classes, alpha, tolerance, first=n_classes)


@torch.no_grad()
def propagate(
    features: Tensor,
    candidates: Candidates,
    k: int = 5,
    alpha: float = 0.3,
    tolerance: float = 1e-6,
    search: NeighbourSearch = nearest_neighbours,
) -> Iterator[Block]:
    """Smooth any method's predictions over a graph of the images, some classes at a time.

    The scores of class c are ``x = (1 - alpha) (I - alpha S)^-1 y_c``, y_c the images'
    probabilities of c (0 for a class that is no candidate) and S their kNN graph, symmetric and
    normalized as in `normalized_graph`. Ours: ZLaP's graph without its texts, and the labels of
    Zhou et al. (NIPS 2003) replaced by soft ones on all images. An image without a neighbour of
    positive cosine keeps its prediction. Yields ``log max(x, 1e-12)``.
    """
    numbers, cosines = search(features, k - 1)
    graph = _normalized(numbers, cosines.clamp_min(0), 0)

    def predictions(start: int, stop: int) -> Tensor:
        return (1 - alpha) * candidates.columns(start, stop)

    yield from _spread_blocks(graph, predictions, candidates.n_classes, alpha, tolerance)


def _normalized(columns: Tensor, values: Tensor, n_before: int) -> Tensor:
    """``D^-1/2 (S + S^T) D^-1/2`` of the rows of S after ``n_before`` empty ones."""
    n = n_before + len(columns)
    rows = torch.arange(n_before, n, device=columns.device).repeat_interleave(columns.shape[1])
    graph = symmetric(rows, columns.flatten(), values.flatten(), n)
    counts, numbers, weights = graph.crow_indices().diff(), graph.col_indices(), graph.values()
    degree = (graph @ weights.new_ones(n, 1))[:, 0]
    scale = degree.where(degree > 0, 1).rsqrt()
    return csr(counts, numbers, weights * scale.repeat_interleave(counts) * scale[numbers], n)


def _spread_blocks(
    graph: Tensor,
    right: Callable[[int, int], Tensor],
    n_classes: int,
    alpha: float,
    tolerance: float,
    first: int = 0,
) -> Iterator[Block]:
    """Solve for as many classes at a time as `BLOCK_VALUES` allows; images are the last nodes."""
    rows = torch.arange(graph.shape[0] - first, device=graph.device)
    size = max(1, BLOCK_VALUES // graph.shape[0])
    for start in range(0, n_classes, size):
        stop = min(start + size, n_classes)
        scores = spread(graph, right(start, stop), alpha, tolerance)
        classes = torch.arange(start, stop, device=graph.device)
        yield Block(rows, classes, scores[first:].clamp_min_(FLOOR).log_())


def spread(graph: Tensor, right: Tensor, alpha: float, tolerance: float) -> Tensor:
    """Solve ``(I - alpha S) x = b`` for each column b of ``right``, ``(n, n_columns)``.

    By the iteration of Zhou et al. (NIPS 2003), ``x = b + alpha S x`` from ``x = b``. None of its
    terms is negative, so small scores, of which logarithms are taken, keep their order. After m
    steps the residual is ``(alpha S)^(m + 1) b``; the eigenvalues of S are in [-1, 1], so
    ``alpha^(m + 1) <= tolerance`` is enough for every column.
    """
    # Denormal numbers would make the products many times slower.
    solution = right = torch.threshold(right, NEGLIGIBLE, 0)
    for _ in range(steps_needed(alpha, tolerance)):
        solution = torch.addmm(right, graph, solution, alpha=alpha)
    return solution


def steps_needed(alpha: float, tolerance: float) -> int:
    """Return the least m with ``alpha^(m + 1) <= tolerance``."""
    return 0 if alpha <= tolerance else math.ceil(math.log(tolerance) / math.log(alpha)) - 1
