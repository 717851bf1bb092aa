"""The real snakemake: a whole run, then one change at a time and exactly the jobs that it needs."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from sreclip.files import file_sha256
from tests.workflow.conftest import Project, draw_image, job_counts
from tests.workflow.reruns import ONE_FIT, PARAMS, Edit, applied

pytestmark = pytest.mark.workflow


@pytest.fixture
def restored(done: Project) -> Project:
    """Give the finished project and put its parameters back afterwards."""
    path = done.folder / "params.yaml"
    text = path.read_text()
    yield done
    path.write_text(text)


def test_results_are_there(done: Project) -> None:
    metrics = json.loads((done.folder / "reports/metrics.json").read_text())
    methods = metrics["folder"]["mini"]
    assert list(methods) == ["zero_shot", "clip_adapter", "sre_clip"]
    for values in methods.values():
        assert set(values) >= {"known", "unknown", "h", "ausuc", "ece", "macro_f1", "zsl"}
        assert set(values["known"]) == {"mean", "sd", "low", "high", "n"}
        assert all(
            isinstance(x, int | float) for metric in values.values() for x in metric.values()
        )
    page = (done.folder / "reports/index.html").read_text()
    assert "mini" in page
    assert "substitute" in page
    assert (done.folder / "logs/prepare_data.log").read_text().strip()
    assert list((done.folder / "logs/benchmarks").rglob("*.tsv"))


def test_fits_give_the_same_bytes_again(done: Project) -> None:
    """On one machine, with the same number of threads (snakemake gives the rule's)."""
    folder = next((done.folder / "results/models").rglob("sre_clip-*"))
    before = {path.name: file_sha256(path) for path in folder.iterdir()}
    done.run("env", "OMP_NUM_THREADS=1", "sreclip", "train", "sre_clip")
    assert {path.name: file_sha256(path) for path in folder.iterdir()} == before


def test_provenance_leads_back_to_the_images(done: Project) -> None:
    found = json.loads(done.run("sreclip", "provenance", "reports/metrics.json", "--json").stdout)
    assert found["warnings"] == []
    chain = found["chain"]
    assert [step["stage"] for step in chain[:3]] == ["published report", "page", "comparison"]
    assert chain[-1]["stage"] == "task"
    assert chain[-1]["about"]["images"] == {"source": 18, "target": 24}
    paths = {step["path"] for step in chain}
    assert all(made_from in paths for step in chain for made_from in step["inputs"])
    for step in chain[1:]:
        assert step["time"]
        assert (done.folder / f"results/params/{step['circumstances']['params']}.yaml").exists()
        assert step["circumstances"]["machine"]["cores"]
        assert step["circumstances"]["versions"]["torch"]
    fits = [step for step in chain if step["stage"] == "fit"]
    assert [fit["about"]["seeds"] for fit in fits] == [[0, 1]] * 3
    features = [step for step in chain if step["stage"] == "shard"]
    assert {len(step["about"]["weights_sha256"]) for step in features} == {64}

    text = done.run("sreclip", "provenance", "reports").stdout
    assert "shards of target images" in text
    assert "run 1: outside of git" in text
    assert len({step["circumstances"]["params"] for step in chain[1:]}) == 1
    fit = next((done.folder / "results/models").rglob("fit.json"))
    place = str(fit.relative_to(done.folder))
    assert done.run("sreclip", "provenance", place).stdout.startswith("fit ")
    assert "shard" in done.run("sreclip", "provenance", "results/features").stdout


def test_every_job_of_the_run_has_its_time(done: Project) -> None:
    steps = json.loads(done.run("sreclip", "times", "--json").stdout)["steps"]
    files = [file.relative_to(done.folder) for file in done.folder.glob("logs/benchmarks/**/*.tsv")]
    assert sum(step["jobs"] for step in steps) == len(files)
    walls = [step["wall_s"] for step in steps]
    assert walls == sorted(walls, reverse=True)
    assert {"prepare_data", "extract_images", "make_bundle"} <= {step["step"] for step in steps}


def test_a_method_by_hand_that_the_run_does_not_name(done: Project) -> None:
    assert "tip_adapter" not in done.plan.params.methods.run
    done.run("sreclip", "train", "tip_adapter")
    done.run("sreclip", "evaluate", "tip_adapter")
    evaluation = done.plan.evaluation("tip_adapter").path.relative_to(done.folder)
    said = done.run("sreclip", "provenance", str(evaluation)).stdout
    chain = ["evaluation tip_adapter ", "fit tip_adapter ", "shards of source images"]
    assert sorted(chain, key=said.index) == chain


def test_provenance_without_records_and_of_edited_files(done: Project) -> None:
    """Records lost with their stamp: the parameters of the run still lead to the images."""
    metrics, records = done.folder / "reports/metrics.json", done.folder / "results/records"
    comparison = next((done.folder / "results/comparisons").rglob("metrics.json")).parent
    text, stamp = metrics.read_text(), next((done.folder / "reports/made-from").glob("*"))
    kept, about = records.with_name("kept"), json.loads(stamp.read_text())
    records.rename(kept)
    stamp.write_text(json.dumps(about | {"made": None}))
    metrics.write_text(text + " ")
    try:
        found = done.run("sreclip", "provenance", str(comparison.relative_to(done.folder))).stdout
        assert "it has no record" in found
        assert "task: folder" in found
        edited = done.run("sreclip", "provenance", "reports/metrics.json").stdout
        assert "reports/metrics.json was changed after publication" in edited
        for place in ("params.yaml", "results/nowhere"):
            wrong = done.run("sreclip", "provenance", place, check=False)
            assert wrong.returncode == 2
            assert place in wrong.stderr
    finally:
        kept.rename(records)
        stamp.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n")
        metrics.write_text(text)


def test_a_second_run_has_nothing_to_do(done: Project) -> None:
    assert done.planned_jobs("all") == {}


@pytest.mark.parametrize(
    "edit", [edit for edit in PARAMS if "extract_images" not in edit.jobs], ids=str
)
def test_an_edit_runs_exactly_what_it_must(done: Project, edit: Edit) -> None:
    """With Snakemake's records of the run; `test_reruns` is without them."""
    with applied(done, edit):
        assert done.planned_jobs("all") == edit.jobs


def test_without_a_target_all_is_made(done: Project) -> None:
    edited = ("--config", 'report={title: "other"}')
    printed = done.snakemake("--dry-run", *edited)
    assert job_counts(printed) == job_counts(done.snakemake("--dry-run", "all", *edited))
    assert job_counts(printed)["write_page"] == 1
    done.snakemake("--report", str(done.folder / "report.zip"))
    assert (done.folder / "report.zip").exists()


def test_overrides_on_the_command_line(done: Project) -> None:
    jobs = done.planned_jobs("all", "--config", "methods={sre_clip: {trust: 0.2}}")
    assert jobs == ONE_FIT
    printed = done.snakemake(
        "-n", "all", "--config", "methods={sre_clip: {trusts: 1}}", check=False
    )
    assert "params.yaml and --config: methods.sre_clip.trusts: unknown key" in printed
    assert "did you mean 'trust'?" in printed
    assert "Traceback" not in printed


def test_messages_name_every_file_of_parameters(done: Project) -> None:
    (done.folder / "more.yaml").write_text("train: {seds: [1]}\n")
    printed = done.snakemake("-n", "all", "--configfile", "more.yaml", check=False)
    assert "sreclip: params.yaml and more.yaml: train.seds: unknown key" in printed


def test_without_records_and_with_other_times_nothing_is_made_again(done: Project) -> None:
    """As in a fresh clone: no Snakemake records, file times in any order (after the images')."""
    shutil.rmtree(done.folder / ".snakemake")
    start = max(path.stat().st_mtime for path in (done.folder / "data").rglob("*"))
    for number, path in enumerate(sorted((done.folder / "results").rglob("*"), reverse=True)):
        if path.is_file():
            os.utime(path, (start + 1 + number / 100,) * 2)
    assert done.planned_jobs("all") == {}


def test_going_back_finds_the_earlier_results(restored: Project) -> None:
    before = (restored.folder / "reports/metrics.json").read_text()
    restored.edit(evaluate__ece_bins=3)
    restored.snakemake("all")
    assert (restored.folder / "reports/metrics.json").read_text() != before
    restored.edit(evaluate__ece_bins=15)
    assert restored.planned_jobs("all") == {"publish_report": 1}
    restored.snakemake("all")
    assert (restored.folder / "reports/metrics.json").read_text() == before


def test_a_removed_page_is_published_again(done: Project) -> None:
    (done.folder / "reports/index.html").unlink()
    assert done.planned_jobs("all") == {"publish_report": 1}
    done.snakemake("all")
    assert (done.folder / "reports/index.html").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"trian": {}}, "sreclip: params.yaml: trian: unknown key"),
        ({"backbone__name": "minni"}, "did you mean 'mini'?"),
        ({"split__unknown": 9}, "9 of 4 classes"),
        ({"split__unknown": ["carr"]}, "did you mean 'car'?"),
        ({"task__folder__root": "nowhere"}, "nowhere"),
    ],
)
def test_bad_parameters_stop_before_any_job(
    restored: Project, change: dict[str, object], said: str
) -> None:
    restored.edit(**change)
    printed = restored.snakemake("all", check=False)
    assert said in printed
    assert "Traceback" not in printed
    assert "Execute" not in printed


def test_a_damaged_feature_file_is_refused_by_name(done: Project) -> None:
    shard = next((done.folder / "results/features").rglob("images/*.h5"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-200])
    try:
        found = done.run("sreclip", "verify", check=False)
        assert found.returncode == 1
        assert shard.name in found.stdout
        printed = done.run("sreclip", "train", "zero_shot", check=False).stderr
        assert shard.name in printed
        assert "Traceback" not in printed
    finally:
        shard.write_bytes(whole)
    assert done.run("sreclip", "verify").returncode == 0


def test_a_new_image_touches_its_shard_alone(done: Project) -> None:
    """Last: it changes the data."""
    before = set((done.folder / "results/features").rglob("images/*.h5"))
    draw_image(done.folder / "data/target/cat/99.png", 0, 999, lines=True)
    done.snakemake("all")
    new = set((done.folder / "results/features").rglob("images/*.h5")) - before
    assert 1 <= len(new) < len(before)
    assert done.planned_jobs("all") == {}


def test_lint(project: Project) -> None:
    printed = project.snakemake("--lint")
    assert "Congratulations" in printed
