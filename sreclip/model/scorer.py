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
from sreclip.methods import METHODS
from sreclip.methods.base import Method
from sreclip.methods.data import ClassText
from sreclip.methods.logits import assemble
from sreclip.model.saved import TENSORS, TEXT, SavedModel
from sreclip.refinement.candidates import State
from sreclip.refinement.refine import restored_steps, score_others
from sreclip.registry import load_registered
from sreclip.train.states import place

REFINE = "refine."


@dataclass(frozen=True)
class Scored:
    """Probabilities of images, ``(n_images, n_classes)``, and the agreement between seeds.

    ``agreement`` is the fraction of seeds whose own most likely class is the one of all together,
    ``(n_images,)``; None with one seed.
    """

    probabilities: NDArray[np.float32]
    agreement: NDArray[np.float64] | None


class Scorer:
    """The states of all seeds; the mean of their log-probabilities counts."""

    def __init__(self, folder: Path, saved: SavedModel, device: str = "cpu") -> None:
        tensors = load_file(folder / TENSORS)
        known = torch.tensor(saved.known)
        text = ClassText(tensors.pop(TEXT), saved.logit_scale, known).to(device)
        self.n_classes, self.device = len(known), torch.device(device)
        try:
            settings = MethodsSettings().changed(saved.method, saved.settings)
            chosen = settings.settings(saved.method)
            cls = load_registered("method", saved.method, METHODS)
            self.states: list[tuple[Method, list[State]]] = []
            for seed in saved.seeds:
                start = place(seed)
                state = {
                    name.removeprefix(start): value.to(device)
                    for name, value in tensors.items()
                    if name.startswith(start)
                }
                steps = {
                    n.removeprefix(REFINE): v for n, v in state.items() if n.startswith(REFINE)
                }
                method = cls(chosen, seed=seed).restore(state, text)
                self.states.append((method, restored_steps(chosen.refine, steps)))
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
        return Scored(together.exp().cpu().numpy(), agreement)

    def _log_p(self, method: Method, states: list[State], features: Tensor) -> Tensor:
        blocks = method.logit_blocks(features)
        if states:
            adapted = method.image_features(features)
            blocks = iter(score_others(states, adapted, blocks, self.n_classes))
        return assemble(blocks, len(features), self.n_classes).float().log_softmax(dim=1)
