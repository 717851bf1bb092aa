"""Source and target features in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import SreclipError
from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.features.presence import absence
from sreclip.plan.plan import Plan
from sreclip.report.figures import METHOD_COLOURS, NEUTRAL, empty_figure, label

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Images of each domain, drawn by seed where there are more.
MOST_IMAGES = 1000
# Classes that have a colour, those with the most images shown.
MOST_CLASSES = len(METHOD_COLOURS)


@dataclass(frozen=True)
class FeatureMap:
    """Places in the plane, ``(n, 2)``, with domain and class; ``shares`` of the variance by axis.

    ``problem`` says why there is none.
    """

    places: NDArray[np.float64]
    is_target: NDArray[np.bool_]
    classes: NDArray[np.int64]
    shares: tuple[float, float]
    problem: str = ""


def read_map(plan: Plan, last: Evaluation) -> FeatureMap:
    """Project features of both domains onto their two principal axes.

    The class of a target image is its label, or what the last method predicts without one.
    """
    from sreclip.features.planned import open_domain, source_labels

    if problem := absence(plan):
        return _without(problem)
    rng = np.random.default_rng(plan.params.report.seed)
    try:
        source, target = (open_domain(plan, domain) for domain in ("source", "target"))
        own = source_labels(plan, source)
        found = read_predictions(plan.evaluation(last.method), ["row_id", "label", "predicted"])
        found = found.set_index("row_id").reindex(target.row_id)
        other = found["label"].where(found["label"] >= 0, found["predicted"]).to_numpy(np.int64)
        drawn = [_drawn(each.ok, rng) for each in (source, target)]
        features = np.concatenate(
            [
                np.asarray(each.features[rows], dtype=np.float64)
                for each, rows in zip((source, target), drawn, strict=True)
            ]
        )
    except SreclipError as error:
        return _without(error.message)
    places, shares = principal_axes(features)
    is_target = np.repeat([False, True], [len(rows) for rows in drawn])
    classes = np.concatenate([own[drawn[0]], other[drawn[1]]])
    return FeatureMap(places, is_target, classes, shares)


def _without(problem: str) -> FeatureMap:
    return FeatureMap(np.empty((0, 2)), np.empty(0, bool), np.empty(0, int), (0, 0), problem)


def _drawn(ok: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    rows = np.flatnonzero(ok)
    return np.sort(rng.choice(rows, min(MOST_IMAGES, len(rows)), replace=False))


def principal_axes(
    features: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the places on the two axes of the largest variance, and their shares of it.

    The sign of an axis is that which makes its largest place positive, so that it does not depend
    on the library.
    """
    centred = features - features.mean(axis=0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2))
    places[:, : min(2, len(lengths))] = (left * lengths)[:, :2]
    largest = np.abs(places).argmax(axis=0)
    places *= np.where(places[largest, [0, 1]] < 0, -1, 1)
    variance = np.append(lengths**2, [0.0, 0.0])
    total = max(float(variance.sum()), np.finfo(float).tiny)
    return places, (float(variance[0]) / total, float(variance[1]) / total)


def map_figures(
    found: FeatureMap, last: Evaluation, colours: Mapping[str, str]
) -> dict[str, Figure]:
    """Draw the map with the colours of domains, and with those of classes."""
    by_domain = [
        ("source", ~found.is_target, colours["known"], "circle"),
        ("target", found.is_target, colours["unknown"], "x"),
    ]
    counts = np.bincount(found.classes, minlength=len(last.classes))
    shown = [c for c in np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist() if counts[c]]
    rest = ~np.isin(found.classes, shown)
    by_class = [
        (label(last.classes[c]), at & (found.classes == c), colour, symbol)
        for c, colour in zip(shown, METHOD_COLOURS, strict=False)
        for at, symbol in ((~found.is_target, "circle"), (found.is_target, "x"))
    ]
    by_class[:0] = [
        ("other classes", ~found.is_target & rest, NEUTRAL, "circle-open"),
        ("other classes", found.is_target & rest, NEUTRAL, "x-open"),
    ]
    return {
        "domain": _figure(found, last, by_domain),
        "class": _figure(found, last, by_class),
    }


def _figure(
    found: FeatureMap, last: Evaluation, groups: list[tuple[str, NDArray[np.bool_], str, str]]
) -> Figure:
    import plotly.graph_objects as go

    figure = empty_figure(520)
    named = set()
    for name, at, colour, symbol in groups:
        if at.any():
            figure.add_trace(
                go.Scatter(
                    x=np.round(found.places[at, 0], 3).tolist(),
                    y=np.round(found.places[at, 1], 3).tolist(),
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in named,
                    marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.75},
                    customdata=[label(last.classes[c]) for c in found.classes[at]],
                    hovertemplate="%{customdata}<extra></extra>",
                )
            )
            named.add(name)
    for axis, rank, share in zip(("x", "y"), ("first", "second"), found.shares, strict=True):
        title = f"{rank} principal axis, {100 * share:.0f} % of the variance"
        figure.layout[f"{axis}axis"].update(title=title, showticklabels=False, zeroline=False)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
