"""Every registered method on tiny data, and what `sre_clip` promises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sreclip.config.methods import MethodsSettings
from sreclip.errors import FitError
from sreclip.methods import METHODS
from sreclip.methods.base import Checkpoints, Diverged, Method
from sreclip.methods.data import ClassGraph, ClassText
from sreclip.refinement import Refinement
from sreclip.registry import load_registered
from sreclip.train.fits import refined_target

DIM, CLASSES, UNKNOWN = 16, 5, 2


FEW_STEPS: dict[str, dict[str, Any]] = {
    "clip_adapter": {"steps": 20},
    "linear_probe": {"l2_count": 2},
    "tip_adapter_f": {"epochs": 5},
    # Less than all source images: of all of them nothing would be drawn.
    "taskres": {"steps": 20, "batch_size": 32},
    "gcn_zsl": {"steps": 10, "gcn_width": 8},
    "bgcn": {"steps": 8, "regression_steps": 5, "gcn_width": 8, "batch_size": 20},
    "uodtn": {"steps": 8, "regression_steps": 5, "gcn_width": 8, "batch_size": 20},
    "tsce": {
        "steps": 8,
        "regression_steps": 5,
        "gcn_width": 8,
        "batch_size": 40,
        "bank_size": 80,
    },
    "sre_clip_reference": {
        "steps": 8,
        "warmup_steps": 3,
        "width": 8,
        "gcn_width": 8,
        "batch_size": 40,
        "bank_size": 80,
    },
    "sre_clip": {"steps": 10, "width": 8, "gcn_width": 8},
}


# Nothing random in the fit, or (linear_probe) only the hold-out that picks a penalty.
DETERMINISTIC = {
    "zero_shot",
    "linear_probe",
    "adapt",
    "class_bias",
    "ecalp",
    "frolic",
    "gda",
    "inmap",
    "stata",
    "transclip",
    "zlap",
}


# The reference's adapter attends over the batch, as the authors' does; the others label the target
# of their fit as a whole, and other images by their state.
DEPENDS_ON_THE_BATCH = {
    "sre_clip_reference",
    "sre_clip",
    "adapt",
    "ecalp",
    "stata",
    "transclip",
    "zlap",
}


def make(name: str, **settings: Any) -> Method:
    return load_registered("method", name, METHODS)(**FEW_STEPS.get(name, {}) | settings)


@pytest.fixture
def problem() -> dict[str, Any]:
    """Planted classes: images lie around their class vector, the target is shifted."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    text = F.normalize(noise(CLASSES, DIM), dim=1)
    known = torch.arange(CLASSES) < CLASSES - UNKNOWN
    source_labels = torch.arange(60) % (CLASSES - UNKNOWN)
    target_labels = torch.arange(80) % CLASSES
    shift = noise(DIM) * 0.3
    nodes = F.normalize(torch.cat([text, noise(3, DIM)]), dim=1)
    adjacency = torch.eye(CLASSES + 3) + (torch.rand(8, 8, generator=generator) > 0.6)
    relation = text @ text.T * 0.5 + 0.5
    return {
        "source_features": F.normalize(text[source_labels] + 0.2 * noise(60, DIM), dim=1),
        "source_labels": source_labels,
        "target_features": F.normalize(text[target_labels] + shift + 0.2 * noise(80, DIM), dim=1),
        "text": ClassText(text, 20.0, known),
        "graph": ClassGraph(
            nodes,
            (adjacency / adjacency.sum(1, keepdim=True)).to_sparse(),
            torch.tensor([[0, 5], [1, 5], [2, 6], [3, 6], [4, 6], [5, 7], [6, 7]]),
            torch.arange(CLASSES),
            relation,
        ),
    }


