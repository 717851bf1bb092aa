"""How the state of a fitted method grows by classes that have a text and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.errors import ConfigError
from sreclip.model.saved import SavedModel

State = dict[str, Tensor]
LEAST_RADIUS = 1e-12
# Steps of `refine` that add a bias per class and nothing else.
BIASES = ("class_bias", "frolic")


@dataclass(frozen=True)
class Newcomers:
    """Texts of the classes of a model, ``(n_classes, dim)``, and of those that come to them.

    ``known`` are the classes with source labels, ``temperature`` that of the softmax over how near
    these are.
    """

    texts: Tensor
    known: Tensor
    added: Tensor
    temperature: float = 1.0

    def __len__(self) -> int:
        return len(self.added)

    def moved(self, places: Tensor) -> Tensor:
        r"""Return where the added classes lie if they are moved as the classes near them are.

        :math:`w + \sum_c p_c (m_c - w_c)` over the known classes, m being their ``places`` and p
        the softmax of ``(1 + w w_c) / 2`` divided by the temperature.
        """
        return self._moved(places, self.added, torch.zeros(len(self), len(self.texts)).bool())

    def held_out(self, places: Tensor) -> Tensor:
        """Return where `moved` would have put each known class, had it not been there."""
        own = torch.eye(len(self.texts), dtype=torch.bool)[self.known]
        return self._moved(places, self.texts[self.known], own)

    def _moved(self, places: Tensor, texts: Tensor, left_out: Tensor) -> Tensor:
        near = (1 + texts @ self.texts.T) / 2 / self.temperature
        near = near.masked_fill(left_out | ~self.known, -torch.inf)
        return texts + near.softmax(dim=1) @ (places - self.texts)


def _by_text(state: State, new: Newcomers) -> State:
    """The class side is the text: the state is that of a fit in which the class had no label."""
    grown = dict(state)
    unknown = state["bias"][~new.known]
    # Calibration lifts all unknown classes alike; where there were none, nothing.
    lift = float(unknown[0]) if len(unknown) else 0.0
    grown["bias"] = _with_rows(state["bias"], state["bias"].new_full((len(new),), lift))
    grown["text"] = _with_rows(state["text"], new.added)
    return grown


def _by_text_without_bias(state: State, new: Newcomers) -> State:
    """As `_by_text`; the bias per class has the mean 0, which a class not counted gets."""
    return _unbiased(_by_text(state, new), "class_bias", len(new))


def _by_place(state: State, new: Newcomers) -> State:
    r"""Place the class as `sreclip.methods.placing` places one by its relation alone.

    The relation is that of the texts. The place is less certain than that of a class with images:
    :math:`\delta`, the mean squared distance by which known classes miss theirs when they are held
    out, is to the dimension as one image is to the n images that a mean as uncertain has. There is
    no price for that as in a fit: whoever adds a class expects it to be there.
    """
    grown = _by_text_without_bias(state, new)
    if "vectors" in state:
        vectors, radii, whitener = (state[name] for name in ("vectors", "radii", "whitener"))
        places = _places(vectors, radii, whitener)
        missed = ((new.held_out(places) - places[new.known]) @ whitener).square().sum(dim=1)
        dim = whitener.shape[0]
        certainty = dim / (dim + float(missed.mean())) if new.known.sum() > 1 else 0.5
        radius = certainty * radii.max().expand(len(new))
        at = new.moved(places) @ whitener
        grown["vectors"] = _with_rows(vectors, (2 * radius[:, None] * at) @ whitener.T)
        grown["offsets"] = _with_rows(state["offsets"], radius * at.square().sum(dim=1))
        grown["radii"] = _with_rows(radii, radius)
    if (name := "adapters.prototypes") in state:
        # Not `adapters.texts`: what the images attend to stays, and so do their features.
        prototypes = F.normalize(new.moved(state[name]), dim=1)
        grown[name] = _with_rows(state[name], prototypes)
    return grown


def _places(vectors: Tensor, radii: Tensor, whitener: Tensor) -> Tensor:
    """Return the means of the Gaussians that have these terms; 0 where they have no weight."""
    precision = whitener.double() @ whitener.double().T
    weighted = vectors.double() / (2 * radii.double()).clamp_min(LEAST_RADIUS)[:, None]
    return torch.linalg.solve(precision, weighted.T).T.to(vectors)


def _unbiased(state: State, name: str, n: int) -> State:
    return state | {name: _with_rows(state[name], state[name].new_zeros(n))}


def _with_rows(old: Tensor, rows: Tensor) -> Tensor:
    return torch.cat([old, rows.to(old)]).contiguous()


class Rule(NamedTuple):
    """How a state grows, and what that means for a class, for the card."""

    grow: Callable[[State, Newcomers], State]
    meaning: str


_TEXT = Rule(_by_text, "scored by its text, as in a fit where it has no label")
_BIAS = Rule(
    _by_text_without_bias, "scored by its text, without a class bias: none was found for it"
)
RULES: dict[str, Rule] = {
    "zero_shot": _TEXT,
    "clip_adapter": _TEXT,
    "taskres": _TEXT,
    "tip_adapter": _TEXT,
    "tip_adapter_f": _TEXT,
    "linear_probe": _TEXT,
    "class_bias": _BIAS,
    "frolic": _BIAS,
    "sre_clip": Rule(
        _by_place,
        "scored by its text and, as far as that says it, by its place: moved from the text as the "
        "labelled classes of similar texts are; without a class bias",
    ),
}
_GAUSSIAN = "each of its classes is a Gaussian of images of the fit"
_GRAPH = "its class vectors are made from the class graph of the fit, which is not in the model"
_SPREAD = "its scores are spread over the images of the fit from all classes at once"
_VECTORS = "its class vectors are moved to the images of the fit, and a text alone is not there"
REASONS = {
    "gda": _GAUSSIAN,
    "adapt": _GAUSSIAN,
    "stata": _GAUSSIAN,
    "transclip": _GAUSSIAN,
    "gcn_zsl": _GRAPH,
    "tsce": _GRAPH,
    "sre_clip_reference": _GRAPH,
    "bgcn": _VECTORS,
    "uodtn": _VECTORS,
    "inmap": _VECTORS,
    "ecalp": _SPREAD,
    "zlap": _SPREAD,
}


def rule_of(saved: SavedModel) -> Rule:
    """Return the rule of a model's method.

    Raises
    ------
    ConfigError
        No class can be added to the method, or to what refines it.
    """
    rule, way_out = RULES.get(saved.method), "add the class to the task and fit again"
    if rule is None:
        reason = REASONS.get(saved.method, "it is not known how its state would grow")
        raise ConfigError(f"{saved.title} takes no class without a fit: {reason}", way_out)
    if others := [step for step in saved.settings.get("refine", ()) if step not in BIASES]:
        raise ConfigError(
            f"{saved.title} takes no class without a fit: what refines it ({', '.join(others)}) "
            "was found in images of the fit",
            way_out,
        )
    return rule


def grown(saved: SavedModel, state: Mapping[str, Tensor], new: Newcomers) -> State:
    """Return the state of one seed with the added classes behind the others; see `rule_of`."""
    found = rule_of(saved).grow(dict(state), new)
    for number, step in enumerate(saved.settings.get("refine", ())):
        found = _unbiased(found, f"refine.{number}.{step}.class_bias", len(new))
    return found
