"""The exported image tower gives the features of the backbone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from sreclip.backbones.base import Backbone
from sreclip.config.backbones import BackboneSettings
from sreclip.errors import ConfigError
from sreclip.model import export
from sreclip.model.export import export_tower
from sreclip.model.model import Model
from tests.backbones.conftest import random_state, small_models  # noqa: F401 - a fixture

NAME = "ViT-S-32-alt"


def model_of(backbone: Backbone | None, name: str = "open_clip") -> Model:
    saved = SimpleNamespace(title="theirs", key="abc", backbone={"name": name})
    return cast(Model, SimpleNamespace(saved=saved, backbone=backbone))


def some_images(n: int) -> list[Image.Image]:
    rng = np.random.default_rng(n)
    return [
        Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8), "RGB") for _ in range(n)
    ]


def random_clip(folder: Path, **settings: Any) -> Backbone:
    torch.save(random_state(NAME), folder / "random.pt")
    own = {"model": NAME, "pretrained": str(folder / "random.pt"), **settings}
    return BackboneSettings(name="open_clip", open_clip=own).load("cpu")


def check(backbone: Backbone, path: Path) -> dict[str, str]:
    export_tower(model_of(backbone), path)
    assert [each.name for each in path.parent.glob("*.onnx*")] == [path.name]
    session = onnxruntime.InferenceSession(path)
    for n in (1, 3, 8):
        pixels = torch.stack([backbone.preprocess(image) for image in some_images(n)])
        (found,) = session.run(["features"], {"pixels": pixels.numpy()})
        wanted = backbone.encode_image(pixels, exact=True).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    return dict(session.get_modelmeta().custom_metadata_map)


def test_a_tower_of_open_clip(small_models: None, tmp_path: Path) -> None:  # noqa: F811
    backbone = random_clip(tmp_path)
    about = check(backbone, tmp_path / "tower.onnx")
    assert about["input"] == "pixels, uint8, (n, 3, height, width), RGB"
    assert json.loads(about["size"]) == [32, 32]
    assert about["preprocessing"] == backbone.preprocessing
    assert about["weights_sha256"] == backbone.weights_sha256
    assert about["key"] == "abc"


def test_half_precision_is_exported_in_float32(small_models: None, tmp_path: Path) -> None:  # noqa: F811
    check(random_clip(tmp_path, precision="bfloat16"), tmp_path / "tower.onnx")


def test_a_preprocessing_that_is_not_cut_takes_scaled_pixels(
    small_models: None,  # noqa: F811
    tmp_path: Path,
) -> None:
    backbone = cast(Any, random_clip(tmp_path))
    whole, scaling = backbone.transform, backbone.scaling
    backbone.transform, backbone.scaling = lambda image: scaling(whole(image)), None
    assert check(backbone, tmp_path / "tower.onnx")["input"].startswith("pixels, float32, ")


def test_the_tower_of_mini(tmp_path: Path) -> None:
    about = check(BackboneSettings(name="mini").load("cpu"), tmp_path / "tower.onnx")
    assert json.loads(about["size"]) == [224, 224]


def test_what_has_no_tower_is_refused(
    small_models: None,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "tower.onnx"
    with pytest.raises(ConfigError, match="made elsewhere: it has no image tower"):
        export_tower(model_of(None, "precomputed"), path)
    monkeypatch.setattr(export, "MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="and an ONNX file holds 2 GiB"):
        export_tower(model_of(random_clip(tmp_path)), path)
    assert not path.exists()
