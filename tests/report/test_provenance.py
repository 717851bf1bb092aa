"""What a report says about its making."""

from __future__ import annotations

import subprocess
from pathlib import Path

import sreclip
from sreclip.plan import Plan
from sreclip.report.provenance import flat_keys, git_state, params_yaml, stage_keys, versions


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_git_state_of_a_clean_and_a_changed_tree(outside_git: Path) -> None:
    assert git_state() is None
    git(outside_git, "init", "--quiet")
    assert git_state() is None, "there is no commit yet"
    (outside_git / "file").write_text("one")
    git(outside_git, "add", "file")
    git(outside_git, "commit", "--quiet", "-m", "first")
    commit = git(outside_git, "rev-parse", "HEAD")
    (outside_git / "untracked").write_text("")
    assert git_state() == {"commit": commit, "dirty": False}
    (outside_git / "file").write_text("two")
    assert git_state(outside_git) == {"commit": commit, "dirty": True}


def test_without_git_there_is_no_state(outside_git: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PATH", str(outside_git))
    assert git_state() is None


def test_versions_name_what_is_installed() -> None:
    found = versions()
    assert found["sreclip"] == sreclip.__version__
    assert "numpy" in found
    assert all(found.values())


def test_keys_and_parameters(plan: Plan) -> None:
    rows = dict(flat_keys(stage_keys(plan)))
    assert rows["fits: sre_clip"] == plan.model_key("sre_clip")
    assert rows["text nodes"] == plan.text_key("nodes")
    text = params_yaml(plan)
    assert text.startswith("task:\n")
    assert "relation_temperature" in text
