"""Senses chosen by the class list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sreclip.backbones.mini import load
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
    assert hits == 49
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


def test_with_text_all_of_i2awa_are(
    i2awa: dict[str, Any], encode: Callable[[list[str]], np.ndarray]
) -> None:
    assert list(choose_senses(i2awa["names"], encode_text=encode).wnids) == i2awa["class_wnids"]


PERSON = "n00007846"
COCO = """
bicycle, car, motorcycle, airplane, bus, train, truck, boat, bench, bird, cat,
dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie,
suitcase, skis, kite, bottle, cup, fork, knife, spoon, bowl, banana, apple, sandwich,
orange, carrot, pizza, cake, chair, couch, bed, toilet, laptop, mouse, remote, keyboard,
oven, toaster, sink, refrigerator, book, clock, vase, scissors, toothbrush
"""


@pytest.fixture(scope="module")
def encode() -> Callable[[list[str]], np.ndarray]:
    backbone = load({}, "mini", "cpu")
    return lambda texts: backbone.encode_text(list(texts)).numpy()


@pytest.mark.parametrize("with_text", [False, True])
@pytest.mark.parametrize(
    "company",
    [
        [],
        ["dog", "giraffe"],
        ["dog", "elephant", "giraffe", "guitar", "horse", "house"],
        ["car", "truck", "bus", "bicycle"],
        [name.strip() for name in COCO.split(",")],
        None,
    ],
)
def test_a_person_is_no_human_body(
    company: list[str] | None,
    with_text: bool,
    encode: Callable[[list[str]], np.ndarray],
    i2awa: dict[str, Any],
) -> None:
    names = ["person", *(i2awa["names"] if company is None else company)]
    chosen = choose_senses(names, encode_text=encode if with_text else None)
    assert chosen.wnids[0] == PERSON


def test_a_common_noun_is_no_proper_noun(encode: Callable[[list[str]], np.ndarray]) -> None:
    """Not Stephen Crane, the writer."""
    names = ["person", "dog", "crane"]
    assert choose_senses(names, encode_text=encode).wnids[2] in ("n02012849", "n03126707")


def test_frequency_weighs_more_the_shorter_the_list() -> None:
    """Alone: 3 (0.03 log2 8 + 0.02 log2 2); beside one class that is close to nothing: 2 (...)."""
    hypernyms = {"root": "", "bat1": "root", "bat2": "root"}
    lemmas = {"root": "root", "bat1": "bat", "bat2": "bat"}
    wordnet = WordNet(lemmas, hypernyms, {"bat": "bat2 bat1"}, {}, {"bat": "7 0"})
    assert wordnet.sense_counts("bats") == {"bat2": 7, "bat1": 0}
    assert choose_senses(["bat"], wordnet).margins[0] == pytest.approx(3 * 0.11)
    assert choose_senses(["bat", "root"], wordnet).margins[0] == pytest.approx(2 * 0.11)


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
    for margin, doubtful in ((10.0, [("bat", "bat1")]), (0.0, [])):
        monkeypatch.setattr(module, "CLOSE_MARGIN", margin)
        assert senses.doubtful() == doubtful
