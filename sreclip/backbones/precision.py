"""Which precision of the forward pass a machine is fast in, found by trying it for a second."""

from __future__ import annotations

import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sreclip.backbones.weights import usable_device

# ViT-B/32: tokens of an image, width, heads, blocks.
TOKENS, WIDTH, HEADS, DEPTH = 50, 768, 12, 12
# Less than this is not worth other features.
WORTHWHILE = 1.2
# Images of a forward pass that is tried.
ON_CPU, ELSEWHERE = 16, 256
_SECONDS = 1.0
_EXACT = "float32"


class Tried(NamedTuple):
    """Least seconds of a block, and the largest 1 - cosine to float32 of what all blocks make."""

    seconds: float
    error: float


class Block(nn.Module):
    """A residual block of CLIP's image encoder, on ``(n_images, TOKENS, WIDTH)``."""

    def __init__(self) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(WIDTH)
        self.attn = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.ln_2 = nn.LayerNorm(WIDTH)
        layers = {
            "c_fc": nn.Linear(WIDTH, 4 * WIDTH),
            "gelu": nn.GELU(),
            "c_proj": nn.Linear(4 * WIDTH, WIDTH),
        }
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.ln_1(tokens)
        tokens = tokens + self.attn(normed, normed, normed, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))


@torch.inference_mode()
def try_precisions(device: str) -> dict[str, Tried]:
    """Run a block with random weights in each precision by turns, for about a second.

    On a CPU one core does it, and its processor time counts, so that other programs change little.
    Raises `ConfigError` if the device is missing.
    """
    where = usable_device(device)
    on_cpu = where.type == "cpu"
    # No CPU that is known is faster in float16 than in bfloat16.
    names = (_EXACT, "bfloat16") if on_cpu else (_EXACT, "bfloat16", "float16")
    clock = time.process_time if on_cpu else time.perf_counter
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = Block().eval().to(where)
        tokens = torch.randn(ON_CPU if on_cpu else ELSEWHERE, TOKENS, WIDTH).to(where)

    def run(name: str, given: Tensor) -> Tensor:
        kind = getattr(torch, name)
        with torch.autocast(where.type, dtype=kind, enabled=name != _EXACT):
            made = block(given)
        if not on_cpu:
            torch.accelerator.synchronize(where)
        return made

    seconds = dict.fromkeys(names, float("inf"))
    made = dict.fromkeys(names, tokens[:2])
    with _one_thread():
        for name in names:
            for _ in range(DEPTH):
                made[name] = run(name, made[name])
            run(name, tokens)  # the first run chooses and loads kernels
        end = time.perf_counter() + _SECONDS
        while math.isinf(seconds[_EXACT]) or time.perf_counter() < end:
            for name in names:
                begun = clock()
                run(name, tokens)
                seconds[name] = min(seconds[name], clock() - begun)
    rows = {name: each.float().mean(dim=1) for name, each in made.items()}
    errors = {
        name: float((1 - torch.cosine_similarity(rows[name], rows[_EXACT])).max().clamp(min=0))
        for name in names
    }
    return {name: Tried(seconds[name], errors[name]) for name in names}


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def images_per_second(tried: Mapping[str, Tried], precision: str, device: str) -> float:
    """Return how many images ViT-B/32 encodes per second, of a CPU on each core.

    What is not tried on a device is as fast as float32 there.
    """
    images = ON_CPU if device == "cpu" else ELSEWHERE
    return images / (DEPTH * tried.get(precision, tried[_EXACT]).seconds)


def best_precision(tried: Mapping[str, Tried]) -> str:
    """Return bfloat16 or else float16 if it is worthwhile, or else float32."""
    exact = tried[_EXACT].seconds
    others = (name for name in tried if name != _EXACT)
    return next((n for n in others if exact / tried[n].seconds >= WORTHWHILE), _EXACT)


def comparison(tried: Mapping[str, Tried], device: str) -> str:
    """Say in a line how the best precision, or else every other one, compares with float32."""
    exact, best = tried[_EXACT].seconds, best_precision(tried)
    faster = {name: exact / each.seconds for name, each in tried.items() if name != _EXACT}
    if best != _EXACT:
        return (
            f"{device}: {best} is {faster[best]:.1f} times as fast as float32; 1 - cosine after "
            f"the {DEPTH} blocks of a random ViT-B/32 is {tried[best].error:.0e}"
        )
    shown = " and ".join(
        f"{name} is "
        + (f"{x:.1f} times as fast as" if x >= 1 else f"{1 / x:.1f} times slower than")
        + " float32"
        for name, x in faster.items()
    )
    return f"{device}: {shown}"
