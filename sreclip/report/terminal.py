"""The results of a run in the terminal: the table, published numbers, the path of the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.config import load_params
from sreclip.errors import ConfigError, StoreError
from sreclip.evaluate.literature import LITERATURE, literature_notes, read_literature
from sreclip.evaluate.metrics import MAIN_METRICS
from sreclip.evaluate.significance import SIGNIFICANCE, read_significance
from sreclip.evaluate.stored import Evaluation, read_evaluations
from sreclip.files import read_json
from sreclip.plan.kept import kept
from sreclip.plan.plan import Plan
from sreclip.plan.results import PREDICTIONS, REJECTS
from sreclip.plan.run import snapshots
from sreclip.provenance.stamps import PAGE, is_as_published, stamps, task_numbers
from sreclip.report.differences import marks
from sreclip.report.evidence import evidence_notes
from sreclip.report.labels import judged_notes, warnings_of
from sreclip.report.predictions import background_line
from sreclip.report.rejects import rejects_line
from sreclip.report.table import (
    MINI_NOTE,
    TITLES,
    MethodRow,
    ResultsTable,
    table_cells,
    terminal_table,
)
from sreclip.report.unlabelled import unlabelled_table

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

MADE_BY = "snakemake --cores all all"


def last_results(plan: Plan | None = None, folder: Path = Path()) -> Group:
    """Lay out table, page and number of rejects of a plan, by default of a project's last run.

    The last run is the one that Snakemake started last here; in a clone where nothing was run,
    what ``reports/`` holds. Raises `StoreError` if the run has no table, or nothing was run and
    ``reports/`` is empty.
    """
    from rich.console import Group
    from rich.text import Text

    source, page = _source(plan, folder)
    lines = []
    if page is not None:
        predictions = page.with_name(PREDICTIONS[0])
        lines = [
            f"Page: {page}",
            f"Predictions: {predictions}" if predictions.exists() else "",
            background_line(page.with_name(PREDICTIONS[1])),
            rejects_line(_rejects_beside(page)),
        ]
    if isinstance(source, Plan):
        lines += [f"Model: {model.path}" for model in kept(source) if model.outputs[-1].exists()]
    tables = (render_table(source), render_literature(source))
    shown = [*tables, *(Text(line) for line in lines if line)]
    return Group(*(part for part in shown if part is not None))


def _source(plan: Plan | None, folder: Path) -> tuple[Plan | Path, Path | None]:
    """Return where the numbers are, and the page that belongs to them."""
    runs = snapshots(folder / "results")
    reports = folder / "reports"
    if plan is None and not runs:
        if not (reports / "metrics.json").exists():
            raise StoreError("nothing was run here yet", f"run: {MADE_BY}")
        page = reports / PAGE
        return reports, page if page.exists() and is_as_published(reports) else None
    if plan is None:
        try:
            plan = Plan(load_params(runs[0]), folder)
        except ConfigError as error:
            raise StoreError(
                f"the last run ({runs[0]}) was made by another version of sreclip",
                f"run again: {MADE_BY}",
            ) from error
    if not plan.task.path.exists() or not plan.comparison["metrics.json"].exists():
        raise StoreError(
            f"the run of task {plan.params.task.name} with backbone {plan.params.backbone.label} "
            "has no table: its methods were not all evaluated",
            f"evaluate them with: {MADE_BY}",
        )
    if plan.publication.path in stamps(plan.reports) and is_as_published(plan.reports):
        return plan, plan.reports / PAGE
    return plan, plan.page[PAGE] if plan.page[PAGE].exists() else None


def _rejects_beside(page: Path) -> Path:
    """Return the table of rejects that belongs to a page, published or not."""
    published = page.with_name("tables") / REJECTS
    return published if published.exists() else page.with_name(REJECTS)


def render_table(source: Plan | Path) -> Table:
    """Return the table of a plan, or of a ``reports`` folder; `StoreError` without results."""
    from rich.text import Text

    task, backbone, view = _view(source)
    title = f"Task {task}, backbone {backbone}"
    evaluations = [row for row in view.methods if isinstance(row, Evaluation)]
    if not any(row.metrics for row in view.methods):
        return unlabelled_table(title, evaluations, view.confidence or 0.95)
    notes = view.notes()
    if isinstance(source, Plan):
        level = source.params.evaluate.confidence
        notes = [*judged_notes(evaluations, level), *notes, *evidence_notes(source, evaluations)]
    notes += [MINI_NOTE] if backbone == "mini" else []
    bound = ": upper bounds, not results" if view.selection == "oracle" else ""
    if view.warning:
        bound = ": the authors' way, not results"
    rows = []
    for method, cells in zip(
        view.methods, table_cells([row.metrics for row in view.methods], MAIN_METRICS), strict=True
    ):
        label = Text(method.title) + Text(" T" if method.transductive else "", style="dim")
        shown = [Text(cell.text("±"), style="bold" if cell.best else "") for cell in cells]
        if any(view.arrows.values()):
            # A space in place of an arrow, so that digits are aligned.
            shown[MAIN_METRICS.index("h")].append(view.arrows.get(method.method) or " ")
        rows.append([label, *shown])
    columns = ["Method", *(TITLES[name] for name in MAIN_METRICS)]
    return terminal_table(f"{title}{bound}", columns, rows, notes)


def render_literature(source: Plan | Path) -> RenderableType | None:
    """Return published numbers beside those measured, if there are any for this problem."""
    from rich.console import Group
    from rich.text import Text

    if isinstance(source, Plan):
        path = source.comparison[LITERATURE]
    else:
        path = source / "tables" / LITERATURE
        if not path.exists():  # a report of an earlier version
            return None
    numbers = read_literature(path)
    _, _, view = _view(source)
    if not numbers or not any(row.metrics for row in view.methods):
        return None
    rows = []
    for method in view.methods:
        shown = [number for number in numbers if number.method == method.method]
        for at, number in enumerate(shown):
            ((cell,),) = table_cells([method.metrics], [number.metric])
            title = "" if at else method.title
            rows.append([title, TITLES[number.metric], number.percent, cell.text()])
    columns = ["Method", "Fraction of images", "Published", "Measured here"]
    title = "Published numbers beside those measured here"
    table = terminal_table(title, columns, rows, n_names=2, padding=1)
    notes = literature_notes(numbers, reference=bool(view.warning))
    return Group("", table, Text("\n".join(notes), style="italic dim"))


def _view(source: Plan | Path) -> tuple[str, str, ResultsTable]:
    """Return task, backbone and table."""
    if isinstance(source, Path):
        return _of_reports(source)
    evaluations, params = read_evaluations(source.comparison.inputs), source.params
    view = ResultsTable(
        evaluations,
        params.evaluate.confidence,
        evaluations[0].selection,
        evaluations[0].warning,
        marks(read_significance(source.comparison[SIGNIFICANCE]), params.evaluate.confidence),
        warnings_of(evaluations[0]),
    )
    return params.task.name, params.backbone.label, view


def _of_reports(folder: Path) -> tuple[str, str, ResultsTable]:
    metrics = read_json(folder / "metrics.json", made_by=MADE_BY)
    task, backbone, methods = task_numbers(metrics, folder / "metrics.json")
    found = stamps(folder)
    stamp: dict[str, Any] = read_json(found[-1], made_by=MADE_BY) if found else {}
    about = {method["name"]: method for method in stamp.get("methods", [])}
    confidence, differences = stamp.get("confidence"), folder / "tables" / SIGNIFICANCE
    arrows = {}
    if confidence is not None and differences.exists():
        arrows = marks(read_significance(differences), confidence)
    rows = []
    for name, numbers in methods.items():
        known = {"title": name, "transductive": False} | about.get(name, {})
        rows.append(MethodRow(name, known["title"], known["transductive"], numbers))
    view = ResultsTable(
        rows,
        confidence,
        # Earlier versions had no choice but the last step.
        stamp.get("selection", "last") if stamp else None,
        metrics.get("protocol", {}).get("warning", ""),
        arrows,
        stamp.get("few_labels", ()),
    )
    return task, backbone, view
