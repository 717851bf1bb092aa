"""Several runs side by side: what is read of them, and how their numbers differ."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from sreclip.errors import ConfigError, StoreError, some
from sreclip.evaluate.metrics import MAIN_METRICS, METRICS
from sreclip.report.answer import DECISIVE
from sreclip.report.numbers import percent_and_half, signed

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.provenance.runs import Run

MOST_RUNS = 8
CLASS_TABLE = "tables/per_class.csv"
PREDICTIONS = "predictions.csv"
PREDICTION_COLUMNS = ("method", "path", "class", "probability", "label")


@dataclass(frozen=True)
class Side:
    """A run that is compared, called by a letter; tables are None where they are not at hand."""

    letter: str
    run: Run
    classes: pd.DataFrame | None  # method, class, known, accuracy
    predictions: pd.DataFrame | None  # `PREDICTION_COLUMNS`

    def title(self, method: str) -> str:
        """Return the display name of a method."""
        return self.run.titles.get(method, method)

    @property
    def best(self) -> tuple[str, str] | None:
        """The metric that decides and the best method; None where nothing was evaluated."""
        for metric in DECISIVE:
            means = {
                method: summaries[metric]["mean"]
                for method, summaries in self.run.numbers.items()
                if metric in summaries
            }
            if means:
                return metric, max(means, key=means.__getitem__)
        return None


@dataclass(frozen=True)
class NumberCell:
    """A number of one run with its half-width, and the difference to the first run; "" for none."""

    mean: str
    half: str = ""
    difference: str = ""


def read_sides(runs: Sequence[Run]) -> list[Side]:
    """Read the tables of runs.

    Raises `ConfigError` for fewer than two, more than `MOST_RUNS` or one run twice, and
    `StoreError` for what holds no results, or a table that cannot be read.
    """
    if len(runs) < 2:
        raise ConfigError(
            "one run alone is nothing to compare", "name two or more: sreclip report HEAD~1 ."
        )
    if len(runs) > MOST_RUNS:
        raise ConfigError(
            f"{len(runs)} runs are too many for one page", f"compare at most {MOST_RUNS} at a time"
        )
    sides: list[Side] = []
    for letter, run in zip(ascii_uppercase, runs, strict=False):
        if not run.numbers:
            raise StoreError(
                f"{run.name} holds parameters and no results to compare",
                "give a reports/ folder or a git revision; sreclip diff compares parameters",
            )
        for other in sides:
            if run.place == other.run.place:
                raise ConfigError(
                    f"{other.run.name} and {run.name} are one run, {run.place}",
                    "name another, such as a git revision in which reports/ were others",
                )
        classes = _table(run, CLASS_TABLE, ("method", "class", "known", "accuracy"))
        sides.append(Side(letter, run, classes, _table(run, PREDICTIONS, PREDICTION_COLUMNS)))
    return sides


def _table(run: Run, file: str, columns: Sequence[str]) -> pd.DataFrame | None:
    """Read some columns of a published table; None where it is not at hand or of another form."""
    import pandas as pd

    text = run.text_of(file)
    if not text:
        return None
    try:
        # A class may be called NA.
        texts = {name: str for name in ("method", "class", "path", "label") if name in columns}
        table = pd.read_csv(
            io.StringIO(text), usecols=list(columns), dtype=texts, keep_default_na=False
        )
        for name in {"accuracy", "probability"} & set(columns):
            table[name] = pd.to_numeric(table[name], errors="coerce")
    except (ValueError, pd.errors.ParserError) as error:
        raise StoreError(
            f"{run.name}: {file} cannot be read ({error})",
            "publish the run again: snakemake --cores all all",
        ) from error
    return table


def common_methods(sides: Sequence[Side]) -> list[str]:
    """Return the methods that all runs have, in the order of the last."""
    return [
        method
        for method in sides[-1].run.numbers
        if all(method in side.run.numbers for side in sides)
    ]


def shown_metrics(sides: Sequence[Side]) -> list[str]:
    """Return the metrics that some method of some run has, in the order of `METRICS`."""
    found = {
        metric for side in sides for numbers in side.run.numbers.values() for metric in numbers
    }
    return [metric for metric in METRICS if metric in found and metric in MAIN_METRICS]


def number_cells(
    sides: Sequence[Side], method: str, metrics: Sequence[str]
) -> list[list[NumberCell]]:
    """Return cells by run and metric; differences are those to the first run."""
    first = sides[0].run.numbers.get(method, {})
    rows = []
    for side in sides:
        row = []
        for metric in metrics:
            summary = side.run.numbers.get(method, {}).get(metric)
            if summary is None:
                row.append(NumberCell("\N{EN DASH}"))
                continue
            difference = ""
            if side is not sides[0] and metric in first:
                difference = signed(100 * (summary["mean"] - first[metric]["mean"]), 1)
            row.append(NumberCell(*percent_and_half(summary), difference))
        rows.append(row)
    return rows


def class_changes(a: Side, b: Side, method: str) -> pd.DataFrame | None:
    """Return ``name``, ``known``, ``images``, ``before``, ``after`` and ``gain`` of common classes.

    ``images`` are the labelled ones of the second run, not known without its predictions. Those
    that gain most come first; None where a table is not at hand or no class is in both.
    """
    if a.classes is None or b.classes is None:
        return None
    before, after = (
        side[side["method"] == method].drop_duplicates("class").set_index("class")
        for side in (a.classes, b.classes)
    )
    rows = after.join(before["accuracy"].rename("before"), how="inner").reset_index()
    rows = rows.rename(columns={"class": "name", "accuracy": "after"}).drop(columns="method")
    rows = rows.assign(known=rows["known"].astype(int) == 1, gain=rows["after"] - rows["before"])
    if b.predictions is not None:
        own = b.predictions[b.predictions["method"] == method]
        rows["images"] = rows["name"].map(own["label"].value_counts()).fillna(0).astype(int)
    rows = rows.dropna(subset=["gain"]).sort_values(["gain", "name"], ascending=[False, True])
    return rows.reset_index(drop=True) if len(rows) else None


def class_notes(sides: Sequence[Side]) -> list[str]:
    """Say which classes are in one run alone, or known in one and unknown in another."""
    tables = [(side, side.classes) for side in sides]
    kinds = [
        (side, dict(zip(table["class"], table["known"], strict=True)))
        for side, table in tables
        if table is not None
    ]
    notes = []
    for at, (side, own) in enumerate(kinds):
        others = [other for place, (_, other) in enumerate(kinds) if place != at]
        alone = [name for name in own if not all(name in other for other in others)]
        if alone:
            notes.append(
                f"{side.letter} has classes that not all runs have, which are left out below: "
                f"{some(alone)}"
            )
    first = kinds[0][1] if kinds else {}
    moved = [
        name
        for name, kind in first.items()
        if any(name in other and other[name] != kind for _, other in kinds[1:])
    ]
    if moved:
        notes.append(
            f"known in one run and unknown in another, so that these are other problems: "
            f"{some(moved)}"
        )
    return notes
