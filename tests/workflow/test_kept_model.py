"""The model that a run keeps: made with the run, and again when what it is made from changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sreclip.config import parse_params
from sreclip.errors import ConfigError
from sreclip.model.saved import SavedModel
from sreclip.plan.kept import FILES, kept
from tests.workflow.conftest import Project
from tests.workflow.reruns import COMPARE, FIT, ONE_FIT

pytestmark = pytest.mark.workflow

ONE_MODEL = {"keep_model": 1}


def kept_folder(project: Project) -> Path:
    (result,) = kept(project.plan)
    return result.path


def test_a_run_keeps_the_model_that_save_writes(done: Project) -> None:
    assert kept(done.plan) == []
    done.edit(report__model="clip_adapter")
    assert done.planned_jobs("all") == ONE_MODEL
    folder = kept_folder(done)
    assert f"Model: {folder.relative_to(done.folder)}" in done.snakemake("all")
    done.run("sreclip", "save", "clip_adapter", "by-hand")
    for name in FILES:
        assert (folder / name).read_bytes() == (done.folder / "by-hand" / name).read_bytes()
    assert SavedModel.read(folder).method == "clip_adapter"
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert done.planned_jobs("all") == {}
    chain = done.run("sreclip", "provenance", str(folder)).stdout
    assert chain.startswith("saved model clip_adapter ")
    assert "\ntask " in chain

    # A kill before the last file: no model yet, and the next run makes one.
    (folder / "model.json").unlink()
    assert done.planned_jobs("all") == ONE_MODEL
    done.snakemake("all")
    assert SavedModel.read(folder).method == "clip_adapter"


def test_exactly_what_the_model_is_made_from_makes_it_again(done: Project) -> None:
    done.edit(report__model="clip_adapter")
    done.snakemake("all")
    for edit, jobs in (
        ({"methods__sre_clip__trust": 0.02}, ONE_FIT),
        ({"evaluate__bootstrap": 50}, COMPARE),
        ({"methods__clip_adapter__steps": 4}, {**ONE_FIT, **ONE_MODEL}),
        ({"train__seeds": [0, 2]}, {**FIT, **ONE_MODEL}),
        ({"report__model": "zero_shot"}, ONE_MODEL),
    ):
        before = (done.folder / "params.yaml").read_text()
        done.edit(**edit)
        assert done.planned_jobs("all") == jobs, edit
        (done.folder / "params.yaml").write_text(before)


def test_only_the_present_model_stays(done: Project) -> None:
    done.edit(report__model="clip_adapter")
    done.snakemake("all")
    first = kept_folder(done)
    done.edit(report__model="zero_shot")
    done.snakemake("all")
    done.run("sreclip", "prune", "kept")
    assert not first.exists()
    assert SavedModel.read(kept_folder(done)).method == "zero_shot"
    done.edit(report__model=None)
    done.run("sreclip", "prune", "kept")
    assert not any((done.folder / "results/kept").rglob("*.json"))


def test_the_method_must_run() -> None:
    with pytest.raises(ConfigError, match=r"report\.model: gda is not in methods\.run"):
        parse_params({"report": {"model": "gda"}})
