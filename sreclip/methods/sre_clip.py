"""SRE-CLIP as rebuilt here: classes placed by texts, relation, source and target together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from torch import Tensor

from sreclip.methods.adapter_training import (
    Adaptable,
    Adapters,
    AdapterTraining,
    adapters_at_once,
)
from sreclip.methods.data import FitData
from sreclip.methods.logits import Block, score_in_blocks
from sreclip.methods.placed import Placed, TextScore
from sreclip.methods.placing import Placing
from sreclip.methods.transductive import same_images
from sreclip.refinement.candidates import Candidates

ADAPTERS = "adapters."


class SreClip(Adaptable):
    r"""SRE-CLIP, rebuilt: the frozen model's logits are kept, and evidence is added to them.

    .. math:: \ell_c = s f v_c - \frac w2 \left(\frac{n_c}{n_c + 1} \|(f - \mu_c) T\|^2
        + u d \log \frac{n_c + 1}{n_c}\right) + b_c

    :math:`v_c` is the text, of a known class moved towards what the source teaches.
    :math:`\mu_c` is where `Placing` puts class c among the images, from source, target, text and
    relation; w, how far this is to be trusted, comes from held-out source images and from how
    alike the classes lie in both domains. Target images are pulled by their neighbours in the end.
    With ``steps``, adapters are trained first, and their logits stand for those of the texts.

    Relation structure, alignment retention and the attention adapter are the paper's ideas (arXiv
    2510.21808); the form of all three and everything else are ours. See ``docs/methods.md``.
    """

    title = "SRE-CLIP"
    citation = "arXiv 2510.21808, rebuilt"
    transductive = True
    baseline = False
    placed_: Placed

    def __init__(self, *args: Any, **values: Any) -> None:
        super().__init__(*args, **values)
        self.deterministic = not self.settings.steps

    def at_once(self, data: FitData) -> int:
        """Return how many seeds' adapters to train as one batch."""
        return adapters_at_once(self.settings, data) if self.settings.steps else 1

    @classmethod
    def _fit_all(cls, methods: Sequence[Self], data: FitData) -> None:
        settings = methods[0].settings
        for method in methods:
            method.adapters_ = None
        if not settings.steps:
            return
        training = AdapterTraining(methods, data)
        rounds = settings.rounds if settings.self_training else 0
        soft_labels: list[Candidates] = []
        for number in range(rounds + 1):
            training.train_round(rounds, soft_labels)
            if number < rounds:
                soft_labels.clear()  # before the new ones are made
                for method in methods:
                    method._settle(data)
                    assert method.placed_.labels is not None
                    soft_labels.append(method.placed_.labels)

    def _finish(self, data: FitData) -> None:
        if self.adapters_:
            self.adapters_.settle(data)
        self._target_features = data.target_features
        self.placed_ = Placing(data, self.settings, self._adapted if self.adapters_ else None).run()
        if self.placed_.texts is not None:
            self.text_ = replace(data.text, features=self.placed_.texts)

    def _adapted(self, features: Tensor) -> Tensor:
        assert self.adapters_
        return self.text_.logit_scale * self.adapters_.cosines(features)

    def _blocks(self, features: Tensor) -> Iterator[Block]:
        labels = self.placed_.labels
        if labels is not None and same_images(features, self._target_features):
            return labels.blocks()
        return score_in_blocks(self._logits, features, len(self.text_.features))

    def _logits(self, features: Tensor) -> Tensor:
        score = self._adapted if self.adapters_ else TextScore(self.text_)
        return self.placed_.logits(features, score)

    def _restore(self, state: Mapping[str, Tensor]) -> None:
        self.text_ = replace(self.text_, features=state["text"])
        self.adapters_ = None
        if any(name.startswith(ADAPTERS) for name in state):
            self.adapters_ = Adapters.restored(state, ADAPTERS, self.settings)
        self.placed_ = Placed.from_tensors(state)

    def facts(self) -> Mapping[str, float]:
        """Return the weight of the evidence and what it was made from; see `Placing.place`."""
        return self.placed_.facts

    def _state(self) -> dict[str, Tensor]:
        adapters = self.adapters_.state_dict(prefix=ADAPTERS) if self.adapters_ else {}
        return {**super()._state(), **adapters, **self.placed_.tensors()}
