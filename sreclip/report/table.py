"""The results table, for the page and for the terminal: its cells and what is said below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sreclip.evaluate.stored import Evaluation, Summary
from sreclip.report.differences import plain_level
from sreclip.report.numbers import half_width, percent_and_half, plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

LOWER_IS_BETTER = ("ece",)
# Title and meaning of each metric.
METRIC_TEXTS = {
    "known": ("Known", "accuracy on images of known classes, mean over classes"),
    "unknown": ("Unknown", "accuracy on images of unknown classes, mean over classes"),
    "h": ("H", "harmonic mean of known and unknown, class means"),
    "all": ("All", "accuracy over all classes, mean over classes"),
    "known_micro": ("Known", "fraction of images of known classes that are right"),
    "unknown_micro": ("Unknown", "fraction of images of unknown classes that are right"),
    "h_micro": ("H", "harmonic mean of the two fractions"),
    "all_micro": ("All", "fraction of all images that are right"),
    "zsl": ("ZSL", "unknown images, only unknown classes to choose from, mean over classes"),
    "top5": ("Top 5", "the label is among the five largest logits, mean over classes"),
    "ausuc": ("AUSUC", "area under the known/unknown curve"),
    "h_oracle": ("H max", "H at the bias that the target labels choose: an upper bound"),
    "ece": ("ECE", "calibration error: mean gap of confidence and accuracy; lower is better"),
    "macro_f1": ("Macro-F1", "mean over classes of F1"),
}
TITLES = {name: title for name, (title, _) in METRIC_TEXTS.items()}
MEANINGS = {name: meaning for name, (_, meaning) in METRIC_TEXTS.items()}
UNDEFINED = {"top5": "not defined: there are no more than five classes"}
MINI_NOTE = (
    "mini is a small offline substitute for CLIP: these numbers show how methods compare here, "
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
    "last": "no settings were chosen; no target label is used in training",
    "pseudo_unknown": "settings chosen by holding out known classes as pseudo-unknown; no target "
    "label is used in training or in that choice",
}


@dataclass(frozen=True)
class Cell:
    """One number of the table, in percent, and the half-width of its interval if it has one."""

    mean: str
    half: str = ""
    best: bool = False
    detail: str = ""

    def text(self, sign: str = " ± ") -> str:
        """Return mean and half-width with a sign between them."""
        return f"{self.mean}{sign}{self.half}" if self.half else self.mean


@dataclass(frozen=True)
class MethodRow:
    """One method of the table, where its `Evaluation` is not at hand."""

    method: str
    title: str
    transductive: bool
    metrics: Mapping[str, Summary]


@dataclass(frozen=True)
class ResultsTable:
    """What the results table shows of a run; what is not known is None."""

    methods: Sequence[MethodRow | Evaluation]
    confidence: float | None  # level of the intervals
    selection: str | None  # the rule by which settings were chosen
    warning: str = ""  # of the protocol ``reference``, if the numbers are its
    arrows: Mapping[str, str] = field(default_factory=dict)  # ``↑`` or ``↓`` beside H, by method
    few_labels: Sequence[str] = ()  # what is to be said of few labelled target images

    def notes(self) -> list[str]:
        """Return the sentences below the table: warning, units, interval, marks, selection."""
        numbers = [cell["n"] for row in self.methods for cell in row.metrics.values()]
        seeds = int(max(numbers, default=1))
        level = "" if self.confidence is None else f"{100 * self.confidence:g} % "
        if seeds > 1:
            spread = f"mean ± half-width of the {level}Student-t interval over {seeds} seeds"
        else:
            spread = "one seed, so there is no interval"
        best = "bold: best mean; " if len(self.methods) > 1 else ""
        notes = [f"percent; {spread}; {best}ECE: lower is better"]
        if seeds > 1:
            notes.append("± 0: the same with every seed")
        if any(row.transductive for row in self.methods):
            notes.append("T: transductive, the fit sees the unlabelled target images")
        if self.arrows and self.confidence is not None:
            notes.append(
                "↑ ↓: H above or below zero-shot by more than the luck of the images (permutation "
                f"test, Holm-adjusted p < {plain_level(self.confidence)})"
            )
        if self.selection is not None:
            note = selection_note(self.selection, self.warning)
            notes.append(f"selection ({self.selection}): {note}")
        return protocol_notes(self.warning) + [f"FEW LABELS: {x}" for x in self.few_labels] + notes


def protocol_notes(warning: str) -> list[str]:
    """Return the note that carries the warning of a protocol, if there is one."""
    return [f"WARNING: {warning}"] if warning else []


def selection_note(rule: str, warning: str) -> str:
    """Say how settings were chosen, and whether that used target labels."""
    return (REFERENCE_SELECTION if warning else SELECTION)[rule]


def table_cells(
    methods: Sequence[Mapping[str, Summary]], metrics: Sequence[str]
) -> list[list[Cell]]:
    """Return cells by method and metric; the best mean of a column is marked.

    ``methods`` has the summaries over seeds of each method by metric, fractions in [0, 1].
    """
    best = {name: _best(methods, name) for name in metrics}
    return [[_cell(numbers, name, best[name]) for name in metrics] for numbers in methods]


def _best(methods: Sequence[Mapping[str, Summary]], metric: str) -> float | None:
    means = [numbers[metric]["mean"] for numbers in methods if metric in numbers]
    if len(means) < 2:
        return None
    return min(means) if metric in LOWER_IS_BETTER else max(means)


def _cell(numbers: Mapping[str, Summary], metric: str, best: float | None) -> Cell:
    if metric not in numbers:
        why = UNDEFINED.get(metric, "not defined: no labelled target image of this kind")
        return Cell("\u2013", detail=why)
    summary = numbers[metric]
    detail = f"{int(summary['n'])} seed{'s' if summary['n'] > 1 else ''}"
    if half_width(summary) is not None:
        low, high, sd = (plain(100 * summary[key], 1) for key in ("low", "high", "sd"))
        detail = f"interval {low} to {high}, standard deviation {sd}, {detail}"
    return Cell(*percent_and_half(summary), summary["mean"] == best, detail)


def terminal_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Text | str]],
    notes: Sequence[str] = (),
    *,
    n_names: int = 1,
    padding: int = 0,
) -> Table:
    """Return a table for the terminal; all columns but the first ``n_names`` hold numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title,
        caption=Text("\n".join(notes)) if notes else None,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, padding),
    )
    for at, name in enumerate(columns):
        if at < n_names:
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
