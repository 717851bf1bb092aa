"""A small hierarchy with two parents for one node, and I2AwA's published graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sreclip.graph.wordnet import WordNet

#             root
#            /    \
#        animal   thing
#        /    \   /   \
#    canine    pet    bat#2
#      |  \    /  \      \
#    wolf   dog   cat    glove     bat#1 is an animal
HYPERNYMS = {
    "root": "",
    "animal": "root",
    "thing": "root",
    "canine": "animal",
    "pet": "animal thing",
    "dog": "canine pet",
    "wolf": "canine",
    "cat": "pet",
    "bat1": "animal",
    "bat2": "thing",
    "glove": "bat2",
}


@pytest.fixture
def tiny() -> WordNet:
    lemmas = {wnid: wnid.rstrip("12") for wnid in HYPERNYMS}
    lemmas["dog"] = "dog domestic_dog"
    return WordNet(lemmas, HYPERNYMS, {"bat": "bat2 bat1"}, {"geese": "goose"})


@pytest.fixture(scope="session")
def i2awa() -> dict[str, Any]:
    path = Path(__file__).with_name("i2awa_reference.json")
    reference: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return reference
