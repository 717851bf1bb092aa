"""Results travel by a folder and by a real sshd; a cut pull resumes; a damaged object is named."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.workflow.conftest import ROOT, Project
from tests.workflow.sshd import find_sshd, running_sshd

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def shelf(made: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Push to a folder, the default remote."""
    shelf = tmp_path_factory.mktemp("remote") / "shelf"
    made.run("dvc", "remote", "add", "--default", "shelf", str(shelf))
    made.run("dvc", "remote", "modify", "shelf", "verify", "true")
    made.commit("A remote")
    made.run("dvc", "push")
    return shelf


@pytest.fixture
def clone(made: Project, shelf: Path, tmp_path: Path) -> Project:
    made.run("git", "clone", "--quiet", str(made.folder), str(tmp_path / "clone"))
    return Project(tmp_path / "clone")


def objects(folder: Path) -> list[Path]:
    return [path for path in (folder / "files/md5").glob("??/*") if path.is_file()]


def damaged_objects() -> str:
    """The command of the documentation that prints damaged objects."""
    command = next(
        line for line in (ROOT / "docs/dvc.md").read_text().splitlines() if "md5sum" in line
    )
    return command.partition("&& ")[2]


def some_features(made: Project, shelf: Path) -> tuple[Path, Path]:
    """A shard of features below the project, and its object on the shelf."""
    shard = next((made.folder / "results/features").rglob("images/*.h5"))
    content = shard.read_bytes()
    held = next(path for path in objects(shelf) if path.read_bytes() == content)
    return shard.relative_to(made.folder), held


def test_a_pull_that_was_killed_goes_on(shelf: Path, clone: Project) -> None:
    cache = clone.folder / ".dvc/cache"
    with subprocess.Popen(
        ["dvc", "pull"],
        cwd=clone.folder,
        env=clone.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as pulling:
        end = time.monotonic() + 60
        while not objects(cache) and pulling.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        if pulling.poll() is None:
            os.killpg(pulling.pid, signal.SIGKILL)
    clone.run("dvc", "pull")
    assert {path.name for path in objects(cache)} >= {path.name for path in objects(shelf)}
    assert clone.changed() == {}
    assert clone.planned_jobs("all") == {}


def test_a_pull_that_lacks_an_object_brings_the_rest_and_goes_on(
    made: Project, shelf: Path, clone: Project
) -> None:
    shard, held = some_features(made, shelf)
    aside = shelf.parent / "aside"
    held.rename(aside)
    try:
        cut = clone.run("dvc", "pull", check=False)
        assert cut.returncode != 0
        assert held.parent.name + held.name in cut.stderr
        assert not (clone.folder / shard).exists()
        brought = {path.name for path in objects(clone.folder / ".dvc/cache")}
        assert len(objects(shelf)) / 2 < len(brought) < len(objects(shelf))
    finally:
        aside.rename(held)
    clone.run("dvc", "pull")
    assert clone.changed() == {}
    assert "all whole" in clone.run("sreclip", "verify").stdout


def test_a_damaged_object_is_named_and_not_taken(
    made: Project, shelf: Path, clone: Project
) -> None:
    shard, held = some_features(made, shelf)
    whole = held.read_bytes()
    held.chmod(0o644)
    held.write_bytes(whole[:3000] + b"XXXX" + whole[3004:])
    try:
        pulled = clone.run("dvc", "pull", check=False)
        assert pulled.returncode != 0
        assert "results/features" in pulled.stderr
        found = subprocess.run(
            damaged_objects(),
            shell=True,
            cwd=shelf / "files/md5",
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.split() == [f"{held.parent.name}/{held.name}"]
        assert not (clone.folder / shard).exists()
    finally:
        held.unlink(missing_ok=True)
        held.write_bytes(whole)
    clone.run("dvc", "pull")
    assert "all whole" in clone.run("sreclip", "verify").stdout


def test_a_remote_that_is_not_there(made: Project, tmp_path: Path) -> None:
    made.run("git", "clone", "--quiet", str(made.folder), str(tmp_path / "lost"))
    lost = Project(tmp_path / "lost")
    lost.run("dvc", "remote", "remove", "shelf")
    said = lost.run("dvc", "pull", check=False)
    assert said.returncode != 0
    assert "No remote provided and no default remote set" in said.stdout + said.stderr
    lost.run("dvc", "remote", "add", "--default", "shelf", str(tmp_path / "nowhere"))
    said = lost.run("dvc", "pull", check=False)
    assert said.returncode != 0
    assert "results/features" in said.stdout + said.stderr
    # Without any remote the results can be made again.
    assert lost.planned_jobs("all")["prepare_data"] == 1


def test_push_and_pull_through_sshd(made: Project, tmp_path: Path) -> None:
    if find_sshd() is None and os.environ.get("SRECLIP_REQUIRE_SSHD") != "1":
        pytest.skip("no sshd here; on Debian: apt-get install openssh-server")
    with running_sshd(tmp_path) as server:
        url = f"ssh://{server.user}@127.0.0.1:{server.port}{tmp_path / 'far'}"
        made.run("dvc", "remote", "add", "far", url)
        made.run("dvc", "remote", "modify", "--local", "far", "keyfile", str(server.key))
        made.run("dvc", "push", "--remote", "far")

        made.run("git", "clone", "--quiet", str(made.folder), str(tmp_path / "clone"))
        clone = Project(tmp_path / "clone")
        for name in ("config", "config.local"):
            (clone.folder / ".dvc" / name).write_bytes((made.folder / ".dvc" / name).read_bytes())
        clone.run("dvc", "pull", "--remote", "far")
        assert clone.changed() == {}
        assert clone.planned_jobs("all") == {}
        assert "all whole" in clone.run("sreclip", "verify").stdout
