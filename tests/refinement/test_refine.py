"""The refinement of any method's logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import pytest
import torch

from sreclip.config.methods import MethodsSettings
from sreclip.methods.base import ClassGraph, ClassText, Method
from sreclip.methods.ecalp import Ecalp
from sreclip.methods.gda import Gda
from sreclip.methods.inmap import InMap
from sreclip.methods.logits import Block, assemble
from sreclip.methods.stata import StatA
from sreclip.methods.transclip import TransClip
from sreclip.methods.zlap import Zlap
from sreclip.refinement import Neighbours, Refinement
from sreclip.refinement.adapt import adapt
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.class_bias import class_bias
from sreclip.refinement.frolic import frolic
from sreclip.refinement.inmap import inmap
from sreclip.refinement.neighbours import nearest_neighbours
from sreclip.refinement.refine import INMAP_STEPS, refine, score_others
from sreclip.refinement.stata import stata
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import propagate
from sreclip.train.fits import make_method, score_target

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]
STEPS = get_args(Refinement)


def cut(logits: torch.Tensor) -> list[Block]:
    rows, classes = torch.arange(len(logits)), torch.arange(logits.shape[1])
    return [
        Block(chunk, group, logits[chunk][:, group])
        for group in classes.split(3)
        for chunk in rows.split(9)
    ]


def texts(vectors: torch.Tensor) -> ClassText:
    return ClassText(vectors, 8.0, torch.ones(len(vectors), dtype=torch.bool))


def refined(steps: Sequence[Refinement], *data: torch.Tensor) -> torch.Tensor:
    features, text, logits = data
    blocks, _ = refine(steps, features, texts(text), cut(logits))
    return assemble(blocks, len(features), len(text))


def test_no_step_passes_the_blocks_on(planted: Planted) -> None:
    features, text = planted()
    blocks = cut(features @ text.T)
    assert refine((), features, texts(text), blocks)[0] is blocks


def one_step(name: str, features: torch.Tensor, text: torch.Tensor, given: Candidates) -> Any:
    """The blocks of one refinement, called by itself."""
    if name == "zlap":
        return propagate(features, given)[0].blocks()
    if name in ("class_bias", "frolic"):
        state = {"class_bias": class_bias, "frolic": frolic}[name](given)
        return state.added_to(given).blocks()
    if name == "adapt":
        return adapt(features, text, given)(features, given).blocks()
    if name == "inmap":
        return inmap(features, text, given, 8.0, INMAP_STEPS).blocks(features)
    if name == "stata":
        return stata(features, text, given)[0].blocks()
    return transclip(features, given)[0].blocks()


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("classes", [4, 70])
def test_refines_what_the_blocks_say(name: Refinement, classes: int, planted: Planted) -> None:
    features, text = planted(80, classes)
    logits = 8 * features @ text.T
    found = refined([name], features, text, logits)
    candidates = Candidates.from_blocks(cut(logits), 80, classes)
    expected = assemble(one_step(name, features, text, candidates), 80, classes)
    torch.testing.assert_close(found, expected)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("first", STEPS)
@pytest.mark.parametrize("last", STEPS)
def test_steps_follow_each_other(first: Refinement, last: Refinement, planted: Planted) -> None:
    features, text = planted(60)
    logits = 8 * features @ text.T
    by_hand = refined([last], features, text, refined([first], features, text, logits))
    torch.testing.assert_close(refined([first, last], features, text, logits), by_hand)


@pytest.mark.parametrize(
    "steps",
    [
        ["class_bias"],
        ["frolic"],
        ["adapt"],
        ["inmap"],
        ["stata"],
        ["zlap"],
        ["class_bias", "transclip"],
    ],
)
def test_the_states_of_the_steps_score_other_images(
    steps: list[Refinement], planted: Planted
) -> None:
    features, text = planted(400, 4, 16, noise=0.3)
    logits = 8 * features @ text.T
    _, scores = refine(steps, features[:200], texts(text), cut(logits[:200]))
    blocks = score_others(scores, features[200:], cut(logits[200:]), 4)
    found = assemble(blocks, 200, 4).softmax(dim=1)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(200).double())
    together = refined(steps, features, text, logits)[200:]
    assert (found.argmax(dim=1) == together.argmax(dim=1)).double().mean() > 0.95


@pytest.mark.parametrize("name", ["stata", "transclip", "zlap"])
def test_neighbours_help(name: Refinement, planted: Planted) -> None:
    features, text = planted(400, 4, 16, noise=0.15)
    labels = torch.arange(400) % 4
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 4, generator=generator).double()
    logits = 8 * features @ text.T + 3 * noise
    before = (logits.argmax(dim=1) == labels).double().mean()
    found = refined([name], features, text, logits)
    assert (found.argmax(dim=1) == labels).double().mean() > before + 0.02


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ("none", ()),
        ("zlap", ("zlap",)),
        (["class_bias", "transclip"], ("class_bias", "transclip")),
        ([], ()),
    ],
)
def test_steps_are_written_as_one_name_or_a_list(given: Any, steps: tuple[str, ...]) -> None:
    settings = MethodsSettings().settings("zero_shot").changed({"refine": given})
    assert settings.refine == steps
    with pytest.raises(ValueError, match="refine"):
        settings.changed({"refine": "transclipp"})


@pytest.mark.parametrize("neighbours", ["exact", "approximate"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("ecalp", {}),
        ("zlap", {}),
        ("transclip", {}),
        ("stata", {}),
        ("sre_clip", {}),
        ("zero_shot", {"refine": "zlap"}),
        ("zero_shot", {"refine": "transclip"}),
        ("zero_shot", {"refine": ["class_bias", "stata"]}),
    ],
)
def test_neighbours_are_found_as_the_settings_say(
    name: str,
    changes: dict[str, Any],
    neighbours: Neighbours,
    planted: Planted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def search(features: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(len(features))
        return nearest_neighbours(features, k)

    monkeypatch.setattr("sreclip.refinement.neighbours.approximate_neighbours", search)
    features, text = (tensor.float() for tensor in planted(40))
    eye = torch.eye(4)
    graph = ClassGraph(text, eye.to_sparse(), torch.zeros(0, 2), torch.arange(4), eye)
    known = torch.arange(4) < 2
    settings = MethodsSettings().settings(name).changed({"neighbours": neighbours, **changes})
    method = make_method(name, settings, 0)
    method.fit(text[:2], torch.arange(2), features, ClassText(text, 8.0, known), graph)
    score_target(method, features)
    assert calls == ([40] if neighbours == "approximate" else [])


@pytest.mark.parametrize(
    "method",
    [
        Ecalp(text_k=1, source_k=2, target_k=3),
        TransClip(),
        StatA(),
        Zlap(k=3),
        InMap(steps=3),
        Gda(nearest=20, alpha=0.1),
    ],
    ids=["ecalp", "transclip", "stata", "zlap", "inmap", "gda"],
)
def test_methods_never_hold_all_images_by_all_classes(
    method: Method,
    planted: Planted,
    largest: Any,
    small_pieces: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n, classes = 200, 150
    features, text = planted(n, classes, 4)
    for module in ("methods.logits", "methods.class_statistics"):
        monkeypatch.setattr(f"sreclip.{module}.BLOCK_VALUES", 5 * classes)
    monkeypatch.setattr("sreclip.refinement.joined.MOST_KEPT", 20)
    graph = ClassGraph(
        text,
        torch.eye(classes).to_sparse(),
        torch.zeros(0, 2),
        torch.arange(classes),
        torch.eye(classes),
    )
    known = torch.arange(classes) < 100
    with largest:
        method.fit(text[:100], torch.arange(100), features, ClassText(text, 8.0, known), graph)
        blocks = list(method.logit_blocks(features))
        method.state()
    assert len(blocks) > 10
    # A value of 8 bytes for each of 64 candidates and one more; all classes would be 1,200 n.
    assert largest.bytes <= 65 * 8 * n
    assert max(block.logits.numel() for block in blocks) < n * classes / 10
