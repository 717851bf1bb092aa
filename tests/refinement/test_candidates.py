"""Candidates against a full log-softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from sreclip.methods.logits import Block, assemble
from sreclip.refinement.candidates import MOST_CANDIDATES, Candidates


def whole(logits: torch.Tensor) -> list[Block]:
    return [Block(torch.arange(len(logits)), torch.arange(logits.shape[1]), logits)]


def random_logits(n: int, classes: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 5 * torch.randn(n, classes, generator=generator, dtype=torch.float64)


@given(data=st.data())
def test_order_and_cut_of_blocks_do_not_matter(data: st.DataObject) -> None:
    n, classes = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9))
    most = data.draw(st.integers(1, 10))
    logits = random_logits(n, classes)
    rows = torch.tensor(data.draw(st.permutations(range(n))))
    columns = torch.tensor(data.draw(st.permutations(range(classes))))
    blocks = [
        Block(chunk, group, logits[chunk][:, group])
        for chunk in rows.split(data.draw(st.integers(1, n)))
        for group in columns.split(data.draw(st.integers(1, classes)))
    ]
    found = Candidates.from_blocks(data.draw(st.permutations(blocks)), n, classes, most)
    log_p = log_softmax(logits.numpy(), axis=1)
    expected = np.sort(np.argsort(-log_p, axis=1)[:, :most], axis=1)
    np.testing.assert_array_equal(found.classes.numpy(), expected)
    np.testing.assert_allclose(found.log_p.numpy(), np.take_along_axis(log_p, expected, axis=1))
    assert found.complete == (classes <= most)
    assert len(found) == n


def test_with_few_classes_all_are_candidates() -> None:
    logits = random_logits(3, MOST_CANDIDATES)
    found = Candidates.from_blocks(whole(logits), 3, MOST_CANDIDATES)
    assert found.complete
    blocks = list(found.blocks())
    torch.testing.assert_close(
        assemble(blocks, 3, MOST_CANDIDATES), logits.log_softmax(dim=1), rtol=0, atol=1e-12
    )
    more = Candidates.from_blocks(whole(random_logits(3, 65)), 3, 65)
    assert more.log_p.shape == (3, MOST_CANDIDATES)


@pytest.mark.parametrize("most", [1, 3, 8])
def test_dense_and_columns_are_probabilities_of_candidates(most: int, small_pieces: None) -> None:
    logits = random_logits(11, 8)
    found = Candidates.from_blocks(whole(logits), 11, 8, most)
    p = logits.softmax(dim=1)
    least = p.sort(dim=1, descending=True).values[:, most - 1 : most]
    expected = p.where(p >= least, 0)
    rows = torch.tensor([7, 0, 7, 10])
    torch.testing.assert_close(found.dense(rows), expected[rows])
    torch.testing.assert_close(found.columns(2, 5), expected[:, 2:5])
    blocks = list(found.blocks())
    assert len(blocks) > 1
    logits_again = assemble(blocks, 11, 8)
    torch.testing.assert_close(logits_again.exp(), expected, atol=1e-300, rtol=1e-7)
    assert torch.isfinite(logits_again).all()


def test_a_class_that_is_no_candidate_is_never_above_one() -> None:
    logits = torch.tensor([[0.0, -500.0, -600.0], [0.0, -1.0, -2.0]])
    (block,) = Candidates.from_blocks(whole(logits), 2, 3, most=2).blocks()
    tiny = torch.tensor(torch.finfo(torch.float32).tiny)
    assert block.logits[0].tolist() == [0, -500, -500]
    torch.testing.assert_close(block.logits[1, 2], tiny.log())


def test_soft_labels_from_logits_made_in_inference_mode_can_be_trained_on() -> None:
    for most in (2, 5):
        with torch.inference_mode():
            blocks = whole(random_logits(4, 5))
        labels = Candidates.from_blocks(blocks, 4, 5, most).dense(torch.arange(2))
        scores = torch.zeros(2, 5, dtype=torch.float64, requires_grad=True)
        (labels * scores).sum().backward()
        assert torch.equal(scores.grad, labels)


def test_no_image() -> None:
    for classes in (3, 100):
        found = Candidates.from_blocks([], 0, classes)
        assert len(found) == 0
        assert next(found.blocks()).logits.shape == (0, classes)
