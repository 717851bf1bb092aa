"""Methods that label the target images of the fit, all at once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from sreclip.methods.base import Method
from sreclip.methods.data import ClassText, FitData
from sreclip.methods.logits import Block, score_in_blocks, widened
from sreclip.refinement.candidates import Candidates, State


class Labels(NamedTuple):
    """What a fit gives: logits of its target images, and what scores others."""

    target: Callable[[], Iterator[Block]]
    state: State


def zero_shot_candidates(features: Tensor, text: ClassText) -> Candidates:
    """Return the frozen model's predictions."""
    n_classes = len(text.features)
    blocks = score_in_blocks(text.zero_shot_logits, features, n_classes)
    return Candidates.from_blocks(blocks, len(features), n_classes)


def same_images(features: Tensor, fitted: Tensor) -> bool:
    """Return whether features are those of the fit's target images."""
    return features is fitted or (
        features.dtype == fitted.dtype
        and features.device == fitted.device
        and torch.equal(features, fitted)
    )


class TransductiveMethod(Method):
    """A method whose fit gives the logits of its target images, all at once.

    Other images are scored by the state of the fit.
    """

    transductive = True
    deterministic = True
    state_type: ClassVar[type[State]]

    @abstractmethod
    def _label(self, data: FitData) -> Labels:
        """Return the logits of the fit's target images, each image and class once."""

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        self._target_features = data.target_features
        self._labels = self._label(data)

    def _blocks(self, features: Tensor) -> Iterator[Block]:
        if same_images(features, self._target_features):
            return self._labels.target()
        features = widened(features)
        return self._labels.state(features, zero_shot_candidates(features, self.text_)).blocks()

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self._target_features = self.text_.features.new_empty(0)
        self._labels = Labels(lambda: iter(()), self.state_type.from_tensors(state))

    def _state(self) -> dict[str, Tensor]:
        return {**super()._state(), **self._labels.state.tensors()}
