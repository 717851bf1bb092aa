"""Sweep, ablation and model selection with the real snakemake on tiny images."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import shutil
import sys

import pandas as pd
import pytest

from sreclip.config.methods import MethodsSettings
from sreclip.data.manifest import read_manifest
from sreclip.errors import SreclipError
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.methods import METHODS
from sreclip.plan.sweep import Sweep
from sreclip.train.inputs import load_inputs
from sreclip.train.method import fit_method
from tests.methods.test_methods import FEW_STEPS
from tests.pretended_gpu import PretendedGpu
from tests.workflow.conftest import ROOT, Project

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def prepared(done: Project) -> Project:
    """Give the project with its features and graph."""
    small = {name: dict(settings) for name, settings in FEW_STEPS.items()}
    done.edit(methods={"run": ["zero_shot", "sre_clip"], **small}, train={"seeds": [0, 1]})
    return done


def candidates(name: str) -> list[dict[str, object]]:
    """Two ways to set a method, one of them refined."""
    return [{}, {"refine": "transclip"}]


@pytest.mark.parametrize(("rule", "checkpoints"), [("last", 0), ("pseudo_unknown", 0), ("last", 2)])
def test_no_target_label_is_read_before_evaluation(
    restored: Project, rule: str, checkpoints: int
) -> None:
    """The label file is a folder here, which nobody can read, root included."""
    restored.edit(
        train__checkpoints=checkpoints,
        train__selection={
            "rule": rule,
            "candidates": {name: candidates(name) for name in METHODS},
            "folds": 1,
        },
    )
    plan = restored.plan
    labels = plan.task.path / "target_labels.parquet"
    aside = labels.with_name("aside")
    shutil.move(labels, aside)
    labels.mkdir()
    try:
        for name in METHODS:
            fit_method(plan, name, progress=False)
            fit = json.loads(plan.fit(name)["fit.json"].read_text())
            said = fit["selection"]
            in_steps = name in FEW_STEPS and name != "linear_probe"
            assert len(fit["checkpoints"]) == (checkpoints if in_steps else 0)
            assert said["rule"] == rule
            assert len(said.get("candidates", [])) == (2 if rule == "pseudo_unknown" else 0)
        with pytest.raises(SreclipError, match=re.escape(labels.name)):
            evaluate_method(plan, "zero_shot")
    finally:
        labels.rmdir()
        shutil.move(aside, labels)
    evaluate_method(plan, "zero_shot")
    evaluated = json.loads(plan.evaluation("zero_shot")["evaluation.json"].read_text())
    assert "h" in evaluated["metrics"]


def test_a_fit_sees_no_source_image_of_an_unknown_class(restored: Project) -> None:
    restored.edit(split__unknown=["horse", "car"])
    plan = restored.plan
    rows = read_manifest(plan.task.path, ["domain", "label"])
    labels = rows["label"][rows["domain"] == "source"].to_numpy()
    inputs = load_inputs(plan)
    assert not plan.known[labels].all()
    assert inputs.source_labels.tolist() == labels[plan.known[labels]].tolist()
    assert len(inputs.source_features) == len(inputs.source_labels)


def test_a_fit_on_a_gpu_gives_the_same_files(restored: Project) -> None:
    """A pretended one: nothing is left on the wrong side between features and files."""
    restored.edit(
        methods__clip_adapter={"steps": 5},
        train__checkpoints=2,
        train__selection={
            "rule": "pseudo_unknown",
            "candidates": {"clip_adapter": candidates("clip_adapter")},
            "folds": 1,
        },
    )
    fitted = restored.plan.fit("clip_adapter")
    fit_method(restored.plan, "clip_adapter", progress=False)
    here = [path.read_bytes() for path in fitted.outputs]
    shutil.rmtree(fitted.path)
    restored.edit(train__device="cuda")
    with PretendedGpu():
        fit_method(restored.plan, "clip_adapter", progress=False)
    assert [path.read_bytes() for path in fitted.outputs] == here


def test_oracle_takes_the_best_on_the_target(restored: Project) -> None:
    choices = [{"steps": 0}, {"steps": 5, "calibration": "zero_shot"}, {"steps": 5}]
    restored.edit(
        methods__run=["taskres"],
        train__selection={"rule": "oracle", "candidates": {"taskres": choices}},
    )
    jobs = restored.planned_jobs("evaluate")
    assert jobs["train_method"] == 3
    assert jobs["evaluate_method"] == 1
    restored.snakemake("evaluate")
    plan = restored.plan
    evaluation = json.loads((plan.evaluation("taskres")["evaluation.json"]).read_text())
    assert evaluation["selection"] == "oracle"
    values = []
    for choice in choices:
        settings = FEW_STEPS["taskres"] | choice
        restored.edit(train__selection={"rule": "last"}, methods__taskres=settings)
        alone = restored.plan
        assert (alone.fit("taskres")["scores.h5"]).exists()
        evaluate_method(alone, "taskres")
        result = json.loads(alone.evaluation("taskres")["evaluation.json"].read_text())
        values.append(result["metrics"].get("h", result["metrics"]["all"])["mean"])
    assert evaluation["candidate"] == values.index(max(values))
    assert evaluation["metrics"]["h"]["mean"] == max(values)


def test_sweep_and_ablation(restored: Project) -> None:
    restored.edit(
        sweep={
            "methods": ["zero_shot", "clip_adapter"],
            "every": 1,
            "unknown": [["car"]],
            "variants": {"clip_adapter": [{}, {"ratio": 0.5, "refine": "zlap"}]},
            "ablate": ["sre_clip_reference"],
        },
        # Every class needs a source image to be known in some split.
        split__unknown=["cat"],
    )
    printed = restored.snakemake("sweep", check=False)
    assert "car" in printed
    assert "known classes without a source image" in printed
    assert "Traceback" not in printed

    restored.edit(sweep__every=0, sweep__unknown=[["car"], ["car", "dog"]])
    restored.edit(split__unknown=["car"])
    for stage in ("models", "evaluations"):
        shutil.rmtree(restored.folder / "results" / stage, ignore_errors=True)
    jobs = restored.planned_jobs("sweep")
    parts = ["nothing", "relation structure", "rank", "entropy", "diversity", "balance"]
    parts += ["all of these"]
    n_jobs = 2 * (1 + 2 + len(parts))
    assert jobs == {"train_method": n_jobs, "evaluate_method": n_jobs, "tabulate_sweep": 1}
    # What a run of its own would make is taken as it is: all but two combinations are made here.
    for combination in list(Sweep(restored.plan).combinations)[1:-1]:
        fit_method(combination.plan, combination.method, progress=False)
        evaluate_method(combination.plan, combination.method)
    jobs = restored.planned_jobs("sweep")
    assert jobs == {"train_method": 2, "evaluate_method": 2, "tabulate_sweep": 1}
    restored.snakemake("sweep")
    assert restored.planned_jobs("sweep") == {}

    path = next((restored.folder / "results/sweeps").rglob("sweep.parquet"))
    frame = pd.read_parquet(path)
    assert frame.equals(
        pd.read_csv(path.with_suffix(".csv"), keep_default_na=False).astype(frame.dtypes)
    )
    assert set(frame["unknown"]) == {"car", "dog+car"}
    assert set(frame["seed"]) == {0, 1}
    assert list(dict.fromkeys(frame.loc[frame["ablated"] != "", "ablated"])) == parts
    assert set(frame.loc[frame["method"] == "clip_adapter", "variant"]) == {
        "as configured",
        "ratio 0.5, refine zlap",
    }
    keys = ["method", "unknown", "variant", "seed", "metric"]
    assert not frame.duplicated(keys).any()

    # The sweep's combinations and a run's own results are the same files.
    plan = restored.plan
    alone = json.loads((plan.evaluation("zero_shot")["evaluation.json"]).read_text())
    mine = frame[(frame["method"] == "zero_shot") & (frame["unknown"] == "car")]
    for seed, metric in itertools.product((0, 1), ("known", "unknown", "h")):
        row = mine[(mine["seed"] == seed) & (mine["metric"] == metric)]
        assert row["value"].item() == alone["runs"][seed][metric]

    shown = restored.run("sreclip", "sweep").stdout
    assert "CLIP-Adapter, ratio" in shown
    assert "≥ zero-shot" in shown.replace("\n", " ")
    assert "no target label" in shown.replace("\n", " ")
    ablation = restored.run("sreclip", "ablate", "sre_clip_reference").stdout
    for part in parts:
        assert part in ablation
    assert max(map(len, ablation.splitlines())) <= 80
    wrong = restored.run("sreclip", "ablate", "zero_shot", check=False)
    assert wrong.returncode == 2
    assert "has no ablation of zero_shot" in wrong.stderr


def test_a_sweep_that_cannot_be_stops_no_run_and_loses_no_fit(restored: Project) -> None:
    """The class car has no source image, so it cannot be known."""
    fit_method(restored.plan, "zero_shot", progress=False)
    restored.edit(sweep={"unknown": [["dog"]]})
    models = restored.plan.results / "models"
    before = sorted(models.rglob("*"))
    refused = restored.run("sreclip", "prune", "models", check=False)
    assert refused.returncode == 2
    assert "known classes without a source image: car" in refused.stderr
    assert sorted(models.rglob("*")) == before != []
    restored.run("sreclip", "prune", "data")
    restored.snakemake("--dry-run", "all")


def test_rules_of_selection_are_compared(restored: Project) -> None:
    restored.edit(
        methods__tip_adapter={}, train__seeds=[0], sweep__unknown=[["car"], ["car", "dog"]]
    )
    command = [sys.executable, str(ROOT / "benchmarks" / "selection.py")]
    done = restored.run(*command, "--methods", "tip_adapter", "--splits", "1")
    assert done.stdout.startswith("folder, splits: 1; commit ")
    (row,) = (line for line in done.stdout.splitlines() if line.startswith("| `tip_adapter`"))
    n_candidates, best, *regrets = (float(cell) for cell in row.strip("| ").split(" | ")[1:])
    assert n_candidates == 4
    assert all(0 <= regret <= best for regret in regrets)
    # What the settings as they are reach is what the pipeline's own evaluation says.
    fit_method(restored.plan, "tip_adapter", progress=False)
    evaluate_method(restored.plan, "tip_adapter")
    evaluation = restored.plan.evaluation("tip_adapter")["evaluation.json"]
    (as_configured,) = json.loads(evaluation.read_text())["runs"]
    assert best - regrets[0] == pytest.approx(100 * as_configured["h"], abs=0.11)
    refused = restored.run(*command, "--methods", "zero_shot", check=False)
    assert refused.returncode == 2
    assert "no candidates for zero_shot" in refused.stderr


def test_refinements_are_compared(restored: Project) -> None:
    restored.edit(
        methods__tip_adapter={"refine": ["class_bias"]},
        train__seeds=[0],
        sweep__unknown=[["car"], ["car", "dog"]],
    )
    command = [sys.executable, str(ROOT / "benchmarks" / "refinements.py"), "--splits", "1"]
    done = restored.run(*command, "--methods", "zero_shot,tip_adapter")
    assert done.stdout.startswith("params.yaml, splits: 1, h; commit ")
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if "`" in line]
    assert [row[0] for row in rows] == ["`zero_shot`", "`tip_adapter`"]
    head = next(line for line in done.stdout.splitlines() if line.startswith("| method"))
    place = head.strip("| ").split(" | ").index("class bias")
    fit_method(restored.plan, "tip_adapter", progress=False)
    evaluate_method(restored.plan, "tip_adapter")
    evaluation = restored.plan.evaluation("tip_adapter")["evaluation.json"]
    (of_the_pipeline,) = json.loads(evaluation.read_text())["runs"]
    found = float(rows[1][place].strip("*"))
    assert found == pytest.approx(100 * of_the_pipeline["h"], abs=0.06)
    assert found > 0
    # Logits of nothing say nothing: all classes are alike.
    nothing = restored.run(*command, "--methods", "zero_shot", "--times", "0")
    assert "| `zero_shot` | **0.0** |" in nothing.stdout
    refused = restored.run(*command, "--methods", "zero_shout", check=False)
    assert (refused.returncode, "no such method: zero_shout" in refused.stderr) == (2, True)


def test_candidates_of_the_comparison_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    for name, candidates in importlib.import_module("selection").CANDIDATES.items():
        for overrides in candidates:
            MethodsSettings().settings(name).changed(overrides)


def test_a_part_that_cannot_be_switched_off(restored: Project) -> None:
    restored.edit(sweep={"ablate": ["taskres"]})
    printed = restored.snakemake("sweep", "-n", check=False)
    assert "taskres has no part that can be switched off" in printed
    assert "Traceback" not in printed


def test_a_diverging_fit_keeps_its_last_good_state(restored: Project) -> None:
    restored.edit(methods__clip_adapter={"lr": 1e30, "steps": 30}, methods__run=["clip_adapter"])
    printed = restored.snakemake("train", check=False)
    said = re.search(r"step \d+: .*; the last good state is in (\S+)", printed)
    assert said, printed
    kept = restored.folder / said[1]
    assert kept.exists()
    assert not (kept.parent / "scores.h5").exists()
    assert not (kept.parent / "model.safetensors").exists()
    from safetensors.numpy import load_file

    assert all(abs(values).max() < 10 for values in load_file(kept).values())
