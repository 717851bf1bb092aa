"""Images that were not in the fit, against sums written out from the tensors of the state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sreclip.methods.logits import Block, assemble
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.ecalp import ecalp
from sreclip.refinement.joined import Joined, drawn
from sreclip.refinement.propagation import Propagation
from sreclip.refinement.zlap import propagate, zlap

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]
NAMES = ("zlap", "propagate", "ecalp", "ecalp apart")


def predicted(features: torch.Tensor, text: torch.Tensor) -> Candidates:
    logits = 8 * features @ text.T
    block = Block(torch.arange(len(features)), torch.arange(len(text)), logits)
    return Candidates.from_blocks([block], len(features), len(text))


def fitted(
    name: str, features: torch.Tensor, text: torch.Tensor
) -> tuple[Propagation, Joined, dict[str, tuple[int, float]]]:
    """A fit, and how many nodes of each kind an image is joined to, and with which power."""
    if name == "zlap":
        return *zlap(features, text), {"text": (5, 5.0), "images": (5, 1.0)}
    if name == "propagate":
        return *propagate(features, predicted(features, text)), {"images": (5, 1.0)}
    # Half of the classes have source images: the target's own, turned a little.
    labels = torch.arange(20) % (len(text) // 2)
    source = torch.nn.functional.normalize(text[labels] + 0.1 * text[labels].roll(1, 1), dim=1)
    kinds = {"text": (3, 10.0), "source": (8, 10.0), "target": (8, 10.0)}
    return *ecalp(features, text, source, labels, balanced=name == "ecalp apart"), kinds


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [12, 70])
def test_other_images_by_hand_from_the_state(name: str, classes: int, planted: Planted) -> None:
    features, text = planted(130, classes, 16, noise=0.1)
    _, state, kinds = fitted(name, features[:100], text)
    others = features[100:]
    own = predicted(others, text)
    tensors = {key: value.double().numpy() for key, value in state.tensors().items()}
    expected = np.zeros((30, classes))
    for image, f in enumerate(others.numpy()):
        edges = []
        for kind, (k, power) in kinds.items():
            query = f * tensors.get(f"{kind}_dimensions", 1.0)
            cosines = tensors[kind] @ (query / np.linalg.norm(query))
            near = np.argsort(-cosines)[:k]
            edges.append((kind, near, np.maximum(cosines[near], 0) ** power))
        total = sum(weights.sum() for *_, weights in edges)
        for kind, near, weights in edges:
            degree = weights.sum() if name == "ecalp apart" else total
            for node, weight in zip(near, weights, strict=True):
                edge = weight / np.sqrt(degree * (tensors[f"{kind}_degrees"][node] + weight))
                for c, score in zip(
                    tensors[f"{kind}_classes"][node], tensors[f"{kind}_scores"][node], strict=True
                ):
                    expected[image, int(c)] += edge * score
    if not name.startswith("ecalp"):
        expected *= 0.3
    if name == "propagate":
        expected += 0.7 * own.dense(torch.arange(30)).numpy()
    expected = np.maximum(expected, 1e-12)
    expected /= expected.sum(axis=1, keepdims=True)
    found = state(others, own)
    best = found.log_p.exp().numpy()
    np.testing.assert_allclose(
        best, np.take_along_axis(expected, found.classes.numpy().astype(int), 1), rtol=1e-6
    )
    chosen = found.classes.gather(1, found.log_p.argmax(dim=1, keepdim=True))[:, 0]
    assert chosen.tolist() == expected.argmax(axis=1).tolist()
    assert len(found.classes[0]) == min(classes, 64)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [12, 70])
def test_images_of_the_fit_come_out_nearly_as_in_it(
    name: str, classes: int, planted: Planted
) -> None:
    features, text = planted(6 * classes, classes, 24, noise=0.12)
    found, state, _ = fitted(name, features, text)
    inside = assemble(found.blocks(), len(features), classes).log_softmax(dim=1)
    joined = state(features, predicted(features, text))
    outside = joined.log_p.gather(1, joined.log_p.argmax(dim=1, keepdim=True))[:, 0]
    best = joined.classes.gather(1, joined.log_p.argmax(dim=1, keepdim=True))[:, 0].long()
    assert (best == inside.argmax(dim=1)).double().mean() > 0.97
    assert (outside.exp() - inside.amax(dim=1).exp()).abs().mean() < 0.1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [12, 70])
def test_the_half_that_was_held_out_is_as_good_as_the_other(
    name: str, classes: int, planted: Planted
) -> None:
    features, text = planted(12 * classes, classes, 24, noise=0.15)
    wanted = torch.arange(len(features)) % classes
    half = torch.arange(len(features)) // classes % 2 == 0
    found, state, _ = fitted(name, features[half], text)
    inside = assemble(found.blocks(), int(half.sum()), classes).argmax(dim=1)
    others = features[~half]
    joined = state(others, predicted(others, text))
    outside = joined.classes.gather(1, joined.log_p.argmax(dim=1, keepdim=True))[:, 0]
    accuracy = [
        float((found == wanted[rows]).double().mean())
        for found, rows in ((inside, half), (outside, ~half))
    ]
    assert accuracy[1] > accuracy[0] - 0.05, accuracy


@pytest.mark.parametrize("name", NAMES)
def test_pieces_change_nothing(name: str, planted: Planted, request: pytest.FixtureRequest) -> None:
    features, text = planted(60, 7, 16, noise=0.15)
    whole = fitted(name, features[:40], text)[1](features[40:], predicted(features[40:], text))
    request.getfixturevalue("small_pieces")
    state = fitted(name, features[:40], text)[1]
    pieces = state(features[40:], predicted(features[40:], text))
    torch.testing.assert_close(pieces.log_p, whole.log_p)


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_state_is_bounded(
    name: str, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.refinement.joined.MOST_KEPT", 10)
    features, text = planted(200, 70, 16, noise=0.1)
    _, state, kinds = fitted(name, features[:150], text)
    tensors = state.tensors()
    for kind in kinds:
        nodes = 70 if kind == "text" else 10
        assert tensors[kind].shape == (nodes, 16)
        assert tensors[kind].dtype == (torch.float64 if kind == "text" else torch.float16)
        assert tensors[f"{kind}_scores"].shape == tensors[f"{kind}_classes"].shape
        assert tensors[f"{kind}_scores"].shape[1] <= 64
        assert tensors[f"{kind}_degrees"].shape == (nodes,)
    found = state(features[150:], predicted(features[150:], text))
    assert torch.isfinite(found.log_p).all()


def test_nodes_are_drawn_at_random_and_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert drawn(5, cpu).tolist() == [0, 1, 2, 3, 4]
    monkeypatch.setattr("sreclip.refinement.joined.MOST_KEPT", 300)
    numbers = drawn(1000, cpu)
    assert len(numbers.unique()) == 300
    assert (numbers.diff() > 0).all()
    assert 400 < numbers.double().mean() < 600
    assert torch.equal(drawn(1000, cpu), numbers)


@pytest.mark.parametrize("name", NAMES)
def test_no_image_and_an_image_that_is_near_to_nothing(name: str, planted: Planted) -> None:
    features, text = planted(40, 4, 16, noise=0.1)
    state = fitted(name, features, text)[1]
    assert len(state(features[:0], predicted(features[:0], text))) == 0
    away = -text.sum(dim=0, keepdim=True)
    away = torch.nn.functional.normalize(away, dim=1)
    found = state(away, predicted(away, text))
    assert torch.isfinite(found.log_p).all()
