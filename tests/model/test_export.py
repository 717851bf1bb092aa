"""Exported models score features as the saved ones do."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from sreclip.errors import ConfigError
from sreclip.methods import METHODS
from sreclip.methods.data import ClassText
from sreclip.methods.logits import assemble, score_in_blocks
from sreclip.model.export import Head, export_classifier, export_head
from sreclip.model.formulas import scored_by
from sreclip.model.model import Model
from sreclip.refinement import Refinement
from sreclip.refinement.refine import refine, score_others
from sreclip.train.fits import others_blocks
from tests.methods.test_methods import CLASSES, DIM, make, problem  # noqa: F401 - a fixture

# What scores an image by the others of its batch.
WITHOUT = {"sre_clip_reference"}
LINEAR = {"zero_shot", "class_bias", "frolic", "taskres", "gcn_zsl", "gda", "inmap", "linear_probe"}
LINEAR |= {"adapt"}
BY_FORMULA: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS if name not in WITHOUT),
    ("sre_clip", {"steps": 0}),
]


def fitted(
    name: str,
    problem: dict[str, Any],  # noqa: F811
    **settings: Any,
) -> Model:
    """Return what exports read of a loaded model."""
    methods = [make(name, seed=seed, **settings).fit(**problem) for seed in (0, 1)]
    return cast(
        Model,
        SimpleNamespace(
            scorer=SimpleNamespace(states=[(method, []) for method in methods]),
            saved=SimpleNamespace(title=name, dim=DIM, key="abc"),
            classes=[f"class {number}" for number in range(CLASSES)],
        ),
    )


def rows(n: int) -> torch.Tensor:
    return F.normalize(torch.randn(n, DIM, generator=torch.Generator().manual_seed(n)), dim=1)


def expected(model: Model, features: torch.Tensor) -> np.ndarray:
    own = [method.logits(features).log_softmax(dim=1) for method, _ in model.scorer.states]
    p: np.ndarray = torch.stack(own).mean(dim=0).softmax(dim=1).numpy()
    return p


@pytest.mark.parametrize(("name", "settings"), BY_FORMULA)
def test_the_head_is_the_mean_of_the_seeds(
    name: str,
    settings: dict[str, Any],
    problem: dict[str, Any],  # noqa: F811
) -> None:
    model = fitted(name, problem, **settings)
    with torch.no_grad():
        found = Head(model.scorer, name)(rows(9)).numpy()
    np.testing.assert_allclose(found, expected(model, rows(9)), atol=1e-5)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_what_depends_on_the_batch_is_refused(name: str, problem: dict[str, Any]) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match=f"{name} has no export"):
        Head(fitted(name, problem).scorer, name)


@pytest.mark.parametrize("name", ["zero_shot", "clip_adapter", "transclip"])
def test_what_refines_it_is_exported(name: str, problem: dict[str, Any]) -> None:  # noqa: F811
    model, target, text = fitted(name, problem), problem["target_features"], problem["text"]
    steps: Any = ["class_bias", "adapt", "zlap"]
    own = []
    for method, states in model.scorer.states:
        adapted, anchors = method.image_features(target), method.anchors()
        states[:] = refine(steps, adapted, anchors, method.logit_blocks(target))[1]
        images = rows(9)
        found = others_blocks(method, states, images)
        own.append(assemble(found, len(images), len(text.known)).log_softmax(dim=1))
    with torch.no_grad():
        head = Head(model.scorer, name)(rows(9))
    torch.testing.assert_close(head, torch.stack(own).mean(dim=0).softmax(dim=1))


@pytest.mark.parametrize("n_classes", [5, 100])
@pytest.mark.parametrize("step", get_args(Refinement))
def test_a_formula_gives_what_the_state_does(step: Refinement, n_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(n_classes + 300 + 7, DIM, generator=generator)
    text, target, images = F.normalize(vectors, dim=1).split([n_classes, 300, 7])
    classes = ClassText(text, 20.0, torch.ones(n_classes).bool())

    def blocks(features: torch.Tensor) -> Any:
        return score_in_blocks(classes.zero_shot_logits, features, n_classes)

    states = refine([step], target, classes, blocks(target))[1]
    wanted = assemble(score_others(states, images, blocks(images), n_classes), 7, n_classes)
    found = scored_by(states[0], images, classes.zero_shot_logits(images))
    torch.testing.assert_close(found.softmax(1), wanted.softmax(1), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sre_clip", {"steps": 0}),
        *(
            (name, {})
            for name in ("linear_probe", "tip_adapter", "adapt", "stata", "zlap", "ecalp")
        ),
    ],
)
def test_onnx_gives_the_same_for_any_number_of_images(
    name: str,
    settings: dict[str, Any],
    problem: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    model = fitted(name, problem, **settings)
    export_head(model, tmp_path / "head.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["head.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    for n in (1, 3, 64):
        (found,) = session.run(["probabilities"], {"features": rows(n).numpy()})
        np.testing.assert_allclose(found, expected(model, rows(n)), atol=1e-4)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == model.classes
    assert about["key"] == "abc"


@pytest.mark.parametrize("name", [name for name, extra in BY_FORMULA if not extra])
def test_a_classifier_is_a_matrix_or_refused(
    name: str,
    problem: dict[str, Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    model = fitted(name, problem)
    if name not in LINEAR:
        with pytest.raises(ConfigError, match="is no linear classifier of the features"):
            export_classifier(model, tmp_path / "c.npz")
        assert not (tmp_path / "c.npz").exists()
        return
    export_classifier(model, tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        logits = rows(9).numpy() @ file["weight"].T + file["bias"]
        assert file["classes"].tolist() == model.classes
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p, expected(model, rows(9)), atol=1e-4)
