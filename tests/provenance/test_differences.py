"""What differs between two runs, from folders, files and git revisions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from sreclip.errors import SreclipError
from sreclip.provenance.changes import changes, flat_params
from sreclip.provenance.differences import diff, render


def summary(mean: float) -> dict[str, float]:
    return {"mean": mean, "sd": 0.0, "low": mean, "high": mean, "n": 2}


def write_reports(folder: Path, h: float, lr: float, fit: str, **more: Any) -> None:
    (folder / "made-from").mkdir(parents=True, exist_ok=True)
    for old in folder.glob("made-from/*.json"):
        old.unlink()
    numbers = {"zero_shot": {"h": summary(0.3)}, "sre_clip": {"h": summary(h)}}
    (folder / "metrics.json").write_text(json.dumps({"folder": {"mini": numbers}}))
    stamp = {
        "keys": {
            "task": "t1",
            "source_features": "s1",
            "fits": {"zero_shot": "z", "sre_clip": fit},
        },
        "code": {"graph": "g1", "fits": {"sre_clip": "c1"}},
        "params": {"methods": {"sre_clip": {"lr": lr}}, "train": {"seeds": [0, 1]}},
        "versions": {"numpy": "2.0"},
    }
    (folder / "made-from" / f"{fit}.json").write_text(json.dumps(stamp | more))


def shown(a: str, b: str, *, every_metric: bool = False) -> str:
    console = Console(width=100)
    with console.capture() as capture:
        console.print(render(diff(a, b), every_metric=every_metric))
    return capture.get()


def test_two_folders(tmp_path: Path) -> None:
    write_reports(tmp_path / "a", h=0.4, lr=0.001, fit="f1")
    write_reports(tmp_path / "b", h=0.45, lr=0.002, fit="f2", code={"graph": "g2"})
    found = diff(str(tmp_path / "a"), str(tmp_path / "b")).to_json()
    assert found["params"] == {"methods.sre_clip.lr": {"a": 0.001, "b": 0.002}}
    assert found["data"] == {}
    assert found["results"] == {"fits: sre_clip": {"a": "f1", "b": "f2"}}
    assert found["code"]["graph"] == {"a": "g1", "b": "g2"}
    assert list(found["numbers"]) == ["sre_clip"]
    assert found["numbers"]["sre_clip"]["h"]["difference"] == pytest.approx(0.05)
    text = shown(str(tmp_path / "a/metrics.json"), str(tmp_path / "b"))
    assert "methods.sre_clip.lr" in text
    assert "+5.0" in text
    assert "Data: the same" in text


def test_the_same_twice(tmp_path: Path) -> None:
    write_reports(tmp_path / "a", h=0.4, lr=0.001, fit="f1")
    text = shown(str(tmp_path / "a"), str(tmp_path / "a"))
    for title in ("Parameters", "Data", "Code", "Numbers"):
        assert f"{title}: the same" in text
    assert "Results made anew: none" in text


def test_numbers_alone(tmp_path: Path) -> None:
    write_reports(tmp_path / "a", h=0.4, lr=0.001, fit="f1")
    alone = tmp_path / "other.json"
    alone.write_text(json.dumps({"folder": {"ViT": {"sre_clip": {"h": summary(0.5)}}}}))
    text = shown(str(tmp_path / "a"), str(alone))
    assert "Parameters: not known of both" in text
    assert "of other tasks or backbones" in text
    assert "+10.0" in text


def test_git_revisions_and_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    git("init")
    Path("sreclip").mkdir()
    Path("sreclip/a.py").write_text("a = 1")
    Path("params.yaml").write_text(yaml.safe_dump({"gone_by_now": 1, "train": {"seeds": [7]}}))
    write_reports(Path("reports"), h=0.4, lr=0.001, fit="f1", code={})
    stamp = json.loads(Path("reports/made-from/f1.json").read_text())
    del stamp["params"]
    Path("reports/made-from/f1.json").write_text(json.dumps(stamp))
    git("add", "--all")
    git("commit", "-m", "first")
    Path("sreclip/a.py").write_text("a = 2")
    Path("params.yaml").write_text(yaml.safe_dump({"train": {"seeds": [0, 1]}}))
    write_reports(Path("reports"), h=0.5, lr=0.002, fit="f2")
    git("add", "--all")
    git("commit", "-m", "second")
    found = diff("HEAD~1", "HEAD")
    assert found.files == ["sreclip/a.py"]
    assert found.a.about.endswith("first")
    params = found.to_json()["params"]
    # An older stamp says nothing of parameters: those committed beside it count, and what the
    # models do not know any more is shown, too.
    assert params["train.seeds"] == {"a": [7], "b": [0, 1]}
    assert params["gone_by_now"] == {"a": 1, "b": None}

    Path("sreclip/a.py").write_text("a = 3")
    assert diff("HEAD", ".").files == diff(".", "HEAD").files == ["sreclip/a.py"]
    assert "sreclip/a.py" in shown("HEAD~1", ".")


def test_a_file_of_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(yaml.safe_dump({"methods": {"run": ["sre_clip"]}}))
    other = {"methods": {"run": ["sre_clip"], "sre_clip": {"lr": 0.5}}}
    Path("b.yaml").write_text(yaml.safe_dump(other))
    assert list(diff("a.yaml", "b.yaml").to_json()["params"]) == ["methods.sre_clip.lr"]
    assert "is not prepared" in shown("a.yaml", "b.yaml")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "neither a file or folder nor a revision"),
        ("empty", "holds neither metrics.json nor reports/metrics.json"),
        ("list.json", "is not nested as task, backbone, method"),
        ("text.json", "is not valid JSON"),
        ("bad.yaml", "trian: unknown key"),
    ],
)
def test_what_cannot_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("list.json").write_text("[1]")
    Path("text.json").write_text("text")
    Path("bad.yaml").write_text("trian: {}")
    with pytest.raises(SreclipError, match=said):
        diff(name, ".")


def test_flat_params() -> None:
    assert flat_params({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_changes_of_three_sides() -> None:
    found = changes({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4, "c": 3}, {"a": 1, "b": 2})
    assert found == {"b": (2, 4, 2), "c": (3, 3, None)}
    assert changes({"a": 1}, {}) == {}
