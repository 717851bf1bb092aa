"""Planted classes, and a watch on the size of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Planted = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def planted() -> Planted:
    """Unit-norm features around class centres, in turn, and the centres; float64."""

    def make(
        n: int = 60, classes: int = 4, dim: int = 8, noise: float = 0.4
    ) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        centres = F.normalize(torch.randn(classes, dim, generator=generator), dim=1)
        around = centres[torch.arange(n) % classes]
        around = around + noise * torch.randn(n, dim, generator=generator)
        features = F.normalize(around, dim=1)
        return features.double(), centres.double()

    return make


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest dense tensor that an operation gives."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                self.bytes = max(self.bytes, leaf.untyped_storage().nbytes())
        return result


@pytest.fixture
def largest() -> Largest:
    return Largest()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles, chunks and blocks so small that tiny data fill many, the last one in part."""
    for name, size in {
        "neighbours.TILE": 7,
        "candidates.BLOCK_VALUES": 30,
        "candidates.ROWS": 4,
        "pairs.EDGE_CHUNK": 5,
        "pairs.IMAGE_CHUNK": 7,
        "ecalp.CHUNK": 7,
        "inmap.BLOCK_VALUES": 30,
        "propagation.BLOCK_VALUES": 150,
    }.items():
        monkeypatch.setattr(f"sreclip.refinement.{name}", size)
