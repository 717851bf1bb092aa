"""Source and target features in a plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sreclip.data.label_file import NO_LABEL
from sreclip.errors import SreclipError
from sreclip.evaluate.stored import Evaluation, read_predictions
from sreclip.features.presence import absence
from sreclip.plan.plan import Plan
from sreclip.report.adapted import Images, adapted
from sreclip.report.figures import METHOD_COLOURS, NEUTRAL, empty_figure, label
from sreclip.report.projection import Projection, project

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Images of each domain, drawn by seed where there are more.
MOST_IMAGES = 1000
# Classes that have a colour, those with the most images shown.
MOST_CLASSES = len(METHOD_COLOURS)
RING = "chosen"


@dataclass(frozen=True)
class Maps:
    """Some images of both domains in the plane, source images first, with their classes.

    ``before`` has the places of their frozen features, ``after`` those of the features that the
    method ``title`` compares, where it moves images; ``moved`` says how it does. ``label`` and
    ``predicted`` are classes, negative where there is none. ``problem`` says why there is no map.
    """

    before: Projection | None
    is_target: NDArray[np.bool_]
    classes: NDArray[np.int64]
    row_id: NDArray[np.int64]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    after: Projection | None = None
    title: str = ""
    moved: str = ""
    problem: str = ""


def read_maps(plan: Plan, best: Evaluation) -> Maps:
    """Project features of both domains, frozen and as the best method compares them.

    The class of a target image is its label, or what that method predicts without one.
    """
    from sreclip.features.planned import open_domain, source_labels

    if problem := absence(plan):
        return _without(problem)
    how, seed = plan.params.report.map, plan.params.report.seed
    rng = np.random.default_rng(seed)
    try:
        source, target = (open_domain(plan, domain) for domain in ("source", "target"))
        own = source_labels(plan, source)
        found = read_predictions(plan.evaluation(best.method), ["row_id", "label", "predicted"])
        found = found.set_index("row_id").reindex(target.row_id)
        other = found["label"].where(found["label"] >= 0, found["predicted"]).to_numpy(np.int64)
        # No method sees source images of unknown classes.
        rows = [_drawn(source.ok & best.known[own], rng), _drawn(target.ok, rng)]
        frozen = Images(
            np.asarray(source.features[rows[0]], dtype=np.float64),
            np.asarray(target.features[rows[1]], dtype=np.float64),
            own[rows[0]],
        )
        changed = adapted(plan, best.method, best.seeds[0], frozen)
    except SreclipError as error:
        return _without(error.message)
    images, moved = changed or (None, "")
    labels, guesses = (found[name].to_numpy(np.int64)[rows[1]] for name in ("label", "predicted"))
    return Maps(
        _projected(frozen, how, seed),
        np.repeat([False, True], [len(at) for at in rows]),
        np.concatenate([own[rows[0]], other[rows[1]]]),
        np.concatenate([source.row_id[rows[0]], target.row_id[rows[1]]]),
        np.concatenate([own[rows[0]], labels]),
        np.concatenate([np.full(len(rows[0]), NO_LABEL), guesses]),
        _projected(images, how, seed) if images else None,
        best.title,
        moved,
    )


def _projected(images: Images, how: Literal["pca", "umap"], seed: int) -> Projection:
    return project(np.concatenate([images.source, images.target]), how, seed)


def _without(problem: str) -> Maps:
    none = np.empty(0, int)
    return Maps(None, none > 0, none, none, none, none, problem=problem)


def _drawn(ok: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    rows = np.flatnonzero(ok)
    return np.sort(rng.choice(rows, min(MOST_IMAGES, len(rows)), replace=False))


def map_figures(found: Maps, last: Evaluation, colours: Mapping[str, str]) -> dict[str, Figure]:
    """Draw each map with the colours of domains, and with those of classes."""
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
    names = [label(last.classes[c]) for c in found.classes]
    return {
        f"{when} adaptation, by {what}": _figure(projection, names, groups)
        for when, projection in (("before", found.before), ("after", found.after))
        if projection
        for what, groups in (("domain", by_domain), ("class", by_class))
    }


def _figure(
    projection: Projection,
    names: Sequence[str],
    groups: Sequence[tuple[str, NDArray[np.bool_], str, str]],
) -> Figure:
    import plotly.graph_objects as go

    figure = empty_figure(520, meta={"points": True})
    named = set()
    for name, at, colour, symbol in groups:
        if at.any():
            figure.add_trace(
                go.Scatter(
                    x=np.round(projection.places[at, 0], 3).tolist(),
                    y=np.round(projection.places[at, 1], 3).tolist(),
                    mode="markers",
                    name=name,
                    legendgroup=name,
                    showlegend=name not in named,
                    marker={"color": colour, "symbol": symbol, "size": 6, "opacity": 0.75},
                    customdata=[[names[row], row] for row in np.flatnonzero(at).tolist()],
                    hovertemplate="%{customdata[0]}<extra></extra>",
                )
            )
            named.add(name)
    # The page puts the ring around the point whose image it shows.
    ring = {"symbol": "circle-open", "size": 16, "color": "black", "line": {"width": 3}}
    figure.add_trace(
        {"type": "scatter", "mode": "markers", "x": [None], "y": [None], "name": RING}
        | {"marker": ring, "showlegend": False, "hoverinfo": "skip"}
    )
    for axis, title in zip(("x", "y"), projection.axes, strict=True):
        figure.layout[f"{axis}axis"].update(title=title, showticklabels=False, zeroline=False)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return figure
