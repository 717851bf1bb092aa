"""Where classes that WordNet lacks join the graph: below the classes whose text is like theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sreclip.graph.construct import imagenet_1k
from sreclip.graph.senses import SenseMap, TextEncoder
from sreclip.graph.wordnet import WordNet

# Classes that a class without a sense becomes a child of, at most.
NEIGHBOURS = 3
# Two names of a smaller centred cosine are no more alike than any two.
WEAK_COSINE = 0.3
# Every tenth ImageNet-1k class tells what all texts share.
COMMON_STEP = 10


class Placement(NamedTuple):
    """A class without a sense, and the classes with one that are most like it, by text."""

    name: str
    # Names and cosines, the most similar first; at most `NEIGHBOURS`.
    nearest: tuple[tuple[str, float], ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """Classes that it becomes a child of; empty where it joins the root."""
        return tuple(name for name, cosine in self.nearest if cosine >= WEAK_COSINE)

    def line(self) -> str:
        """Say where the class is, and why."""
        shown = [f"{name} (cosine {cosine:.2f})" for name, cosine in self.nearest]
        if self.parents:
            return f"{self.name}: below {', '.join(shown[: len(self.parents)])}"
        return f"{self.name}: below the root, since no class is like it; the nearest is {shown[0]}"


def place_unmapped(
    senses: SenseMap,
    encode_text: TextEncoder | None,
    vectors: NDArray[np.float32] | None = None,
) -> list[Placement]:
    """Place the classes without a sense among those with one.

    Without a text encoder, text ``vectors`` of the classes are compared, ``(n_classes, dim)``.
    Empty where all have a sense or none has, or nothing tells which are alike.
    """
    unmapped = [at for at, wnid in enumerate(senses.wnids) if wnid is None]
    mapped = [at for at, wnid in enumerate(senses.wnids) if wnid is not None]
    if not unmapped or not mapped:
        return []
    if encode_text is not None:
        cosines = name_cosines(senses.names, encode_text)
    elif vectors is not None:
        centred = _unit(_unit(vectors) - _unit(vectors).mean(axis=0))
        cosines = centred @ centred.T
    else:
        return []
    cosines = cosines[np.ix_(unmapped, mapped)]
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :NEIGHBOURS]
    return [
        Placement(senses.names[at], tuple((senses.names[mapped[i]], float(row[i])) for i in near))
        for at, row, near in zip(unmapped, cosines, order, strict=True)
    ]


def name_cosines(names: Sequence[str], encode_text: TextEncoder) -> NDArray[np.float64]:
    """Return the cosines of names in text space, ``(n_names, n_names)``.

    What all names share is taken off before: the mean of a hundred common nouns, since any two
    vectors of CLIP's texts have a large cosine.
    """
    wordnet = WordNet.bundled()
    common = [wordnet.lemmas(wnid)[0] for wnid in imagenet_1k()[::COMMON_STEP]]
    vectors = _unit(encode_text([*names, *common]))
    centred = _unit(vectors[: len(names)] - vectors[len(names) :].mean(axis=0))
    return np.asarray(centred @ centred.T)


def _unit(vectors: np.ndarray) -> NDArray[np.float64]:
    vectors = np.asarray(vectors, dtype=np.float64)
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
