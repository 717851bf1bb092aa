"""The results table, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.evaluate.literature import (
    LITERATURE,
    PublishedNumber,
    literature_notes,
    read_literature,
)
from sreclip.evaluate.significance import SIGNIFICANCE, read_significance
from sreclip.files import read_json
from sreclip.plan.plan import Plan
from sreclip.provenance.stamps import stamps, task_numbers
from sreclip.report.differences import marks, plain_level
from sreclip.report.inputs import load_results
from sreclip.report.numbers import format_with_interval, half_width, plain

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

MADE_BY = "snakemake --cores all all"
LOWER_IS_BETTER = ("ece",)
TITLES = {
    "known": "Known",
    "unknown": "Unknown",
    "h": "H",
    "all": "All",
    "known_micro": "Known",
    "unknown_micro": "Unknown",
    "h_micro": "H",
    "all_micro": "All",
    "zsl": "ZSL",
    "top5": "Top 5",
    "ausuc": "AUSUC",
    "h_oracle": "H max",
    "ece": "ECE",
    "macro_f1": "Macro-F1",
}
MEANINGS = {
    "known": "accuracy on pictures of known classes, mean over classes",
    "unknown": "accuracy on pictures of unknown classes, mean over classes",
    "h": "harmonic mean of known and unknown, class means",
    "all": "accuracy over all classes, mean over classes",
    "known_micro": "share of pictures of known classes that are right",
    "unknown_micro": "share of pictures of unknown classes that are right",
    "h_micro": "harmonic mean of the two shares",
    "all_micro": "share of all pictures that are right",
    "zsl": "unknown pictures with only the unknown classes to choose from, mean over classes",
    "top5": "the label is among the five largest logits, all classes, mean over classes",
    "ausuc": "area under the known/unknown curve",
    "h_oracle": "H at the best bias on unknown logits, chosen with target labels: an upper bound",
    "ece": "expected calibration error: mean gap of confidence and accuracy; lower is better",
    "macro_f1": "mean over classes of F1",
}
UNDEFINED = {"top5": "not defined: there are no more than five classes"}
TERMINAL_METRICS = ("known", "unknown", "h", "all", "zsl", "ausuc", "ece")
MINI_NOTE = (
    "mini is a small offline substitute for CLIP: these numbers say how methods compare here, "
    "not what CLIP reaches"
)
SELECTION = {
    "last": "last step of training; no target label is used in training or selection",
    "pseudo_unknown": "settings chosen by holding out known classes as pseudo-unknown; no target "
    "label is used in training or selection",
    "oracle": "settings chosen WITH target labels: an upper bound, not a result",
}
# Under the protocol `reference`, where the last step is not what counts.
REFERENCE_SELECTION = SELECTION | {
    "last": "nothing was chosen among settings; no target label is used in training",
    "pseudo_unknown": "settings chosen by holding out known classes as pseudo-unknown; no target "
    "label is used in training or in that choice",
}

Numbers = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Cell:
    """One number of the table, in percent."""

    text: str
    best: bool = False
    detail: str = ""

    @property
    def mean(self) -> str:
        """The part before the sign."""
        return self.text.partition("±")[0].strip()

    @property
    def interval(self) -> str:
        """The part from the sign on, or nothing."""
        _, sign, half = self.text.partition("±")
        return f"{sign}\u202f{half.strip()}" if sign else ""


def selection_note(rule: str, *, reference: bool = False) -> str:
    """Say how settings were chosen, and whether target labels had a part in it."""
    return (REFERENCE_SELECTION if reference else SELECTION).get(rule, rule)


def table_cells(
    methods: Sequence[Numbers], metrics: Sequence[str], sign: str = " ± "
) -> list[list[Cell]]:
    """Cells by method and metric; the best mean of a column is marked.

    Parameters
    ----------
    methods : sequence of Mapping
        For each method the summaries over seeds by metric, shares in [0, 1].
    metrics : sequence of str
        Columns.
    sign : str
        What stands between a mean and its half-width.
    """
    best = {name: _best(methods, name) for name in metrics}
    return [[_cell(numbers, name, best[name], sign) for name in metrics] for numbers in methods]


def _best(methods: Sequence[Numbers], metric: str) -> float | None:
    means = [numbers[metric]["mean"] for numbers in methods if metric in numbers]
    if len(means) < 2:
        return None
    return min(means) if metric in LOWER_IS_BETTER else max(means)


def _cell(numbers: Numbers, metric: str, best: float | None, sign: str) -> Cell:
    if metric not in numbers:
        why = UNDEFINED.get(metric, "not defined: no labelled target picture of this kind")
        return Cell("\u2013", detail=why)
    summary = numbers[metric]
    half = half_width(summary)
    text = format_with_interval(100 * summary["mean"], None if half is None else 100 * half, sign)
    detail = f"{int(summary['n'])} seed{'s' if summary['n'] > 1 else ''}"
    if half is not None:
        low, high, sd = (plain(100 * summary[key], 1) for key in ("low", "high", "sd"))
        detail = f"interval {low} to {high}, standard deviation {sd}, {detail}"
    return Cell(text, summary["mean"] == best, detail)


def table_notes(
    backbone: str,
    seeds: int,
    confidence: float | None,
    *,
    transductive: bool,
    best: bool,
    selection: str | None,
    arrows: bool = False,
    warning: str = "",
) -> list[str]:
    """Sentences below the table: a warning, units, interval, marks, selection.

    Parameters
    ----------
    backbone : str
    seeds : int
    confidence : float or None
        Level of the intervals; None where it is not known.
    transductive, best, arrows : bool
        Whether the table marks transductive methods, best means, and clear differences of H.
    selection : str or None
        The rule by which settings were chosen; None where it is not known.
    warning : str
        What the protocol of the evaluation is warned of by, if it is.
    """
    level = "" if confidence is None else f"{100 * confidence:g} % "
    if seeds > 1:
        spread = f"mean ± half-width of the {level}Student-t interval over {seeds} seeds"
    else:
        spread = "one seed, so there is no interval"
    notes = [f"WARNING: {warning}"] if warning else []
    notes.append(
        f"percent; {spread}; " + ("bold: best mean; " if best else "") + "ECE: lower is better"
    )
    if seeds > 1:
        notes.append("± 0: the same with every seed")
    if transductive:
        notes.append("T: transductive, the fit sees the unlabelled target pictures")
    if arrows and confidence is not None:
        notes.append(
            "↑ ↓: H above or below zero-shot beyond the luck of the pictures (paired bootstrap, "
            f"Holm-adjusted p < {plain_level(confidence)})"
        )
    if selection is not None:
        note = selection_note(selection, reference=bool(warning))
        notes.append(f"selection ({selection}): {note}")
    if backbone == "mini":
        notes.append(MINI_NOTE)
    return notes


def render_table(source: Plan | Path) -> Table:
    """The table that the terminal shows.

    Parameters
    ----------
    source : Plan or Path
        The plan of the results, or the published ``reports`` folder.

    Raises
    ------
    StoreError
        The results are not there.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    view = _view(source)
    numbers = [method["metrics"] for method in view["methods"]]
    transductive = any(method["transductive"] for method in view["methods"])
    seeds = max((int(cell["n"]) for method in numbers for cell in method.values()), default=1)
    arrows = view["arrows"]
    notes = table_notes(
        view["backbone"],
        seeds,
        view["confidence"],
        transductive=transductive,
        best=len(numbers) > 1,
        selection=view["selection"],
        arrows=bool(arrows),
        warning=view["warning"],
    )
    bound = ": upper bounds, not results" if view["selection"] == "oracle" else ""
    if view["warning"]:
        bound = ": the authors' way, not results"
    table = Table(
        title=f"Task {view['task']}, backbone {view['backbone']}{bound}",
        caption=Text("\n".join(notes)),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        # With the interval in each cell the seven columns just fit into 80 characters.
        padding=(0, 0),
    )
    table.add_column("Method", overflow="fold")
    for name in TERMINAL_METRICS:
        table.add_column(TITLES[name], justify="right", no_wrap=True)
    rows = table_cells(numbers, TERMINAL_METRICS, sign="±")
    for method, cells in zip(view["methods"], rows, strict=True):
        label = Text(method["title"]) + Text(" T" if method["transductive"] else "", style="dim")
        shown = [Text(cell.text, style="bold" if cell.best else "") for cell in cells]
        if any(arrows.values()):
            # A space where there is no arrow, so that digits stand below each other.
            shown[TERMINAL_METRICS.index("h")].append(arrows.get(method["name"]) or " ")
        table.add_row(label, *shown)
    return table


