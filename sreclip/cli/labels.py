"""Label target images by hand."""

from __future__ import annotations

import contextlib
import webbrowser
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sreclip.cli.app import DEFAULT_PARAMS, LOOKS, ParamsFile, app, log, plan_of, registered_method
from sreclip.errors import ConfigError, StoreError, counted

if TYPE_CHECKING:
    from sreclip.plan.plan import Plan

LABELS = Path("labels/target.csv")


@app.command(rich_help_panel=LOOKS)
def label(
    params: ParamsFile = DEFAULT_PARAMS,
    method: Annotated[
        str | None, typer.Option(help="Judge this method's predictions; default: the run's last.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Images to show; default: as many as the page names.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"Where labels go; default: evaluate.labels, or {LABELS}."),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Label some target images on a local page, which show how right the predictions are."""
    from sreclip.files import expanded
    from sreclip.findings import FIRST
    from sreclip.labelling.server import LabelServer
    from sreclip.labelling.session import Session
    from sreclip.labelling.setting import name_labels

    plan = plan_of(params)
    named = plan.params.evaluate.labels
    if named and out and expanded(named).resolve() != out.resolve():
        raise ConfigError(
            f"evaluate.labels names {named}, whose labels would no longer be read",
            "leave --out out, or change evaluate.labels first",
        )
    file = out or (expanded(named) if named else LABELS)
    chosen = registered_method(method) if method else plan.params.methods.run[-1]
    if chosen not in plan.params.methods.run:
        raise ConfigError(
            f"{chosen} is not in methods.run", "add it and run, or leave --method out"
        )
    if not _is_fitted(plan, chosen):
        raise StoreError(
            f"{chosen} was not run with these parameters yet", "run: snakemake --cores all all"
        )

    @cache
    def name_file() -> bool:
        """Let the parameters name the file as soon as it holds a label."""
        return bool(named) or name_labels(params, file)

    with contextlib.closing(Session(plan, chosen, file, count or FIRST)) as session:
        if not session.shown:
            log.info("every readable target image has a label")
            return
        with LabelServer(session, port, labelled=name_file) as server:
            log.info(
                "%s to label at\n  %s\nLabels go to %s as you give them. Ctrl-C ends.",
                counted(len(session.shown), "image"),
                server.url,
                file,
            )
            if browser:
                webbrowser.open(server.url)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
        new = counted(session.n_new, "new label")
        log.info("\n%s in %s. %s", new, file, session.summary())
    if not file.exists():
        return
    if name_file():
        log.info("The next run reads them: evaluate.labels in %s names the file.", params)
    else:
        log.info("To have the next run read them, set evaluate.labels: %s in %s", file, params)


def _is_fitted(plan: Plan, method: str) -> bool:
    if not plan.task["summary.json"].exists():
        return False
    return plan.candidates(method)[0].fit(method)["fit.json"].exists()
