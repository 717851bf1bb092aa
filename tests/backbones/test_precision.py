"""Which precision is best, and that what is tried is a block of CLIP."""

from __future__ import annotations

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock

from sreclip.backbones.precision import (
    HEADS,
    TOKENS,
    WIDTH,
    Block,
    Tried,
    best_precision,
    comparison,
    images_per_second,
    try_precisions,
)
from sreclip.errors import ConfigError


def test_the_block_is_open_clips() -> None:
    torch.manual_seed(0)
    theirs = ResidualAttentionBlock(WIDTH, HEADS).eval()
    ours = Block().eval()
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, TOKENS, WIDTH)
    with torch.inference_mode():
        torch.testing.assert_close(ours(tokens), theirs(tokens))


def test_a_cpu_is_tried_and_left_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    tried = try_precisions("cpu")
    assert tried.keys() == {"float32", "bfloat16"}
    assert all(0 < each.seconds < float("inf") for each in tried.values())
    assert tried["float32"].error == pytest.approx(0, abs=1e-6)
    assert 0 < tried["bfloat16"].error < 1e-3
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("bfloat16", "float16", "best", "said"),
    [
        (0.5, None, "bfloat16", "bfloat16 is 2.0 times as fast as float32; 1 - cosine"),
        (7.0, None, "float32", "cuda:1: bfloat16 is 7.0 times slower than float32"),
        (0.9, None, "float32", "cuda:1: bfloat16 is 1.1 times as fast as float32"),
        (0.5, 0.4, "bfloat16", "is 2e-05"),
        (2.0, 0.25, "float16", "float16 is 4.0 times as fast as float32; 1 - cosine"),
        (2.0, 4.0, "float32", "2.0 times slower than float32 and float16 is 4.0 times"),
    ],
)
def test_what_is_said_of_precisions(
    bfloat16: float, float16: float | None, best: str, said: str
) -> None:
    tried = {"float32": Tried(1.0, 0.0), "bfloat16": Tried(bfloat16, 2e-5)}
    if float16 is not None:
        tried["float16"] = Tried(float16, 3e-6)
    line = comparison(tried, "cuda:1")
    assert said in line
    assert "\n" not in line
    assert best_precision(tried) == best


def test_images_per_second_count_all_blocks() -> None:
    tried = {"float32": Tried(0.5, 0.0), "bfloat16": Tried(0.25, 0.0)}
    assert images_per_second(tried, "float32", "cpu") == pytest.approx(16 / (12 * 0.5))
    assert images_per_second(tried, "bfloat16", "cuda") == pytest.approx(256 / (12 * 0.25))
    assert images_per_second(tried, "float16", "cpu") == pytest.approx(16 / (12 * 0.5))


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not on this machine"):
        try_precisions("cuda:99")