@pytest.mark.parametrize("name", METHODS)
def test_fits_and_gives_finite_logits(name: str, problem: dict[str, Any]) -> None:
    method = make(name)
    assert method.fit(**problem) is method
    logits = method.logits(problem["target_features"])
    assert logits.shape == (80, CLASSES)
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(value).all() for value in method.state().values())
    assert method.title
    assert method.citation


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("step", get_args(Refinement))
def test_can_be_refined_by_every_step(name: str, step: Refinement, problem: dict[str, Any]) -> None:
    target = problem["target_features"]
    method = make(name, refine=[step]).fit(**problem)
    scores, (state,) = refined_target(method, target)
    assert np.isfinite(scores.top_logit).all()
    assert all(torch.isfinite(value).all() for value in state.tensors().values())
    # The vectors that a step holds on to are where the images are: they say what the logits say.
    images, anchors = method.image_features(target), method.anchors()
    torch.testing.assert_close(anchors.features.norm(dim=1), torch.ones(CLASSES))
    assert images.shape[1] == anchors.features.shape[1]
    if name == "sre_clip_reference":
        logits = anchors.logit_scale * images @ anchors.features.T
        torch.testing.assert_close(logits, method.logits(target), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_same_seed_same_numbers_and_a_second_fit_forgets(
    name: str, problem: dict[str, Any]
) -> None:
    method = make(name, seed=3)
    first = method.fit(**problem).logits(problem["target_features"])
    history = list(method.history_)
    torch.manual_seed(99)
    assert torch.equal(method.fit(**problem).logits(problem["target_features"]), first)
    assert method.history_ == history
    assert torch.equal(make(name, seed=3).fit(**problem).logits(problem["target_features"]), first)


@pytest.mark.parametrize("name", METHODS)
def test_float16_features_give_what_the_same_numbers_in_float32_give(
    name: str, problem: dict[str, Any]
) -> None:
    half = {key: problem[f"{key}_features"].half() for key in ("source", "target")}
    methods = []
    for kind in (torch.float16, torch.float32):
        features = {f"{key}_features": value.to(kind) for key, value in half.items()}
        methods.append(make(name).fit(**problem | features))
    ours, wide = methods
    logits = ours.logits(half["target"])
    assert logits.dtype == torch.float32
    assert torch.equal(logits, wide.logits(half["target"].float()))
    assert ours.history_ == wide.history_
    assert ours.state().keys() == wide.state().keys()
    assert all(torch.equal(value, wide.state()[key]) for key, value in ours.state().items())
    adapted = ours.image_features(half["target"])
    assert torch.equal(adapted, wide.image_features(half["target"].float()))


@pytest.mark.parametrize("name", ["sre_clip", "sre_clip_reference", "tsce"])
def test_with_many_classes_pairs_of_distances_are_drawn(
    name: str, problem: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = make(name).fit(**problem).history_
    monkeypatch.setattr("sreclip.methods.losses.MAX_EXACT_CLASSES", 0)
    drawn = make(name, rank_sample=20_000).fit(**problem).history_
    assert [set(step) for step in drawn] == [set(step) for step in exact]
    first = [next(step["rank"] for step in history if "rank" in step) for history in (drawn, exact)]
    assert first[0] == pytest.approx(first[1], rel=0.05)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in DETERMINISTIC])
def test_seeds_differ(name: str, problem: dict[str, Any]) -> None:
    one, two = (
        make(name, seed=seed).fit(**problem).logits(problem["target_features"]) for seed in (0, 1)
    )
    assert not torch.equal(one, two)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in DEPENDS_ON_THE_BATCH])
def test_a_prediction_does_not_depend_on_the_batch(name: str, problem: dict[str, Any]) -> None:
    method = make(name).fit(**problem)
    target = problem["target_features"]
    alone = torch.cat([method.logits(row[None]) for row in target])
    torch.testing.assert_close(method.logits(target), alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(method.logits(target.flip(0)), alone.flip(0), rtol=1e-4, atol=1e-4)


def test_the_reference_depends_on_the_batch(problem: dict[str, Any]) -> None:
    method = make("sre_clip_reference").fit(**problem)
    target = problem["target_features"]
    assert not torch.allclose(method.logits(target)[:1], method.logits(target[:1]))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("calibration", ["zero_shot", "class_prior"])
def test_calibration_shifts_unknown_logits_alone(
    name: str, calibration: str, problem: dict[str, Any]
) -> None:
    target, known = problem["target_features"], problem["text"].known
    # Of several rounds, the calibration of one reaches the next.
    single = {"rounds": 0} if name == "sre_clip" else {}
    plain = make(name, calibration="none", **single).fit(**problem)
    method = make(name, calibration=calibration, **single).fit(**problem)
    assert not plain.bias_.any()
    logits = method.logits(target)
    assert torch.equal(logits, plain.logits(target) + method.bias_)
    assert torch.equal(method.state()["bias"], method.bias_)
    assert not method.bias_[known].any()
    assert len(method.bias_[~known].unique()) == 1
    zero_shot = problem["text"].zero_shot_logits(target)
    wanted = int((~known)[zero_shot.argmax(dim=1)].sum())
    if calibration == "class_prior":
        wanted = max(wanted, round(float((~known).float().mean()) * len(target)))
    assert int((~known)[logits.argmax(dim=1)].sum()) == wanted


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target_features": torch.zeros(0, DIM)}, "no usable target image"),
        ({"source_features": torch.zeros(60, DIM + 1)}, "class vectors are 16 wide"),
        ({"target_features": torch.full((4, DIM), torch.nan)}, "row 0 is not finite"),
        ({"source_labels": torch.zeros(60, dtype=torch.long)}, "class 1 is known but has no"),
        ({"source_labels": torch.full((60,), CLASSES - 1)}, "class 4 is unknown but has labelled"),
    ],
)
def test_bad_inputs(
    name: str, problem: dict[str, Any], change: dict[str, torch.Tensor], said: str
) -> None:
    with pytest.raises(FitError, match=said):
        make(name).fit(**problem | change)


