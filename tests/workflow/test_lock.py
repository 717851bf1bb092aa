"""The committed lock belongs to the committed code, parameters and numbers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from sreclip.config import load_params
from sreclip.evaluate.metrics import METRICS
from tests.workflow.conftest import ROOT, Project

pytestmark = pytest.mark.workflow


def test_lock_agrees_with_code_and_parameters(tmp_path: Path) -> None:
    """Outputs may be absent (they are in DVC's cache); code and parameters must be as locked."""
    tracked = Project(ROOT).run("git", "ls-files", "-z").stdout.split("\0")
    for name in filter(None, tracked):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name, follow_symlinks=False)
    project = Project(tmp_path)
    project.run("git", "init", "--quiet")
    status = json.loads(project.run("dvc", "status", "--json").stdout)
    changed = [
        path
        for stage in status.values()
        for change in stage
        if isinstance(change, dict)
        for path in change.get("changed deps", {})
        if not path.startswith("results/")
    ]
    assert changed == [], "run: dvc repro, and commit dvc.lock and reports/"
    assert "changed command" not in json.dumps(status)


def test_committed_numbers_are_of_the_committed_parameters() -> None:
    params = load_params(ROOT / "params.yaml")
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    methods = metrics[params.task.name][params.backbone.label]
    assert list(methods) == params.methods.run
    for values in methods.values():
        assert list(values) == [name for name in METRICS if name in values]
        assert values["known"]["n"] == len(params.train.seeds)
    stamps = list((ROOT / "reports/made-from").glob("*.json"))
    assert len(stamps) == 1
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())
    assert "reports/metrics.json" in {out["path"] for out in lock["stages"]["report"]["outs"]}
