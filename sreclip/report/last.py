"""The table and the page of the last run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.config import load_params
from sreclip.errors import StoreError
from sreclip.plan.plan import Plan
from sreclip.plan.run import snapshots
from sreclip.provenance.stamps import PAGE, is_as_published, stamps
from sreclip.report.table import render_literature, render_table

if TYPE_CHECKING:
    from rich.console import Group, RenderableType


def last_results(plan: Plan | None = None, folder: Path = Path()) -> Group:
    """Lay out table and page of a plan, by default of the last run in a project.

    The last run is the one that Snakemake started last here; in a clone in which nothing was run,
    what ``reports/`` holds.

    Raises
    ------
    StoreError
        The run has no table, or nothing was run and ``reports/`` is empty.
    """
    from rich.console import Group
    from rich.text import Text

    source, page = _source(plan, folder)
    shown: list[RenderableType | None] = [render_table(source), render_literature(source)]
    if page is not None:
        shown.append(Text(f"Page: {page}"))
    return Group(*(part for part in shown if part is not None))


def _source(plan: Plan | None, folder: Path) -> tuple[Plan | Path, Path | None]:
    """Where the numbers are, and the page that belongs to them."""
    runs = snapshots(folder / "results")
    reports = folder / "reports"
    if plan is None and not runs:
        if not (reports / "metrics.json").exists():
            raise StoreError("nothing was run here yet", "run: snakemake --cores all all")
        page = reports / PAGE
        return reports, page if page.exists() and is_as_published(reports) else None
    if plan is None:
        plan = Plan(load_params(runs[0]), folder)
    if not plan.task.path.exists() or not plan.comparison["metrics.json"].exists():
        raise StoreError(
            f"the run of task {plan.params.task.name} with backbone {plan.params.backbone.label} "
            "has no table: its methods were not all evaluated",
            "evaluate them with: snakemake --cores all all",
        )
    if plan.publication.path in stamps(plan.reports) and is_as_published(plan.reports):
        return plan, plan.reports / PAGE
    return plan, plan.page[PAGE] if plan.page[PAGE].exists() else None
