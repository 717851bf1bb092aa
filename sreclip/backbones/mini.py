"""A small image-text model for offline use, tests and the demo: a substitute for CLIP.

EfficientNet-lite0 (ImageNet weights) encodes images, MiniLM (all-MiniLM-L6-v2) encodes texts, and
one linear map leads from image features to sentence space. All weights come from packages that pip
installs and from ``mini_map.safetensors`` beside this file, which ``scripts/fit_mini_map.py``
makes. Its numbers say nothing about CLIP's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from safetensors import safe_open

from sreclip.backbones.base import Checked
from sreclip.backbones.mini_files import (
    MAX_TOKENS,
    NETWORK,
    SentenceTokenizer,
    image_weights,
    sentence_folder,
)
from sreclip.errors import StoreError
from sreclip.files import file_sha256

if TYPE_CHECKING:
    from sreclip.backbones.mini_encoders import MiniBackbone

MAP_FILE = Path(__file__).with_name("mini_map.safetensors")


def load(settings: Mapping[str, Any], label: str, device: str) -> MiniBackbone:
    """Make the backbone; it has no settings.

    Raises `ConfigError` if a package that holds the weights is not installed or the device is
    missing, `StoreError` if the fitted map is missing or damaged.
    """
    from sreclip.backbones.mini_encoders import MiniBackbone
    from sreclip.backbones.weights import usable_device

    where = usable_device(device)
    fitted, record = read_map()
    return MiniBackbone(label, where, fitted, float(record["logit_scale"]), hash_of_weights())


def check(settings: Mapping[str, Any], label: str) -> Checked:
    """See that the weights are installed, without loading them; raises as `load`."""
    read_map()
    image_weights()
    sentence_folder()
    return Checked(NETWORK, (), SentenceTokenizer().count_tokens, MAX_TOKENS)


def read_map() -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read the fitted map: ``map`` (384, 1280), ``image_mean``, ``text_mean``, and its record."""
    try:
        with safe_open(MAP_FILE, framework="np") as handle:
            record = json.loads((handle.metadata() or {})["fit"])
            return {name: handle.get_tensor(name) for name in handle.keys()}, record  # noqa: SIM118
    except Exception as error:
        raise StoreError(
            f"{MAP_FILE} cannot be read ({error})", "make it with: python scripts/fit_mini_map.py"
        ) from error


def hash_of_weights() -> str:
    """Return the SHA-256 of the hashes of all files that decide the features."""
    folder = sentence_folder()
    files = (image_weights(), folder / "model.safetensors", folder / "tokenizer.json", MAP_FILE)
    return hashlib.sha256("".join(file_sha256(path) for path in files).encode()).hexdigest()
