"""Class-to-class relation: WordNet similarity mixed with text similarity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from sreclip.errors import GraphError
from sreclip.graph.relation_graph import TEXT_PREFIX, RelationGraph
from sreclip.graph.wordnet import WordNet

SimilarityKind = Literal["wu_palmer", "path", "lin"]

# Rows of the similarity matrix that are updated at once: bounds the temporaries.
_BLOCK_ROWS = 256


def wordnet_similarity(
    classes: RelationGraph | Sequence[str],
    kind: SimilarityKind = "lin",
    wordnet: WordNet | None = None,
) -> np.ndarray:
    """Similarity of classes in WordNet's noun hierarchy.

    With s a common subsumer of a and b (a synset subsumes itself), d the shortest distance up,
    D(s) = 1 + the longest way from s to the root, IC the intrinsic information content
    (``WordNet.information_content``), the best common subsumer counts:

    - ``wu_palmer``: max_s 2 D(s) / (d(a, s) + d(b, s) + 2 D(s))
    - ``path``: max_s 1 / (1 + d(a, s) + d(b, s))
    - ``lin``: max_s 2 IC(s) / (IC(a) + IC(b))

    Sources: Wu & Palmer, "Verb semantics and lexical selection", ACL 1994; Rada et al., IEEE
    SMC 19(1), 1989 (path); Lin, "An information-theoretic definition of similarity", ICML 1998,
    with the IC of Seco et al., ECAI 2004.

    Parameters
    ----------
    classes : RelationGraph or sequence of str, n_classes of them
        Class wnids, or a graph whose classes are taken.
    kind : {"wu_palmer", "path", "lin"}
        The measure.
    wordnet : WordNet, optional
        The bundled one by default.

    Returns
    -------
    float32 array, (n_classes, n_classes)
        Symmetric, in [0, 1], diagonal 1. Rows and columns of classes without a sense
        (``text:<name>``) are NaN: ``relation_matrix`` takes the text similarity there.

    Raises
    ------
    GraphError
        An unknown id or an unknown measure.
    """
    wordnet = wordnet or WordNet.bundled()
    wnids = list(classes.class_wnids if isinstance(classes, RelationGraph) else classes)
    mapped = np.array([not wnid.startswith(TEXT_PREFIX) for wnid in wnids], dtype=bool)
    if mapped.all():
        return _mapped_similarity(wnids, kind, wordnet)
    similarity = np.full((len(wnids), len(wnids)), np.nan, dtype=np.float32)
    ids = [wnid for wnid, known in zip(wnids, mapped, strict=True) if known]
    similarity[np.ix_(mapped, mapped)] = _mapped_similarity(ids, kind, wordnet)
    return similarity


def _mapped_similarity(wnids: list[str], kind: str, wordnet: WordNet) -> np.ndarray:
    """``wordnet_similarity`` of classes that all have a sense, (n, n) float32."""
    pair_score = _pair_score(kind, wnids, wordnet)
    members: dict[str, list[tuple[int, int]]] = {}
    for i, wnid in enumerate(wnids):
        for ancestor, distance in wordnet.ancestors(wnid).items():
            members.setdefault(ancestor, []).append((i, distance))
    similarity = np.zeros((len(wnids), len(wnids)), dtype=np.float32)
    for subsumer, pairs in members.items():
        if len(pairs) == 1:
            continue
        index, distance = np.array(pairs, dtype=np.int64).T
        for start in range(0, len(index), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            score = pair_score(subsumer, index[rows], index, distance[rows], distance)
            block = np.ix_(index[rows], index)
            similarity[block] = np.maximum(similarity[block], score)
    np.fill_diagonal(similarity, 1.0)
    return np.clip(similarity, 0.0, 1.0, out=similarity)


def _pair_score(kind: str, wnids: list[str], wordnet: WordNet) -> Callable[..., np.ndarray]:
    """Function (subsumer, rows, columns, row distances, column distances) -> scores."""

    def path(_: str, rows: object, cols: object, up: np.ndarray, across: np.ndarray) -> np.ndarray:
        return np.float32(1.0) / (1 + up[:, None] + across).astype(np.float32)

    def wu_palmer(
        s: str, rows: object, cols: object, up: np.ndarray, across: np.ndarray
    ) -> np.ndarray:
        twice_depth = 2 * (1 + wordnet.depth(s))
        length = (up[:, None] + across + twice_depth).astype(np.float32)
        return np.float32(twice_depth) / length

    def lin(s: str, rows: np.ndarray, cols: np.ndarray, up: object, across: object) -> np.ndarray:
        total = content[rows][:, None] + content[cols]
        return np.float32(2 * wordnet.information_content(s)) / np.maximum(total, np.float32(1e-9))

    functions: dict[str, Callable[..., np.ndarray]] = {
        "wu_palmer": wu_palmer,
        "path": path,
        "lin": lin,
    }
    if kind not in functions:
        raise GraphError(
            f"graph.similarity: unknown WordNet similarity {kind!r}",
            f"choose one of {', '.join(get_args(SimilarityKind))}",
        )
    content = np.zeros(len(wnids), dtype=np.float32)
    if kind == "lin":
        content[:] = [wordnet.information_content(wnid) for wnid in wnids]
    return functions[kind]


def text_similarity(text_features: np.ndarray) -> np.ndarray:
    """Cosine of class text vectors, mapped from [-1, 1] to [0, 1]: (1 + cos) / 2.

    Parameters
    ----------
    text_features : array, (n_classes, dim)
        Text vectors of any length but zero.

    Returns
    -------
    float32 array, (n_classes, n_classes)
        Symmetric, in [0, 1], diagonal 1.

    Raises
    ------
    GraphError
        A vector is zero or not finite; the message names its row.
    """
    features = np.asarray(text_features, dtype=np.float32)
    if features.ndim != 2:
        raise GraphError(f"text features must be (classes, dim), not {features.shape}")
    lengths = np.linalg.norm(features, axis=1)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if wrong.size:
        raise GraphError(f"text features: row {wrong[0]} is zero or not finite")
    unit = features / lengths[:, None]
    similarity = unit @ unit.T
    similarity += 1.0
    similarity /= 2.0
    np.clip(similarity, 0.0, 1.0, out=similarity)
    _merge_halves(similarity, np.maximum)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def _merge_halves(
    matrix: np.ndarray, merge: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    """Replace each entry and its mirror image by what ``merge`` makes of them, in place."""
    for top in range(0, len(matrix), _BLOCK_ROWS):
        rows = slice(top, top + _BLOCK_ROWS)
        merged = merge(matrix[rows, top:], matrix[top:, rows].T)
        matrix[rows, top:] = merged
        matrix[top:, rows] = merged.T


def relation_matrix(
    wordnet_sim: np.ndarray, text_sim: np.ndarray | None, text_weight: float
) -> np.ndarray:
    """R = (1 - text_weight) * WordNet similarity + text_weight * text similarity.

    Parameters
    ----------
    wordnet_sim : array, (n_classes, n_classes)
        From ``wordnet_similarity``; where it is NaN the text similarity stands alone.
    text_sim : array, (n_classes, n_classes), or None
        From ``text_similarity``; may be None when ``text_weight`` is 0 and no entry is NaN.
    text_weight : float
        In [0, 1].

    Returns
    -------
    float32 array, (n_classes, n_classes)
        Symmetric, in [0, 1], diagonal 1.

    Raises
    ------
    GraphError
        Shapes or ranges that do not fit.
    """
    if not 0.0 <= text_weight <= 1.0:
        raise GraphError(f"graph.text_weight must be between 0 and 1, not {text_weight}")
    relation = np.array(wordnet_sim, dtype=np.float32)
    if text_sim is None:
        if text_weight > 0 or np.isnan(relation).any():
            raise GraphError(
                "the relation matrix needs text similarities",
                "give text features, or set graph.text_weight to 0 and pin every class's sense",
            )
    else:
        by_text = np.asarray(text_sim, dtype=np.float32)
        if by_text.shape != relation.shape:
            raise GraphError(
                f"WordNet similarities are {relation.shape} but text similarities {by_text.shape}"
            )
        for row, text in zip(relation, by_text, strict=True):
            row[:] = np.where(np.isnan(row), text, (1.0 - text_weight) * row + text_weight * text)
    if relation.ndim != 2 or relation.shape[0] != relation.shape[1]:
        raise GraphError(f"a relation matrix is square, not {relation.shape}")
    if not ((relation >= 0).all() and (relation <= 1 + 1e-6).all()):
        raise GraphError("similarities must lie between 0 and 1")
    if not all(
        np.allclose(row, column, atol=1e-6)
        for row, column in zip(relation, relation.T, strict=True)
    ):
        raise GraphError("similarities must be symmetric")
    _merge_halves(relation, lambda upper, lower: np.minimum((upper + lower) / 2.0, 1.0))
    np.fill_diagonal(relation, 1.0)
    return relation
