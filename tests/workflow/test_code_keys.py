"""What each kind of job loads is in its key, or left out of all keys with a reason."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sreclip.methods import METHODS
from sreclip.plan import code
from sreclip.plan.bundles import pieces_of
from sreclip.plan.code import ENTRIES
from tests.workflow.conftest import Project

pytestmark = pytest.mark.workflow

# Run at the start of every Python program: at its end it writes down which modules it has loaded.
SITE = """
import atexit, json, sys, os
def loaded():
    names = sorted(name for name in sys.modules if name.split(".")[0] == "sreclip")
    with open(os.environ["LOADED_MODULES"], "w") as file:
        json.dump(names, file)
atexit.register(loaded)
"""
# What the steps of data and features load decides nothing but what their version numbers stand for.
VERSIONED = ("sreclip.data", "sreclip.backbones", "sreclip.features")
STEPS = {
    "build-graph": [ENTRIES["graph"]],
    "train sre_clip": [ENTRIES["fit"], METHODS["sre_clip"].partition(":")[0]],
    "train tsce": [ENTRIES["fit"], METHODS["tsce"].partition(":")[0]],
    "train uodtn": [ENTRIES["fit"], METHODS["uodtn"].partition(":")[0]],
    "evaluate sre_clip": [ENTRIES["evaluation"]],
    "make-bundle list.json": [
        ENTRIES["fit"],
        ENTRIES["evaluation"],
        METHODS["gda"].partition(":")[0],
    ],
    "compare": [ENTRIES["comparison"]],
    "report": [ENTRIES["page"]],
    # Who reads features loads the graph, too, of which a model folder has nothing.
    "keep-model": [ENTRIES["model"], "sreclip.graph.relation_graph"],
    "tabulate-sweep": [ENTRIES["sweep"]],
}


def loaded(project: Project, command: str, place: Path) -> set[str]:
    """Modules of sreclip that a command loads."""
    (place / "sitecustomize.py").write_text(SITE)
    paths = os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")])
    report = place / "loaded.json"
    project.run(
        "env", f"PYTHONPATH={paths}", f"LOADED_MODULES={report}", "sreclip", *command.split()
    )
    names: list[str] = json.loads(report.read_text())
    return set(names) - {"sreclip"}


@pytest.fixture(scope="module")
def ready(done: Project) -> Project:
    """Let methods that did not run take few steps."""
    few = {"steps": 2, "regression_steps": 2, "batch_size": 8, "gcn_width": 8}
    done.edit(
        methods__tsce=few, methods__uodtn=few, sweep={"methods": ["gda"]}, report__model="sre_clip"
    )
    swept = [piece for piece in pieces_of(done.plan).values() if piece.method == "gda"]
    names = [piece.result.path.relative_to(done.folder).as_posix() for piece in swept]
    (done.folder / "list.json").write_text(json.dumps(names))
    return done


@pytest.mark.parametrize("command", STEPS)
def test_what_a_job_loads_is_in_its_key(ready: Project, command: str, tmp_path: Path) -> None:
    names = loaded(ready, command, tmp_path)
    keyed = code.closure(*STEPS[command])
    missing = {name for name in names - keyed if not code.is_left_out(name)}
    assert missing == set(), "import them, or name them in LEFT_OUT with the reason"
    assert names & keyed, "the step loaded nothing that its key covers"


@pytest.mark.parametrize("command", ["prepare-data", "extract-text classes"])
def test_data_and_features_load_what_carries_a_version(
    ready: Project, command: str, tmp_path: Path
) -> None:
    names = loaded(ready, command, tmp_path)
    others = {
        name for name in names if not name.startswith(VERSIONED) and not code.is_left_out(name)
    }
    # Read only for names of nodes and of what is registered.
    assert {name.split(".")[1] for name in others} <= {"graph", "methods", "refinement"}
    assert not {name for name in others if name.startswith("sreclip.methods.")}
