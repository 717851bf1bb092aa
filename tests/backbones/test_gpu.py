"""Both backbones on a pretended GPU: images and texts go over, and features are the CPU's."""

from __future__ import annotations

import pytest
import torch

from sreclip.config.models import BackboneSettings
from tests.backbones.test_open_clip import MODEL, TEXTS, checkpoint, reference
from tests.pretended_gpu import OnGpu, PretendedGpu

__all__ = ["checkpoint", "reference"]


@pytest.fixture(params=["mini", "open_clip"])
def chosen(request: pytest.FixtureRequest) -> BackboneSettings:
    """Return a backbone's settings."""
    if request.param == "mini":
        return BackboneSettings(name="mini")
    weights = request.getfixturevalue("checkpoint")
    settings = {"model": MODEL, "pretrained": str(weights)}
    return BackboneSettings(name="open_clip", open_clip=settings)


def test_features_on_a_gpu(chosen: BackboneSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    pixels = torch.rand(3, 3, 224, 224)
    backbone = chosen.load("cpu")
    images, names = backbone.encode_image(pixels), backbone.encode_text(TEXTS)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with PretendedGpu():
        there = chosen.load("cuda")
        assert there.device.type == "cuda"
        assert there.weights_sha256 == backbone.weights_sha256
        encoded = there.encode_image(pixels)
        assert isinstance(encoded, OnGpu)
        torch.testing.assert_close(encoded.cpu(), images)
        read = there.encode_text(TEXTS)
        assert not isinstance(read, OnGpu)
        torch.testing.assert_close(read, names)
