"""A last transductive step for the logits of any method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor

from sreclip.methods.logits import Block
from sreclip.refinement import Neighbours, Refinement
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import neighbour_search
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import propagate


def refine(
    name: Refinement,
    features: Tensor,
    blocks: Iterable[Block],
    n_classes: int,
    neighbours: Neighbours = "exact",
) -> Iterator[Block]:
    """Refine a method's logits of its target images by how the images resemble each other.

    ``none`` passes the blocks on, ``zlap`` is `propagate`, and ``transclip`` is `transclip` with
    the softmax of the logits instead of the text predictions. Features are unit-norm rows. Each
    pair of image and class is once in the blocks, and once in what is yielded.
    """
    if name == "none":
        yield from blocks
        return
    search = neighbour_search(neighbours)
    candidates = Candidates.from_blocks(blocks, len(features), n_classes)
    if name == "zlap":
        yield from propagate(features, candidates, search=search)
    else:
        yield from transclip(features, candidates, search).blocks()
