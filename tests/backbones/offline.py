"""Run as a program with a stand-in for the Hub's cache in HF_HOME, and no network."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image


def no_network(*_: Any, **__: Any) -> None:
    raise OSError("no network in this test")


socket.getaddrinfo = no_network
socket.create_connection = no_network

from open_clip import factory  # noqa: E402

from sreclip.config.models import BackboneSettings  # noqa: E402
from sreclip.errors import ConfigError  # noqa: E402

TEXTS = ["a photo of a dog.", "a drawing of a clock."]


def main(small: Path, cases: list[dict[str, Any]]) -> None:
    """Print what each backbone is and makes, or its error."""
    factory._MODEL_CONFIGS.update(json.loads(small.read_text()))
    pixels = np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)
    for settings in cases:
        found: dict[str, Any] = {}
        try:
            backbone = BackboneSettings(name="open_clip", open_clip=settings).load("cpu")
            found["network"] = backbone.network
            found["preprocessing"] = backbone.preprocessing
            image = backbone.preprocess(Image.fromarray(pixels))[None]
            found["image"] = backbone.encode_image(image).tolist()
            found["text"] = backbone.encode_text(TEXTS).tolist()
            found["tokens"] = backbone.count_tokens([*TEXTS, "very " * 30])
            found["context"] = backbone.context_length
        except ConfigError as error:
            found["error"] = str(error)
        print(json.dumps(found))


if __name__ == "__main__":
    torch.manual_seed(0)
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
