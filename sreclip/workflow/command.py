"""How the workflow is called here: as Snakemake finds it, or as it ships with the package."""

from __future__ import annotations

import re
from pathlib import Path

PACKAGED = Path(__file__).with_name("snakemake") / "Snakefile"
# Where Snakemake looks for a workflow in the working folder.
PLACES = ("Snakefile", "snakefile", "workflow/Snakefile", "workflow/snakefile")
_COMMAND = re.compile(r"snakemake --cores (?:all|(?P<cores>\d+))(?: all\b)?")


def has_own_workflow() -> bool:
    """Tell whether the working folder has a workflow, as a clone has: then that one is run."""
    return any(Path(place).is_file() for place in PLACES)


def as_here(text: str) -> str:
    """Return a text whose commands work in this folder: elsewhere than in a clone, `sreclip run`.

    Commands in texts begin with ``snakemake --cores``.
    """
    if has_own_workflow():
        return text
    return _COMMAND.sub(_run, text).replace("--configfile", "--params")


def _run(found: re.Match[str]) -> str:
    return "sreclip run" + (f" --cores {found['cores']}" if found["cores"] else "")