@pytest.mark.parametrize("name", METHODS)
def test_relation_of_the_wrong_size(name: str, problem: dict[str, Any]) -> None:
    graph = problem["graph"]
    wrong = replace(graph, relation=torch.eye(4))
    with pytest.raises(FitError, match=r"relation matrix has shape \(4, 4\)"):
        make(name).fit(**problem | {"graph": wrong})


@pytest.mark.parametrize("name", METHODS)
def test_a_target_without_unknown_classes(name: str, problem: dict[str, Any]) -> None:
    text = problem["text"]
    all_known = ClassText(text.features[:3], text.logit_scale, torch.ones(3, dtype=torch.bool))
    graph = problem["graph"]
    small = replace(graph, class_nodes=graph.class_nodes[:3], relation=graph.relation[:3, :3])
    method = make(name, **({"balance": 1.0} if name == "sre_clip" else {}))
    check_fit(method, problem | {"text": all_known, "graph": small})


def check_fit(method: Method, problem: dict[str, Any]) -> None:
    """Fit, and see that logits and state are finite and of the right size."""
    target = problem["target_features"]
    logits = method.fit(**problem).logits(target)
    assert logits.shape == (len(target), len(problem["text"].known))
    assert torch.isfinite(logits).all()
    assert all(torch.isfinite(value).all() for value in method.state().values())


@pytest.mark.parametrize("name", METHODS)
def test_a_class_with_one_source_image(name: str, problem: dict[str, Any]) -> None:
    labels = problem["source_labels"]
    keep = (labels != 1) | (labels.cumsum(0) == 1)
    assert int((labels[keep] == 1).sum()) == 1
    one = {key: problem[key][keep] for key in ("source_features", "source_labels")}
    check_fit(make(name), problem | one)


@pytest.mark.parametrize("name", METHODS)
def test_one_image_per_class(name: str, problem: dict[str, Any]) -> None:
    one = {key: problem[key][:3] for key in ("source_features", "source_labels")}
    check_fit(make(name), problem | one)


@pytest.mark.parametrize("name", METHODS)
def test_one_known_and_one_unknown_class(name: str, problem: dict[str, Any]) -> None:
    text, graph = problem["text"], problem["graph"]
    first = problem["source_labels"] == 0
    two = {
        "source_features": problem["source_features"][first],
        "source_labels": problem["source_labels"][first],
        "text": ClassText(text.features[:2], text.logit_scale, torch.tensor([True, False])),
        "graph": replace(graph, class_nodes=graph.class_nodes[:2], relation=graph.relation[:2, :2]),
    }
    check_fit(make(name), problem | two)


