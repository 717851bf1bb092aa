"""Run the pipeline, in a clone or anywhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from sreclip.cli.app import DEFAULT_PARAMS, PIPELINE, ParamsFile, app
from sreclip.errors import ConfigError
from sreclip.workflow.command import PACKAGED, has_own_workflow

# Options of Snakemake that say how many jobs run at once, or where.
_HOW_MANY = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile", "--workflow-profile")


@app.command(rich_help_panel=PIPELINE)
def run(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="What to make, by default all.", metavar="TARGET"),
    ] = None,
    params: ParamsFile = DEFAULT_PARAMS,
    cores: Annotated[int | None, typer.Option(min=1, help="By default all.", metavar="N")] = None,
) -> None:
    """Make what is missing, with Snakemake; after -- come options of Snakemake.

    In a folder with a Snakefile, such as a clone, this is what snakemake does by itself. Elsewhere
    the workflow that ships with sreclip is run. Results and logs go into the working folder.
    """
    if not params.exists():
        raise ConfigError(
            f"{params} is not here",
            "write it with: sreclip init SOURCE TARGET; or name another file with --params",
        )
    arguments = targets or []
    command = [sys.executable, "-P", "-m", "snakemake"]  # -P: as without -m, not from this folder
    if not has_own_workflow():
        command += ["--snakefile", str(PACKAGED)]
    if params != DEFAULT_PARAMS:
        command += ["--configfile", str(params)]
    if cores or not any(argument.startswith(_HOW_MANY) for argument in arguments):
        command += ["--cores", str(cores or "all")]
    # The jobs call sreclip by its name.
    programs = Path(sys.argv[0]).absolute().parent
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.execv(sys.executable, [*command, *arguments])
