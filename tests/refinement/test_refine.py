"""The refinement of any method's logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sreclip.config.methods import MethodsSettings
from sreclip.methods.base import ClassGraph, ClassText
from sreclip.methods.logits import Block, assemble
from sreclip.methods.transclip import TransClip
from sreclip.methods.transductive import TransductiveMethod
from sreclip.methods.zlap import Zlap
from sreclip.refinement import Neighbours, Refinement
from sreclip.refinement.candidates import Candidates
from sreclip.refinement.neighbours import nearest_neighbours
from sreclip.refinement.refine import refine
from sreclip.refinement.transclip import transclip
from sreclip.refinement.zlap import propagate
from sreclip.train.fits import make_method, score_target

Planted = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def cut(logits: torch.Tensor) -> list[Block]:
    rows, classes = torch.arange(len(logits)), torch.arange(logits.shape[1])
    return [
        Block(chunk, group, logits[chunk][:, group])
        for group in classes.split(3)
        for chunk in rows.split(9)
    ]


def test_none_passes_the_blocks_on(planted: Planted) -> None:
    features, text = planted()
    blocks = cut(features @ text.T)
    assert all(
        one is other for one, other in zip(refine("none", features, blocks, 4), blocks, strict=True)
    )


@pytest.mark.parametrize("name", ["zlap", "transclip"])
@pytest.mark.parametrize("classes", [4, 70])
def test_refines_what_the_blocks_say(name: Refinement, classes: int, planted: Planted) -> None:
    features, text = planted(80, classes)
    logits = 8 * features @ text.T
    found = assemble(refine(name, features, cut(logits), classes), 80, classes)
    candidates = Candidates.from_blocks(cut(logits), 80, classes)
    expected = (
        propagate(features, candidates)
        if name == "zlap"
        else transclip(features, candidates).blocks()
    )
    torch.testing.assert_close(found, assemble(expected, 80, classes))
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["zlap", "transclip"])
def test_neighbours_help(name: Refinement, planted: Planted) -> None:
    features, text = planted(400, 4, 16, noise=0.15)
    labels = torch.arange(400) % 4
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 4, generator=generator).double()
    logits = 8 * features @ text.T + 3 * noise
    before = (logits.argmax(dim=1) == labels).double().mean()
    refined = assemble(refine(name, features, cut(logits), 4), 400, 4)
    assert (refined.argmax(dim=1) == labels).double().mean() > before + 0.02


@pytest.mark.parametrize("neighbours", ["exact", "approximate"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("zlap", {}),
        ("transclip", {}),
        ("sre_clip", {"steps": 1, "rounds": 1}),
        ("zero_shot", {"refine": "zlap"}),
        ("zero_shot", {"refine": "transclip"}),
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


@pytest.mark.parametrize("method", [TransClip(), Zlap(k=3)], ids=["transclip", "zlap"])
def test_methods_never_hold_all_images_by_all_classes(
    method: TransductiveMethod,
    planted: Planted,
    largest: Any,
    small_pieces: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n, classes = 200, 150
    features, text = planted(n, classes, 4)
    monkeypatch.setattr("sreclip.methods.logits.BLOCK_VALUES", 5 * classes)
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
    assert len(blocks) > 10
    # A value of 8 bytes for each of 64 candidates and one more; all classes would be 1,200 n.
    assert largest.bytes <= 65 * 8 * n
    assert max(block.logits.numel() for block in blocks) < n * classes / 10