def render_literature(source: Plan | Path) -> RenderableType | None:
    """Published numbers beside those measured, where there are any for this problem.

    Parameters
    ----------
    source : Plan or Path
        As in `render_table`.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    numbers = _literature(source)
    if not numbers:
        return None
    view = _view(source)
    table = Table(
        title="Published numbers beside those measured here",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("Method")
    table.add_column("Share of pictures")
    table.add_column("Published", justify="right")
    table.add_column("Measured here", justify="right")
    for method in view["methods"]:
        shown = [number for number in numbers if number.method == method["name"]]
        for at, number in enumerate(shown):
            ((cell,),) = table_cells([method["metrics"]], [number.metric])
            title = "" if at else method["title"]
            table.add_row(title, TITLES[number.metric], number.percent, cell.text)
    notes = literature_notes(numbers, reference=bool(view["warning"]))
    return Group("", table, Text("\n".join(notes), style="italic dim"))


def _literature(source: Plan | Path) -> list[PublishedNumber]:
    """Published numbers; a report of an earlier version has none."""
    if isinstance(source, Plan):
        return read_literature(source.comparison[LITERATURE])
    path = source / "tables" / LITERATURE
    return read_literature(path) if path.exists() else []


def _view(source: Plan | Path) -> dict[str, Any]:
    return _from_plan(source) if isinstance(source, Plan) else _from_reports(source)


def _from_plan(plan: Plan) -> dict[str, Any]:
    results, confidence = load_results(plan), plan.params.evaluate.confidence
    return {
        "task": plan.params.task.name,
        "backbone": plan.params.backbone.label,
        "confidence": confidence,
        "selection": results[-1].selection,
        "arrows": marks(read_significance(plan.comparison[SIGNIFICANCE]), confidence),
        "warning": results[-1].warning,
        "methods": [
            {"name": r.name, "title": r.title, "transductive": r.transductive, "metrics": r.metrics}
            for r in results
        ],
    }


def _from_reports(folder: Path) -> dict[str, Any]:
    metrics = read_json(folder / "metrics.json", made_by=MADE_BY)
    found = stamps(folder)
    stamp = read_json(found[-1], made_by=MADE_BY) if found else {}
    about = {method["name"]: method for method in stamp.get("methods", [])}
    confidence, differences = stamp.get("confidence"), folder / "tables" / SIGNIFICANCE
    arrows = {}
    if confidence is not None and differences.exists():
        arrows = marks(read_significance(differences), confidence)
    task, backbone, methods = task_numbers(metrics, folder / "metrics.json")
    return {
        "task": task,
        "backbone": backbone,
        "confidence": confidence,
        # Before there was a choice, the last step was taken.
        "selection": stamp.get("selection", "last") if stamp else None,
        "arrows": arrows,
        "warning": metrics.get("protocol", {}).get("warning", ""),
        "methods": [
            {
                "name": name,
                "title": about.get(name, {}).get("title", name),
                "transductive": about.get(name, {}).get("transductive", False),
                "metrics": numbers,
            }
            for name, numbers in methods.items()
        ],
    }
