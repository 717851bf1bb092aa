"""Training curves: one small figure per loss term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sreclip.files import read_csv
from sreclip.report.figures import empty_figure

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

MOST_POINTS = 200
BAND_OPACITY = 0.2


def read_history(path: Path) -> dict[str, pd.DataFrame]:
    """Read the loss terms of all fits: for each method ``seed``, ``step``, ``term``, ``value``.

    Raises `StoreError` if the table is missing or damaged.
    """
    return read_csv(path, _by_method, what="loss terms", made_by="sreclip compare")


def _by_method(rows: Iterable[Mapping[str, str]]) -> dict[str, pd.DataFrame]:
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=["method", "seed", "step", "term", "value"])
    frame = frame.astype({"seed": int, "step": int, "value": float})
    return {str(method): part for method, part in frame.groupby("method", sort=False)}


def training_figures(history: pd.DataFrame, colour: str) -> dict[str, Figure]:
    """Draw each loss term: its mean over seeds and the range from the lowest to the highest."""
    return {
        str(term): _term_figure(*over_seeds(rows), colour)
        for term, rows in history.groupby("term", sort=False)
    }


def over_seeds(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return steps, mean, lowest and highest value over seeds, in at most `MOST_POINTS` blocks.

    Each seed's values are averaged in blocks of steps first, so that the range is that of the
    seeds, not of single batches.
    """
    steps, position = np.unique(rows["step"], return_inverse=True)
    size = -(-len(steps) // MOST_POINTS)
    block = position // size
    by_seed = rows.groupby([block, "seed"])["value"].mean().unstack()
    centre = np.array([steps[i : i + size].mean() for i in range(0, len(steps), size)])
    mean, low, high = (by_seed.agg(how, axis=1).to_numpy() for how in ("mean", "min", "max"))
    return centre, mean, low, high


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
