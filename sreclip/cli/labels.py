"""Label target images by hand."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from sreclip.cli.app import DEFAULT_PARAMS, LOOKS, ParamsFile, app, log, plan_of, registered_method
from sreclip.findings import FIRST

LABELS = Path("labels/target.csv")


@app.command(rich_help_panel=LOOKS)
def label(
    params: ParamsFile = DEFAULT_PARAMS,
    method: Annotated[
        str | None, typer.Option(help="Judge this method's predictions; default: the run's last.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Images to show.")] = FIRST,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Where labels go; default: evaluate.labels, or {LABELS}."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Label some target images on a local page, which show how right the predictions are."""
    from sreclip.files import expanded
    from sreclip.labelling.server import LabelServer
    from sreclip.labelling.session import Session
    from sreclip.labelling.setting import name_labels

    plan = plan_of(params)
    named = plan.params.evaluate.labels
    file = out or (expanded(named) if named else LABELS)
    chosen = registered_method(method) if method else plan.params.methods.run[-1]
    with contextlib.closing(Session(plan, chosen, file, count)) as session:
        if not session.shown:
            log.info("every readable target image has a label")
            return
        with LabelServer(session, port) as server:
            log.info(
                "%d images to label at\n  %s\nLabels go to %s as you give them. Ctrl-C ends.",
                len(session.shown),
                server.url,
                file,
            )
            if browser:
                webbrowser.open(server.url)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
        new = "1 new label" if session.n_new == 1 else f"{session.n_new} new labels"
        log.info("\n%s in %s. %s", new, file, session.summary())
        if not session.n_new:
            return
    if (named and expanded(named) == file) or name_labels(params, file):
        log.info("The next run reads them: evaluate.labels in %s names the file.", params)
    else:
        log.info(
            "To have the next run read them, write into %s:\n  evaluate:\n    labels: %s",
            params,
            file,
        )
