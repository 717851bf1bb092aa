"""The notebook of the documentation, executed in the folder of a run."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.workflow.conftest import CLASSES, ROOT, Project

pytestmark = pytest.mark.workflow

NOTEBOOK = ROOT / "docs/notebook.ipynb"


def test_the_notebook_runs(done: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for name, value in done.environment.items():
        monkeypatch.setenv(name, value)
    here = {"metadata": {"path": str(done.folder)}}
    NotebookClient(notebook, timeout=200, resources=here).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    counts = outputs[-1]["data"]["text/plain"]
    assert {"zero_shot", "sre_clip", "transclip"} <= set(counts.split())
    assert set(CLASSES) & set(counts.split())
    assert (done.folder / "kept-model/model.json").exists()


def test_the_stored_outputs_are_of_a_whole_run() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert str(Path.home()) not in text
    assert "Traceback" not in text
