"""The command's root: logging, and the options that several sub-commands share."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sreclip import __version__
from sreclip.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sreclip.plan.plan import Plan

app = typer.Typer(
    name="sreclip",
    help="Adapt frozen CLIP to a new visual domain that also holds classes without any label.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
PIPELINE = "Pipeline"
STEPS = "Steps of the pipeline (called by snakemake)"
LOOKS = "Results"

data_app = typer.Typer(help="Check the images of a benchmark.", no_args_is_help=True)
app.add_typer(data_app, name="data", rich_help_panel=LOOKS)

ParamsFile = Annotated[
    Path,
    typer.Option("--params", help="Parameters, over those of params.yaml.", metavar="FILE"),
]
MethodName = Annotated[str, typer.Argument(help="A registered method.", metavar="METHOD")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress bars.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_PARAMS = Path("params.yaml")

log = logging.getLogger("sreclip")


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    log_file: Annotated[
        Path | None, typer.Option("--log", help="Write a log file as well.", metavar="FILE")
    ] = None,
) -> None:
    _start_logging(log_file)
    if version:
        print(f"sreclip {__version__}")
        raise typer.Exit


def _start_logging(file: Path | None) -> None:
    """Send plain lines to the terminal or, with the time, to a file; warnings to both."""
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(logging.Formatter("%(message)s"))
    if file is not None:
        # Snakemake's jobs: their results are its lines, and notes are warnings.
        console.setLevel(logging.WARNING)
    log.handlers = [console]
    log.setLevel(logging.INFO)
    log.propagate = False  # open_clip gives the root logger a handler; a line would come twice
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(file, mode="w", encoding="utf-8")
        except OSError as error:
            raise ConfigError(
                f"--log {file}: the file cannot be written ({error.strerror})", "choose another"
            ) from error
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


def show(*renderables: RenderableType) -> None:
    """Print what rich lays out."""
    from rich.console import Console

    for renderable in renderables:
        Console().print(renderable)


def show_json(value: Any) -> None:
    """Print JSON."""
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))


def plan_of(path: Path) -> Plan:
    """Read parameters and return their plan."""
    from sreclip.plan.plan import Plan
    from sreclip.plan.run import read_run_params

    return Plan(read_run_params(path))


def registered_method(name: str) -> str:
    """Return the name of a method, if there is one of that name."""
    from sreclip.methods import METHODS
    from sreclip.registry import registered

    return registered("method", name, METHODS)
