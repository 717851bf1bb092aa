"""The bundled nouns: ids, names, hypernyms, information content."""

from __future__ import annotations

import gzip
import importlib.util
import math
from importlib.resources import files
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.errors import GraphError
from sreclip.graph.wordnet import WordNet, glosses

DOG = "n02084071"
SCRIPT = Path(__file__).parents[2] / "scripts" / "make_wordnet_extract.py"
DEBIAN_FOLDER = Path("/usr/share/wordnet")


@pytest.fixture(scope="module")
def wordnet() -> WordNet:
    return WordNet.bundled()


@pytest.fixture(scope="module")
def upward(wordnet: WordNet) -> nx.DiGraph:
    return nx.DiGraph((w, up) for w in wordnet._lemmas for up in wordnet.hypernyms(w))


def test_size_and_shape_are_those_of_wordnet_3_0(wordnet: WordNet, upward: nx.DiGraph) -> None:
    assert len(wordnet) == 82115
    assert nx.is_directed_acyclic_graph(upward)
    assert [w for w in wordnet._lemmas if not wordnet.hypernyms(w)] == ["n00001740"]


def test_lemmas_and_hypernyms_of_dog(wordnet: WordNet) -> None:
    assert wordnet.lemmas(DOG) == ("dog", "domestic dog", "Canis familiaris")
    assert [wordnet.lemmas(up)[0] for up in wordnet.hypernyms(DOG)] == ["canine", "domestic animal"]
    assert DOG in wordnet
    assert "n00000000" not in wordnet


@pytest.mark.parametrize(
    ("name", "first_lemma"),
    [
        ("German Shepherd", "German shepherd"),
        ("german_shepherd", "German shepherd"),
        ("killer+whale", "killer whale"),
        ("ice-cream", "ice cream"),
        ("t-shirt", "jersey"),
        ("sports cars", "sports car"),
        ("Buses", "bus"),
        ("St. Bernard", "Saint Bernard"),
        ("field mice", "field mouse"),
        ("geese", "goose"),
        ("cherries", "cherry"),
    ],
)
def test_senses_of_written_forms(wordnet: WordNet, name: str, first_lemma: str) -> None:
    assert first_lemma in [wordnet.lemmas(wnid)[0] for wnid in wordnet.senses(name)]


def test_senses_come_in_wordnets_order_of_frequency(wordnet: WordNet) -> None:
    assert wordnet.senses("dog")[0] == DOG
    assert wordnet.lemmas(wordnet.senses("bank")[0])[0] == "bank"


@pytest.mark.parametrize("name", ["golden retriever dog", "xyzzy", "", "  ", "desk chair"])
def test_a_name_that_is_not_in_wordnet_has_no_sense(wordnet: WordNet, name: str) -> None:
    assert wordnet.senses(name) == ()


def test_suggestions(wordnet: WordNet) -> None:
    assert wordnet.suggest("golden retriever dog")[:2] == ["dog", "golden retriever"]
    assert wordnet.suggest("cihuahua") == ["chihuahua"]
    assert wordnet.suggest("") == []


def test_ancestors_are_shortest_distances(wordnet: WordNet, upward: nx.DiGraph) -> None:
    for wnid in (DOG, "n02123394", "n07881800", "n00001740"):
        expected = nx.single_source_shortest_path_length(upward, wnid)
        assert wordnet.ancestors(wnid) == expected


def test_depth_is_the_longest_way(tiny: WordNet) -> None:
    longest = {"root": 0, "animal": 1, "pet": 2, "canine": 2, "dog": 3, "glove": 3}
    assert {wnid: tiny.depth(wnid) for wnid in longest} == longest
    assert WordNet.bundled().depth(DOG) == 13
    assert WordNet.bundled().ancestors(DOG)["n00001740"] == 8


def test_information_content_by_hand(tiny: WordNet) -> None:
    # Below "animal": canine, pet, dog, wolf, cat, bat1, each once although "dog" has two ways up.
    assert tiny.n_descendants("animal") == 6
    assert tiny.information_content("animal") == pytest.approx(1 - math.log(7) / math.log(11))
    assert tiny.information_content("dog") == 1.0
    assert tiny.information_content("root") == pytest.approx(0.0)


def test_descendant_counts_agree_with_networkx(tiny: WordNet) -> None:
    downward = nx.DiGraph((up, w) for w in tiny._lemmas for up in tiny.hypernyms(w))
    for wnid in tiny._lemmas:
        assert tiny.n_descendants(wnid) == len(nx.descendants(downward, wnid))


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("n02084072", "n02084071 (dog)"),
        ("02084071", "n02084071 (dog)"),
        ("dog", "n02084071 (dog)"),
        ("zzz", "eight digits"),
    ],
)
def test_an_unknown_id_names_the_nearest(wordnet: WordNet, wrong: str, hint: str) -> None:
    for method in (wordnet.lemmas, wordnet.hypernyms, wordnet.ancestors, wordnet.depth):
        with pytest.raises(GraphError) as caught:
            method(wrong)
        assert repr(wrong) in caught.value.message
        assert hint in caught.value.hint


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_looked_up_without_failure(name: str) -> None:
    wordnet = WordNet.bundled()
    assert all(wnid in wordnet for wnid in wordnet.senses(name))


def test_the_committed_extract_is_what_the_script_makes() -> None:
    if not (DEBIAN_FOLDER / "data.noun").exists():
        pytest.skip("Debian's wordnet-base is not installed")
    spec = importlib.util.spec_from_file_location("make_wordnet_extract", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, make in (("nouns", module.make_extract), ("glosses", module.make_glosses)):
        made = make(DEBIAN_FOLDER)
        committed = (files("sreclip.graph") / f"resources/wordnet_{name}.tsv.gz").read_bytes()
        # The text and not the bytes: compressed bytes depend on the version of zlib.
        assert gzip.decompress(made) == gzip.decompress(committed)
        assert made == make(DEBIAN_FOLDER)


def test_counts_and_definitions() -> None:
    """As ``wn person -over`` prints them; "glasses" are a lemma of their own, "mice" are not."""
    wordnet = WordNet.bundled()
    assert wordnet.sense_counts("person") == {"n00007846": 6833, "n05217688": 1, "n06326797": 0}
    assert wordnet.sense_counts("mice") == wordnet.sense_counts("mouse")
    assert wordnet.sense_counts("mouse")["n02330245"] == 14
    assert list(wordnet.sense_counts("glasses")) == ["n04272054"]
    assert glosses()["n00007846"] == "a human being"
    assert all(wnid in glosses() for wnid in wordnet.senses("crane"))
    assert wordnet.is_proper_noun("crane", "n10914447")
    assert not wordnet.is_proper_noun("crane", "n02012849")
