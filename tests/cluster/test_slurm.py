"""The pipeline through ``workflow/profiles/slurm``, undisturbed and with faults."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.cluster.conftest import (
    ClusterProject,
    Run,
    job_details,
    jobs,
    node,
    slurm,
    stopped_controller,
    wait_until,
)

pytestmark = pytest.mark.slurm

# Jobs that start together end together: no shard would be there while another is made.
ONE_BY_ONE = ("--jobs", "1")

NUMBERS = ("results/features", "results/graph", "results/models", "results/evaluations")


def job_of(shard: str) -> str:
    """What Slurm calls the job of a shard."""
    return f"rule_extract_images_wildcards_{Path(shard).stem}"


def shard_at_work(project: ClusterProject, run: Run, shards: set[str]) -> tuple[str, str]:
    """Wait for a job that is at work on a shard that is not there; its shard and number."""

    def look() -> tuple[str, str] | None:
        running = jobs("running")
        for log in sorted((project.folder / "logs/extract_images").glob("*.log")):
            shard = next((s for s in shards if Path(s).stem == log.stem), None)
            number = running.get(job_of(log.stem))
            if shard and number and shard not in project.shards():
                return shard, number
        return None

    return run.wait_for(look, "a job at work")


@pytest.mark.timeout(1500)
def test_same_bytes_through_a_cancelled_job_a_dead_node_and_an_edit(
    local: ClusterProject, fresh: ClusterProject
) -> None:
    shards = local.shards()
    with fresh.submit("all", options=ONE_BY_ONE) as run:
        run.wait_for(fresh.shards, "a shard")
        done = fresh.inodes()
        shard, number = shard_at_work(fresh, run, shards)
        memory = job_details(number)["MinMemoryNode"]
        slurm("scancel", number)

        fits = fresh.folder / "logs/make_bundle"
        log = run.wait_for(lambda: next(fits.glob("*.log"), None), "a fit")
        assert node("kill-node").returncode == 0
        assert not jobs("running")
        fresh.edit(methods__sre_clip__trust=0.25)
        assert node("start").returncode == 0
        run.finish_well()
        sent = jobs()

    # Data, two of texts, graph, fit with evaluation: five. The small rules run beside snakemake,
    # and the jobs of a dead node are run again by Slurm itself.
    assert run.submitted == len(shards) + 5 + 1
    assert f"SLURM-job '{number}' failed, SLURM status is: 'CANCELLED'" in run.printed
    again = job_details(sent[job_of(shard)])["MinMemoryNode"]
    assert (memory, again) == ("4000M", "8000M")
    assert done.items() <= fresh.inodes().items(), "a finished shard was made again"

    assert fresh.hashes(*NUMBERS, "reports") == local.hashes(*NUMBERS, "reports")
    for rule in ("extract_images", "make_bundle", "write_page"):
        assert list((fresh.folder / "logs" / rule).glob("*.log")), rule
    assert log.read_text().count("Traceback") == 0
    kept = [path.stem for path in (fresh.folder / "logs/slurm").rglob("*.log")]
    assert kept == [number], "the log of the job that failed, no other"


def test_after_a_killed_snakemake_finished_shards_stay(
    local: ClusterProject, prepared: ClusterProject
) -> None:
    shards = local.shards()
    with prepared.submit(*shards, options=ONE_BY_ONE) as run:
        run.wait_for(prepared.shards, "a shard")
        shard_at_work(prepared, run, shards)
        run.process.send_signal(signal.SIGKILL)
        run.finish()
    done = prepared.inodes()
    assert len(done) < len(shards)
    with prepared.submit(*shards) as locked:
        assert locked.finish() != 0
    assert "LockException" in locked.printed
    prepared.snakemake("--unlock")
    with prepared.submit(*shards) as rest:
        rest.finish_well()
    assert rest.submitted == len(shards) - len(done)
    assert done.items() <= prepared.inodes().items()
    assert same_shards(local, prepared)


def test_interrupt_cancels_the_jobs(local: ClusterProject, prepared: ClusterProject) -> None:
    with prepared.submit(*local.shards()) as run:
        shard_at_work(prepared, run, local.shards())
        run.process.send_signal(signal.SIGINT)
        assert run.finish() != 0
        wait_until(lambda: not jobs("pending,running,completing"), "the jobs to be cancelled")
    assert not list(prepared.folder.glob(".snakemake/locks/*"))


def test_a_slurm_that_does_not_answer_is_asked_again(
    local: ClusterProject, prepared: ClusterProject
) -> None:
    """Plugin 2.8.0 by itself would wait for ever: see sreclip/slurm.py."""
    with prepared.submit(*local.shards()) as run:
        run.wait_for(lambda: jobs("running"), "a job")
        with stopped_controller():
            run.wait_for(lambda: "Slurm does not answer" in run.printed, "a question unanswered")
        run.finish_well()
    assert same_shards(local, prepared)


def test_groups_and_gpus(local: ClusterProject, prepared: ClusterProject) -> None:
    """The commented lines of the profile: some shards a job, on one GPU, one after the other."""
    shards = two(local)
    prepared.profile("extract_images: {", "extract_images: {gpu: 1, ")
    uncomment(prepared, "groups", "group-components", "set-resource-scopes", "resources")
    prepared.profile("shards=10", f"shards={len(shards)}")
    with prepared.submit(*shards) as run:
        number = run.wait_for(lambda: jobs("running"), "the job").popitem()[1]
        details = job_details(number)
        run.finish_well()
    assert run.submitted == 1
    assert details["TresPerJob"] == "gres:gpu:1"
    assert details["MinMemoryNode"] == "4000M"
    assert details["CPUs/Task"] == "1", "one for each decoding process, and one"
    assert details["TimeLimit"] == f"{2 * len(shards):02}:00:00"
    assert same_shards(local, prepared, shards)


def test_arrays(local: ClusterProject, prepared: ClusterProject) -> None:
    shards = two(local)
    uncomment(prepared, "slurm-array-jobs", "slurm-array-limit")
    with prepared.submit(*shards) as run:
        run.finish_well()
    assert "Submitted array job" in run.printed
    assert same_shards(local, prepared, shards)


def test_a_wrong_partition_is_said(local: ClusterProject, prepared: ClusterProject) -> None:
    prepared.profile("# slurm_partition: main ", "slurm_partition: nowhere ")
    with prepared.submit(sorted(local.shards())[0]) as run:
        assert run.finish() != 0
    assert "invalid partition specified: nowhere" in run.printed
    assert "Traceback" not in run.printed


def test_a_mistake_is_shown_as_in_a_local_run(local: ClusterProject, fresh: ClusterProject) -> None:
    """A user's mistake ends a job with status 2 and two lines; they are printed here as well."""
    image = next((fresh.folder / "data/source").rglob("*.png"))
    os.link(image, fresh.folder / "data/target/cat/twin.png")
    fresh.edit(task__duplicates="error")
    with fresh.submit("all", options=("--retries", "0")) as run:
        assert run.finish() != 0
    assert "twin.png" in run.printed
    assert "logs/prepare_data.log" in run.printed


def uncomment(project: ClusterProject, *settings: str) -> None:
    """Switch settings on that the profile holds as comments."""
    for setting in settings:
        project.profile(f"# {setting}: ", f"{setting}: ")


def two(project: ClusterProject) -> set[str]:
    """Two shards are enough to see how they are sent."""
    return set(sorted(project.shards())[:2])


def same_shards(
    local: ClusterProject, project: ClusterProject, shards: set[str] | None = None
) -> bool:
    """Tell if these shards are there, no others, with the bytes of the local run."""
    return {s: (project.folder / s).read_bytes() for s in project.shards()} == {
        s: (local.folder / s).read_bytes() for s in shards or local.shards()
    }
