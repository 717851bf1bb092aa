"""The Slurm plugin's question for its jobs, without a Slurm."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest
import snakemake_executor_plugin_slurm as plugin

from sreclip.errors import ConfigError
from sreclip.workflow.slurm import ask_patiently, check_folder

LOG = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def own_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the plugin as it was."""
    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file that ``squeue`` prints."""
    program = tmp_path / "squeue"
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'queue'}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "queue"


def ask(command: str) -> tuple[dict[str, str] | None, float | None]:
    return asyncio.run(plugin.query_job_status(command, LOG))


def test_no_answer_is_not_the_end_of_all_jobs(caplog: pytest.LogCaptureFixture) -> None:
    assert ask("false") == (None, None), "what the plugin takes for it"
    ask_patiently()
    assert ask("false") == ({}, 0.0)
    assert caplog.messages == ["Slurm does not answer; its jobs are asked about again"]


def test_a_job_that_slurm_has_forgotten_is_looked_for(queue: Path) -> None:
    ask_patiently()
    queue.write_text("12|RUNNING\n13|PENDING\n")
    assert ask("squeue")[0] == {"12": "RUNNING", "13": "PENDING"}
    queue.unlink()
    assert ask("squeue")[0] == {}
    queue.write_text("13|RUNNING\n")
    assert ask("squeue")[0] == {"12": "UNKNOWN", "13": "RUNNING"}
    assert ask("echo '14|RUNNING'")[0] == {"14": "RUNNING"}, "sacct's answers may come late"


def test_a_cancelled_job_is_cancelled_whoever_did_it() -> None:
    ask_patiently()
    assert ask("echo '14|CANCELLED by 1000'")[0] == {"14": "CANCELLED"}


def test_the_plugin_is_changed_once() -> None:
    ask_patiently()
    once = plugin.query_job_status
    ask_patiently()
    assert plugin.query_job_status is once


@pytest.mark.parametrize("character", '%\\"$`')
def test_a_folder_in_which_slurm_would_wait_for_ever_is_refused(character: str) -> None:
    """Seen with Slurm 22.05: the job is lost, or its log cannot be written and it never starts."""
    with pytest.raises(ConfigError, match="Slurm runs no job in a folder with") as caught:
        check_folder(Path(f"/data/a{character}b"))
    assert f"with {character} in its path" in caught.value.message
    check_folder(Path("/data/-a 'b' {c}<x> #[x]&;é (1)*?"))
