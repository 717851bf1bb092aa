"""Models and tokenizers of the Hub without a network: from its cache, or an error that leads on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from .conftest import SMALL, hub_model, random_state

pytestmark = pytest.mark.usefixtures("small_models")

TAGS = {
    "ViT-B-32": ("openai", "timm/vit_base_patch32_clip_224.openai"),
    "ViT-B-16-SigLIP": ("webli", "timm/ViT-B-16-SigLIP"),
    "MobileCLIP-S1": ("datacompdr", "apple/MobileCLIP-S1-OpenCLIP"),
    "roberta-ViT-B-32": ("laion2b_s12b_b32k", "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"),
}
TEXT_TOWER = {
    "model_type": "roberta",
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
}


def write_tokenizer(folder: Path) -> None:
    """A tokenizer of bytes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)


def run(home: Path, cases: list[dict[str, Any]], tmp_path: Path) -> list[dict[str, Any]]:
    """Load each backbone in a process without a network."""
    small = tmp_path / "small.json"
    small.write_text(json.dumps(SMALL))
    done = subprocess.run(
        [sys.executable, "-m", "tests.backbones.offline", str(small), json.dumps(cases)],
        env=os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, small_models: None) -> Path:
    """HF_HOME with four models, their tokenizers, and RoBERTa's configuration."""
    home = tmp_path_factory.mktemp("home")
    tower = hub_model(home, "roberta-base")
    (tower / "config.json").write_text(json.dumps(TEXT_TOWER))
    write_tokenizer(tower)
    for model, (_, repository) in TAGS.items():
        folder = hub_model(home, repository)
        options = {}
        if model.startswith("roberta"):
            text = SMALL[model]["text_cfg"]
            options["text_cfg"] = {
                **text,
                "hf_model_name": str(tower),
                "hf_model_pretrained": False,
            }
        state = {
            k: v.clone() for k, v in random_state(model, pretrained_text=False, **options).items()
        }
        save_file(state, folder / "open_clip_model.safetensors")
        if "SigLIP" in model:
            write_tokenizer(folder)
            config = {"model_cfg": SMALL[model], "preprocess_cfg": {"resize_mode": "squash"}}
            (folder / "open_clip_config.json").write_text(json.dumps(config))
            # The Hub's client remembers that the repository has no such file.
            absent = folder.parents[1] / ".no_exist" / folder.name / "config.json"
            absent.parent.mkdir(parents=True)
            absent.touch()
    return home


def test_models_by_tag_and_by_path_from_the_cache_alone(home: Path, tmp_path: Path) -> None:
    weights = {
        model: next(
            (home / "hub").glob(f"models--{name.replace('/', '--')}/snapshots/*/*.safetensors")
        )
        for model, (_, name) in TAGS.items()
    }
    by_tag = [{"model": model, "pretrained": tag} for model, (tag, _) in TAGS.items()]
    copies = {model: tmp_path / f"{model}.safetensors" for model in weights}
    for model, copy in copies.items():
        copy.write_bytes(weights[model].read_bytes())
    by_path = [
        {"model": model, "pretrained": str(copies[model]), "tag": tag}
        for model, (tag, _) in TAGS.items()
    ]
    siglip = f"hf-hub:{TAGS['ViT-B-16-SigLIP'][1]}"
    folder = f"local-dir:{weights['ViT-B-16-SigLIP'].parent}"
    found = run(home, [*by_tag, *by_path, {"model": siglip}, {"model": folder}], tmp_path)
    assert not any("error" in each for each in found), found
    for tagged, copied in zip(found[: len(TAGS)], found[len(TAGS) : 2 * len(TAGS)], strict=True):
        assert tagged == copied
    openai, webli, mobile, roberta = found[: len(TAGS)]
    assert openai["network"] == "ViT-B-32, QuickGELU"
    assert openai["tokens"] == [8, 8, 32]
    assert "mean (0.5, 0.5, 0.5)" in webli["preprocessing"]
    assert "squash" in webli["preprocessing"]
    assert webli["tokens"] == [17, 21, 150]  # a byte per token; cleaning drops dots and ends
    assert "mean (0.0, 0.0, 0.0)" in mobile["preprocessing"]
    assert roberta["context"] == 16
    assert roberta["network"] == "roberta-ViT-B-32, QuickGELU"
    # The Hub's own configuration leaves the mean to open_clip's default.
    from_hub, from_folder = found[2 * len(TAGS) :]
    assert "mean (0.48145466" in from_hub["preprocessing"]
    for name in ("network", "text", "tokens", "preprocessing", "image"):
        assert from_folder[name] == from_hub[name]


def test_what_is_missing_is_named_with_the_way_to_bring_it(home: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    siglip, tower = tmp_path / "siglip.safetensors", tmp_path / "tower"
    save_file(dict(random_state("ViT-B-16-SigLIP")), siglip)
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps(TEXT_TOWER))
    write_tokenizer(tower)
    roberta = next((home / "hub").glob("models--laion--*/snapshots/*/*.safetensors"))
    cases: list[dict[str, Any]] = [
        {"model": "ViT-B-32", "pretrained": "openai"},
        {"model": "ViT-B-16-SigLIP", "pretrained": str(siglip)},
        {"model": "ViT-B-16-SigLIP", "pretrained": str(siglip), "tokenizer": str(tower)},
        {"model": "roberta-ViT-B-32", "pretrained": str(roberta)},
        {"model": "roberta-ViT-B-32", "pretrained": str(roberta), "tokenizer": str(tower)},
        {"model": "hf-hub:timm/ViT-B-16-SigLIP"},
    ]
    weights, tokenizer, brought, no_tower, own_tower, hub = run(empty, cases, tmp_path)
    assert "the weights 'openai' of ViT-B-32 could not be downloaded" in weights["error"]
    assert "tag: openai" in weights["error"]
    assert str(empty) in weights["error"]
    assert len(tokenizer["image"][0]) == 24  # images need no tokenizer
    assert "the tokenizer timm/ViT-B-16-SigLIP could not be downloaded" in tokenizer["error"]
    assert "HF_HOME" in tokenizer["error"]
    assert "backbone.open_clip.tokenizer" in tokenizer["error"]
    assert len(brought["text"]) == 2
    assert "the text tower's configuration roberta-base could not" in no_tower["error"]
    assert len(own_tower["text"]) == 2
    assert "the configuration of hf-hub:timm/ViT-B-16-SigLIP could not" in hub["error"]


def test_half_precision_that_overflows_gives_no_rows(tmp_path: Path) -> None:
    from sreclip.config.models import BackboneSettings
    from sreclip.errors import ConfigError
    from sreclip.features.text import encode_texts

    state = dict(random_state("ViT-S-32-alt"))
    state["ln_final.weight"] = state["ln_final.weight"] * 0 + 1e5
    save_file(state, tmp_path / "large.safetensors")
    settings = {"model": "ViT-S-32-alt", "pretrained": str(tmp_path / "large.safetensors")}
    for precision in ("float32", "bfloat16"):
        full = BackboneSettings(name="open_clip", open_clip=settings | {"precision": precision})
        vectors = encode_texts(["cat"], [["cat"]], ["a {}"], full.load("cpu"))
        assert torch.isfinite(torch.from_numpy(vectors.features)).all()
    half = BackboneSettings(name="open_clip", open_clip=settings | {"precision": "float16"})
    with pytest.raises(ConfigError, match="in float16: the arithmetic overflows"):
        encode_texts(["cat"], [["cat"]], ["a {}"], half.load("cpu"))
