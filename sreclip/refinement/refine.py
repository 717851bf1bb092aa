"""Last transductive steps for the logits of any method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from sreclip.methods.data import ClassText
from sreclip.methods.logits import Block
from sreclip.refinement import Neighbours, Refinement
from sreclip.refinement.adapt import LinearGaussians, adapt
from sreclip.refinement.candidates import Candidates, State
from sreclip.refinement.class_bias import ClassBias, class_bias
from sreclip.refinement.frolic import frolic
from sreclip.refinement.gaussians import Gaussians
from sreclip.refinement.inmap import ClassVectors, inmap
from sreclip.refinement.joined import Joined
from sreclip.refinement.neighbours import NeighbourSearch, neighbour_search
from sreclip.refinement.stata import stata
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import propagate

# A tenth of the method's: on three real sets it was as good by then, and no step takes longer.
INMAP_STEPS = 200


class Refined(NamedTuple):
    """Logits of the target of a fit, and what scores other images."""

    blocks: Iterator[Block]
    state: State


def refine(
    steps: Sequence[Refinement],
    features: Tensor,
    text: ClassText,
    blocks: Iterable[Block],
    neighbours: Neighbours = "exact",
) -> tuple[Iterable[Block], list[State]]:
    """Refine a method's logits of its target images, step by step, without labels.

    `adapt`, `class_bias`, `frolic`, `inmap`, `stata`, `transclip` and (``zlap``) `propagate`, with
    the softmax of the logits in place of the text predictions. Features are unit-norm rows. Each
    pair of image and class is once in the blocks, and once in what is returned, with the state of
    each step, which `score_others` needs.
    """
    search = neighbour_search(neighbours)
    states: list[State] = []
    for name in steps:
        candidates = Candidates.from_blocks(blocks, len(features), len(text.features))
        blocks, state = _STEPS[name](features, text, candidates, search)
        states.append(state)
    return blocks, states


def step_tensors(steps: Sequence[Refinement], states: Sequence[State]) -> dict[str, Tensor]:
    """Return the tensors of the steps' states as ``refine.NUMBER.STEP.NAME``."""
    return {
        f"refine.{number}.{step}.{name}": tensor
        for number, (step, state) in enumerate(zip(steps, states, strict=True))
        for name, tensor in state.tensors().items()
    }


def restored_steps(steps: Sequence[Refinement], tensors: Mapping[str, Tensor]) -> list[State]:
    """Return the states whose `step_tensors` are among the tensors.

    Raises `KeyError` where one is missing.
    """
    states = []
    for number, name in enumerate(steps):
        start = f"refine.{number}.{name}."
        own = {key.removeprefix(start): tensors[key] for key in tensors if key.startswith(start)}
        states.append(_STATES[name].from_tensors(own))
    return states


def score_others(
    states: Sequence[State], features: Tensor, blocks: Iterable[Block], n_classes: int
) -> Iterable[Block]:
    """Refine logits of images that were not in the fit, by the states of its steps."""
    for state in states:
        candidates = Candidates.from_blocks(blocks, len(features), n_classes)
        blocks = state(features, candidates).blocks()
    return blocks


def _adapt(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    state = adapt(features, text.features, candidates)
    return Refined(state(features, candidates).blocks(), state)


def _frolic(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    return _with_bias(frolic(candidates), candidates)


def _class_bias(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    return _with_bias(class_bias(candidates), candidates)


def _inmap(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    state = inmap(features, text.features, candidates, text.logit_scale, INMAP_STEPS)
    return Refined(state.blocks(features), state)


def _with_bias(state: ClassBias, candidates: Candidates) -> Refined:
    return Refined(state.added_to(candidates).blocks(), state)


def _stata(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    found, state = stata(features, text.features, candidates, search)
    return Refined(found.blocks(), state)


def _transclip(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    found, state = transclip(features, candidates, search)
    return Refined(found.blocks(), state)


def _zlap(
    features: Tensor, text: ClassText, candidates: Candidates, search: NeighbourSearch
) -> Refined:
    found, state = propagate(features, candidates, search=search)
    return Refined(found.blocks(), state)


_STEPS: dict[str, Callable[[Tensor, ClassText, Candidates, NeighbourSearch], Refined]] = {
    "adapt": _adapt,
    "class_bias": _class_bias,
    "frolic": _frolic,
    "inmap": _inmap,
    "stata": _stata,
    "transclip": _transclip,
    "zlap": _zlap,
}
_STATES: dict[str, type[State]] = {
    "adapt": LinearGaussians,
    "class_bias": ClassBias,
    "frolic": ClassBias,
    "inmap": ClassVectors,
    "stata": Gaussians,
    "transclip": Gaussians,
    "zlap": Joined,
}
