"""Local weights in the plan's keys: hashed again only where size or times changed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sreclip.config.load import parse_params
from sreclip.errors import ConfigError
from sreclip.files import file_sha256
from sreclip.plan import fingerprints
from sreclip.plan.fingerprints import Fingerprints
from sreclip.plan.plan import Plan


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "own.pt"
    path.write_bytes(b"first")
    return path


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust files however new they are."""
    monkeypatch.setattr(fingerprints, "_SETTLED_NS", -1)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Give the list of files that were read."""
    seen: list[Path] = []

    def sha256(path: Path) -> str:
        seen.append(path)
        return file_sha256(path)

    monkeypatch.setattr(fingerprints, "file_sha256", sha256)
    return seen


def plan_of(pretrained: object, folder: Path, **more: object) -> Plan:
    own = {"model": "ViT-B-32", "pretrained": str(pretrained), **more}
    backbone = {"name": "open_clip", "open_clip": own}
    return Plan(parse_params({"task": {"name": "openmoji"}, "backbone": backbone}), folder)


def test_the_content_decides_the_key_and_not_the_place(weights: Path, tmp_path: Path) -> None:
    first = plan_of(weights, tmp_path).backbone_key
    (tmp_path / "moved").mkdir()
    weights.rename(tmp_path / "moved/own.pt")
    assert plan_of(tmp_path / "moved/own.pt", tmp_path).backbone_key == first
    (tmp_path / "moved/own.pt").write_bytes(b"other")
    assert plan_of(tmp_path / "moved/own.pt", tmp_path).backbone_key != first
    quick = plan_of(weights.parent / "moved/own.pt", tmp_path, quick_gelu=True)
    assert quick.backbone_key != plan_of(tmp_path / "moved/own.pt", tmp_path).backbone_key


@pytest.mark.usefixtures("settled")
def test_size_and_times_decide_whether_to_hash_again(
    weights: Path, tmp_path: Path, hashed: list[Path]
) -> None:
    plan = plan_of(weights, tmp_path)
    key = plan.backbone_key
    assert not plan.fingerprints.path.exists()  # reading a plan writes nothing
    plan.fingerprints.save()
    assert plan_of(weights, tmp_path).backbone_key == key
    assert hashed == [weights]
    before = weights.stat()
    weights.write_bytes(b"third")  # of the same size
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))  # and, it says, of the same time
    changed = plan_of(weights, tmp_path)
    assert changed.backbone_key != key
    assert hashed == [weights, weights]
    changed.fingerprints.path.write_text("{")  # a damaged cache counts as empty
    assert plan_of(weights, tmp_path).backbone_key == changed.backbone_key


def test_a_file_of_this_second_is_not_remembered(weights: Path, tmp_path: Path) -> None:
    known = Fingerprints(tmp_path / "weights.json")
    assert known.sha256(weights) == hashlib.sha256(b"first").hexdigest()
    known.save()
    assert not known.path.exists()


def test_configurations_and_tokenizers_count(weights: Path, tmp_path: Path) -> None:
    alone = plan_of(weights, tmp_path).backbone_key
    config = tmp_path / "open_clip_config.json"
    config.write_text("{}")
    beside = plan_of(weights, tmp_path).backbone_key
    config.write_text('{"model_cfg": {}}')
    keys = {alone, beside, plan_of(weights, tmp_path).backbone_key}
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    for content in ("{}", "[]"):
        (tokenizer / "tokenizer.json").write_text(content)
        keys.add(plan_of(weights, tmp_path, tokenizer=str(tokenizer)).backbone_key)
    assert len(keys) == 5


def test_a_missing_file_and_a_pinned_one(weights: Path, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(b"first").hexdigest()
    key = plan_of(weights, tmp_path).backbone_key
    assert plan_of(weights, tmp_path, sha256=sha256).backbone_key == key
    weights.write_bytes(b"other")
    with pytest.raises(ConfigError, match=f"sha256 is {sha256}"):
        _ = plan_of(weights, tmp_path, sha256=sha256).backbone_key
    weights.unlink()
    assert plan_of(weights, tmp_path, sha256=sha256).backbone_key == key
    with pytest.raises(ConfigError, match="no checkpoint file at"):
        _ = plan_of(weights, tmp_path).backbone_key
    with pytest.raises(ConfigError, match="a folder at") as caught:
        _ = plan_of(f"{tmp_path}/", tmp_path).backbone_key
    assert "local-dir:" in caught.value.hint


def test_home_is_filled_in(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    key = plan_of(weights, tmp_path).backbone_key
    assert plan_of("~/own.pt", tmp_path).backbone_key == key
    assert plan_of("$HOME/own.pt", tmp_path).backbone_key == key


def test_labels_are_names_for_paths() -> None:
    def label(**settings: str) -> str:
        return parse_params(
            {"backbone": {"name": "open_clip", "open_clip": settings}}
        ).backbone.label

    assert label(model="ViT-B-32", pretrained="w/own {x} <y>.pt") == "ViT-B-32-own__x___y_"
    assert label(model="hf-hub:timm/ViT-B-16-SigLIP") == "ViT-B-16-SigLIP"
    snapshot = "local-dir:/hub/models--timm--ViT-B-16-SigLIP/snapshots/ab12"
    assert label(model=snapshot) == "timm--ViT-B-16-SigLIP"
