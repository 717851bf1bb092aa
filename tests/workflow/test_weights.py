"""A checkpoint that is replaced under its own name: Snakemake and DVC notice."""

from __future__ import annotations

import os
import shutil

import open_clip
import pytest
import torch

from tests.workflow.conftest import Project

MODEL = "ViT-S-32-alt"


@pytest.fixture(scope="module")
def with_weights(project: Project) -> Project:
    """Give a project whose features of a local checkpoint are made."""
    write_weights(project, seed=0)
    own = {"model": MODEL, "pretrained": "weights/own {1}.pt"}
    project.edit(backbone__name="open_clip", backbone__open_clip=own, task__shard_size=64)
    project.snakemake("extract_features")
    return project


def write_weights(project: Project, seed: int) -> None:
    torch.manual_seed(seed)
    torch.save(open_clip.create_model(MODEL).state_dict(), project.folder / "weights/own {1}.pt")


def test_a_replaced_checkpoint_is_noticed(with_weights: Project) -> None:
    project = with_weights
    path = project.folder / "weights/own {1}.pt"
    assert project.planned_jobs("extract_features") == {}
    shutil.copy(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)
    assert project.planned_jobs("extract_features") == {}  # the same content at another time
    before = path.stat()
    write_weights(project, seed=1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    due = project.planned_jobs("extract_features")
    assert due == {"extract_images": 2, "extract_text": 2}
    path.unlink()
    printed = project.snakemake("--dry-run", "extract_features", check=False)
    assert "no checkpoint file at weights/own {1}.pt" in printed
    assert "Traceback" not in printed


def test_dvc_depends_on_the_folder_of_weights(made: Project) -> None:
    assert made.changed() == {}
    (made.folder / "weights/own.pt").write_bytes(b"weights")
    changed = made.changed()
    assert set(changed) == {"graph", "features"}
    assert "weights" in str(changed)
