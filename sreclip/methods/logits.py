"""Logits in blocks: a table of all images by all classes is never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sreclip.methods.scores import TOP, ImageScores

BLOCK_VALUES = 1 << 22


class Block(NamedTuple):
    """Logits of some images for some classes, ``(n_rows, n_columns)``, and their numbers."""

    rows: Tensor
    classes: Tensor
    logits: Tensor


def widened(features: Tensor) -> Tensor:
    """Return float16 features as float32, which is exact, and others unchanged.

    Stored rows take half the memory in float16: only batches and blocks are widened.
    """
    return features.float() if features.dtype == torch.float16 else features


def softmax_and_log_sum(logits: Tensor, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the softmax of each row, and the logarithm of its sum of exponentials, ``(n,)``.

    In a tenth of the time of `torch.logsumexp`; ``out`` may be the logits themselves.
    """
    largest = logits.amax(dim=1)
    p = torch.softmax(logits, dim=1, out=out)
    return p, largest - p.amax(dim=1).log()


@torch.inference_mode()
def score_in_blocks(
    score: Callable[[Tensor], Tensor], features: Tensor, n_classes: int
) -> Iterator[Block]:
    """Score images in chunks: ``score`` maps `widened` features to logits ``(n, n_classes)``."""
    classes = torch.arange(n_classes, device=features.device)
    rows = torch.arange(len(features), device=features.device)
    for chunk in rows.split(max(1, BLOCK_VALUES // n_classes)):
        yield Block(chunk, classes, score(widened(features[chunk])))


def assemble(blocks: Iterable[Block], n_images: int, n_classes: int) -> Tensor:
    """Return all logits of the blocks as one table, ``(n_images, n_classes)``."""
    logits: Tensor | None = None
    for block in blocks:
        if logits is None:
            logits = block.logits.new_empty(n_images, n_classes)
        logits[block.rows[:, None], block.classes] = block.logits
    return torch.empty(0, n_classes) if logits is None else logits


def shifted(blocks: Iterable[Block], bias: Tensor) -> Iterator[Block]:
    """Add a bias per class, ``(n_classes,)``, to all logits."""
    for block in blocks:
        yield block._replace(logits=block.logits + bias[block.classes])


def collect(blocks: Iterable[Block], n_images: int, known: Tensor) -> ImageScores:
    """Reduce logits, each pair of image and class once, to what evaluation needs per image."""
    device = known.device
    n_classes = len(known)
    top = torch.full((n_images, min(TOP, n_classes)), -torch.inf, device=device)
    top_classes = torch.full(top.shape, -1, dtype=torch.int64, device=device)
    best = torch.full((2, n_images), -torch.inf, device=device)
    best_classes = torch.full((2, n_images), -1, dtype=torch.int64, device=device)
    log_sum = torch.full((n_images,), -torch.inf, device=device)
    for block in blocks:
        rows, classes, logits = block.rows, block.classes, block.logits.float()
        k = min(top.shape[1], len(classes))
        values, columns = logits.topk(k, dim=1)
        merged = torch.cat([top[rows], values], dim=1)
        merged_classes = torch.cat([top_classes[rows], classes[columns]], dim=1)
        # Stable: of equal logits the one that came first stays first.
        order = merged.sort(dim=1, descending=True, stable=True).indices[:, : top.shape[1]]
        top[rows] = merged.gather(1, order)
        top_classes[rows] = merged_classes.gather(1, order)
        for side, mask in enumerate((known[classes], ~known[classes])):
            if mask.any():
                value, column = logits[:, mask].max(dim=1)
                better = value > best[side, rows]
                best[side, rows] = torch.where(better, value, best[side, rows])
                best_classes[side, rows] = torch.where(
                    better, classes[mask][column], best_classes[side, rows]
                )
        log_sum[rows] = torch.logaddexp(log_sum[rows], softmax_and_log_sum(logits)[1])
    return ImageScores(
        top_class=top_classes.int().cpu().numpy(),
        top_logit=top.cpu().numpy(),
        known_class=best_classes[0].int().cpu().numpy(),
        known_logit=best[0].cpu().numpy(),
        unknown_class=best_classes[1].int().cpu().numpy(),
        unknown_logit=best[1].cpu().numpy(),
        log_sum=log_sum.cpu().numpy(),
    )
