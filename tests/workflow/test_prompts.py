"""Another content of a file of prompts makes the text vectors of the classes again, and fits."""

from __future__ import annotations

from tests.workflow.conftest import Project
from tests.workflow.reruns import ONE_TEXT


def test_dvc_depends_on_the_folder_of_prompts(made: Project) -> None:
    assert made.changed() == {}
    path = made.folder / "prompts/own.csv"
    path.write_text("class,prompt\n")
    changed = made.changed()
    path.unlink()
    assert set(changed) == {"features"}
    assert "prompts" in str(changed)


def test_an_edited_file_of_prompts_is_noticed(made: Project) -> None:
    path = made.folder / "prompts/own.yaml"
    path.write_text("dog: [a barking animal]\ncar: [a machine with wheels]\n")
    made.edit(prompts__file="prompts/own.yaml")
    assert made.planned_jobs("all") == ONE_TEXT
    made.snakemake("all")
    assert made.planned_jobs("all") == {}
    path.write_text("# by hand\ncar: a machine with wheels\ndog:\n- a barking  animal\n")
    assert made.planned_jobs("all") == {}
    path.write_text("car: a machine with wheels\ndog: a barking pet\n")
    assert made.planned_jobs("all") == ONE_TEXT
    path.write_text("car: a machine with wheels\ndgo: a barking pet\n")
    printed = made.snakemake("--dry-run", "all", check=False)
    assert "own.yaml: rows that name no class of this task: line 2: no class 'dgo'" in printed
    assert "Traceback" not in printed
