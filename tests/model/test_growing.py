"""Classes that come to a fitted method by their texts alone."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F

from sreclip.errors import ConfigError
from sreclip.methods import METHODS
from sreclip.methods.data import ClassText
from sreclip.methods.placed import Gaussians
from sreclip.model.growing import REASONS, RULES, Newcomers, grown
from sreclip.model.saved import SavedModel
from sreclip.refinement.refine import refine, restored_steps, score_others, step_tensors
from tests.methods.test_methods import CLASSES, make, problem  # noqa: F401 - a fixture

# What a fit makes of a class without labels that is in its list: the same as adding it later.
AS_IN_THE_FIT = ("zero_shot", "clip_adapter", "taskres", "tip_adapter", "tip_adapter_f")
AS_IN_THE_FIT += ("linear_probe",)


def without_last(problem: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    """The problem without its last class, which is an unknown one."""
    text, graph = problem["text"], problem["graph"]
    fewer = ClassText(text.features[:-1], text.logit_scale, text.known[:-1])
    parts = {"class_nodes": graph.class_nodes[:-1], "relation": graph.relation[:-1, :-1]}
    return problem | {"text": fewer, "graph": replace(graph, **parts)}


def as_saved(method: str, settings: dict[str, Any] | None = None) -> SavedModel:
    return cast(SavedModel, SimpleNamespace(method=method, title=method, settings=settings or {}))


def newcomers(problem: dict[str, Any], temperature: float = 1.0) -> Newcomers:  # noqa: F811
    text = problem["text"]
    return Newcomers(text.features[:-1], text.known[:-1], text.features[-1:], temperature)


def test_each_method_says_whether_it_takes_classes() -> None:
    assert RULES.keys() | REASONS.keys() == METHODS.keys()
    assert not RULES.keys() & REASONS.keys()
    for name in REASONS:
        with pytest.raises(ConfigError, match=f"{name} takes no class without a fit: .* fit"):
            grown(as_saved(name), {}, cast(Newcomers, None))
    with pytest.raises(ConfigError, match="it is not known how its state would grow"):
        grown(as_saved("of a later version"), {}, cast(Newcomers, None))


@pytest.mark.parametrize("name", AS_IN_THE_FIT)
def test_it_is_as_if_the_fit_had_known_the_class(name: str, problem: dict[str, Any]) -> None:  # noqa: F811
    whole, fewer = make(name).fit(**problem), make(name).fit(**without_last(problem))
    state = grown(as_saved(name), fewer.state(), newcomers(problem))
    found = make(name).restore(state, problem["text"])
    torch.testing.assert_close(
        found.logits(problem["target_features"]),
        whole.logits(problem["target_features"]),
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [*((name, {}) for name in RULES), ("sre_clip", {"steps": 0}), ("sre_clip", {"trust": 0.0})],
)
def test_other_classes_keep_their_logits(
    name: str,
    settings: dict[str, Any],
    problem: dict[str, Any],  # noqa: F811
) -> None:
    fewer = without_last(problem)
    method = make(name, **settings).fit(**fewer)
    images = F.normalize(problem["target_features"] + 0.01, dim=1)  # not those of the fit
    state = grown(as_saved(name), method.state(), newcomers(problem, 0.05))
    found = make(name, **settings).restore(state, problem["text"]).logits(images)
    before = make(name, **settings).restore(method.state(), fewer["text"]).logits(images)
    torch.testing.assert_close(found[:, :-1], before)
    assert torch.isfinite(found).all()


def test_calibration_counts_it_as_unknown(problem: dict[str, Any]) -> None:  # noqa: F811
    fewer = without_last(problem)
    state = make("zero_shot").fit(**fewer).state() | {"bias": torch.tensor([0.0, 0, 0, 1.5])}
    assert grown(as_saved("zero_shot"), state, newcomers(problem))["bias"].tolist() == [
        *(0, 0, 0, 1.5, 1.5)
    ]
    text = replace(problem["text"], known=torch.ones(CLASSES).bool())
    state |= {"bias": torch.zeros(4)}
    new = newcomers(problem | {"text": text})
    assert not grown(as_saved("zero_shot"), state, new)["bias"].any()


def test_a_placed_class_lies_where_its_neighbours_say(problem: dict[str, Any]) -> None:  # noqa: F811
    generator = torch.Generator().manual_seed(1)
    dim, n = 6, 4
    texts = F.normalize(torch.randn(n + 1, dim, generator=generator), dim=1)
    means = texts[:n] + 0.3 * torch.randn(n, dim, generator=generator)
    whitener = torch.randn(dim, dim, generator=generator)
    counts, known = torch.tensor([9.0, 9, 9, 3]), torch.tensor([True, True, True, False])
    gaussians = Gaussians.about(means, counts, whitener, 0.2, 0.0)
    state = {"text": texts[:n], "bias": torch.zeros(n), "class_bias": torch.ones(n)}
    state |= vars(gaussians) | {"temperature": torch.ones(())}
    new = Newcomers(texts[:n], known, texts[n:], 0.1)
    found = grown(as_saved("sre_clip"), state, new)

    def predicted(text: torch.Tensor, others: list[int]) -> torch.Tensor:
        weights = torch.stack([(1 + text @ texts[c]) / 2 / 0.1 for c in others]).softmax(0)
        pairs = zip(weights, others, strict=True)
        return text + sum(weight * (means[c] - texts[c]) for weight, c in pairs)

    missed = []
    for c in range(3):
        away = (predicted(texts[c], [o for o in range(3) if o != c]) - means[c]) @ whitener
        missed.append(float(away @ away))
    certainty = dim / (dim + sum(missed) / 3)
    image = torch.randn(2, dim, generator=generator)
    own = Gaussians(*(found[name] for name in ("vectors", "offsets", "radii", "whitener")))(image)
    away = ((image - predicted(texts[n], [0, 1, 2])) @ whitener).square().sum(dim=1)
    # 0.2 / 2 * 9 / 10 is the largest weight there is.
    torch.testing.assert_close(own[:, -1], -0.09 * certainty * away, rtol=1e-3, atol=1e-3)
    assert found["class_bias"].tolist() == [1, 1, 1, 1, 0]


def test_what_refines_it_grows_or_is_refused(problem: dict[str, Any]) -> None:  # noqa: F811
    fewer = without_last(problem)
    method, target = make("zero_shot").fit(**fewer), problem["target_features"]
    steps: Any = ["class_bias", "frolic"]
    states = refine(steps, target, fewer["text"], method.logit_blocks(target))[1]
    saved = as_saved("zero_shot", {"refine": steps})
    state = grown(saved, method.state() | step_tensors(steps, states), newcomers(problem))
    after = make("zero_shot").restore(state, problem["text"])
    blocks = score_others(restored_steps(steps, state), target, after.logit_blocks(target), CLASSES)
    (block,) = blocks
    bias = sum(step.bias for step in states)  # type: ignore[attr-defined]
    expected = problem["text"].zero_shot_logits(target) + torch.cat([bias, torch.zeros(1)])
    torch.testing.assert_close(block.logits, expected.log_softmax(dim=1), atol=1e-5, rtol=1e-5)
    with pytest.raises(ConfigError, match=r"what refines it \(transclip\) was found in images"):
        grown(as_saved("zero_shot", {"refine": ["transclip"]}), state, newcomers(problem))
