"""The open_clip backbone against open_clip itself, with random weights in a local checkpoint."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from sreclip.config.models import BackboneSettings
from sreclip.errors import ConfigError

MODEL = "ViT-S-32-alt"
OTHER_MODEL = "ViT-M-32-alt"
TEXTS = ["a photo of a dog.", "a drawing of a clock."]


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    torch.manual_seed(0)
    return open_clip.create_model(MODEL).eval()


@pytest.fixture(scope="module")
def checkpoint(reference: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(reference.state_dict(), path)
    return path


def some_images() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [
        Image.fromarray(generator.integers(0, 256, (50, 80, 3), dtype=np.uint8)) for _ in range(3)
    ]


def load(pretrained: object, model: str = MODEL, device: str = "cpu", **more: str):
    settings = {"model": model, "pretrained": str(pretrained), **more}
    return BackboneSettings(name="open_clip", open_clip=settings).load(device)


def test_features_are_open_clips_own(reference: torch.nn.Module, checkpoint: Path) -> None:
    backbone = load(checkpoint)
    _, _, transform = open_clip.create_model_and_transforms(MODEL)
    pixels = torch.stack([transform(image) for image in some_images()])
    in_bytes = torch.stack([backbone.preprocess(image) for image in some_images()])
    assert in_bytes.dtype == torch.uint8
    assert torch.equal(backbone.encode_image(in_bytes), backbone.encode_image(pixels))
    with torch.inference_mode():
        images = reference.encode_image(pixels, normalize=True)
        texts = reference.encode_text(open_clip.get_tokenizer(MODEL)(TEXTS), normalize=True)
    torch.testing.assert_close(backbone.encode_image(pixels), images)
    torch.testing.assert_close(backbone.encode_text(TEXTS), texts)
    assert backbone.label == f"{MODEL}-random"
    assert backbone.dim == images.shape[1]
    assert backbone.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)


def test_weights_hash_does_not_depend_on_the_container(
    reference: torch.nn.Module, checkpoint: Path, tmp_path: Path
) -> None:
    state = {name: value.contiguous() for name, value in reference.state_dict().items()}
    save_file(state, tmp_path / "same.safetensors")
    same = load(tmp_path / "same.safetensors")
    assert same.weights_sha256 == load(checkpoint).weights_sha256
    state["logit_scale"] = state["logit_scale"] + 1
    save_file(state, tmp_path / "changed.safetensors")
    assert load(tmp_path / "changed.safetensors").weights_sha256 != same.weights_sha256


def test_half_precision_keeps_the_tokens_exact_on_a_cpu(checkpoint: Path) -> None:
    """In half precision torch's attention would take a way that is ten times slower."""
    backbone, seen = load(checkpoint, precision="bfloat16"), []
    backbone.model.visual.transformer.register_forward_pre_hook(
        lambda module, given: seen.append(given[0].dtype)
    )
    backbone.encode_image(torch.stack([backbone.preprocess(image) for image in some_images()]))
    assert seen == [torch.float32]


def test_half_precision_gives_nearly_the_same_unit_rows(checkpoint: Path) -> None:
    full, half = load(checkpoint), load(checkpoint, precision="bfloat16")
    pixels = torch.stack([full.preprocess(image) for image in some_images()])
    features = half.encode_image(pixels)
    assert features.dtype == torch.float32
    torch.testing.assert_close(features.norm(dim=1), torch.ones(3))
    assert (features * full.encode_image(pixels)).sum(1).min() > 0.99


def test_openai_tag_switches_quickgelu_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def create_model(name: str, **options: object) -> None:
        asked[options["pretrained"]] = options["force_quick_gelu"]
        raise OSError("stop here")

    monkeypatch.setattr(open_clip, "create_model", create_model)
    for tag in ("openai", "laion2b_s34b_b88k"):
        with pytest.raises(ConfigError, match="could not be downloaded") as caught:
            load(tag, "ViT-B-16")
        assert "path" in caught.value.hint
    assert asked == {"openai": True, "laion2b_s34b_b88k": False}


def test_unknown_names_are_refused_with_the_nearest(checkpoint: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("opnai", "ViT-B-16")
    assert "openai" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        load(checkpoint, "ViT-B16")
    assert "ViT-B-16" in caught.value.hint
    with pytest.raises(ConfigError, match="device"):
        load(checkpoint, device="cuda:99")


def test_checkpoint_of_another_architecture_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        load(checkpoint, OTHER_MODEL)


def test_missing_and_damaged_files_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint file"):
        load(tmp_path / "absent.pt")
    for name in ("short.pt", "short.safetensors"):
        (tmp_path / name).write_bytes(checkpoint.read_bytes()[:1000])
        with pytest.raises(ConfigError, match="not a plain file of tensors"):
            load(tmp_path / name)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"state_dict": Trap(sprung)}, tmp_path / "zip.pt")
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    for name in ("zip.pt", "plain.bin"):
        with pytest.raises(ConfigError, match="not a plain file of tensors"):
            load(tmp_path / name)
    assert not sprung.exists()


def test_importing_the_registry_imports_no_torch() -> None:
    code = "import sys, sreclip.backbones; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
