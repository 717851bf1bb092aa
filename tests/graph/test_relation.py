"""Similarities against values by hand and by brute force."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sreclip.errors import GraphError
from sreclip.graph.relation import relation_matrix, text_similarity, wordnet_similarity
from sreclip.graph.wordnet import WordNet

KINDS = ("wu_palmer", "path", "lin")


def _brute_force(wnids: list[str], kind: str, wordnet: WordNet) -> np.ndarray:
    result = np.eye(len(wnids))
    for (i, a), (j, b) in product(enumerate(wnids), repeat=2):
        up_a, up_b = wordnet.ancestors(a), wordnet.ancestors(b)
        scores = []
        for s in set(up_a) & set(up_b):
            way, deep = up_a[s] + up_b[s], 1 + wordnet.depth(s)
            content = [wordnet.information_content(x) for x in (s, a, b)]
            scores.append(
                {
                    "wu_palmer": 2 * deep / (way + 2 * deep),
                    "path": 1 / (1 + way),
                    "lin": 2 * content[0] / max(content[1] + content[2], 1e-9),
                }[kind]
            )
        result[i, j] = 1.0 if i == j else max(scores)
    return result


def test_values_by_hand(tiny: WordNet) -> None:
    pair = ["dog", "cat"]
    # Best common subsumer "pet": one step from each, three nodes deep.
    assert wordnet_similarity(pair, "path", tiny)[0, 1] == pytest.approx(1 / 3)
    assert wordnet_similarity(pair, "wu_palmer", tiny)[0, 1] == pytest.approx(6 / 8)
    # "pet" holds dog and cat: IC = 1 - ln 3 / ln 11, and both leaves have IC 1.
    expected = 1 - np.log(3) / np.log(11)
    assert wordnet_similarity(pair, "lin", tiny)[0, 1] == pytest.approx(expected)
    assert wordnet_similarity(["dog", "pet"], "path", tiny)[0, 1] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_brute_force_on_tiny_and_on_i2awa(tiny: WordNet, i2awa: dict[str, Any], kind: Any) -> None:
    small = ["dog", "cat", "wolf", "pet", "glove", "bat1", "root"]
    np.testing.assert_allclose(
        wordnet_similarity(small, kind, tiny), _brute_force(small, kind, tiny), atol=1e-6
    )
    wordnet, wnids = WordNet.bundled(), i2awa["class_wnids"][:25]
    similarity = wordnet_similarity(wnids, kind, wordnet)
    np.testing.assert_allclose(similarity, _brute_force(wnids, kind, wordnet), atol=1e-6)
    assert similarity.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_of_rows_join_up(monkeypatch: Any, i2awa: dict[str, Any], kind: Any) -> None:
    whole = wordnet_similarity(i2awa["class_wnids"], kind)
    monkeypatch.setattr("sreclip.graph.relation.BLOCK_ROWS", 7)
    np.testing.assert_array_equal(wordnet_similarity(i2awa["class_wnids"], kind), whole)
    np.testing.assert_array_equal(whole, whole.T)
    assert whole.min() >= 0
    assert whole.max() == 1


def test_unmapped_classes_are_nan_and_take_the_text(tiny: WordNet) -> None:
    similarity = wordnet_similarity(["text:robo", "dog", "cat"], "path", tiny)
    assert np.isnan(similarity[0]).all()
    text = np.array([[1, 0.4, 0.6], [0.4, 1, 0.5], [0.6, 0.5, 1]])
    relation = relation_matrix(similarity, text, 0.25)
    np.testing.assert_allclose(relation[0], text[0], rtol=1e-6)
    assert relation[1, 2] == pytest.approx(0.75 / 3 + 0.25 * 0.5)


def test_text_similarity_by_hand() -> None:
    features = np.array([[2.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    np.testing.assert_allclose(
        text_similarity(features), [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]], atol=1e-7
    )


finite = st.floats(-10, 10, width=32)


@given(arrays(np.float32, (5, 3), elements=finite), st.floats(0, 1))
def test_relation_is_symmetric_in_range_with_unit_diagonal(x: np.ndarray, weight: float) -> None:
    x = x + np.where(np.linalg.norm(x, axis=1, keepdims=True) < 1e-3, 1.0, 0.0)
    if (np.linalg.norm(x, axis=1) == 0).any():
        return
    wnids = ["n02084071", "n02121620", "n02958343", "n07739125", "n00001740"]
    relation = relation_matrix(wordnet_similarity(wnids, "lin"), text_similarity(x), weight)
    np.testing.assert_array_equal(relation, relation.T)
    np.testing.assert_array_equal(np.diag(relation), 1)
    assert relation.min() >= 0
    assert relation.max() <= 1


def test_bad_inputs(tiny: WordNet) -> None:
    with pytest.raises(GraphError, match="nothing"):
        wordnet_similarity(["nothing"], "lin", tiny)
    with pytest.raises(GraphError, match="row 1"):
        text_similarity(np.array([[1.0, 0.0], [0.0, 0.0]]))
