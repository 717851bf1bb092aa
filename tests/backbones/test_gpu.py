"""Both backbones on a pretended GPU: pictures and texts go over, and features are the CPU's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sreclip.backbones import load_backbone
from tests.backbones.test_open_clip import MODEL, TEXTS, checkpoint, reference
from tests.pretended_gpu import OnGpu, PretendedGpu

__all__ = ["checkpoint", "reference"]


@pytest.fixture(params=["mini", "open_clip"])
def chosen(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Give a backbone's name and settings."""
    if request.param == "mini":
        return "mini", {}
    weights = request.getfixturevalue("checkpoint")
    return "open_clip", {"model": MODEL, "pretrained": str(weights)}


def test_features_on_a_gpu(
    chosen: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    pixels = torch.rand(3, 3, 224, 224)
    backbone = load_backbone(*chosen)
    images, names = backbone.encode_image(pixels), backbone.encode_text(TEXTS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with PretendedGpu():
        there = load_backbone(*chosen, device="cuda")
        assert there.device.type == "cuda"
        assert there.weights_sha256 == backbone.weights_sha256
        encoded = there.encode_image(pixels)
        assert isinstance(encoded, OnGpu)
        torch.testing.assert_close(encoded.cpu(), images)
        read = there.encode_text(TEXTS)
        assert not isinstance(read, OnGpu)
        torch.testing.assert_close(read, names)
