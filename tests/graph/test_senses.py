"""Senses chosen by the class list."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sreclip.errors import GraphError
from sreclip.graph import senses as module
from sreclip.graph.senses import choose_senses
from sreclip.graph.wordnet import WordNet


def _hypernym(wnid: str | None) -> str:
    wordnet = WordNet.bundled()
    assert wnid is not None
    return wordnet.lemmas(wordnet.hypernyms(wnid)[0])[0]


def test_i2awa_senses_are_recovered_from_the_names(i2awa: dict[str, Any]) -> None:
    chosen = choose_senses(i2awa["names"]).wnids
    hits = sum(a == b for a, b in zip(chosen, i2awa["class_wnids"], strict=True))
    assert hits >= 45
    by_name = dict(zip(i2awa["names"], chosen, strict=True))
    truth = dict(zip(i2awa["names"], i2awa["class_wnids"], strict=True))
    for name in ("seal", "bat", "mole", "mouse"):
        assert by_name[name] == truth[name]


@pytest.mark.parametrize(
    ("names", "hypernym"),
    [
        (["crane", "heron", "stork"], "wading bird"),
        (["crane", "bulldozer", "truck"], "lifting device"),
        (["bass", "drum", "guitar", "violin"], "musical instrument"),
    ],
)
def test_the_company_decides(names: list[str], hypernym: str) -> None:
    assert _hypernym(choose_senses(names).wnids[0]) == hypernym


def test_bass_among_fish_is_a_fish() -> None:
    wordnet = WordNet.bundled()
    chosen = choose_senses(["bass", "trout", "salmon"]).wnids[0]
    # Several of its senses are fish, or fish as food.
    above = {wordnet.lemmas(wnid)[0] for wnid in wordnet.ancestors(str(chosen))}
    assert above & {"fish", "seafood"}


def test_order_of_the_list_does_not_matter(i2awa: dict[str, Any]) -> None:
    names = i2awa["names"]
    forward = dict(zip(names, choose_senses(names).wnids, strict=True))
    backward = dict(zip(names[::-1], choose_senses(names[::-1]).wnids, strict=True))
    assert forward == backward


def test_frequency_decides_where_nothing_else_does(tiny: WordNet) -> None:
    assert choose_senses(["bat"], tiny).wnids == ("bat2",)


def test_company_beats_frequency_and_a_pin_beats_both(tiny: WordNet) -> None:
    names = ["bat", "wolf", "canine"]
    assert choose_senses(names, tiny).wnids[0] == "bat1"
    assert choose_senses(names, tiny, {"bat": "bat2"}).wnids[0] == "bat2"


def test_a_pinned_sense_is_taken_from_the_others(tiny: WordNet) -> None:
    assert choose_senses(["bat", "dog"], tiny, {"dog": "bat2"}).wnids == ("bat1", "bat2")


def test_text_weighs_against_company_and_frequency(tiny: WordNet) -> None:
    def encode(texts: list[str]) -> np.ndarray:
        return np.array([[1.0, "animal" in text or text == "bat"] for text in texts], float)

    names = ["bat", "glove"]
    assert choose_senses(names, tiny).wnids[0] == "bat2"
    assert choose_senses(names, tiny, encode_text=encode, text_weight=0.0).wnids[0] == "bat2"
    assert choose_senses(names, tiny, encode_text=encode, text_weight=1.0).wnids[0] == "bat1"


@pytest.mark.filterwarnings("error")
def test_one_class_with_a_choice_among_unmapped_ones(tiny: WordNet) -> None:
    assert choose_senses(["bat", "xx"], tiny, allow_unmapped=True).wnids == ("bat2", None)


def test_unmappable_names_are_all_listed_with_ways_out() -> None:
    with pytest.raises(GraphError) as caught:
        choose_senses(["golden retriever dog", "xyzzy", "cat"])
    message, hint = caught.value.message, caught.value.hint
    assert "golden retriever dog: near dog (n02084071), golden retriever (n02099601)" in message
    assert "xyzzy" in message
    assert "cat" not in message.replace("class", "")
    assert "graph.senses" in hint
    assert "graph.allow_unmapped" in hint
    allowed = choose_senses(["golden retriever dog", "xyzzy", "cat"], allow_unmapped=True)
    assert allowed.unmapped == ("golden retriever dog", "xyzzy")
    assert allowed.wnids[2] is not None


def test_two_classes_with_one_sense_are_refused() -> None:
    with pytest.raises(GraphError, match="'car' and 'automobile' both mean n02958343") as caught:
        choose_senses(["car", "automobile"])
    assert "graph.senses" in caught.value.hint


def test_bad_inputs(tiny: WordNet) -> None:
    with pytest.raises(GraphError, match="pins 'rat'"):
        choose_senses(["dog"], tiny, {"rat": "dog"})
    with pytest.raises(GraphError, match=r"graph\.senses, 'dog': 'n1'"):
        choose_senses(["dog"], tiny, {"dog": "n1"})
    assert choose_senses([], tiny).wnids == ()


def test_doubtful_choices_can_be_listed(tiny: WordNet, monkeypatch: pytest.MonkeyPatch) -> None:
    senses = choose_senses(["bat", "dog", "wolf"], tiny)
    for margin, doubtful in ((10.0, [("bat", "bat2")]), (0.0, [])):
        monkeypatch.setattr(module, "CLOSE_MARGIN", margin)
        assert senses.doubtful() == doubtful
