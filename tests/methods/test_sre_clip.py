"""What `sre_clip` promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sreclip.methods.adapter_training import AdapterTraining
from sreclip.methods.data import FitData
from sreclip.methods.stacked import stacked
from sreclip.refinement.candidates import Candidates
from tests.methods.test_methods import make, problem

__all__ = ["problem"]


NOTHING = {"taught": 0, "trust": 0, "class_bias": 0, "pull": 0, "calibrated": False, "steps": 0}


def test_with_everything_off_it_is_zero_shot(problem: dict[str, Any]) -> None:
    method = make("sre_clip", **NOTHING).fit(**problem)
    target = problem["target_features"]
    frozen = problem["text"].zero_shot_logits(target).log_softmax(dim=1)
    torch.testing.assert_close(method.logits(target), frozen, rtol=1e-5, atol=1e-4)


TERMS = (
    "source",
    "relation",
    "rank",
    "retention",
    "unknown_retention",
    "anchor",
    "self_training",
    "entropy",
    "diversity",
    "balance",
)


@pytest.mark.parametrize("term", TERMS)
def test_each_term_can_be_switched_on_and_off(term: str, problem: dict[str, Any]) -> None:
    everything = dict.fromkeys(TERMS, 1.0)
    with_all = make("sre_clip", rounds=1, **everything).fit(**problem)
    without = make("sre_clip", rounds=1, **everything | {term: 0.0}).fit(**problem)
    assert any(term in record for record in with_all.history_)
    assert not any(term in record for record in without.history_)
    target = problem["target_features"]
    assert not torch.equal(with_all.logits(target), without.logits(target))


def test_attention_can_be_switched_off(problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    one, two = (
        make("sre_clip", attention=on).fit(**problem).logits(target) for on in (True, False)
    )
    assert not torch.equal(one, two)


def array(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().numpy()


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kl(wanted: np.ndarray, logits: np.ndarray) -> float:
    """The KL from probabilities to predictions, mean over images."""
    return float((wanted * (np.log(wanted) - log_softmax(logits, axis=1))).sum(axis=1).mean())


def test_prototypes_in_numpy(problem: dict[str, Any]) -> None:
    method = make("sre_clip").fit(**problem)
    assert method.adapters_
    graph, adapter = problem["graph"], method.adapters_.classes
    adjacency, nodes = array(graph.adjacency.to_dense()), array(graph.node_features)
    first, second = (
        (array(layer.weight).T, array(layer.bias)) for layer in (adapter.first, adapter.second)
    )
    hidden = adjacency @ (nodes @ first[0] + first[1])
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    change = adjacency @ (hidden @ second[0] + second[1])
    expected = array(problem["text"].features) + adapter.scale * change[graph.class_nodes.numpy()]
    np.testing.assert_allclose(
        array(method.adapters_.prototypes), unit(expected), rtol=1e-4, atol=1e-6
    )


def test_terms_of_the_target_in_numpy(problem: dict[str, Any]) -> None:
    method = make("sre_clip", dropout=0.0, **dict.fromkeys(TERMS, 1.0)).fit(**problem)
    text, rows = problem["text"], torch.arange(8)
    unknown = ~text.known.numpy()
    drawn = torch.randn(len(problem["target_features"]), len(unknown))
    soft_labels = Candidates(
        torch.arange(len(unknown), dtype=torch.int32).expand(len(drawn), -1),
        drawn.log_softmax(dim=1),
        len(unknown),
    )
    trained = method.adapters_
    training = AdapterTraining([method], FitData(**problem))
    method.adapters_ = trained
    training.adapters, training.bank = stacked([trained]), []
    terms = training.terms(training.batch(rows, rows, [soft_labels]))
    source, target = (problem[f"{domain}_features"][rows] for domain in ("source", "target"))
    logits = {
        name: (array(method._adapted(images)), array(text.zero_shot_logits(images)))
        for name, images in (("source", source), ("target", target))
    }
    expected = {
        "self_training": kl(softmax(array(drawn[rows]), axis=1), logits["target"][0]),
        "retention": kl(softmax(logits["target"][1], axis=1), logits["target"][0]),
        "unknown_retention": sum(
            kl(softmax(frozen[:, unknown], axis=1), adapted[:, unknown])
            for adapted, frozen in logits.values()
        ),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-3), name
