"""A real one-node Slurm, a tiny project, and an undisturbed local run of it to compare with."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
import yaml

from sreclip.files import file_sha256
from tests.workflow.conftest import CLASSES, ROOT, WORKFLOW_FILES, Project, draw_image

NODE_SCRIPT = ROOT / "scripts" / "one_node_slurm.sh"
PROFILE = "workflow/profiles/slurm"
SLURM_LOGS = Path("/var/lib/sreclip-slurm")
SNAKEMAKE = (sys.executable, str(Path(__file__).with_name("often.py")))
Found = TypeVar("Found")


def node(command: str) -> subprocess.CompletedProcess[str]:
    """Call the script that keeps the one-node cluster."""
    return subprocess.run(
        [NODE_SCRIPT, command], capture_output=True, text=True, check=False, timeout=400
    )


def slurm(*command: str) -> str:
    """Run one of Slurm's commands and give what it printed."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """See that the cluster runs; start it where SRECLIP_REQUIRE_SLURM asks for that."""
    with (Path(tempfile.gettempdir()) / "sreclip-cluster-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # these tests kill whatever runs on the node
        if os.environ.get("SRECLIP_REQUIRE_SLURM") == "1":
            started = node("start")
            assert started.returncode == 0, started.stderr
        elif node("status").returncode:
            pytest.skip("no one-node Slurm runs here; `make test-slurm` starts one (root, Debian)")
        yield


@contextmanager
def stopped_controller() -> Iterator[None]:
    """Slurm's controller takes questions, and answers none."""
    controller = int(Path("/run/sreclip-slurm/slurmctld.pid").read_text())
    os.kill(controller, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(controller, signal.SIGCONT)


def jobs(states: str = "all") -> dict[str, str]:
    """Give the ids of this user's jobs in Slurm by what they do, the latest of each."""
    listed = slurm("squeue", "--me", "--noheader", f"--states={states}", "--format=%A|%k")
    rows = [line.split("|", 1) for line in listed.splitlines()]
    return {what: number for number, what in sorted(rows, key=lambda row: int(row[0]))}


def job_details(number: str) -> dict[str, str]:
    """Read what Slurm knows of a job."""
    return dict(re.findall(r"(\S+?)=(\S*)", slurm("scontrol", "show", "job", number)))


def cluster_state() -> str:
    """What Slurm says of its node and its jobs, and the last that it logged."""
    looks = (
        ("sinfo", "--list-reasons"),
        ("squeue", "--states=all", "--format=%i %T %r %S %k"),
        ("tail", "--lines=40", str(SLURM_LOGS / "slurmctld.log"), str(SLURM_LOGS / "slurmd.log")),
    )
    told = (
        subprocess.run(look, capture_output=True, text=True, check=False, timeout=60)
        for look in looks
    )
    return "\n".join(one.stdout + one.stderr for one in told)


def wait_until(look: Callable[[], Found | None], what: str, seconds: float = 200) -> Found:
    """Look until there is something, and give it."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.1)
    return found


@dataclass
class Run:
    """A snakemake that runs beside the test."""

    process: subprocess.Popen[bytes]
    printed_to: Path

    def wait_for(self, look: Callable[[], Found | None], what: str) -> Found:
        """Look until there is something, as long as it runs."""

        def look_again() -> Found | None:
            ended = self.process.poll() is not None
            found = look()
            assert found or not ended, f"snakemake ended before there was {what}"
            return found

        return wait_until(look_again, what)

    @property
    def printed(self) -> str:
        """What it printed so far."""
        return self.printed_to.read_text()

    @property
    def submitted(self) -> int:
        """How many times it called sbatch."""
        return len(re.findall("has been submitted|Submitted array job", self.printed))

    def finish(self, seconds: float = 500) -> int:
        """Wait for its end; its exit status."""
        return self.process.wait(timeout=seconds)

    def finish_well(self) -> None:
        """Wait for its end, which must be a good one."""
        assert self.finish() == 0


@dataclass
class ClusterProject(Project):
    """A project that is run through the profile."""

    @contextmanager
    def submit(self, *targets: str, options: tuple[str, ...] = ()) -> Iterator[Run]:
        """Run snakemake with the profile; whatever is left at the end is cancelled."""
        printed_to = self.folder / f"submit-{time.monotonic_ns()}.log"
        # What a shell starts in the background ignores Ctrl-C; this one must not.
        command = ("env", "--default-signal=INT", *SNAKEMAKE)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with printed_to.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--workflow-profile", PROFILE, *options, "--", *targets],
                cwd=self.folder,
                env=os.environ | {"PATH": path},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                yield Run(process, printed_to)
            except BaseException as failure:
                failure.add_note(f"{printed_to.read_text()}\n{cluster_state()}")
                raise
            finally:
                process.kill()
                process.wait()
                slurm("scancel", "--me")
                wait_until(lambda: not jobs("running,completing"), "jobs to end")

    def profile(self, old: str, new: str) -> None:
        """Change the profile as a person would with an editor."""
        path = self.folder / PROFILE / "config.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def shards(self) -> set[str]:
        """Paths of the shards that are there."""
        found = (self.folder / "results/features").glob("*/images/*.h5")
        return {str(path.relative_to(self.folder)) for path in found}

    def inodes(self) -> dict[str, int]:
        """Tell the shards that are there from later files of the same name."""
        return {shard: (self.folder / shard).stat().st_ino for shard in self.shards()}

    def hashes(self, *folders: str) -> dict[str, str]:
        """SHA-256 of every file below some folders, without the records of who made them when.

        A killed job may leave a hidden file.
        """
        return {
            str(path.relative_to(self.folder)): file_sha256(path)
            for folder in folders
            for path in sorted((self.folder / folder).rglob("*"))
            if path.is_file() and not path.name.startswith(".") and path.parent.name != "made-from"
        }


@pytest.fixture(scope="session")
def local(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> ClusterProject:
    """Give a ``folder`` task of a few shards after an undisturbed local run."""
    folder = tmp_path_factory.mktemp("local")
    for name in WORKFLOW_FILES:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    for kind, name in enumerate(CLASSES):
        for number in range(4):
            seed = 100 * kind + number
            if name != "car":
                draw_image(folder / f"data/source/{name}/{number}.png", kind, seed, lines=False)
            draw_image(folder / f"data/target/{name}/{number}.png", kind, seed + 50, lines=True)
    params = {
        "task": {"name": "folder", "folder": {"root": "data"}, "shard_size": 12},
        "features": {"workers": 0, "batch_size": 16},
        "graph": {"senses": CLASSES},
        "methods": {
            "run": ["sre_clip"],
            "sre_clip": {"steps": 3, "rounds": 1, "width": 8, "gcn_width": 8},
        },
        "train": {"seeds": [0, 1]},
        "report": {"images": 6},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    project = ClusterProject(folder)
    project.snakemake("all")
    return project


@pytest.fixture
def fresh(local: ClusterProject, tmp_path: Path) -> ClusterProject:
    """Give the same project with nothing done."""
    return _copy(local, tmp_path / "project", "results", "reports", "logs")


@pytest.fixture
def prepared(local: ClusterProject, tmp_path: Path) -> ClusterProject:
    """Give the same project with the data prepared, no features yet."""
    return _copy(local, tmp_path / "project", "features", "reports", "logs")


def _copy(local: ClusterProject, folder: Path, *left_out: str) -> ClusterProject:
    ignore = shutil.ignore_patterns(".snakemake", *left_out)
    shutil.copytree(local.folder, folder, ignore=ignore)
    return ClusterProject(folder)
