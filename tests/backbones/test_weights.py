"""Weights in local files: used as they were trained, whoever wrote them, or refused by name."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from open_clip.pretrained import _PRETRAINED
from PIL import Image
from safetensors.torch import save_file

from sreclip.config.models import BackboneSettings
from sreclip.errors import ConfigError

from .conftest import SMALL, random_state

pytestmark = pytest.mark.usefixtures("small_models")

SIGLIP = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
Saved = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Save random weights of a model under a name, and give the path."""

    def save(model: str, name: str = "own.safetensors", seed: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        state = dict(random_state(model, seed))
        if path.suffix == ".safetensors":
            save_file(state, path)
        else:
            torch.save(state, path)
        return path

    return save


def load(model: str, pretrained: object = "openai", **more: Any) -> Any:
    settings = {"model": model, "pretrained": str(pretrained), **more}
    return BackboneSettings(name="open_clip", open_clip=settings).load("cpu")


def picture() -> Image.Image:
    generator = np.random.default_rng(0)
    return Image.fromarray(generator.integers(0, 256, (50, 80, 3), dtype=np.uint8))


def features(backbone: Any) -> torch.Tensor:
    return backbone.encode_image(backbone.preprocess(picture())[None])


def by_tag(monkeypatch: pytest.MonkeyPatch, model: str, tag: str, path: Path) -> torch.Tensor:
    """Image features of open_clip itself, which has the file under a tag."""
    monkeypatch.setitem(_PRETRAINED[model][tag], "file", str(path))
    quick_gelu = _PRETRAINED[model][tag].get("quick_gelu", False)
    own, _, transform = open_clip.create_model_and_transforms(
        model, pretrained=tag, force_quick_gelu=quick_gelu
    )
    with torch.inference_mode():
        return own.eval().encode_image(transform(picture())[None], normalize=True)


@pytest.mark.parametrize(
    ("model", "tag"),
    [
        ("ViT-B-16-SigLIP", "webli"),
        ("MobileCLIP-S1", "datacompdr"),
        ("ViT-B-32-quickgelu", "openai"),
        ("ViT-B-32-256", "datacomp_s34b_b86k"),
    ],
)
def test_where_the_tags_agree_a_path_is_used_like_the_tag(
    model: str, tag: str, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(model)
    torch.testing.assert_close(features(load(model, path)), by_tag(monkeypatch, model, tag, path))


@pytest.mark.parametrize(
    ("model", "tag"),
    [("ViT-B-32", "openai"), ("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-L-14", "laion2b_s32b_b82k")],
)
def test_a_tag_says_what_a_file_is(
    model: str, tag: str, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(model)
    with pytest.raises(ConfigError, match="does not say how it was trained") as caught:
        load(model, path)
    assert "openai" in caught.value.message
    assert "backbone.open_clip.tag" in caught.value.hint
    torch.testing.assert_close(
        features(load(model, path, tag=tag)), by_tag(monkeypatch, model, tag, path)
    )


def test_every_tag_of_open_clip_is_used_like_the_tag_or_asked_for() -> None:
    from sreclip.backbones.recipes import recipe_of, tag_recipe

    nothing = {"quick_gelu": None, "preprocessing": {}, "tag": None}
    silent = asked = 0
    for model, tag in open_clip.list_pretrained():
        right = tag_recipe(model, tag)
        assert recipe_of({**nothing, "model": model, "tag": tag}, Path(__file__), None).same(right)
        try:
            found = recipe_of({**nothing, "model": model}, Path(__file__), None)
        except ConfigError:
            asked += 1
        else:
            silent += 1
            assert found.same(right), (model, tag)
    assert min(silent, asked) > 30


def test_by_hand(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved("ViT-L-14")
    by_hand = load(
        "ViT-L-14", path, quick_gelu=False, preprocessing={"mean": [0.5] * 3, "std": [0.5] * 3}
    )
    expected = by_tag(monkeypatch, "ViT-L-14", "laion2b_s32b_b82k", path)
    torch.testing.assert_close(features(by_hand), expected)
    with pytest.raises(ConfigError, match=r"mean 0.5, std 0.5 \(laion2b_s32b_b82k"):
        load("ViT-L-14", path, quick_gelu=False)
    squashed = load("ViT-S-32-alt", path, preprocessing={"resize_mode": "squash"})
    assert "resize_mode squash" in squashed.preprocessing
    with pytest.raises(ConfigError, match="is the model with QuickGELU"):
        load("ViT-B-32-quickgelu", path, quick_gelu=False)
    with pytest.raises(ConfigError, match=r"is not a pretrained tag of ViT-L-14.*'openai'"):
        load("ViT-L-14", path, tag="opnai")


def test_the_activation_decides_the_features_and_their_key(saved: Saved) -> None:
    path = saved("ViT-B-32")
    plain, quick = (load("ViT-B-32", path, quick_gelu=choice) for choice in (False, True))
    assert plain.weights_sha256 == quick.weights_sha256
    assert plain.network == "ViT-B-32, GELU"
    assert quick.network == "ViT-B-32, QuickGELU"
    assert (features(plain) - features(quick)).abs().max() > 1e-4
    torch.testing.assert_close(features(quick), features(load("ViT-B-32-quickgelu", path)))


def test_a_configuration_beside_the_file_is_read(saved: Saved) -> None:
    path = saved("ViT-B-32")
    config = {"model_cfg": SMALL["ViT-B-32-quickgelu"], "preprocess_cfg": SIGLIP}
    (path.parent / "open_clip_config.json").write_text(json.dumps(config))
    found = load("ViT-B-32", path)
    assert found.network.endswith("QuickGELU")
    assert "(0.5, 0.5, 0.5)" in found.preprocessing
    assert "squash" in found.preprocessing
    folder = load(f"local-dir:{path.parent}")
    torch.testing.assert_close(features(folder), features(found))
    assert folder.label == path.parent.name
    (path.parent / "open_clip_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="has no `model_cfg`"):
        load("ViT-B-32", path)
    (path.parent / "open_clip_config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"open_clip_config\.json cannot be read"):
        load("ViT-B-32", path)


def test_a_folder_without_what_it_needs(saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no open_clip_config\.json in"):
        load(f"local-dir:{tmp_path}")
    config = {"model_cfg": SMALL["ViT-B-32"], "preprocess_cfg": {}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load(f"local-dir:{tmp_path}")  # no weights: open_clip would make random ones
    (tmp_path / "open_clip_model.safetensors").write_text("version https://git-lfs.github.com/spec")
    with pytest.raises(ConfigError, match="a Git LFS pointer"):
        load(f"local-dir:{tmp_path}")
    with pytest.raises(ConfigError, match="a folder at") as caught:
        load("ViT-B-32", tmp_path)
    assert caught.value.hint == f"set model: local-dir:{tmp_path}"


def test_published_weights_are_recognised(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved("ViT-B-32", "laion.pt")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    known = _PRETRAINED["ViT-B-32"]["laion400m_e31"]
    monkeypatch.setitem(known, "url", f"https://example.org/mlfoundations/x-{sha256[:8]}.pt")
    assert load("ViT-B-32", path).network.endswith("QuickGELU")


class Archive(torch.nn.Module):
    """Tensors by name, for TorchScript."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.mark.filterwarnings("ignore:.*deprecated:FutureWarning")
def test_openai_own_archive_is_opened_by_its_hash_alone(
    saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = saved("ViT-B-32")

    archive = Archive()
    for name, value in random_state("ViT-B-32").items():
        *parents, last = name.split(".")
        module = archive
        for parent in parents:
            if not hasattr(module, parent):
                module.add_module(parent, Archive())
            module = getattr(module, parent)
        module.register_buffer(last, value)
    archive.register_buffer("context_length", torch.tensor(16))
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.trace(archive, torch.zeros(1)).save(str(path))
    with pytest.raises(ConfigError, match="TorchScript archive, which can hold code") as caught:
        load("ViT-B-32", path)
    assert "save_file(torch.jit.load('ViT-B-32.pt')" in caught.value.hint
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    openai = _PRETRAINED["ViT-B-32"]["openai"]
    monkeypatch.setitem(openai, "url", f"https://example.org/clip/models/{sha256}/ViT-B-32.pt")
    found = load("ViT-B-32", path)
    assert found.network.endswith("QuickGELU")
    torch.testing.assert_close(features(found), features(load("ViT-B-32", weights, tag="openai")))


def wrapped(state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What programs save around a state."""
    return {
        "prefixes": {f"module._orig_mod.{name}": value for name, value in state.items()},
        "trained": {
            "epoch": np.int64(3),
            "best": np.float64(0.5),
            "args": argparse.Namespace(lr=0.1),
            "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
            "model": state,
        },
        "lightning": {"state_dict": {f"model.{name}": value for name, value in state.items()}},
    }


@pytest.mark.parametrize("make", ["prefixes", "trained", "lightning"])
def test_what_training_programs_save(make: str, saved: Saved, tmp_path: Path) -> None:
    torch.save(wrapped(random_state("ViT-S-32-alt"))[make], tmp_path / "trained.ckpt")
    plain = load("ViT-S-32-alt", saved("ViT-S-32-alt"))
    assert load("ViT-S-32-alt", tmp_path / "trained.ckpt").weights_sha256 == plain.weights_sha256


def test_clip_of_transformers(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2}
    config = CLIPConfig(
        vision_config={
            **shape,
            "num_attention_heads": 1,
            "image_size": 32,
            "patch_size": 16,
            "hidden_act": "gelu",
        },
        text_config={
            **shape,
            "hidden_size": 32,
            "intermediate_size": 128,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
            "vocab_size": 49408,
            "hidden_act": "gelu",
        },
        projection_dim=24,
    )
    theirs = CLIPModel(config).eval()
    theirs.save_pretrained(tmp_path)
    preprocessing = {"image_mean": [0.1] * 3, "image_std": [0.2] * 3, "resample": 2}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    two_layers = {"vision_cfg": {**SMALL["ViT-B-32"]["vision_cfg"], "layers": 2}}
    two_layers["text_cfg"] = {**SMALL["ViT-B-32"]["text_cfg"], "layers": 2}
    open_clip.factory._MODEL_CONFIGS["ViT-B-32"].update(two_layers)
    try:
        ours = load("ViT-B-32", tmp_path / "model.safetensors")
    finally:
        open_clip.factory._MODEL_CONFIGS["ViT-B-32"].update(SMALL["ViT-B-32"])
    assert ours.network == "ViT-B-32, GELU"
    assert "mean (0.1, 0.1, 0.1)" in ours.preprocessing
    assert "interpolation bilinear, resize_mode shortest" in ours.preprocessing
    pixels = ours.preprocess(picture())[None]
    tokens = ours.tokenizer(["a photo of a dog."])
    with torch.inference_mode():
        scaled = ours.scaling(pixels)
        image = theirs.vision_model(pixel_values=scaled).pooler_output
        image = theirs.visual_projection(image)
        text = theirs.text_projection(theirs.text_model(input_ids=tokens).pooler_output)
    unit = torch.nn.functional.normalize
    torch.testing.assert_close(ours.encode_image(pixels), unit(image), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        ours.encode_text(["a photo of a dog."]), unit(text), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
            "a Git LFS pointer",
        ),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "a web page, not weights"),
        (b'{"error": "gated"}', "JSON, not weights"),
        (b"", "is empty"),
    ],
)
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_files_that_are_no_weights(content: bytes, what: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=what):
        load("ViT-S-32-alt", tmp_path / name)


def test_states_that_do_not_fit_say_where(saved: Saved, tmp_path: Path) -> None:
    state = dict(random_state("ViT-S-32-alt"))
    tower = {name: value for name, value in state.items() if name.startswith("visual.")}
    torch.save(tower, tmp_path / "tower.pt")
    with pytest.raises(ConfigError, match="an image tower alone, without a text tower"):
        load("ViT-S-32-alt", tmp_path / "tower.pt")
    torch.save({"vision_model.head.probe": torch.zeros(2)}, tmp_path / "siglip.pt")
    with pytest.raises(ConfigError, match="not a whole CLIPModel"):
        load("ViT-S-32-alt", tmp_path / "siglip.pt")
    torch.save({"epoch": 3, "steps": [1]}, tmp_path / "none.pt")
    with pytest.raises(ConfigError, match=r"no weights by name \(it holds: epoch, steps"):
        load("ViT-S-32-alt", tmp_path / "none.pt")
    state["visual.proj"] = torch.zeros(64, 7)
    state["extra"] = state.pop("ln_final.bias")
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ConfigError) as caught:
        load("ViT-S-32-alt", tmp_path / "other.pt")
    assert "1 tensors missing (ln_final.bias)" in caught.value.message
    assert "1 tensors not in the model (extra)" in caught.value.message
    assert "visual.proj (64, 7), not (64, 24)" in caught.value.message


def test_errors_of_torch_come_without_colours(tmp_path: Path) -> None:
    torch.save({"state_dict": object.__new__(_Odd)}, tmp_path / "odd.pt")
    with pytest.raises(ConfigError, match="not a plain file of tensors") as caught:
        load("ViT-S-32-alt", tmp_path / "odd.pt")
    assert "\x1b" not in str(caught.value)
    assert "_Odd" in caught.value.message
    for advice in ("Please use", "weights_only", "PyTorch 2.6"):
        assert advice not in caught.value.message


class _Odd:
    pass


def test_positions_that_are_interpolated_are_told(
    saved: Saved, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved("ViT-B-32", "small.pt")
    state = torch.load(path, weights_only=True)
    state["positional_embedding"] = state["positional_embedding"][:8]
    torch.save(state, path)
    load("ViT-B-32-256", path)
    notes = [record.getMessage() for record in caplog.records]
    assert any("image positions are interpolated from 5 to 17" in note for note in notes)
    assert any("text positions are interpolated from 8 to 16" in note for note in notes)


def test_weights_that_are_not_finite_are_named(saved: Saved, tmp_path: Path) -> None:
    state = dict(random_state("ViT-S-32-alt"))
    state["ln_final.bias"] = torch.full_like(state["ln_final.bias"], torch.nan)
    torch.save(state, tmp_path / "diverged.pt")
    with pytest.raises(ConfigError, match=r"are not finite \(first: ln_final\.bias\)"):
        load("ViT-S-32-alt", tmp_path / "diverged.pt")


def test_tokens_are_counted_before_the_end_is_cut_off(saved: Saved) -> None:
    backbone = load("ViT-S-32-alt", saved("ViT-S-32-alt"))
    assert backbone.context_length == 16
    texts = ["a dog", "a photo of " + "very " * 20 + "dog"]
    assert backbone.count_tokens(texts) == [4, 26]
