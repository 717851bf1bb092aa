"""What every backbone offers: images and texts in, unit-norm vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image


class Checked(NamedTuple):
    """What is known of a backbone before it is used.

    ``count_tokens`` and ``context_length`` are as in `Backbone`; the first is None where its
    tokenizer is not on this machine yet.
    """

    about: str
    notes: Sequence[str] = ()
    count_tokens: Callable[[list[str]], list[int]] | None = None
    context_length: int = 0


class Backbone(Protocol):
    """A frozen image-text model.

    Attributes
    ----------
    label : str
        Name in results and paths, such as ``mini`` or ``ViT-B-16-openai``.
    dim : int
        Width of both feature spaces.
    logit_scale : float
        The model's own factor from cosine to logits (about 100 for CLIP).
    weights_sha256 : str
        Hash of every parameter that decides the features; part of their content key.
    network : str
        Architecture and activation in words; part of the content key.
    precision : str
        Number format of the forward pass: ``float32``, ``bfloat16`` or ``float16``.
    preprocessing : str
        The image transform in words; part of the content key.
    image_size : int
        Pixels of the short side after the transform's resizing, before it crops.
    device : torch.device
        Where the model is.
    context_length : int
        Tokens that the text tower reads; what is longer would lose its end.
    """

    label: str
    dim: int
    logit_scale: float
    weights_sha256: str
    network: str
    precision: str
    preprocessing: str
    image_size: int
    device: torch.device

    def preprocess(self, image: Image) -> torch.Tensor:
        """Turn an RGB image into pixels of shape ``(3, height, width)``.

        They are uint8 where `encode_image` scales them, on the device, and else float32.
        """
        ...

    def encode_image(self, pixels: torch.Tensor, *, exact: bool = False) -> torch.Tensor:
        """Encode ``(n_images, 3, height, width)`` to unit-norm float32 ``(n_images, dim)``.

        The rows stay on `device`. ``exact`` asks for float32 arithmetic, whatever `precision` says.
        """
        ...

    def image_tower(self) -> torch.nn.Module:
        """Return what `encode_image` computes, exactly, as a module that can be exported."""
        ...

    @property
    def context_length(self) -> int: ...

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Count the tokens of each text, with those that mark its start and end."""
        ...

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Encode texts to unit-norm float32 ``(n_texts, dim)``, on the CPU."""
        ...
