"""The authors' way of evaluating, on the real workflow with tiny images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file
from scipy.special import softmax

from sreclip.data.manifest import read_target_labels
from sreclip.errors import DamagedError, FitError, StoreError
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.evaluate.metrics import ACCURACIES, run_metrics
from sreclip.features.planned import open_domain
from sreclip.methods.scores import read_scores
from sreclip.plan.plan import Plan
from sreclip.train.method import fit_method
from tests.methods.test_methods import FEW_STEPS
from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

REFERENCE = "sre_clip_reference"
BATCH = 5


@pytest.fixture(scope="module")
def prepared(done: Project) -> Project:
    """Give the project with its features and graph, two of its four classes unknown."""
    small = {name: dict(settings) for name, settings in FEW_STEPS.items()}
    done.edit(
        methods={"run": ["zero_shot", REFERENCE], **small},
        split={"unknown": ["horse", "car"]},
        train={"seeds": [0, 1]},
    )
    return done


def evaluation(plan: Plan, name: str) -> dict[str, Any]:
    evaluate_method(plan, name)
    return json.loads(plan.evaluation(name)["evaluation.json"].read_text())


def numbers(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in ("key", "protocol")}


def sorted_batches(labels: np.ndarray, known: np.ndarray) -> list[list[int]]:
    """Rows class by class, as the authors' two unshuffled loaders give them."""
    batches = []
    for side in (True, False):
        rows = [
            row
            for label in range(len(known))
            if known[label] == side
            for row in range(len(labels))
            if labels[row] == label
        ]
        batches += [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return batches


def probabilities(
    state: dict[str, np.ndarray], features: np.ndarray, batches: list[list[int]]
) -> np.ndarray:
    """The adapter's formula in plain numpy, one batch at a time."""
    out = np.zeros((len(features), len(state["prototypes"])))
    for rows in batches:
        q, k, v = (
            features[rows] @ state[f"adapter.{part}.weight"].T + state[f"adapter.{part}.bias"]
            for part in ("query", "key", "value")
        )
        z = softmax(q @ k.T / np.sqrt(q.shape[1]), axis=1) @ v + v
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        out[rows] = softmax(z @ state["prototypes"].T / 0.05, axis=1)
    return out


def accuracies(p: np.ndarray, labels: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Shares of images and means over classes, worked out once more."""
    right = p.argmax(axis=1) == labels
    by_class = {label: right[labels == label].mean() for label in np.unique(labels)}
    found = {
        "known_micro": right[known[labels]].mean(),
        "unknown_micro": right[~known[labels]].mean(),
        "all_micro": right.mean(),
        "known": np.mean([by_class[c] for c in by_class if known[c]]),
        "unknown": np.mean([by_class[c] for c in by_class if not known[c]]),
        "all": np.mean(list(by_class.values())),
    }
    among_unknown = np.where(known, -1, p).argmax(axis=1) == labels
    found["zsl"] = np.mean([among_unknown[labels == c].mean() for c in by_class if not known[c]])
    for end in ("", "_micro"):
        a, b = found["known" + end], found["unknown" + end]
        found["h" + end] = 2 * a * b / (a + b) if a + b else 0.0
    return found


def test_class_sorted_batches_and_the_best_step_of_each_metric(
    restored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.evaluate.reference.BATCH_SIZE", BATCH)
    restored.edit(train__checkpoints=3, evaluate__protocol="reference")
    plan = restored.plan
    found_in = fit_method(plan, REFERENCE, progress=False)
    found = evaluation(plan, REFERENCE)
    steps = [2, 4, 6, "last"]
    assert found["protocol"]["steps"] == steps
    target = open_domain(plan, "target")
    features, row_id = target.features[:].astype(np.float64), target.row_id
    labels = read_target_labels(plan.task.path, row_id)
    tensors = load_file(found_in / "model.safetensors")
    batches = sorted_batches(labels, plan.known)
    for at, seed in enumerate(found["seeds"]):
        by_step = {}
        for step in steps:
            start = f"seed-{seed}." + ("" if step == "last" else f"step-{step}.")
            state = {name.removeprefix(start): value for name, value in tensors.items()}
            by_step[step] = probabilities(state, features, batches)
        expected = {step: accuracies(p, labels, plan.known) for step, p in by_step.items()}
        run, chosen = found["runs"][at], found["protocol"]["best_step"][at]
        for metric in ACCURACIES:
            assert run[metric] == pytest.approx(max(e[metric] for e in expected.values())), metric
            assert run[metric] == pytest.approx(expected[chosen[metric]][metric]), metric
    # Predictions are the last step's, in class-sorted batches; mixed ones give others.
    frame = pd.read_parquet(plan.evaluation(REFERENCE)["predictions.parquet"])
    last = probabilities(
        {n.removeprefix("seed-0."): v for n, v in tensors.items()}, features, batches
    )
    np.testing.assert_allclose(frame["confidence"], last.max(axis=1), rtol=1e-4)
    stored = read_scores(plan.fit(REFERENCE)["scores.h5"], plan.fit(REFERENCE).key)
    assert np.abs(stored.runs[0].confidence - last.max(axis=1)).max() > 1e-3


def test_other_methods_keep_their_scores(restored: Project) -> None:
    """A fit that stops at a checkpoint's step gives that checkpoint's figures."""
    restored.edit(train__checkpoints=3, evaluate__protocol="reference")
    plan = restored.plan
    fit_method(plan, "taskres", progress=False)
    found = evaluation(plan, "taskres")
    assert found["protocol"]["steps"] == [5, 10, 15, "last"]
    runs = []
    for steps in (5, 10, 15, 20):
        restored.edit(
            train__checkpoints=0, evaluate__protocol="ours", methods__taskres={"steps": steps}
        )
        fit_method(restored.plan, "taskres", progress=False)
        runs.append(evaluation(restored.plan, "taskres")["runs"])
    for at in range(2):
        for metric, value in found["runs"][at].items():
            values = [run[at][metric] for run in runs]
            assert value == pytest.approx(max(values) if metric in ACCURACIES else values[-1]), (
                metric
            )


def test_the_default_protocol_gives_the_scores_own_metrics(restored: Project) -> None:
    fit_method(restored.plan, REFERENCE, progress=False)
    plan = restored.plan
    plain = evaluation(plan, REFERENCE)
    assert plain["protocol"] == {"name": "ours"}
    scores = read_scores(plan.fit(REFERENCE)["scores.h5"], plan.fit(REFERENCE).key)
    labels = read_target_labels(plan.task.path, scores.row_id)
    bins = plan.params.evaluate.ece_bins
    expected = [run_metrics(run, scores.ok, labels, scores.known, bins) for run in scores.runs]
    assert plain["runs"] == expected
    restored.edit(train__checkpoints=3)
    fit_method(restored.plan, REFERENCE, progress=False)
    assert restored.plan.fit(REFERENCE).key != plan.fit(REFERENCE).key
    assert numbers(evaluation(restored.plan, REFERENCE)) == numbers(plain)


def test_without_checkpoints_the_last_step_alone_is_left(restored: Project) -> None:
    fit_method(restored.plan, "zero_shot", progress=False)
    plain, key = evaluation(restored.plan, "zero_shot"), restored.plan.fit("zero_shot").key
    restored.edit(evaluate__protocol="reference")
    assert restored.plan.fit("zero_shot").key == key
    assert restored.plan.evaluation("zero_shot").key != plain["key"]
    found = evaluation(restored.plan, "zero_shot")
    assert found["protocol"]["steps"] == ["last"]
    assert "no checkpoint was kept" in found["protocol"]["warning"]
    assert numbers(found) == numbers(plain)


def test_oracle_takes_the_best_by_the_protocols_own_h(restored: Project) -> None:
    choices = [{"steps": 0}, {"steps": 8}]
    restored.edit(
        train__checkpoints=3,
        evaluate__protocol="reference",
        train__selection={"rule": "oracle", "candidates": {"taskres": choices}},
    )
    plan = restored.plan
    values = []
    for candidate in plan.candidates("taskres"):
        fit_method(candidate, "taskres", progress=False)
        values.append(evaluation(candidate, "taskres")["metrics"]["h"]["mean"])
    found = evaluation(plan, "taskres")
    assert found["metrics"]["h"]["mean"] == max(values)
    assert found["candidate"] == values.index(max(values))


def test_lost_and_damaged_states(restored: Project) -> None:
    restored.edit(train__checkpoints=2, evaluate__protocol="reference")
    plan = restored.plan
    model = fit_method(plan, REFERENCE, progress=False) / "model.safetensors"
    whole = model.read_bytes()
    model.write_bytes(whole[:100])
    with pytest.raises(DamagedError, match="is damaged"):
        evaluate_method(plan, REFERENCE)
    model.unlink()
    with pytest.raises(StoreError, match="is missing"):
        evaluate_method(plan, REFERENCE)
    model.write_bytes(whole)
    evaluate_method(plan, REFERENCE)


def test_a_fit_that_diverges_beside_a_checkpoint_says_so(restored: Project) -> None:
    settings = {"lr": 1e30, "steps": 20, "refine": "transclip", "calibration": "zero_shot"}
    restored.edit(train__checkpoints=19, methods__clip_adapter=settings)
    with pytest.raises(FitError, match=r"not finite|is nan"):
        fit_method(restored.plan, "clip_adapter", progress=False)


def test_the_whole_workflow_warns(restored: Project, tmp_path: Path) -> None:
    restored.edit(train__checkpoints=2, evaluate__protocol="reference")
    folder = restored.folder
    for name in ("results/models", "results/evaluations"):
        shutil.rmtree(folder / name, ignore_errors=True)
    restored.snakemake("all")
    warning = "best checkpoint on the TEST labels"
    logs = [path.read_text() for path in (folder / "logs/make_bundle").glob("*.log")]
    evaluated = restored.plan.evaluation(REFERENCE).key
    assert [evaluated in text for text in logs if warning in text] == [True]
    assert (
        warning in json.loads((folder / "reports/metrics.json").read_text())["protocol"]["warning"]
    )
    assert warning in (folder / "reports/index.html").read_text()
    printed = " ".join(restored.run("sreclip", "results").stdout.split())
    assert "the authors' way, not results" in printed
    assert warning in printed
    # The fits are those of the default protocol, too: only what follows is made again.
    restored.edit(evaluate__protocol="ours")
    jobs = restored.planned_jobs("all")
    assert "train_method" not in jobs
    assert jobs["evaluate_method"] == 2
