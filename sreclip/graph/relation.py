"""Class-to-class relation: WordNet similarity mixed with text similarity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import GraphError
from sreclip.graph.relation_graph import TEXT_PREFIX
from sreclip.graph.wordnet import WordNet

# Rows that are updated at once, to keep temporary arrays small.
BLOCK_ROWS = 256


def wordnet_similarity(
    wnids: Sequence[str], kind: str, wordnet: WordNet | None = None
) -> NDArray[np.float32]:
    """Return the similarity of classes in WordNet's noun hierarchy.

    With s a common subsumer of a and b (a synset subsumes itself), d the shortest distance up,
    D(s) = 1 + the longest way from s to the root, IC the intrinsic information content
    (`WordNet.information_content`), the best common subsumer counts:

    - ``wu_palmer``: max_s 2 D(s) / (d(a, s) + d(b, s) + 2 D(s))
    - ``path``: max_s 1 / (1 + d(a, s) + d(b, s))
    - ``lin``: max_s 2 IC(s) / (IC(a) + IC(b))

    Sources: Wu & Palmer, "Verb semantics and lexical selection", ACL 1994; Rada et al., IEEE
    SMC 19(1), 1989 (path); Lin, "An information-theoretic definition of similarity", ICML 1998,
    with the IC of Seco et al., ECAI 2004.

    Parameters
    ----------
    wnids : sequence of str, (n_classes,)
        WordNet ids; ``text:<name>`` for a class without a sense.
    kind : {"wu_palmer", "path", "lin"}
    wordnet : WordNet, optional
        The bundled one by default.

    Returns
    -------
    float32 array, (n_classes, n_classes)
        Symmetric, in [0, 1], diagonal 1; NaN in rows and columns of classes without a sense.

    Raises
    ------
    GraphError
        An unknown id.
    """
    wordnet = wordnet or WordNet.bundled()
    unmapped = np.array([wnid.startswith(TEXT_PREFIX) for wnid in wnids], dtype=bool)
    members: dict[str, list[tuple[int, int]]] = {}
    content = np.zeros(len(wnids), dtype=np.float32)
    for i in np.flatnonzero(~unmapped).tolist():
        for ancestor, distance in wordnet.ancestors(wnids[i]).items():
            members.setdefault(ancestor, []).append((i, distance))
        if kind == "lin":
            content[i] = wordnet.information_content(wnids[i])
    similarity = np.zeros((len(wnids), len(wnids)), dtype=np.float32)
    for subsumer, pairs in members.items():
        if len(pairs) == 1:
            continue
        index, distance = np.array(pairs, dtype=np.int64).T
        for start in range(0, len(index), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            if kind == "lin":
                total = content[index[rows]][:, None] + content[index]
                shared = np.float32(2 * wordnet.information_content(subsumer))
                score = shared / np.maximum(total, np.float32(1e-9))
            else:
                depth = 1 if kind == "path" else 2 * (1 + wordnet.depth(subsumer))
                steps = distance[rows][:, None] + distance
                score = np.float32(depth) / (steps + depth).astype(np.float32)
            block = np.ix_(index[rows], index)
            similarity[block] = np.maximum(similarity[block], score)
    np.fill_diagonal(similarity, 1.0)
    similarity[unmapped] = similarity[:, unmapped] = np.nan
    return np.clip(similarity, 0.0, 1.0, out=similarity)


def text_similarity(text_features: np.ndarray) -> NDArray[np.float32]:
    """Return the cosine of class text vectors, mapped from [-1, 1] to [0, 1]: (1 + cos) / 2.

    From ``(n_classes, dim)`` to ``(n_classes, n_classes)``, symmetric with diagonal 1. Raises
    `GraphError` with the row of a vector that is zero or not finite.
    """
    features = np.asarray(text_features, dtype=np.float32)
    lengths = np.linalg.norm(features, axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if wrong.size:
        raise GraphError(f"text features: row {wrong[0]} is zero or not finite")
    unit = features / lengths[:, None]
    similarity: NDArray[np.float32] = unit @ unit.T
    similarity += 1.0
    similarity /= 2.0
    np.clip(similarity, 0.0, 1.0, out=similarity)
    # A matrix product need not be symmetric to the bit.
    _make_symmetric(similarity)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def _make_symmetric(matrix: np.ndarray) -> None:
    """Replace each entry and its mirror image by the larger of the two, in place."""
    for top in range(0, len(matrix), BLOCK_ROWS):
        rows = slice(top, top + BLOCK_ROWS)
        larger = np.maximum(matrix[rows, top:], matrix[top:, rows].T)
        matrix[rows, top:] = larger
        matrix[top:, rows] = larger.T


def relation_matrix(
    wordnet_sim: NDArray[np.float32], text_sim: NDArray[np.float32] | None, text_weight: float
) -> NDArray[np.float32]:
    """Return R = (1 - text_weight) * WordNet similarity + text_weight * text similarity.

    All are ``(n_classes, n_classes)``, symmetric, in [0, 1], with diagonal 1. Where the WordNet
    similarity is NaN the text similarity alone counts; that may be None if ``text_weight`` is 0 and
    no entry is NaN.
    """
    relation = wordnet_sim.copy()
    if text_sim is not None:
        for row, text in zip(relation, text_sim, strict=True):
            row[:] = np.where(np.isnan(row), text, (1.0 - text_weight) * row + text_weight * text)
    np.minimum(relation, 1.0, out=relation)
    np.fill_diagonal(relation, 1.0)
    return relation
