"""Estimators: scikit-learn's own checks, and the pipeline's predictions from arrays."""

from __future__ import annotations

import doctest
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sreclip
import sreclip.estimator
from sreclip.config.methods import METHOD_NAMES, MethodsSettings
from sreclip.errors import ArgumentError
from sreclip.graph.adjacency import normalized_adjacency
from sreclip.methods.base import Method
from sreclip.methods.data import ClassGraph, ClassText, sparse_tensor
from sreclip.methods.logits import assemble
from sreclip.refinement.refine import score_others
from sreclip.train.fits import FitInputs, fit, make_method, refined_target
from tests.methods.test_methods import DEPENDS_ON_THE_BATCH, FEW_STEPS
from tests.pretended_gpu import PretendedGpu

QUICK = FEW_STEPS | {"sre_clip": {}, "inmap": {"steps": 50}}
WITH_GRAPH = {"gcn_zsl", "bgcn", "uodtn", "tsce", "sre_clip_reference"}
CLASSES = ["owl", "cat", "yak", "dog", "bee"]
KNOWN = ["owl", "yak", "dog"]
REFINEMENTS = [(), ("zlap",), ("class_bias", "transclip")]


def estimator(name: str, **values: Any) -> sreclip.Estimator:
    return sreclip.Estimator(name, **QUICK.get(name, {}) | values)


def expected_failures(checked: sreclip.Estimator) -> dict[str, str]:
    """Checks of scikit-learn that an estimator does not pass, and why."""
    method = checked.method
    found = {
        "check_estimators_dtypes": "casts features to whole numbers, which leaves a row of zeros: "
        "it has no direction",
        "check_methods_subset_invariance": "asks for 1e-7, and float32 rounds a product of one row "
        "otherwise than one of many",
    }
    if method in DEPENDS_ON_THE_BATCH:
        reason = "the images of the fit, or of a batch, are scored as a whole"
        found["check_methods_subset_invariance"] = reason
        if method != "adapt":
            found["check_methods_sample_order_invariance"] = reason
    if method in WITH_GRAPH:
        found["check_classifiers_train"] = "asks for 83 % right after a few steps of training"
    return found


