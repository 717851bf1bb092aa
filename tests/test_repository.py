"""What the repository tells GitHub, container builders and the workflow catalogue is valid."""

from __future__ import annotations

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from dockerfile_parse import DockerfileParser
from typer.main import get_command

from sreclip.cli.app import app
from tests.scripts import ROOT, script

GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = [GITHUB / "ISSUE_TEMPLATE" / name for name in ("bug.yml", "request.yml")]
SCHEMAS = {
    "github-workflows": WORKFLOWS,
    "github-issue-forms": FORMS,
    "github-issue-config": [GITHUB / "ISSUE_TEMPLATE/config.yml"],
    "dependabot": [GITHUB / "dependabot.yml"],
    "citation-file-format": [ROOT / "CITATION.cff"],
}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_of_their_schema(schema: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*check, *SCHEMAS[schema]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "path", [*FORMS, GITHUB / "pull_request_template.md"], ids=lambda path: path.name
)
def test_forms_name_commands_and_files_that_are_there(path: Path) -> None:
    text = path.read_text()
    commands = get_command(app).commands
    assert set(re.findall(r"`sreclip ([\w-]+)", text)) <= commands.keys()
    linked = re.findall(r"\(\.\./blob/HEAD/([^)]+)\)", text)
    assert all((ROOT / name).is_file() for name in linked)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert set(re.findall(r"`make ([\w-]+)", text)) <= set(targets)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_actions_and_say_what_they_may(path: Path) -> None:
    text = path.read_text()
    flow = yaml.safe_load(text)
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", each) for each in used)
    assert flow["permissions"] in ({}, {"contents": "read"})
    for name, job in flow["jobs"].items():
        assert "timeout-minutes" in job, name
        writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
        assert writes <= {"pypi": {"id-token"}, "github": {"contents"}}.get(name, set())
    run = re.findall(r"(?:scripts|\.ci)/[\w.]+", text)
    assert run
    assert all((ROOT / name).is_file() for name in run)


def ignored_by_docker(path: str) -> bool:
    """Whether ``.dockerignore`` keeps a file from the builder; the last line that fits decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if line.startswith("#") or not line:
            continue
        parts = [path, *map(str, Path(path).parents)]
        if any(fnmatch(part, pattern.replace("**/", "*")) for part in parts):
            ignored = not line.startswith("!")
    return ignored


def test_the_image_is_built_from_files_that_are_there() -> None:
    parser = DockerfileParser(str(ROOT / "Dockerfile"))
    steps = [(each["instruction"], each["value"]) for each in parser.structure]
    copied = [value.split() for name, value in steps if name == "COPY" and "--from" not in value]
    sources = [source for words in copied for source in words[:-1]]
    assert {"requirements/demo.txt", "pyproject.toml", "sreclip", "workflow"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored_by_docker(source), source
    assert ignored_by_docker("results/x.h5") and ignored_by_docker("sreclip/__pycache__")
    last = dict(steps)
    assert last["ENTRYPOINT"] == '["sreclip"]'
    assert last["USER"] == "1000"
    arguments = dict(value.split("=", 1) for name, value in steps if name == "ARG" if "=" in value)
    assert arguments["TORCH_INDEX"] == script("install_pinned").INDEX
    assert arguments == arguments_of_apptainer()


def section_of_apptainer(name: str) -> list[str]:
    text = (ROOT / "apptainer.def").read_text()
    body = text.partition(f"\n%{name}\n")[2].partition("\n%")[0]
    return [line.strip() for line in body.splitlines() if line.strip()]


def arguments_of_apptainer() -> dict[str, str]:
    return dict(line.split("=", 1) for line in section_of_apptainer("arguments"))


def test_both_container_recipes_hold_the_same_files() -> None:
    parser = DockerfileParser(str(ROOT / "Dockerfile"))
    copied = [each["value"].split() for each in parser.structure if each["instruction"] == "COPY"]
    docker = {word for words in copied if "--from" not in words[0] for word in words[:-1]}
    assert {line.split()[0] for line in section_of_apptainer("files")} == docker
    used = re.findall(r"{{ (\w+) }}", (ROOT / "apptainer.def").read_text())
    assert set(used) == arguments_of_apptainer().keys()


def test_form_of_the_snakemake_workflow_catalogue() -> None:
    """What its pages on adding workflows ask of one with a standardised usage."""
    for name in ("workflow/Snakefile", "config/README.md", "LICENSE"):
        assert (ROOT / name).is_file()
    assert list((ROOT / "workflow/rules").glob("*.smk"))
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme and "workflow" in readme
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage.keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    deployment = usage["software-stack-deployment"]
    assert deployment.keys() == {"conda", "apptainer", "apptainer+conda"}
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert "container:" not in rules and not deployment["apptainer"]
