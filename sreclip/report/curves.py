"""Training curves: one small figure per loss term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.files import read_csv
from sreclip.report.figures import empty_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

MOST_POINTS = 200
BAND_OPACITY = 0.2

# Seed, step and one value per term; a term may be absent in some steps.
History = Sequence[Mapping[str, float]]


def read_history(path: Path) -> dict[str, list[dict[str, float]]]:
    """Read the loss terms of all fits: for each method, records of seed, step and terms.

    Raises
    ------
    StoreError
        The table is missing or damaged.
    """
    return read_csv(path, _records, what="loss terms", made_by="sreclip compare")


def _records(rows: Iterable[Mapping[str, str]]) -> dict[str, list[dict[str, float]]]:
    records: dict[str, dict[tuple[str, str], dict[str, float]]] = {}
    for row in rows:
        seed, step = row["seed"], row["step"]
        record = records.setdefault(row["method"], {}).setdefault((seed, step), {})
        record.update(seed=float(seed), step=float(step))
        record[row["term"]] = float(row["value"])
    return {method: list(steps.values()) for method, steps in records.items()}


def training_figures(history: History, colour: str) -> dict[str, Figure]:
    """Draw each loss term: its mean over seeds and the range from the lowest to the highest."""
    terms = list(dict.fromkeys(key for record in history for key in record))
    return {
        term: _term_figure(*over_seeds(history, term), colour)
        for term in terms
        if term not in ("seed", "step")
    }


def over_seeds(
    history: History, term: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, mean, lowest and highest value over seeds, in at most `MOST_POINTS` blocks.

    Each seed's values are averaged in blocks of steps first, so that the range is that of the
    seeds, not of single batches.
    """
    records = [
        (record["step"], record["seed"], record[term]) for record in history if term in record
    ]
    step, seed, value = (np.array(column) for column in zip(*records, strict=True))
    steps, position = np.unique(step, return_inverse=True)
    size = -(-len(steps) // MOST_POINTS)
    block = position // size
    seeds, seed_number = np.unique(seed, return_inverse=True)
    n_blocks = int(block.max()) + 1
    flat = seed_number * n_blocks + block
    counts = np.bincount(flat, minlength=len(seeds) * n_blocks)
    sums = np.bincount(flat, weights=value, minlength=len(seeds) * n_blocks)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    by_seed = means.reshape(len(seeds), n_blocks)
    centre = np.array([steps[i * size : (i + 1) * size].mean() for i in range(n_blocks)])
    return centre, np.nanmean(by_seed, 0), np.nanmin(by_seed, 0), np.nanmax(by_seed, 0)


def _term_figure(
    step: np.ndarray, mean: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str
) -> Figure:
    import plotly.graph_objects as go

    figure = empty_figure(200, showlegend=False)
    x, middle = np.round(step, 1).tolist(), _short(mean)
    if not np.array_equal(low, high):
        figure.add_trace(
            go.Scatter(
                x=[*x, *x[::-1]],
                y=[*_short(high), *_short(low)[::-1]],
                fill="toself",
                fillcolor=colour,
                opacity=BAND_OPACITY,
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
            )
        )
    figure.add_trace(
        go.Scatter(
            x=x,
            y=middle,
            mode="lines" if len(x) > 1 else "markers",
            line={"color": colour, "width": 2},
            hovertemplate="step %{x:.0f}: %{y:.4g}<extra></extra>",
        )
    )
    figure.update_xaxes(title="step", title_standoff=2, nticks=6, rangemode="tozero")
    figure.update_yaxes(nticks=5)
    return figure


def _short(values: np.ndarray) -> list[float]:
    """Keep five significant digits, so that the page stays small."""
    return [float(f"{value:.5g}") for value in values]
