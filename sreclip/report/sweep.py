"""Tables of a sweep for the terminal: methods over splits, and the ablation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sreclip.errors import ConfigError
from sreclip.evaluate.reference import protocol_warning
from sreclip.evaluate.statistics import summarise
from sreclip.evaluate.stored import ZERO_SHOT
from sreclip.evaluate.sweep import read_sweep
from sreclip.plan.labels import REFERENCE
from sreclip.plan.plan import Plan
from sreclip.plan.sweep import AS_CONFIGURED, NOTHING_OFF
from sreclip.report.numbers import percent_text
from sreclip.report.table import MINI_NOTE, TITLES, protocol_notes, selection_note, terminal_table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

SHOWN = ("known", "unknown", "h", "all", "zsl", "ausuc")
SHOWN_TITLES = [TITLES[metric] for metric in SHOWN]
COUNTED = ("known", "unknown", "h")


def sweep_view(plan: Plan) -> Table:
    """Return methods and variants over all splits of the sweep.

    Raises `StoreError` if the sweep was not run, `ConfigError` if it has only ablations.
    """
    frame = read_sweep(plan)
    frame = frame[frame["ablated"] == ""]
    if frame.empty:
        raise ConfigError(
            "the sweep has only ablations", "see them with: sreclip ablate; or set sweep.methods"
        )
    columns, notes = ["Method", *SHOWN_TITLES], _notes(plan, frame)
    zero_shot = _by_split(frame[frame["method"] == ZERO_SHOT])
    if len(zero_shot) > 1:
        columns.append("≥ zero-shot")
        notes.append(
            f"≥ zero-shot: in how many of {len(zero_shot)} splits known, unknown and H are at "
            "least as high"
        )
    shown = []
    for (title, variant), rows in frame.groupby(["title", "variant"], sort=False):
        label = str(title) if variant == AS_CONFIGURED else f"{title}, {variant}"
        shown.append([label, *_cells(plan, rows)])
        if len(zero_shot) > 1:
            shown[-1].append(_wins(_by_split(rows), zero_shot))
    return terminal_table(_title(plan), columns, shown, notes)


def ablation_view(plan: Plan, method: str) -> Table:
    """Return the parts of a method switched off, in turn and together, with the change in H.

    Raises `StoreError` if the sweep was not run, `ConfigError` if the method is not ablated in it.
    """
    if method not in plan.params.sweep.ablate:
        raise ConfigError(
            f"the sweep has no ablation of {method}",
            f"set sweep.ablate to [{method}] and run: snakemake --cores all sweep",
        )
    frame = read_sweep(plan)
    frame = frame[(frame["method"] == method) & (frame["ablated"] != "")]
    goal = "h" if (frame["metric"] == "h").any() else "all"
    change = f"Change of {TITLES[goal]}"
    notes = [
        *_notes(plan, frame),
        f"change of {TITLES[goal]}: paired over splits and seeds, with the same kind of interval",
    ]
    full = _paired(frame[frame["ablated"] == NOTHING_OFF], goal)
    shown = []
    for part, rows in frame.groupby("ablated", sort=False):
        gain = (_paired(rows, goal) - full).to_numpy()
        cells = [str(part), *_cells(plan, rows)]
        shown.append([*cells, "" if part == NOTHING_OFF else _number(plan, gain, sign=True)])
    columns = [f"{frame['title'].iloc[0]} without", *SHOWN_TITLES, change]
    return terminal_table(_title(plan), columns, shown, notes)


def _title(plan: Plan) -> str:
    return f"Task {plan.params.task.name}, backbone {plan.params.backbone.label}"


def _notes(plan: Plan, frame: pd.DataFrame) -> list[str]:
    splits, seeds = frame["unknown"].nunique(), frame["seed"].nunique()
    level = f"{100 * plan.params.evaluate.confidence:g} %"
    over = f"{splits} splits, each the mean of {seeds} seeds" if splits > 1 else f"{seeds} seeds"
    reference = plan.params.evaluate.protocol == REFERENCE
    warning = protocol_warning(plan.params.train.checkpoints) if reference else ""
    return [
        *protocol_notes(warning),
        f"percent, class means; mean ± half-width of the {level} Student-t interval over {over}",
        f"selection: {selection_note(plan.params.train.selection.rule, warning)}",
        *([MINI_NOTE] if plan.params.backbone.name == "mini" else []),
    ]


def _by_split(rows: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds, splits by metrics."""
    return rows.pivot_table("value", "unknown", "metric", aggfunc="mean", sort=False)


def _paired(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Return one metric by split and seed, or its means over seeds if there are several splits."""
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
    text = percent_text(summary, "±")
    return f"+{text}" if sign and summary["mean"] > 0 else text


def _wins(values: pd.DataFrame, zero_shot: pd.DataFrame) -> str:
    counted = [metric for metric in COUNTED if metric in zero_shot]
    return " ".join(str((values[name] >= zero_shot[name] - 1e-9).sum()) for name in counted)
