"""Blocks of logits against the whole table."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.methods.logits import Block, assemble, collect, shifted


def cut(logits: torch.Tensor, generator: torch.Generator, pieces: int) -> list[Block]:
    """All pairs of images and classes once, shuffled and cut into blocks."""
    rows = torch.randperm(len(logits), generator=generator).tensor_split(pieces)
    classes = torch.randperm(logits.shape[1], generator=generator).tensor_split(pieces)
    blocks = [Block(r, c, logits[r][:, c]) for r in rows for c in classes if len(r) and len(c)]
    order = torch.randperm(len(blocks), generator=generator)
    return [blocks[i] for i in order]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 9), st.integers(1, 4))
def test_any_cut_gives_the_same_scores(seed: int, n: int, n_classes: int, pieces: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 10 * torch.randn(n, n_classes, generator=generator)
    known = torch.rand(n_classes, generator=generator) < 0.5
    blocks = cut(logits, generator, pieces)
    assert torch.equal(assemble(blocks, n, n_classes), logits)
    scores = collect(blocks, n, known)
    top = logits.sort(dim=1, descending=True)
    assert np.array_equal(scores.top_class, top.indices[:, :5].numpy())
    assert np.array_equal(scores.top_logit, top.values[:, :5].numpy())
    for mask, best, value in (
        (known, scores.known_class, scores.known_logit),
        (~known, scores.unknown_class, scores.unknown_logit),
    ):
        expected = torch.where(mask, logits, -torch.inf).max(dim=1)
        assert np.array_equal(value, expected.values.numpy())
        assert np.array_equal(best, expected.indices.numpy() if mask.any() else np.full(n, -1))
    torch.testing.assert_close(torch.from_numpy(scores.log_sum), logits.logsumexp(dim=1))
    expected_confidence = logits.softmax(dim=1).amax(dim=1)
    torch.testing.assert_close(torch.from_numpy(scores.confidence), expected_confidence)


def test_a_bias_per_class() -> None:
    logits = torch.arange(6.0).reshape(2, 3)
    bias = torch.tensor([0.0, 10, 20])
    blocks = cut(logits, torch.Generator().manual_seed(0), 2)
    assert torch.equal(assemble(shifted(blocks, bias), 2, 3), logits + bias)


def test_rejected_images_keep_their_places() -> None:
    logits = torch.tensor([[3.0, 1, 2]])
    scores = collect([Block(torch.arange(1), torch.arange(3), logits)], 1, torch.ones(3) > 0)
    placed = scores.spread(np.array([False, True]))
    assert placed.top_class.tolist() == [[-1, -1, -1], [0, 2, 1]]
    assert placed.log_sum[0] == 0
    assert placed.known_logit.tolist() == [0, 3]
