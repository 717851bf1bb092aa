"""What each class is taken to mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.wordnet import WordNet, glosses

MOST = 200


class Sense(NamedTuple):
    """A class with its WordNet id, the names and the gloss of the synset; empty without one."""

    name: str
    known: bool
    wnid: str
    names: str
    gloss: str


def senses_of(
    classes: Sequence[str], known: Sequence[bool], graph: RelationGraph
) -> tuple[list[Sense], int]:
    """Return the senses of the first `MOST` classes, and how many others there are."""
    wordnet, defined = WordNet.bundled(), glosses()
    found = []
    for name, is_known, wnid in zip(classes, known, graph.class_wnids, strict=True):
        if wnid in defined:
            names = ", ".join(wordnet.lemmas(wnid))
            found.append(Sense(name, bool(is_known), wnid, names, defined[wnid]))
        else:
            found.append(Sense(name, bool(is_known), "", "", ""))
        if len(found) == MOST:
            break
    return found, len(classes) - len(found)
