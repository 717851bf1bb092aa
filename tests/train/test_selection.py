"""Pseudo-unknown selection: what is held out, what is scored, and that the better one wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sreclip.config.load import parse_params
from sreclip.errors import FitError
from sreclip.methods.base import ClassGraph, ClassText
from sreclip.plan.plan import Plan
from sreclip.train.fits import FitInputs, fit, make_method
from sreclip.train.selection import choose_settings, pseudo_h, pseudo_problem

DIM, CLASSES, KNOWN = 16, 6, 4


@pytest.fixture
def inputs() -> FitInputs:
    """Planted classes; the class texts are turned away from the images, so that fitting helps."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    centres = F.normalize(noise(CLASSES, DIM), dim=1)
    text = F.normalize(centres + 0.3 * noise(CLASSES, DIM), dim=1)
    labels = torch.arange(80) % KNOWN
    target_labels = torch.arange(60) % CLASSES
    return FitInputs(
        source_features=F.normalize(centres[labels] + 0.1 * noise(80, DIM), dim=1),
        source_labels=labels,
        target_features=F.normalize(centres[target_labels] + 0.2 * noise(60, DIM), dim=1),
        target_row_id=np.arange(60),
        target_ok=np.ones(60, dtype=bool),
        text=ClassText(text, 20.0, torch.arange(CLASSES) < KNOWN),
        graph=ClassGraph(
            text,
            torch.eye(CLASSES).to_sparse(),
            torch.empty(0, 2, dtype=torch.int64),
            torch.arange(CLASSES),
            text @ text.T * 0.5 + 0.5,
        ),
        backbone={},
    )


def plan(rule: str, candidates: dict[str, list[dict[str, object]]]) -> Plan:
    selection = {"rule": rule, "candidates": candidates, "folds": 2}
    return Plan(parse_params({"train": {"selection": selection}}))


def test_what_is_held_out(inputs: FitInputs) -> None:
    problem = pseudo_problem(inputs, 0.25, np.random.default_rng(0))
    made = problem.inputs
    pseudo = np.flatnonzero(inputs.text.known.numpy() & ~problem.known)
    # Two of six classes are unknown, so one of four known ones is held out.
    assert len(pseudo) == 1
    assert made.text.known.tolist() == problem.known.tolist()
    assert not np.isin(made.source_labels, pseudo).any()
    assert set(made.source_labels.tolist()) == set(range(KNOWN)) - set(pseudo.tolist())
    # 20 images per class: all of the pseudo-unknown one, a quarter of the other three.
    assert np.bincount(problem.labels, minlength=KNOWN).tolist() == [
        20 if number in pseudo else 5 for number in range(KNOWN)
    ]
    assert len(made.source_features) == 45
    # Nothing is lost, and the held-out images follow the target's.
    assert torch.equal(made.target_features[:60], inputs.target_features)
    together = torch.cat([made.source_features, made.target_features[60:]])
    assert torch.equal(
        together.sum(dim=1).sort().values, inputs.source_features.sum(dim=1).sort().values
    )


def test_held_out_images_never_meet_the_fit(inputs: FitInputs) -> None:
    """Held-out labels are not in the inputs: only their number can be told from them."""
    problem = pseudo_problem(inputs, 0.25, np.random.default_rng(0))
    assert len(problem.inputs.source_labels) == len(problem.inputs.source_features)
    held = problem.inputs.target_features[60:]
    nearest = (held @ problem.inputs.source_features.T).amax(dim=1)
    assert (nearest < 1 - 1e-6).all()


def test_h_by_hand(inputs: FitInputs) -> None:
    problem = pseudo_problem(inputs, 0.25, np.random.default_rng(1))
    settings = plan("last", {}).params.methods.zero_shot
    method = fit(make_method("zero_shot", settings, 0), problem.inputs)
    predicted = method.logits(problem.inputs.target_features)[60:].argmax(dim=1).numpy()
    right = predicted == problem.labels
    classes = np.unique(problem.labels)
    accuracy = {c: right[problem.labels == c].mean() for c in classes}
    known = np.mean([accuracy[c] for c in classes if problem.known[c]])
    unknown = np.mean([accuracy[c] for c in classes if not problem.known[c]])
    expected = 2 * known * unknown / (known + unknown) if known + unknown else 0
    assert pseudo_h("zero_shot", settings, problem) == pytest.approx(expected)


def test_the_better_candidate_wins(inputs: FitInputs) -> None:
    # A temperature-free method: with ratio 1 an untrained adapter throws the feature away.
    broken, good = {"ratio": 1.0, "steps": 0}, {"ratio": 0.2, "steps": 30}
    for candidates in ([broken, good], [good, broken]):
        chosen, about = choose_settings(
            plan("pseudo_unknown", {"clip_adapter": candidates}), "clip_adapter", inputs
        )
        assert chosen.steps == 30
        assert about["rule"] == "pseudo_unknown"
        assert candidates[about["chosen"]] is good
        values = [candidate["h"] for candidate in about["candidates"]]
        assert values[about["chosen"]] == max(values)


def test_the_weight_of_gda_is_chosen_too(inputs: FitInputs) -> None:
    # With many copies of the text in their means, unknown classes lose all images.
    plain = {"alpha": 1.0, "shrunk": False}
    drowned, good = plain | {"copies": 10_000}, plain | {"nearest": 10}
    chosen, about = choose_settings(plan("pseudo_unknown", {"gda": [drowned, good]}), "gda", inputs)
    values = [candidate["h"] for candidate in about["candidates"]]
    assert (about["chosen"], chosen.copies) == (1, 0)
    assert values[1] > values[0]


def test_without_candidates_or_by_the_last_rule_nothing_is_fitted(inputs: FitInputs) -> None:
    candidates = {"clip_adapter": [{"steps": 1}]}
    for rule, name in (("last", "clip_adapter"), ("pseudo_unknown", "taskres")):
        settings, about = choose_settings(plan(rule, candidates), name, inputs)
        assert settings == plan(rule, {}).params.methods.settings(name)
        assert about == {"rule": rule}


def test_a_diverging_candidate_loses(inputs: FitInputs) -> None:
    wild, calm = {"lr": 1e30, "steps": 30}, {"steps": 2}
    chosen, about = choose_settings(
        plan("pseudo_unknown", {"clip_adapter": [wild, calm]}), "clip_adapter", inputs
    )
    assert chosen.steps == 2
    assert about["candidates"][0]["h"] is None
    with pytest.raises(FitError, match="fits of all 1 candidates diverge"):
        choose_settings(plan("pseudo_unknown", {"clip_adapter": [wild]}), "clip_adapter", inputs)


def test_one_known_class_is_too_few(inputs: FitInputs) -> None:
    from dataclasses import replace

    one = replace(
        inputs,
        source_labels=torch.zeros(80, dtype=torch.int64),
        text=replace(inputs.text, known=torch.arange(CLASSES) < 1),
    )
    with pytest.raises(FitError, match="needs two known classes"):
        pseudo_problem(one, 0.2, np.random.default_rng(0))


def test_classes_of_one_image(inputs: FitInputs) -> None:
    from dataclasses import replace

    few = replace(
        inputs,
        source_features=inputs.source_features[:KNOWN],
        source_labels=inputs.source_labels[:KNOWN],
    )
    problem = pseudo_problem(few, 0.2, np.random.default_rng(0))
    # The known classes keep their only image, so that the pseudo-unknown one alone is scored.
    assert len(problem.labels) == 1
    settings = plan("last", {}).params.methods.zero_shot
    assert 0 <= pseudo_h("zero_shot", settings, problem) <= 1
