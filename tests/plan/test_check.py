"""``sreclip check`` tells what can be known without running."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from sreclip.config.load import parse_params
from sreclip.errors import SreclipError
from sreclip.plan.check import check_plan
from sreclip.plan.plan import Plan

MODEL = "ViT-S-32-alt"
Check = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images of three classes, one of them without a source image."""
    for place in ("source/cat", "source/dog", "target/cat", "target/car"):
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / "a.png")
    return tmp_path


@pytest.fixture
def check(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Check:
    """Check parameters over those of a folder task; give the lines that are logged."""

    def run(**sections: Any) -> str:
        caplog.clear()
        values = {"task": {"name": "folder", "folder": {"root": str(root)}}} | sections
        with caplog.at_level(logging.INFO, "sreclip"):
            check_plan(Plan(parse_params(values), tmp_path))
        return "\n".join(record.getMessage() for record in caplog.records)

    return run


def open_clip_settings(**own: object) -> dict[str, Any]:
    return {"name": "open_clip", "open_clip": {name: str(value) for name, value in own.items()}}


def test_what_is_right(check: Check) -> None:
    lines = check()
    assert "task folder: 3 classes, unknown: car" in lines
    assert "backbone mini: EfficientNet-lite0" in lines
    assert lines.count("note") == 1  # that car has no source image


def test_data_and_classes(check: Check, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    assert "3 classes" in check(task={"name": "folder", "folder": {"root": "~"}})
    assert "3 classes" in check(task={"name": "folder", "folder": {"root": "$HOME"}})
    (root / "source/car").mkdir()
    Image.new("RGB", (8, 8)).save(root / "source/car/a.png")
    assert "no class is unknown" in check()
    with pytest.raises(SreclipError, match="'crow' is no class of this task"):
        check(split={"unknown": ["crow"]})
    with pytest.raises(SreclipError, match="missing or not a folder"):
        check(task={"name": "folder", "folder": {"root": "/absent"}})
    (root / "classes.txt").write_text("cat\n")
    alone = {"name": "folder", "folder": {"root": str(root), "classes": "classes.txt"}}
    with pytest.raises(SreclipError, match=r"source class folders that .* does not list"):
        check(task=alone)
    for folder in ("source/dog", "source/car", "target/car"):
        shutil.rmtree(root / folder)
    with pytest.raises(SreclipError, match="no other class than cat"):
        check(task=alone)


def test_what_the_preparation_would_refuse(check: Check, root: Path) -> None:
    (root / "classes.csv").write_text("name,folder\ncat,cat\ndog,dgo\ncar,car\n")
    task = {"name": "folder", "folder": {"root": str(root), "classes": "classes.csv"}}
    with pytest.raises(SreclipError, match="'source/dog'; nearest to the first is 'dgo'") as caught:
        check(task=task)
    assert "problems" not in str(caught.value)
    (root / "classes.csv").write_text("name\nCat\nDog\nCar\n")
    with pytest.raises(SreclipError, match="does not list"):
        check(task=task)
    (root / "classes.csv").unlink()
    shutil.move(root / "target/cat/a.png", root / "target/a.png")
    shutil.rmtree(root / "target/cat")
    shutil.rmtree(root / "target/car")
    assert "no target image has a label" in check()


def test_senses(check: Check) -> None:
    assert "'crow' is no class" in check(graph={"senses": {"crow": "n02121620"}})
    with pytest.raises(SreclipError, match="n99999999"):
        check(graph={"senses": {"cat": "n99999999"}})


def test_devices(check: Check) -> None:
    lines = check(features={"device": "cuda:98"}, train={"device": "cuda:99"})
    assert "features.device: device 'cuda:98' is not on this machine" in lines
    assert "train.device: device 'cuda:99' is not on this machine" in lines
    with pytest.raises(SreclipError, match="use cpu, cuda, cuda:N"):
        check(features={"device": "gpu"})


def test_backbones(check: Check, tmp_path: Path) -> None:
    import open_clip

    with pytest.raises(SreclipError, match=r"no model 'ViT-B-31' \(did you mean 'ViT-B-3"):
        check(backbone=open_clip_settings(model="ViT-B-31"))
    with pytest.raises(SreclipError, match="is not a pretrained tag"):
        check(backbone=open_clip_settings(model="ViT-B-32", pretrained="opnai"))
    with pytest.raises(SreclipError, match="no checkpoint file at"):
        check(backbone=open_clip_settings(pretrained=tmp_path / "absent.pt"))
    absent = check(backbone=open_clip_settings(model="ViT-H-14", pretrained="dfn5b"))
    assert "ViT-H-14 dfn5b will be downloaded at first use" in absent
    path = tmp_path / "own.pt"
    torch.save(open_clip.create_model(MODEL).state_dict(), path)
    own = open_clip_settings(model=MODEL, pretrained=path)
    assert f"backbone {MODEL}-own: {MODEL}, GELU; open_clip val: size" in check(backbone=own)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"SHA-256 of {path}: {sha256}" in check(backbone=own)
    (tmp_path / "config.json").write_text("{}")
    assert f"SHA-256 of {path} together with config.json: " in check(backbone=own)
    (tmp_path / "config.json").unlink()
    for more in ({"quick_gelu": True}, {"tag": "openai"}, {"preprocessing": {"mean": [0.5] * 3}}):
        ready = {"name": "open_clip", "open_clip": {"model": "ViT-B-32", **more}}
        with pytest.raises(
            SreclipError, match=f"{next(iter(more))[:4]}.* cannot be set for ViT-B-32"
        ):
            check(backbone=ready)
    with pytest.raises(SreclipError, match="greater than 0"):
        check(
            backbone=own | {"open_clip": own["open_clip"] | {"preprocessing": {"std": [0, 1, 1]}}}
        )
    with pytest.raises(SreclipError, match=r"makes a prompt of 9\d tokens") as caught:
        check(backbone=own, prompts={"templates": ["a {}", "very " * 90 + "{}"]})
    assert "reads only 77" in str(caught.value)


def test_all_problems_at_once(check: Check) -> None:
    with pytest.raises(SreclipError, match=r"^2 problems") as caught:
        check(split={"unknown": ["crow"]}, backbone=open_clip_settings(model="ViT-B-31"))
    assert "'crow' is no class" in str(caught.value)
    assert "no model 'ViT-B-31'" in str(caught.value)
