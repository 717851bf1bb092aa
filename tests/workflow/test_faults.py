"""Kills, damaged shards and two runs at once, with the real snakemake."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from sreclip.features.verify import verify_file
from sreclip.files import file_sha256
from tests.workflow.conftest import Project, draw_image

pytestmark = pytest.mark.workflow

SEED = 7
# What snakemake ends with when a process of the run is killed.
STATUS = {"decoder": 0, "job": 1, "snakemake": -signal.SIGKILL}


@pytest.fixture(scope="module")
def made(project: Project) -> Project:
    """Give the project with a few more images, in three shards or so, and all its features."""
    for number in range(40):
        draw_image(project.folder / f"data/target/cat/{number}.png", 0, 500 + number, lines=True)
    project.edit(task__shard_size=24, features__workers=1)
    project.snakemake("extract_features")
    return project


def shards(project: Project) -> list[Path]:
    """Where the shards' files belong, relative to the folder."""
    paths = [project.plan.shard_features(shard.key).path for shard in project.plan.shards]
    return [path.relative_to(project.folder) for path in paths]


def hashes(project: Project) -> dict[str, str]:
    return {path.name: file_sha256(project.folder / path) for path in shards(project)}


def remove_shards(project: Project) -> None:
    for path in shards(project):
        (project.folder / path).unlink()


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start to make the shards."""
    command = ["snakemake", "--cores", "2", *map(str, shards(project))]
    with (project.folder / "run.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=project.folder, env=project.environment, stdout=log, stderr=log
        )


def victims(run: psutil.Process) -> dict[str, list[psutil.Process]]:
    """Processes of a run that can be killed, by what they are."""
    found: dict[str, list[psutil.Process]] = {"decoder": [], "job": [], "snakemake": [run]}
    for process in run.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            command, parent = process.cmdline(), process.parent()
            if "extract-images" in command:
                # A decoding process is a fork of its job: the same command line.
                is_fork = parent is not None and parent.cmdline() == command
                found["decoder" if is_fork else "job"].append(process)
    return found


def wait_for_victim(kind: str, run: subprocess.Popen[bytes]) -> psutil.Process:
    while run.poll() is None:
        if found := victims(psutil.Process(run.pid))[kind]:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"snakemake ended before there was a {kind}")


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(timeout=60)


@pytest.mark.parametrize("kind", STATUS)
def test_after_a_kill_the_next_run_makes_the_rest_with_the_same_bytes(
    made: Project, kind: str
) -> None:
    """A decoder's death is survived, a job's ends the run, and Snakemake's takes all with it."""
    undisturbed = hashes(made)
    remove_shards(made)
    run = start(made)
    wait_for_victim("job", run)
    time.sleep(random.Random(SEED).uniform(0.0, 2.0))
    victim = wait_for_victim(kind, run)
    family = psutil.Process(run.pid).children(recursive=True)
    victim.kill()
    if kind == "snakemake":
        kill_all(family)
    assert run.wait(timeout=200) == STATUS[kind], (made.folder / "run.log").read_text()
    if kind == "snakemake":
        made.snakemake("--unlock")
    whole = [path for path in shards(made) if (made.folder / path).exists()]
    for path in whole:
        verify_file(made.folder / path)
    n_missing = len(shards(made)) - len(whole)
    jobs = made.planned_jobs(*map(str, shards(made)))
    assert jobs == ({"extract_images": n_missing} if n_missing else {})
    made.snakemake(*map(str, shards(made)))
    assert hashes(made) == undisturbed


def test_a_damaged_shard_is_named_and_made_again(made: Project) -> None:
    before = hashes(made)
    path = shards(made)[0]
    whole = (made.folder / path).read_bytes()
    middle = len(whole) // 2
    flipped = bytes([whole[middle] ^ 1])
    (made.folder / path).write_bytes(whole[:middle] + flipped + whole[middle + 1 :])
    done = made.run("sreclip", "train", "zero_shot", check=False)
    assert done.returncode == 2
    assert f"{path.name} is damaged" in done.stderr
    assert f"set aside as {path}.damaged" in done.stderr
    assert "Traceback" not in done.stderr
    assert made.planned_jobs(*map(str, shards(made))) == {"extract_images": 1}
    made.snakemake("extract_features")
    assert hashes(made) == before

    (made.folder / path).write_bytes(whole[:-200])
    found = made.run("sreclip", "verify", "--set-aside", check=False)
    assert found.returncode == 1
    assert f"set aside as {path}.damaged" in found.stdout
    made.snakemake(str(path))
    assert hashes(made) == before
    assert made.run("sreclip", "verify").returncode == 0


def test_a_second_run_at_the_same_time_is_refused(made: Project) -> None:
    before = hashes(made)
    remove_shards(made)
    first = start(made)
    wait_for_victim("job", first)
    second = made.snakemake("extract_features", check=False)
    assert "Directory cannot be locked" in second
    assert "Traceback" not in second
    assert first.wait(timeout=200) == 0
    assert hashes(made) == before


def test_two_steps_that_write_one_shard_leave_it_whole(made: Project) -> None:
    """Without Snakemake's lock the last one to finish wins, with the same bytes."""
    before = hashes(made)
    path = shards(made)[0]
    (made.folder / path).unlink()
    command = ["sreclip", "extract-images", "--key", path.stem, "--threads", "2", "--quiet"]
    both = [subprocess.Popen(command, cwd=made.folder, env=made.environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert hashes(made) == before


def test_only_touched_shards_are_encoded_again(made: Project) -> None:
    """Last: it changes the data. One image comes, one goes, one is replaced."""
    made.edit(task__shard_size=8)
    made.snakemake("prepare_data")
    before = {path.name for path in shards(made)}
    cats = made.folder / "data/target/cat"
    draw_image(cats / "100.png", 0, 900, lines=True)
    (cats / "7.png").unlink()
    draw_image(cats / "20.png", 0, 901, lines=True)
    made.snakemake("prepare_data")
    after = {path.name for path in shards(made)}
    assert 1 <= len(after - before) <= 2 * 3
    assert len(after & before) >= 2
