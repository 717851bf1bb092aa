"""Small architectures under the names of open_clip's models, whose tags and tokenizers count."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip import factory

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
CLIP = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
TIMM = {
    "timm_model_name": "vit_tiny_patch16_224",
    "timm_model_pretrained": False,
    "timm_pool": "avg",
    "timm_proj": "linear",
    "image_size": 224,
}
SMALL: dict[str, dict[str, Any]] = {
    "ViT-B-32": CLIP,
    "ViT-B-32-quickgelu": {**CLIP, "quick_gelu": True},
    "ViT-B-32-256": {**CLIP, "vision_cfg": {**VISION, "image_size": 64}},
    "ViT-L-14": CLIP,
    "ViT-S-32-alt": CLIP,
    "ViT-B-16-SigLIP": {
        "embed_dim": 24,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": TIMM,
        "text_cfg": {
            **TEXT,
            "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
            "tokenizer_kwargs": {"clean": "canonicalize"},
            "no_causal_mask": True,
            "proj_bias": True,
            "pool_type": "last",
        },
    },
    "MobileCLIP-S1": {
        "embed_dim": 24,
        "custom_text": True,
        "vision_cfg": TIMM,
        "text_cfg": {**TEXT, "no_causal_mask": True},
    },
    "roberta-ViT-B-32": {
        "embed_dim": 24,
        "quick_gelu": True,
        "vision_cfg": VISION,
        "text_cfg": {
            "hf_model_name": "roberta-base",
            "hf_tokenizer_name": "roberta-base",
            "hf_pooler_type": "mean_pooler",
            "context_length": 16,
        },
    },
}


@pytest.fixture(scope="module")
def small_models() -> Iterator[None]:
    """Make open_clip's models small, for one module of tests."""
    own = {name: factory._MODEL_CONFIGS[name] for name in SMALL}
    factory._MODEL_CONFIGS.update(json.loads(json.dumps(SMALL)))
    yield
    factory._MODEL_CONFIGS.update(own)


def random_state(name: str, seed: int = 0, **options: Any) -> Mapping[str, torch.Tensor]:
    """Random weights of a model, those of norms and biases too."""
    torch.manual_seed(seed)
    model = open_clip.create_model(name, **options)
    return {
        key: torch.randn_like(value) * 0.1 + value if value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }


def hub_model(home: Path, repository: str) -> Path:
    """Make the folder of a model in a stand-in for the Hub's cache below HF_HOME."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot
