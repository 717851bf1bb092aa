"""How often predictions of each confidence are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.plan.plan import Plan
from sreclip.report.figures import empty_figure, label, method_style, percent

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

# Confidence, accuracy and number of images of the bins that have any.
Bins = tuple[np.ndarray, np.ndarray, np.ndarray]


def read_bins(plan: Plan, results: Sequence[Evaluation]) -> dict[str, Bins]:
    """Return the bins of each method's first seed, on labelled images that could be read."""
    n_bins = plan.params.evaluate.ece_bins
    columns = ["label", "predicted", "confidence"]
    return {
        result.method: bins_of(read_predictions(plan.evaluation(result.method), columns), n_bins)
        for result in results
    }


def bins_of(rows: pd.DataFrame, n_bins: int) -> Bins:
    """Cut confidences into equal-width bins, as the ECE does."""
    rows = rows[(rows["label"] >= 0) & (rows["predicted"] >= 0)]
    confidence = rows["confidence"].to_numpy(np.float64)
    right = (rows["label"] == rows["predicted"]).to_numpy()
    number = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    counts = np.bincount(number, minlength=n_bins)
    have = counts > 0
    means = [
        np.bincount(number, weights=values, minlength=n_bins)[have] / counts[have]
        for values in (confidence, right)
    ]
    return means[0], means[1], counts[have]


def reliability_figure(results: Sequence[Evaluation], bins: Mapping[str, Bins]) -> Figure:
    """Draw accuracy against confidence, a line per method; markers grow with the images."""
    import plotly.graph_objects as go

    figure = empty_figure(420)
    figure.add_trace(
        go.Scatter(
            x=[0, 100],
            y=[0, 100],
            mode="lines",
            line={"color": "gray", "width": 1, "dash": "dot"},
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for result in results:
        confidence, accuracy, counts = bins[result.method]
        colour, dash, symbol = method_style(result, results)
        size = 5 + 15 * np.sqrt(counts / max(counts.max(initial=1), 1))
        figure.add_trace(
            go.Scatter(
                x=percent(confidence, 1),
                y=percent(accuracy, 1),
                mode="lines+markers",
                name=label(result.title),
                line={"color": colour, "width": 2, "dash": dash},
                marker={"color": colour, "symbol": symbol, "size": np.round(size, 1).tolist()},
                customdata=counts.tolist(),
                hovertemplate="confidence %{x:.1f} %, right %{y:.1f} % of %{customdata} images"
                "<extra>%{fullData.name}</extra>",
            )
        )
    figure.update_xaxes(title="mean confidence, %", range=[0, 101])
    figure.update_yaxes(title="right, %", range=[-2, 102])
    figure.update_layout(legend={"orientation": "h", "y": -0.25})
    return figure