@pytest.mark.parametrize("name", METHODS)
def test_one_target_image(name: str, problem: dict[str, Any]) -> None:
    check_fit(make(name), problem | {"target_features": problem["target_features"][:1]})


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("domain", ["source", "target"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_is_named(
    name: str, domain: str, value: float, problem: dict[str, Any]
) -> None:
    features = problem[f"{domain}_features"].clone()
    features[7, 3] = value
    with pytest.raises(FitError, match=f"{domain} features: row 7 is not finite"):
        make(name).fit(**problem | {f"{domain}_features": features})


HUGE_RATES = {
    "clip_adapter": {"lr": 1e30},
    "tip_adapter_f": {"lr": 1e30},
    "gcn_zsl": {"lr": 1e30},
    "bgcn": {"adapter_lr": 1e30},
    "uodtn": {"adapter_lr": 1e30},
    "tsce": {"adapter_lr": 1e30},
    "sre_clip_reference": {"gcn_lr": 1e30},
    "sre_clip": {"lr": 1e30},
}


@pytest.mark.parametrize("name", HUGE_RATES)
def test_a_fit_that_diverges_keeps_its_last_good_state(name: str, problem: dict[str, Any]) -> None:
    method = make(name, **HUGE_RATES[name])
    with pytest.raises(Diverged, match=r"step \d+: (loss term '\w+' is|a parameter is not)"):
        method.fit(**problem)
    assert method.state()
    assert all(torch.isfinite(value).all() for value in method.state().values())
    assert torch.isfinite(method.logits(problem["target_features"])).all()


def test_a_diverging_loss_names_step_and_term(problem: dict[str, Any]) -> None:
    with pytest.raises(FitError, match=r"step \d+: loss term '\w+' is (nan|inf)"):
        make("sre_clip", lr=1e30, steps=50).fit(**problem)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_settings_of_its_name(name: str) -> None:
    cls = load_registered("method", name, METHODS)
    assert cls().settings == MethodsSettings().settings(name)


@pytest.mark.parametrize("name", METHODS)
def test_keeping_checkpoints_changes_nothing(name: str, problem: dict[str, Any]) -> None:
    kept: dict[int, dict[str, torch.Tensor]] = {}

    def keep(step: int, copied: Method) -> None:
        copied.logits(problem["target_features"])
        kept[step] = {part: value.detach().clone() for part, value in copied.state().items()}

    plain, watched = make(name), make(name)
    watched.checkpoints = Checkpoints(3, keep)
    last = plain.fit(**problem).state()
    assert plain.history_ == watched.fit(**problem).history_
    assert all(torch.equal(value, last[part]) for part, value in watched.state().items())
    in_steps = name in FEW_STEPS and name != "linear_probe"
    assert len(kept) == (3 if in_steps else 0)
    for state in kept.values():
        assert state.keys() == last.keys()
        assert any(not torch.equal(value, last[part]) for part, value in state.items())


@pytest.mark.parametrize("name", ["clip_adapter", "taskres", "sre_clip_reference", "uodtn"])
def test_a_checkpoint_is_what_a_shorter_fit_ends_with(name: str, problem: dict[str, Any]) -> None:
    kept: dict[int, torch.Tensor] = {}
    target = problem["target_features"]
    watched = make(name)
    watched.checkpoints = Checkpoints(
        3, lambda step, copied: kept.update({step: copied.logits(target)})
    )
    watched.fit(**problem)
    before = FEW_STEPS[name].get("regression_steps", 0)
    for step, logits in kept.items():
        if step > before:
            shorter = make(name, steps=step - before).fit(**problem).logits(target)
            torch.testing.assert_close(logits, shorter)
    assert max(kept) > before


def test_a_diverging_fit_keeps_no_broken_checkpoint(problem: dict[str, Any]) -> None:
    kept: list[dict[str, torch.Tensor]] = []
    wild = make("sre_clip_reference", adapter_lr=1e38, gcn_lr=1e38)
    wild.checkpoints = Checkpoints(7, lambda step, copied: kept.append(copied.state()))
    with pytest.raises(Diverged, match="step 1: a parameter is not finite"):
        wild.fit(**problem)
    assert kept == []
    assert all(torch.isfinite(value).all() for value in wild.state().values())


def test_only_attention_over_the_batch_is_said_to_depend_on_it() -> None:
    """Those that label the target as a whole do so in whatever order."""
    depends = {name for name in METHODS if load_registered("method", name, METHODS).batch_dependent}
    assert depends == DEPENDS_ON_THE_BATCH - DETERMINISTIC - {"sre_clip"}


def test_a_restored_reference_predicts_the_same(problem: dict[str, Any]) -> None:
    fitted = make("sre_clip_reference").fit(**problem)
    target = problem["target_features"]
    restored = make("sre_clip_reference").restore(fitted.state(), problem["text"])
    assert torch.equal(restored.logits(target), fitted.logits(target))
    assert torch.equal(restored.image_features(target), fitted.image_features(target))
