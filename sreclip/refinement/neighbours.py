"""Nearest images and the sparse graphs they make."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sreclip.methods.logits import widened
from sreclip.refinement import Neighbours

NeighbourSearch = Callable[[Tensor, int], tuple[Tensor, Tensor]]

# A tile of float32 cosines is 16 MB: it stays in a processor's last cache while it is searched.
TILE = 2048
# Fewer images are searched exactly, which is faster there.
FEW = 1 << 15
CUTS = 16


def neighbour_search(name: Neighbours) -> NeighbourSearch:
    """Return the search of that name, from ``(features, k)`` to numbers and cosines."""
    return {"exact": nearest_neighbours, "approximate": approximate_neighbours}[name]


@torch.no_grad()
def nearest_neighbours(features: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the ``k`` nearest other rows of each row, exactly, in memory of ``O(n_images k)``.

    Cosines of the unit-norm rows are computed in square tiles on and above the diagonal: each
    serves the images of its rows and of its columns. Returns numbers and cosines, ``(n_images,
    min(k, n_images - 1))``, nearest first; ties are in no defined order.
    """
    n = len(features)
    k = min(k, n - 1)
    numbers = torch.zeros(n, k, dtype=torch.int64, device=features.device)
    cosines = features.new_full((n, k), -torch.inf)
    if k == 0:
        return numbers, cosines
    space = features.new_empty(min(TILE, n) ** 2)
    for top in range(0, n, TILE):
        rows = slice(top, min(top + TILE, n))
        for left in range(top, n, TILE):
            columns = slice(left, min(left + TILE, n))
            shape = rows.stop - rows.start, columns.stop - columns.start
            tile = space[: shape[0] * shape[1]].view(shape)
            torch.mm(features[rows], features[columns].T, out=tile)
            if top == left:
                tile.fill_diagonal_(-torch.inf)
            else:
                _take_nearer(numbers[columns], cosines[columns], tile.T, top)
            _take_nearer(numbers[rows], cosines[rows], tile, left)
    return numbers, cosines