@parametrize_with_checks(
    [estimator(name) for name in METHOD_NAMES], expected_failed_checks=expected_failures
)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Planted classes, in no order and not of unit length, with a graph of their own."""
    rng = np.random.default_rng(0)
    text = rng.normal(size=(5, 16))
    labels = np.array([0, 2, 3])[np.arange(60) % 3]
    target = text[np.arange(80) % 5] + 0.8 * rng.normal(size=(80, 16))
    relation = np.abs(np.corrcoef(text))
    return {
        "X": 3 * text[labels] + rng.normal(size=(60, 16)),
        "y": np.array(CLASSES)[labels],
        "X_target": target,
        "text": text,
        "classes": CLASSES,
        "relation": relation,
        "edges": [[0, 5], [1, 6], [2, 5], [3, 6], [4, 7], [5, 7], [6, 7]],
        "node_text": rng.normal(size=(3, 16)),
    }


def unit(values: Any) -> torch.Tensor:
    return F.normalize(torch.as_tensor(np.asarray(values)), dim=1).float()


@pytest.fixture
def inputs(arrays: dict[str, Any]) -> FitInputs:
    """What the pipeline would give a fit, with the classes in the order of their names."""
    order = [4, 1, 3, 0, 2]
    assert [CLASSES[number] for number in order] == sorted(CLASSES)
    nodes = np.concatenate([arrays["text"], arrays["node_text"]])
    edges = np.array(arrays["edges"])
    return FitInputs(
        source_features=unit(arrays["X"]),
        source_labels=torch.tensor([sorted(CLASSES).index(name) for name in arrays["y"]]),
        target_features=unit(arrays["X_target"]),
        target_row_id=np.arange(80),
        target_ok=np.ones(80, dtype=bool),
        text=ClassText(
            unit(arrays["text"][order]), 20.0, torch.tensor([False, False, True, True, True])
        ),
        graph=ClassGraph(
            node_features=unit(nodes),
            adjacency=sparse_tensor(normalized_adjacency(8, edges)),
            edges=torch.from_numpy(edges),
            class_nodes=torch.tensor(order),
            relation=torch.tensor(arrays["relation"][np.ix_(order, order)]).float(),
        ),
        backbone={},
    )


def fitted_by_the_pipeline(name: str, inputs: FitInputs, refine: tuple[str, ...]) -> Method:
    values = QUICK.get(name, {}) | {"refine": refine}
    return fit(make_method(name, MethodsSettings().settings(name).changed(values), 1), inputs)


@pytest.mark.parametrize("refine", REFINEMENTS)
@pytest.mark.parametrize("name", METHOD_NAMES)
def test_predicts_what_the_pipeline_predicts(
    name: str, refine: tuple[str, ...], arrays: dict[str, Any], inputs: FitInputs
) -> None:
    fitted = estimator(name, refine=refine, logit_scale=20, seed=1).fit(**arrays)
    probabilities = fitted.predict_proba(arrays["X_target"])
    method = fitted_by_the_pipeline(name, inputs, refine)
    scores, states = refined_target(method, inputs.target_features)
    top = np.exp(scores.top_logit - scores.log_sum[:, None])
    chosen = np.take_along_axis(probabilities, scores.top_class.astype(int), axis=1)
    np.testing.assert_allclose(chosen, top, atol=2e-4)
    predicted = [sorted(CLASSES)[number] for number in scores.top_class[:, 0]]
    assert fitted.predict(arrays["X_target"]).tolist() == predicted
    others = inputs.target_features[:30]
    blocks = score_others(states, method.image_features(others), method.logit_blocks(others), 5)
    with torch.inference_mode():
        wanted = assemble(blocks, 30, 5).softmax(dim=1).numpy()
    found = fitted.predict_proba(arrays["X_target"][:30])
    np.testing.assert_allclose(found, wanted, atol=2e-4)


@pytest.mark.parametrize("name", METHOD_NAMES)
def test_a_device_gives_the_same(name: str, arrays: dict[str, Any]) -> None:
    refine = ("zlap", "class_bias")
    here = estimator(name, refine=refine).fit(**arrays)
    with PretendedGpu():
        there = estimator(name, refine=refine, device="cuda").fit(**arrays)
        for images in (arrays["X_target"], arrays["X"]):
            np.testing.assert_array_equal(there.predict(images), here.predict(images))
            found, wanted = there.predict_proba(images), here.predict_proba(images)
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("refine", ["adapt", "class_bias", "frolic", "inmap", "stata", "zlap"])
def test_refined_estimators_can_be_pickled(refine: str, arrays: dict[str, Any]) -> None:
    fitted = estimator("zero_shot", refine=refine).fit(**arrays)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - written here
    for images in (arrays["X_target"], arrays["X"]):
        assert np.array_equal(again.predict_proba(images), fitted.predict_proba(images))


def test_classes_are_sorted_and_unknown_ones_are_told(arrays: dict[str, Any]) -> None:
    fitted = estimator("zero_shot").fit(**arrays)
    assert fitted.classes_.tolist() == ["bee", "cat", "dog", "owl", "yak"]
    assert fitted.known_.tolist() == [False, False, True, True, True]
    assert fitted.predict(arrays["text"]).tolist() == CLASSES
    numbered = estimator("zero_shot").fit(arrays["X"], np.arange(60) % 2, text=arrays["text"][:2])
    assert numbered.predict(arrays["text"][:2]).tolist() == [0, 1]


def test_without_text_class_means_are_the_text() -> None:
    X = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 5.0], [3.0, 4.0]])
    fitted = estimator("zero_shot").fit(X, ["a", "b", "b", "a"])
    # The mean of the directions (1, 0) and (0.6, 0.8), and (0, 1).
    means = np.array([[0.8, 0.4], [0.0, 1.0]]) / [[np.sqrt(0.8)], [1.0]]
    np.testing.assert_allclose(fitted.method_.text_.features, means, atol=1e-6)


def test_a_fit_leaves_the_arrays_and_the_generator_of_the_caller(arrays: dict[str, Any]) -> None:
    unit_norm = {
        name: unit(arrays[name]).numpy() for name in ("X", "X_target", "text", "node_text")
    }
    copies = {name: values.copy() for name, values in unit_norm.items()}
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    fitted = estimator("taskres", steps=3).fit(**arrays | unit_norm)
    assert torch.equal(torch.rand(3), wanted)
    before = fitted.predict_proba(copies["X_target"])
    for name, values in unit_norm.items():
        assert np.array_equal(values, copies[name])
        values[:] = 1
    assert np.array_equal(fitted.predict_proba(copies["X_target"]), before)


def test_settings_are_parameters() -> None:
    made = sreclip.Estimator("sre_clip", trust=0.25)
    assert made.get_params() == {
        "method": "sre_clip",
        "seed": 0,
        "logit_scale": 100.0,
        "device": "cpu",
        "trust": 0.25,
    }
    copy = clone(made).set_params(trust=0.5, pull=0.0, seed=3)
    assert repr(copy) == "Estimator(pull=0.0, seed=3, trust=0.5)"
    assert made.get_params()["trust"] == 0.25
    pipeline = make_pipeline(StandardScaler(), made).set_params(estimator__pull=0.5)
    assert pipeline[-1].get_params()["pull"] == 0.5


def test_no_setting_has_the_name_of_a_parameter() -> None:
    own = set(sreclip.Estimator().get_params())
    for name in METHOD_NAMES:
        assert not own & set(type(MethodsSettings().settings(name)).model_fields)


def test_classes_can_be_held_out_by_cross_validation(arrays: dict[str, Any]) -> None:
    X, y = arrays.pop("X"), arrays.pop("y")
    search = GridSearchCV(sreclip.Estimator(), {"trust": [0.0, 0.5]}, cv=GroupKFold(3))
    search.fit(X, y, groups=y, **arrays)
    # Each class is unknown in the fold that scores it.
    fold = np.flatnonzero(y == "owl"), np.flatnonzero(y != "owl")
    alone = sreclip.Estimator(trust=search.best_params_["trust"])
    alone.fit(X[fold[1]], y[fold[1]], **arrays)
    scores = [search.cv_results_[f"split{n}_test_score"][search.best_index_] for n in range(3)]
    assert alone.score(X[fold[0]], y[fold[0]]) in scores
    assert not alone.known_[alone.classes_ == "owl"].any()


def test_a_pipeline_scales_before_an_estimator(arrays: dict[str, Any]) -> None:
    pipeline = make_pipeline(StandardScaler(), estimator("linear_probe"))
    assert pipeline.fit(arrays["X"], arrays["y"]).score(arrays["X"], arrays["y"]) > 0.9


def with_value(values: Any, value: float) -> Any:
    changed = np.array(values, dtype=float)
    changed[3, 1] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.full((60, 16), np.nan)}, "Input X contains NaN"),
        ({"X": np.ones((60, 16, 2))}, "Found array with dim 3"),
        ({"X": np.zeros((60, 16))}, "row 0 of X has the length 0"),
        ({"y": ["owl"] * 59}, "inconsistent numbers of samples"),
        ({"y": np.linspace(0, 1, 60)}, "Unknown label type: continuous"),
        ({"y": [1, 2] * 30, "classes": ["1", "2", "3", "4", "5"]}, "does not have: 1, 2"),
        ({"y": ["owl", "emu"] * 30}, "y has labels that classes does not have: emu"),
        ({"classes": None}, "text has 5 rows, and there are 3 classes"),
        ({"classes": CLASSES[:4]}, "text has 5 rows, and there are 4 classes"),
        ({"classes": ["owl", "cat", "yak", "dog", "owl"]}, "names a class twice"),
        ({"classes": [CLASSES]}, "classes must have one label per row of text"),
        ({"text": None}, "classes that y does not have need text: cat, bee"),
        ({"text": np.zeros((5, 16))}, "row 0 of text has the length 0"),
        ({"text": np.ones((5, 15))}, "text has 15 features, and X has 16"),
        ({"text": np.full((5, 16), np.inf)}, "Input text contains infinity"),
        ({"X_target": np.ones((0, 16))}, "X_target has no row"),
        ({"X_target": np.ones((9, 15))}, "X_target has 15 features, and X has 16"),
        ({"X_target": np.full((9, 16), np.nan)}, "Input X_target contains NaN"),
        ({"relation": np.eye(4)}, "there are 5 classes"),
        ({"relation": 2 * np.eye(5)}, "relation must be symmetric"),
        ({"relation": with_value(np.eye(5), 0.5)}, "relation must be symmetric"),
        ({"edges": [[0, 8]]}, "names node 8, but nodes are 0 to 7"),
        ({"edges": [[0, 1], [1, 0]]}, "edges: the graph's edges form a cycle"),
        ({"edges": [[0.5, 1]]}, "whole numbers"),
        ({"edges": None}, "node_text is given without edges"),
        ({"node_text": np.zeros((3, 16))}, "row 0 of node_text has the length 0"),
    ],
)
def test_arguments_that_cannot_be_used(
    changes: dict[str, Any], message: str, arrays: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator("zero_shot").fit(**arrays | changes)


def test_a_relation_is_taken_as_far_as_rounding_goes(arrays: dict[str, Any]) -> None:
    rough = arrays["relation"] + 1e-6 * np.random.default_rng(0).normal(size=(5, 5))
    relation = estimator("zero_shot").fit(**arrays | {"relation": rough})
    assert relation.predict(arrays["text"]).tolist() == CLASSES


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(ArgumentError, match="there is only one class"):
        estimator("zero_shot").fit(np.eye(3), ["owl"] * 3)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "sre_clop"}, "did you mean 'sre_clip'?"),
        ({"trusst": 1}, "sre_clip: trusst: unknown key"),
        ({"trust": -1}, "sre_clip: trust: Input should be greater than or equal to 0, found -1"),
        ({"logit_scale": 0}, "logit_scale must be a positive number, not 0"),
        ({"seed": 0.5}, "seed must be a whole number from 0, not 0.5"),
        ({"device": "nowhere"}, "device 'nowhere' cannot be used"),
    ],
)
def test_parameters_that_cannot_be_used(
    parameters: dict[str, Any], message: str, arrays: dict[str, Any]
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        sreclip.Estimator(**parameters).fit(**arrays)


def test_import_is_light() -> None:
    code = """
import sys, sreclip
assert not {"torch", "sklearn", "numpy"} & sys.modules.keys()
sreclip.Estimator("zero_shot")
assert "torch" not in sys.modules
try:
    sreclip.Estimater
except AttributeError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "module 'sreclip' has no attribute 'Estimater'\n"


def test_examples_of_the_docstring() -> None:
    found = doctest.testmod(sreclip.estimator, optionflags=doctest.ELLIPSIS)
    assert found.attempted
    assert not found.failed


def test_examples_of_the_page() -> None:
    page = (Path(__file__).parents[1] / "docs/python.md").read_text(encoding="utf-8")
    blocks = "\n\n".join(re.findall(r"```python\n(.+?)```", page, flags=re.DOTALL))
    examples = doctest.DocTestParser().get_doctest(blocks, {}, "python.md", None, None)
    assert examples.examples
    assert not doctest.DocTestRunner().run(examples).failed
