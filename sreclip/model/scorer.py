"""Saved states as one classifier of features."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from sreclip.config.methods import MethodsSettings
from sreclip.errors import SreclipError, StoreError
from sreclip.evaluate.background import background_probability
from sreclip.methods.base import Method
from sreclip.methods.data import ClassText
from sreclip.methods.logits import assemble
from sreclip.model.saved import BACKGROUND, TENSORS, TEXT, SavedModel
from sreclip.refinement.candidates import State
from sreclip.refinement.refine import restored_steps
from sreclip.train.fits import make_method, others_blocks
from sreclip.train.states import place


@dataclass(frozen=True)
class Scored:
    """Probabilities of images, ``(n_images, n_classes)``, and the agreement between seeds.

    The probabilities are those given that an image shows one of the classes; ``background``,
    ``(n_images,)``, is how likely it shows none, None where the model has no texts for that.
    ``agreement`` is the fraction of seeds whose own most likely class is the one of all together,
    ``(n_images,)``; None with one seed.
    """

    probabilities: NDArray[np.float32]
    agreement: NDArray[np.float64] | None
    background: NDArray[np.float32] | None


class Scorer:
    """The states of all seeds; the mean of their log-probabilities counts."""

    def __init__(self, folder: Path, saved: SavedModel, device: str = "cpu") -> None:
        tensors = load_file(folder / TENSORS)
        known = torch.tensor(saved.known)
        text = ClassText(tensors.pop(TEXT), saved.logit_scale, known).to(device)
        self.text, self.background = text, tensors.pop(BACKGROUND, None)
        self.n_classes, self.device = len(known), torch.device(device)
        try:
            settings = MethodsSettings().changed(saved.method, saved.settings)
            chosen = settings.settings(saved.method)
            self.states: list[tuple[Method, list[State]]] = []
            for seed in saved.seeds:
                start = place(seed)
                state = {
                    name.removeprefix(start): value.to(device)
                    for name, value in tensors.items()
                    if name.startswith(start)
                }
                method = make_method(saved.method, chosen, seed).restore(state, text)
                self.states.append((method, restored_steps(chosen.refine, state)))
        except (KeyError, RuntimeError, ValueError, SreclipError) as error:
            raise StoreError(
                f"{folder}: this sreclip cannot use the state of {saved.method} ({error})",
                f"use sreclip {saved.sreclip}, which saved it, or save the model again",
            ) from error

    @torch.inference_mode()
    def __call__(self, features: Tensor | NDArray[np.floating[Any]]) -> Scored:
        """Score unit-norm rows ``(n_images, dim)``, each on its own."""
        features = torch.as_tensor(features).to(self.device)
        own = torch.stack([self._log_p(*state, features) for state in self.states])
        together = own.mean(dim=0).log_softmax(dim=1)
        agreement = None
        if len(own) > 1:
            agrees = own.argmax(dim=2) == together.argmax(dim=1)
            agreement = agrees.double().mean(dim=0).cpu().numpy()
        return Scored(together.exp().cpu().numpy(), agreement, self._background(features))

    def _background(self, features: Tensor) -> NDArray[np.float32] | None:
        if self.background is None:
            return None
        images, classes = features.cpu().numpy(), self.text.features.cpu().numpy()
        return background_probability(
            images, classes, self.background.numpy(), self.text.logit_scale
        )

    def _log_p(self, method: Method, states: list[State], features: Tensor) -> Tensor:
        blocks = others_blocks(method, states, features)
        return assemble(blocks, len(features), self.n_classes).float().log_softmax(dim=1)