@torch.no_grad()
def nearest_among(features: Tensor, others: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the ``k`` nearest of other unit-norm rows for each row, exactly, tile by tile.

    Either may be float16. Returns what `nearest_neighbours` does, ``(n_images, min(k, n_others))``.
    """
    k = min(k, len(others))
    kind = widened(features[:0]).dtype
    numbers = torch.zeros(len(features), k, dtype=torch.int64, device=features.device)
    cosines = torch.full(numbers.shape, -torch.inf, dtype=kind, device=features.device)
    for top in range(0, len(features), TILE):
        rows = slice(top, top + TILE)
        wide = widened(features[rows])
        for left in range(0, len(others), TILE):
            tile = wide @ others[left : left + TILE].to(kind).T
            _take_nearer(numbers[rows], cosines[rows], tile, left)
    return numbers, cosines


def _take_nearer(numbers: Tensor, cosines: Tensor, tile: Tensor, first: int) -> None:
    """Insert the columns of a tile, numbered from ``first``, that are nearer than the farthest."""
    # In later tiles few rows hold anything nearer, and a maximum costs less than a selection.
    rows = (tile.amax(dim=1) > cosines[:, -1]).nonzero()[:, 0]
    # Of a tile that lies transposed, columns are chosen as they lie, and fewer are transposed.
    chosen = tile[rows] if tile.is_contiguous() else tile.T.index_select(1, rows).T.contiguous()
    best = chosen.topk(min(cosines.shape[1], tile.shape[1]), dim=1)
    merged = torch.cat([cosines[rows], best.values], dim=1)
    merged_numbers = torch.cat([numbers[rows], best.indices + first], dim=1)
    kept = merged.topk(cosines.shape[1], dim=1)
    cosines[rows] = kept.values
    numbers[rows] = merged_numbers.gather(1, kept.indices)


@torch.no_grad()
def approximate_neighbours(features: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find most of the ``k`` nearest other rows of each row, in time of ``O(n_images^1.5)``.

    Ours, from the random cells of locality-sensitive hashing: each image joins the cell of the
    nearest of about ``2 sqrt(n_images)`` images drawn at random, and each cell (or each `TILE`
    images of one) is searched exactly; this is done `CUTS` times, and the nearest of all that are
    found are kept. Below `FEW` images the search is exact. The draws are the same for every seed.
    Returns what `nearest_neighbours` does.
    """
    n = len(features)
    if n < FEW:
        return nearest_neighbours(features, k)
    k = min(k, n - 1)
    numbers = torch.zeros(n, k, dtype=torch.int64, device=features.device)
    cosines = features.new_full((n, k), -torch.inf)
    generator = torch.Generator().manual_seed(0)
    # Allocated once: between pieces of many sizes the heap would be left full of holes.
    space = features.new_empty(TILE**2)
    room = features.new_empty(TILE, features.shape[1])
    for _ in range(CUTS):
        for members in _random_cells(features, generator):
            own = torch.index_select(features, 0, members, out=room[: len(members)])
            tile = space[: len(own) ** 2].view(len(own), len(own))
            torch.mm(own, own.T, out=tile).fill_diagonal_(-torch.inf)
            best = tile.topk(min(k, len(own) - 1), dim=1)
            _take_new(numbers, cosines, members, members[best.indices], best.values)
    # An image that met fewer than k others, in small cells only, is compared with all.
    lonely = torch.isneginf(cosines).any(dim=1).nonzero()[:, 0]
    for rows in lonely.split(max(1, TILE**2 // n)):
        tile = features[rows] @ features.T
        tile.scatter_(1, rows[:, None], -torch.inf)
        cosines[rows], numbers[rows] = tile.topk(k, dim=1)
    return numbers, cosines


def _random_cells(features: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Cut the images by the nearest of some of them; yield at most `TILE` members at a time."""
    n = len(features)
    drawn = torch.randperm(n, generator=generator)[: 2 * math.isqrt(n)]
    centres = features[drawn.to(features.device)]
    cells = torch.empty(n, dtype=torch.int64, device=features.device)
    for start in range(0, n, TILE):
        part = slice(start, start + TILE)
        cells[part] = (features[part] @ centres.T).argmax(dim=1)
    counts = torch.bincount(cells, minlength=len(centres))
    for members in cells.argsort(stable=True).split(counts.tolist()):
        # Of two equal centres, one has no image.
        yield from members.split(TILE) if len(members) else ()


def _take_new(numbers: Tensor, cosines: Tensor, rows: Tensor, found: Tensor, near: Tensor) -> None:
    """Insert what was found for some rows, each number once."""
    merged_numbers, order = torch.cat([numbers[rows], found], dim=1).sort(dim=1)
    merged = torch.cat([cosines[rows], near], dim=1).gather(1, order)
    again = merged_numbers[:, 1:] == merged_numbers[:, :-1]
    merged[:, 1:].masked_fill_(again, -torch.inf)
    kept = merged.topk(numbers.shape[1], dim=1)
    cosines[rows] = kept.values
    numbers[rows] = merged_numbers.gather(1, kept.indices)


def graph_of(numbers: Tensor, weights: Tensor, before: int = 0) -> Tensor:
    """Return ``E + E^T`` as CSR; row ``before + i`` of E has ``weights[i]`` at ``numbers[i]``.

    Both are ``(n_images, k)``; the first ``before`` rows of E are empty.
    """
    n = before + len(numbers)
    rows = torch.arange(before, n, device=numbers.device).repeat_interleave(numbers.shape[1])
    return symmetric(rows, numbers.flatten(), weights.flatten(), n)


def symmetric(rows: Tensor, columns: Tensor, values: Tensor, n: int) -> Tensor:
    """Return ``S + S^T`` as a CSR matrix ``(n, n)``; equal entries of S add up."""
    both = torch.stack([torch.cat([rows, columns]), torch.cat([columns, rows])])
    values = torch.cat([values, values])
    entries = torch.sparse_coo_tensor(both, values, (n, n), check_invariants=False).coalesce()
    counts = torch.bincount(entries.indices()[0], minlength=n)
    return csr(counts, entries.indices()[1], entries.values(), n)


def csr(counts: Tensor, columns: Tensor, values: Tensor, n_columns: int) -> Tensor:
    """Return a CSR matrix from counts per row ``(n_rows,)`` and, row by row, columns and values."""
    starts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts, columns, values, (len(counts), n_columns), check_invariants=False
        )
