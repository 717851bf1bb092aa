"""Begin with one's own images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sreclip.cli.app import PIPELINE, app, log
from sreclip.errors import ConfigError

MINI = "mini"


@app.command(rich_help_panel=PIPELINE)
def init(
    source: Annotated[Path, typer.Argument(help="Labelled images: a folder per class.")],
    target: Annotated[Path, typer.Argument(help="Images to label.")],
    names: Annotated[
        str | None,
        typer.Option(help="Classes that only the target shows: a,b,c or a class list."),
    ] = None,
    backbone: Annotated[
        str, typer.Option(help="MODEL:WEIGHTS of open_clip, or mini.", metavar="MODEL")
    ] = "ViT-B-16:openai",
    out: Annotated[Path, typer.Option(help="Parameters to write.", metavar="FILE")] = Path(
        "params.yaml"
    ),
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
) -> None:
    """Look at your own images and write the parameters of a run, to read and to change."""
    from sreclip.config import load_params
    from sreclip.files import write_text
    from sreclip.init.proposal import list_place, names_of, propose
    from sreclip.init.text import doubtful_senses, findings, next_step, params_text

    given = names_of(names)
    taken = [path for path in (out, list_place(given, out.parent)) if path and path.exists()]
    if taken:
        raise ConfigError(
            f"{' and '.join(map(str, taken))} {'exists' if len(taken) == 1 else 'exist'}",
            "move what exists away, or give --out a file in another folder",
        )
    model = None if backbone == MINI else _model(backbone)
    proposal = propose(source, target, given, out.parent)
    for line in findings(proposal):
        print(line)
    pins: dict[str, str] = {}
    if not yes and sys.stdin.isatty():
        pins = dict(_asked(name, senses) for name, senses in doubtful_senses(proposal))
        if not typer.confirm(f"Write {out}?", default=True):
            return
    if proposal.list_path:
        write_text(proposal.list_path, proposal.list_text)
    write_text(out, params_text(proposal, model, pins))
    load_params(out)
    log.info("%s is written. Read it, then run\n  %s", out, next_step(out))


def _asked(name: str, senses: list[tuple[str, str]]) -> tuple[str, str]:
    """Ask which sense a name has; return the name and the sense's WordNet id."""
    print(f"What is {name!r}?")
    for number, (wnid, gloss) in enumerate(senses, 1):
        print(f"  {number}  {gloss} ({wnid})")
    chosen = 0
    while not 1 <= chosen <= len(senses):
        chosen = typer.prompt(f"Number, 1 to {len(senses)}", default=1, type=int)
    return name, senses[chosen - 1][0]


def _model(backbone: str) -> tuple[str, str]:
    model, colon, pretrained = backbone.partition(":")
    if not (model and colon and pretrained):
        raise ConfigError(
            f"--backbone {backbone} is no MODEL:WEIGHTS", "such as ViT-B-16:openai, or mini"
        )
    return model, pretrained
