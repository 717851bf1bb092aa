"""Jobs of many fits and evaluations, with the real snakemake: failures, kills, two at once."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from sreclip.files import file_sha256
from sreclip.plan.bundles import Bundle, pieces_of, write_bundle
from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

STAGES = ("models", "evaluations")


@pytest.fixture(scope="module")
def prepared(done: Project) -> Project:
    """Give the project with its features, and a sweep of six combinations."""
    done.edit(
        sweep={
            "methods": ["zero_shot", "clip_adapter"],
            "unknown": [["car"], ["car", "dog"]],
            "variants": {"clip_adapter": [{}, {"ratio": 0.5}]},
        }
    )
    return done


def hashes(project: Project) -> dict[str, str]:
    """Hash every file of fits and evaluations by path."""
    results = project.folder / "results"
    files = [path for stage in STAGES for path in (results / stage).rglob("*") if path.is_file()]
    return {str(path.relative_to(results)): file_sha256(path) for path in files}


def remove(project: Project) -> None:
    for stage in (*STAGES, "sweeps"):
        shutil.rmtree(project.folder / "results" / stage, ignore_errors=True)


def table_of(project: Project) -> str:
    """Return what a dry run prints."""
    return project.snakemake("--dry-run", "sweep")


def left(project: Project) -> list[Path]:
    return list((project.folder / "results/cache/bundles").glob("*"))


def test_bundles_make_the_same_bytes_as_jobs_of_their_own(restored: Project) -> None:
    remove(restored)
    whole = restored.plan.params.sweep.model_dump()
    restored.edit(train__job_minutes=0, sweep={"methods": ["clip_adapter"]})
    restored.snakemake("sweep")
    assert list((restored.folder / "logs/train_method").glob("clip_adapter-*.log"))
    alone = hashes(restored)
    assert len(alone) == 5
    remove(restored)

    restored.edit(train__job_minutes=10, sweep=whole)
    assert re.search(r"^make_bundle 6 fits 6 evaluations$", table_of(restored), re.MULTILINE)
    assert not left(restored), "a dry run writes nothing"
    printed = restored.snakemake("sweep")
    assert re.search(r"1/2  make_bundle 6 fits 6 evaluations +\d", printed)
    assert alone.items() <= hashes(restored).items()
    assert not left(restored), "lists and stamps go with their run"
    assert restored.planned_jobs("sweep") == {}

    # A long fit keeps a job of its own: here one step of the slow method takes "hours".
    restored.edit(sweep__methods=["zero_shot", "inmap"], methods__inmap={"steps": 10**9})
    planned = table_of(restored)
    assert re.search(r"^train_method +2$", planned, re.MULTILINE)
    assert re.search(r"^evaluate_method +2$", planned, re.MULTILINE)
    assert "make_bundle" not in planned


def test_one_that_fails_keeps_no_other_from_being_made(restored: Project) -> None:
    remove(restored)
    restored.edit(sweep__variants={"clip_adapter": [{}, {"lr": 1e30}]})
    printed = restored.snakemake("sweep", check=False)
    said = re.findall(r"^sreclip: fit of clip_adapter \((.*?)\): (.*)$", printed, re.MULTILINE)
    assert sorted(label.partition("unknown: ")[2] for label, _ in said) == ["car", "dog, car"]
    for _, why in said:
        assert "clip_adapter, seed 0: step 2: loss term 'source' is nan" in why
        assert "diverged-seed-0.safetensors" in why
    assert "lower the learning rate" in printed
    assert "4 of the 12 results of this job could not be made" in printed
    assert "failed: make_bundle 6 fits 6 evaluations" in printed
    assert "Traceback" not in printed
    made = hashes(restored)
    assert sum(name.endswith("evaluation.json") for name in made) == 4
    assert restored.planned_jobs("sweep") == {
        "train_method": 2,
        "evaluate_method": 2,
        "tabulate_sweep": 1,
    }
    restored.edit(sweep__variants={"clip_adapter": [{}, {"lr": 1e-2}]})
    restored.snakemake("sweep")
    assert made.items() <= hashes(restored).items()


def test_a_killed_job_loses_at_most_the_one_at_hand(restored: Project) -> None:
    remove(restored)
    results = restored.folder / "results"
    restored.edit(
        sweep={
            "methods": ["clip_adapter"],
            "unknown": [["car"], *(["car", name] for name in ("cat", "dog", "horse"))],
            "variants": {"clip_adapter": [{"ratio": ratio} for ratio in (0.2, 0.4, 0.6)]},
        },
        methods__clip_adapter__steps=300,
    )
    command = ["snakemake", "--cores", "1", "sweep"]
    with (restored.folder / "run.log").open("wb") as log:
        run = subprocess.Popen(
            command, cwd=restored.folder, env=restored.environment, stdout=log, stderr=log
        )
        while len(list((results / "evaluations").rglob("evaluation.json"))) < 1:
            assert run.poll() is None, (restored.folder / "run.log").read_text()
            time.sleep(0.02)
        for process in psutil.Process(run.pid).children(recursive=True):
            if "make-bundle" in process.cmdline() and process.name() != "bash":
                process.send_signal(signal.SIGKILL)
        assert run.wait(120) != 0
    printed = (restored.folder / "run.log").read_text()
    (job_log,) = re.findall(r"failed: make_bundle .* \(log: (.*)\)", printed)
    begun = (restored.folder / job_log).read_text().splitlines()[-1]
    assert re.search(r"(fit|evaluation) of clip_adapter \([0-9a-f]{12}; unknown: [\w, ]+\)$", begun)

    before = hashes(restored)
    pieces = pieces_of(restored.plan).values()
    whole = [each for each in pieces if each.is_made]
    swept = [each for each in pieces if each.method == "clip_adapter"]
    assert 0 < len(whole) < len(swept)
    restored.snakemake("sweep")
    after = hashes(restored)
    kept = {name: value for name, value in before.items() if not name.endswith(".tmp")}
    assert kept.items() <= after.items()
    assert restored.planned_jobs("sweep") == {}


def test_two_at_once_leave_whole_files(restored: Project) -> None:
    remove(restored)
    pieces = {
        each.result.path.relative_to(restored.folder).as_posix(): each
        for each in pieces_of(restored.plan).values()
    }
    names = restored.folder / "list.json"
    write_bundle(Bundle(tuple(pieces.values())), names)
    names.write_text(names.read_text().replace(f"{restored.folder}/", ""))
    command = ["sreclip", "make-bundle", "list.json"]
    both = [
        subprocess.Popen(command, cwd=restored.folder, env=restored.environment) for _ in range(2)
    ]
    assert [each.wait(300) for each in both] == [0, 0]
    together = hashes(restored)
    remove(restored)
    restored.run(*command)
    assert hashes(restored) == together


def test_features_that_cannot_be_read_are_told_once(restored: Project) -> None:
    remove(restored)
    path = next((restored.folder / "results/features").rglob("images/*.h5"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    try:
        printed = restored.snakemake("sweep", check=False)
        assert printed.count("set aside as") == 1
        assert path.with_name(f"{path.name}.damaged").exists()
    finally:
        path.write_bytes(whole)
