"""Which precision is advised, and that what is tried is a block of CLIP."""

from __future__ import annotations

import pytest
import torch
from open_clip.transformer import ResidualAttentionBlock

from sreclip.backbones.precision import HEADS, TOKENS, WIDTH, Block, Tried, advice, try_precisions
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
    ("bfloat16", "float16", "said"),
    [
        (0.5, None, "bfloat16 is 2.0 times as fast as float32"),
        (7.0, None, "keep backbone.open_clip.precision: float32; bfloat16 is 7.0 times slower"),
        (0.9, None, "keep backbone.open_clip.precision: float32; bfloat16 is 1.1 times as fast"),
        (0.5, 0.4, "set backbone.open_clip.precision: bfloat16"),
        (2.0, 0.25, "set backbone.open_clip.precision: float16"),
        (2.0, 4.0, "bfloat16 is 2.0 times slower and float16 is 4.0 times slower"),
    ],
)
def test_advice(bfloat16: float, float16: float | None, said: str) -> None:
    tried = {"float32": Tried(1.0, 0.0), "bfloat16": Tried(bfloat16, 2e-5)}
    if float16 is not None:
        tried["float16"] = Tried(float16, 3e-6)
    line = advice(tried, "cuda:1")
    assert line.startswith("cuda:1: ")
    assert said in line
    assert "\n" not in line
    assert ("2e-05" in line) == ("set backbone.open_clip.precision: bfloat16" in line)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="is not on this machine"):
        try_precisions("cuda:99")
