"""Tables of a sweep for the terminal: methods over splits, and the ablation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sreclip.errors import ConfigError
from sreclip.evaluate.reference import REFERENCE, protocol_warning
from sreclip.evaluate.statistics import summarise
from sreclip.evaluate.sweep import read_sweep
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import AS_CONFIGURED, NOTHING_OFF
from sreclip.report.numbers import format_with_interval, half_width
from sreclip.report.table import MINI_NOTE, TITLES, selection_note

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SHOWN = ("known", "unknown", "h", "all", "zsl", "ausuc")
COUNTED = ("known", "unknown", "h")
BASELINE = "zero_shot"


def sweep_view(plan: Plan) -> Table:
    """Methods and variants over all splits of the sweep.

    Raises
    ------
    StoreError
        The sweep was not run.
    ConfigError
        It holds ablations only.
    """
    frame = read_sweep(plan)
    frame = frame[frame["ablated"] == ""]
    if frame.empty:
        raise ConfigError(
            "the sweep holds ablations only", "see them with: sreclip ablate; or name sweep.methods"
        )
    table, notes = _table(plan, frame, "Method")
    groups = frame.groupby(["title", "variant"], sort=False)
    frozen = _by_split(frame[frame["method"] == BASELINE])
    if len(frozen) > 1:
        table.add_column("≥ zero-shot", justify="right")
        notes.append(
            f"≥ zero-shot: in how many of {len(frozen)} splits known, unknown and H are not below "
            "it"
        )
    for (title, variant), rows in groups:
        label = str(title) if variant == AS_CONFIGURED else f"{title}, {variant}"
        cells = _cells(plan, rows)
        if len(frozen) > 1:
            cells.append(_wins(_by_split(rows), frozen))
        table.add_row(label, *cells)
    return _captioned(table, notes)


def ablation_view(plan: Plan, method: str) -> Table:
    """Parts of a method switched off, in turn and together, with the change in H.

    Raises
    ------
    StoreError
        The sweep was not run.
    ConfigError
        It holds no ablation of the method.
    """
    if method not in plan.params.sweep.ablate:
        raise ConfigError(
            f"the sweep holds no ablation of {method}",
            f"set sweep.ablate to [{method}] and run: snakemake --cores all sweep",
        )
    frame = read_sweep(plan)
    frame = frame[(frame["method"] == method) & (frame["ablated"] != "")]
    table, notes = _table(plan, frame, f"{frame['title'].iloc[0]} without")
    goal = "h" if (frame["metric"] == "h").any() else "all"
    table.add_column(f"Change of {TITLES[goal]}", justify="right")
    notes.append(
        f"change of {TITLES[goal]}: paired over splits and seeds, with the same kind of interval"
    )
    full = _paired(frame[frame["ablated"] == NOTHING_OFF], goal)
    for part, rows in frame.groupby("ablated", sort=False):
        values = _paired(rows, goal)
        change = "" if part == NOTHING_OFF else _number(plan, (values - full).to_numpy(), sign=True)
        table.add_row(str(part), *_cells(plan, rows), change)
    return _captioned(table, notes)


def _table(plan: Plan, frame: pd.DataFrame, first: str) -> tuple[Table, list[str]]:
    from rich import box
    from rich.table import Table

    splits, seeds = frame["unknown"].nunique(), frame["seed"].nunique()
    level = f"{100 * plan.params.evaluate.confidence:g} %"
    over = f"{splits} splits, each the mean of {seeds} seeds" if splits > 1 else f"{seeds} seeds"
    reference = plan.params.evaluate.protocol == REFERENCE
    notes = [
        f"percent, class means; mean ± half-width of the {level} Student-t interval over {over}",
        f"selection: {selection_note(plan.params.train.selection.rule, reference=reference)}",
    ]
    if reference:
        notes.insert(0, f"WARNING: {protocol_warning(plan.params.train.checkpoints)}")
    if plan.params.backbone.name == "mini":
        notes.append(MINI_NOTE)
    table = Table(
        title=f"Task {plan.params.task.name}, backbone {plan.params.backbone.label}",
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0),
    )
    table.add_column(first, overflow="fold")
    for metric in SHOWN:
        table.add_column(TITLES[metric], justify="right", no_wrap=True)
    return table, notes


def _captioned(table: Table, notes: Sequence[str]) -> Table:
    from rich.text import Text

    table.caption = Text("\n".join(notes))
    return table


def _by_split(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, splits by metrics."""
    return rows.pivot_table("value", "unknown", "metric", aggfunc="mean", sort=False)


def _paired(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Values of one metric by split and seed; means over seeds where there are several splits."""
    values = rows[rows["metric"] == metric].set_index(["unknown", "seed"])["value"]
    if rows["unknown"].nunique() > 1:
        return values.groupby("unknown", sort=False).mean()
    return values


def _cells(plan: Plan, rows: pd.DataFrame) -> list[str]:
    return [
        _number(plan, values.to_numpy()) if len(values := _paired(rows, metric)) else "\u2013"
        for metric in SHOWN
    ]


def _number(plan: Plan, values: np.ndarray, *, sign: bool = False) -> str:
    summary = summarise(values.tolist(), plan.params.evaluate.confidence)
    half = half_width(summary)
    text = format_with_interval(100 * summary["mean"], None if half is None else 100 * half, "±")
    return f"+{text}" if sign and summary["mean"] > 0 else text


def _wins(values: pd.DataFrame, frozen: pd.DataFrame) -> str:
    counts = [
        str(int((values[metric] >= frozen[metric] - 1e-9).sum()))
        for metric in COUNTED
        if metric in frozen and metric in values
    ]
    return " ".join(counts)
