"""Exported features as other programs read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open

from sreclip.config import Params
from sreclip.config.models import BackboneSettings
from sreclip.data.manifest import read_manifest
from sreclip.data.prepare import prepare_data
from sreclip.errors import ConfigError, StoreError
from sreclip.features.export import export_features
from sreclip.features.planned import extract_names, extract_shard, open_domain, read_names
from sreclip.plan.plan import Plan


@pytest.fixture
def plan(tmp_path: Path, fake: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Two classes of images in several shards, one of them unreadable, and the class names."""
    data = tmp_path / "data"
    for seed, (domain, name) in enumerate(
        [("source", "cat"), ("source", "dog"), ("target", "dog")]
    ):
        fake.make_images(data / domain, 12, name, seed)
    (data / "source" / "cat" / "0003.png").write_bytes(b"no image")
    task = {"name": "folder", "folder": {"root": str(data)}, "shard_size": 6}
    values = {"task": task, "backbone": {"name": "open_clip"}, "features": {"workers": 0}}
    plan = Plan(Params.model_validate(values), tmp_path)
    settings = plan.params.task.settings
    cache = plan.hash_cache
    prepare_data(
        "folder", settings, plan.task.path, shard_size=6, duplicates="error", hash_cache=cache
    )
    backbone = fake.Backbone()
    backbone.label = plan.params.backbone.label
    monkeypatch.setattr(BackboneSettings, "load", lambda self, device: backbone)
    for shard in plan.shards:
        extract_shard(plan, shard.key, progress=False)
    extract_names(plan, "classes")
    return plan


def expected(plan: Plan, domain: str) -> pd.DataFrame:
    rows = read_manifest(plan.task.path)
    return rows[rows["domain"] == domain].reset_index(drop=True)


@pytest.mark.parametrize("domain", ["source", "target"])
def test_hdf5(plan: Plan, tmp_path: Path, domain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sreclip.features.export.CHUNK", 5)
    out = tmp_path / "new" / "a.h5"
    assert export_features(plan, domain, out) == [out]
    rows, images = expected(plan, domain), open_domain(plan, domain)
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["features"][:], images.features[:])
        assert file["features"].dtype == np.float16
        assert file["row_id"][:].tolist() == rows["row_id"].tolist()
        assert file["path"].asstr()[:].tolist() == rows["path"].tolist()
        np.testing.assert_array_equal(file["ok"][:], images.ok)
        assert file["ok"][:].sum() == (23 if domain == "source" else 12)
        if domain == "source":
            assert file["label"][:].tolist() == rows["label"].tolist()
        else:
            assert "label" not in file
        assert file.attrs["backbone"] == plan.params.backbone.label


def test_npy_with_a_parquet_of_the_rows(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sreclip.features.export.CHUNK", 5)
    out = tmp_path / "a.npy"
    assert export_features(plan, "source", out) == [out, tmp_path / "a.parquet"]
    images = open_domain(plan, "source")
    np.testing.assert_array_equal(np.load(out), images.features[:])
    table = pd.read_parquet(tmp_path / "a.parquet")
    rows = expected(plan, "source")
    for name in ("row_id", "path", "domain", "label"):
        assert table[name].tolist() == rows[name].tolist()
    assert table["ok"].tolist() == images.ok.tolist()
    export_features(plan, "target", tmp_path / "b.npy")
    assert set(pd.read_parquet(tmp_path / "b.parquet")) == {"row_id", "path", "domain", "ok"}


def test_safetensors(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sreclip.features.export.CHUNK", 5)
    out = tmp_path / "a.safetensors"
    export_features(plan, "source", out)
    rows, images = expected(plan, "source"), open_domain(plan, "source")
    with safe_open(out, "np") as file:
        assert set(file.keys()) == {"features", "row_id", "ok", "label"}
        np.testing.assert_array_equal(file.get_tensor("features"), images.features[:])
        assert file.get_tensor("row_id").tolist() == rows["row_id"].tolist()
        assert file.get_tensor("ok").tolist() == images.ok.tolist()
        assert file.get_tensor("label").tolist() == rows["label"].tolist()
        about = file.metadata()
    assert json.loads(about["path"]) == rows["path"].tolist()
    assert about["backbone"] == plan.params.backbone.label
    monkeypatch.setattr("sreclip.features.export.MOST_METADATA", 100)
    with pytest.raises(ConfigError, match=r"more than a safetensors file holds"):
        export_features(plan, "source", tmp_path / "b.safetensors")


def test_texts(plan: Plan, tmp_path: Path) -> None:
    text = read_names(plan, "classes")
    for suffix in ("h5", "npy", "safetensors"):
        export_features(plan, "classes", tmp_path / f"a.{suffix}")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["features"][:], text.features)
        assert file["name"].asstr()[:].tolist() == ["cat", "dog"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), text.features)
    assert pd.read_parquet(tmp_path / "a.parquet")["name"].tolist() == ["cat", "dog"]
    with safe_open(tmp_path / "a.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("features"), text.features)
        assert json.loads(file.metadata()["name"]) == ["cat", "dog"]


def test_what_cannot_be_exported(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.csv: the file must end in \.h5, \.npy, \.safet"):
        export_features(plan, "source", tmp_path / "a.csv")
    for suffix in ("h5", "npy", "safetensors"):
        (tmp_path / f"folder.{suffix}").mkdir()
        with pytest.raises(StoreError, match=rf"folder\.{suffix} cannot be written"):
            export_features(plan, "source", tmp_path / f"folder.{suffix}")
    plan.images("source")[1].path.unlink()
    with pytest.raises(StoreError, match="is missing"):
        export_features(plan, "source", tmp_path / "a.h5")
    assert not [path for path in tmp_path.glob("*") if path.is_file()]


@pytest.mark.parametrize("suffix", ["h5", "npy", "safetensors"])
def test_a_full_disk_leaves_nothing(
    plan: Plan, small_disk: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sreclip.features import export

    own: Callable[..., export._Table] = export._table

    def large(plan: Plan, what: str) -> export._Table:
        table = own(plan, what)
        table.features = np.ones((2000, 512), np.float32)
        return table

    monkeypatch.setattr(export, "_table", large)
    with pytest.raises(StoreError, match="the disk is full"):
        export_features(plan, "source", small_disk / f"a.{suffix}")
    assert list(small_disk.iterdir()) == []
