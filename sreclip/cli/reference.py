"""The pages of the documentation that are made from the program: parameters, commands."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from sreclip.cli.app import LOOKS, app
from sreclip.files import write_text

HEADER = """# Commands

Made by `sreclip reference`: what `sreclip COMMAND --help` prints, for each command.
`sreclip --log FILE COMMAND` writes a log file as well.
"""
COMMANDS = "commands.md"


def commands_text() -> str:
    """Return the reference of all commands in Markdown, one section per panel of the help."""
    from typer.cli import get_docs_for_click

    importlib.import_module("sreclip.cli.data")  # loaded by its own calls alone
    root = typer.main.get_group(app)
    context = typer.Context(root)
    panels: dict[str, list[str]] = {}
    for name in root.list_commands(context):
        text = get_docs_for_click(
            obj=root.commands[name], ctx=context, indent=2, call_prefix="sreclip"
        )
        panel = str(getattr(root.commands[name], "rich_help_panel", ""))
        panels.setdefault(panel, []).append(text)
    parts = [f"\n## {panel}\n\n{''.join(texts)}" for panel, texts in panels.items()]
    return HEADER + "".join(parts).rstrip("\n") + "\n"


@app.command(rich_help_panel=LOOKS)
def reference(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")] = Path("docs"),
) -> None:
    """Write the reference of parameters and commands, and the JSON schema."""
    from sreclip.config.reference import write_reference

    written = write_reference(folder)
    write_text(folder / COMMANDS, commands_text())
    for path in (*written, folder / COMMANDS):
        print(path)
