"""How the target images spread over the classes: as methods believe, and as labels say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import counted
from sreclip.evaluate.stored import Evaluation, read_predictions, zero_shot_of
from sreclip.findings.estimate import class_sizes, likeliest
from sreclip.plan.plan import Plan
from sreclip.report import figures as draw
from sreclip.report.block import Block, View, optional
from sreclip.report.numbers import plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    Counts = NDArray[np.float64]

MOST_CLASSES = 60
ROW_PIXELS = 20
ID = "shares"


@dataclass(frozen=True)
class ClassCounts:
    """Images of each class, ``(n_classes,)``: by labels, and by each method in turn.

    ``given`` counts the class that each image is given, mean over seeds; ``expected`` adds up the
    probabilities of the first seed. ``true`` is None where no image has a label.
    """

    methods: Sequence[Evaluation]
    given: Sequence[Counts]
    expected: Sequence[Counts]
    true: Counts | None


def count_classes(plan: Plan, results: Sequence[Evaluation], best: Evaluation) -> ClassCounts:
    """Count the images of each class by the best method and by zero-shot."""
    n_classes = len(best.classes)
    zero_shot = zero_shot_of(results)
    methods = [best, *([zero_shot] if zero_shot and zero_shot is not best else [])]
    expected = []
    for result in methods:
        rows = read_predictions(plan.evaluation(result.method))
        expected.append(class_sizes(*likeliest(rows[rows["predicted"] >= 0]), n_classes).expected)
    true = best.confusion_table[:, :n_classes].sum(axis=1) / len(best.seeds)
    return ClassCounts(
        methods,
        [np.array(result.predicted["counts"], dtype=np.float64) for result in methods],
        expected,
        true if true.any() else None,
    )


def shares_block(
    plan: Plan, results: Sequence[Evaluation], best: Evaluation, colours: Mapping[str, str]
) -> Block:
    """Draw the shares of the best method and of zero-shot, beside the true ones where known."""
    counts = count_classes(plan, results, best)
    n_read = best.predicted["n_images"] - best.predicted["n_rejected"]
    if not n_read:
        return Block(ID, missing="No target image could be read.")
    own, other = best.title, counts.methods[-1].title
    two = len(counts.methods) > 1
    n_labelled = 0 if counts.true is None else round(float(counts.true.sum()))
    shown = choose_classes(counts)
    left_out = len(best.classes) - len(shown)
    if counts.true is not None:
        rule = f"whose share by {own} is furthest from the true one"
    elif two:
        rule = f"whose shares by {own} and {other} differ most"
    else:
        rule = "with the largest shares"
    return Block(
        ID,
        "Chart of the share of the target images that each class has, by "
        f"{own}{f' and {other}' if two else ''}{', and in truth' if n_labelled else ''}.",
        f"{_truth(best, n_labelled, n_read)} "
        "The share is that of the images that are given the class (mean over seeds), or "
        "the mean of its probabilities over all images (first seed), which does not depend on "
        "close decisions."
        + optional(
            best.n_none,
            f"{counted(best.n_none, 'image')} of none of the classes are among the markers' alone.",
        )
        + optional(
            left_out,
            f"Shown are the {len(shown)} of {len(best.classes)} classes {rule}; "
            f"{left_out} are left out.",
        ),
        [
            View(name, [("", shares_figure(counts, values, results, shown, colours))])
            for name, values in (
                ("images given the class", counts.given),
                ("mean probability", counts.expected),
            )
        ],
        choice="Share",
    )


def _truth(best: Evaluation, n_labelled: int, n_read: int) -> str:
    """Say what bars, markers and numbers are."""
    images = counted(n_read, "readable target image")
    if not n_labelled:
        return (
            f"Shares of {images}; no label says which are true. At the right is the number of "
            f"images by {best.title}."
        )
    bars = (
        f"Bars are the true shares of {counted(n_labelled, 'labelled image')}, markers those of "
        f"all {images}."
    )
    if best.n_unlabelled:
        return (
            f"{bars} Labelled images that were not chosen at random may spread otherwise than all. "
            f"At the right are numbers of images: labelled, and of all by {best.title}."
        )
    return (
        f"{bars} A marker to the right of its bar is a class that a method gives too often. At the "
        f"right are numbers of images: true, and by {best.title}."
    )


def choose_classes(counts: ClassCounts) -> list[int]:
    """Return at most `MOST_CLASSES` classes, those with the most images first.

    Of more those are left that differ most between the first method and the labels; without labels
    between the methods; of one method those with the most images.
    """
    own = _shares(counts.given[0])
    if counts.true is not None:
        first = _shares(counts.true)
        apart = np.abs(own - first)
    else:
        first = own
        apart = np.abs(own - _shares(counts.given[-1])) if len(counts.given) > 1 else own
    chosen = np.argsort(-apart, kind="stable")[:MOST_CLASSES].tolist()
    return sorted(chosen, key=lambda number: (-first[number], -own[number], number))


def _shares(counts: Counts) -> Counts:
    return counts / max(float(counts.sum()), 1.0)


def shares_figure(
    counts: ClassCounts,
    values: Sequence[Counts],
    results: Sequence[Evaluation],
    shown: Sequence[int],
    colours: Mapping[str, str],
) -> Figure:
    """Draw the shares of some classes: markers of methods over bars of the true ones."""
    best = counts.methods[0]
    numbers, places = np.array(shown), list(range(len(shown)))
    names = [draw.class_label(best.classes[n], bool(best.known[n]), colours) for n in shown]
    figure = draw.empty_figure(
        100 + ROW_PIXELS * len(shown), bargap=0.25, meta={"rows": list(shown)}
    )
    hover = (
        "%{customdata[0]}<br>%{customdata[1]} %{x:.1f} %, %{customdata[2]} images<extra></extra>"
    )

    def trace(of: Counts, at: NDArray[np.int64], who: str, **style: Any) -> dict[str, Any]:
        return {
            "x": draw.percent(_shares(of)[numbers[at]]),
            "y": at.tolist(),
            "customdata": [
                [draw.label(best.classes[n], 80), who, plain(of[n], 1).removesuffix(".0")]
                for n in numbers[at].tolist()
            ],
            "hovertemplate": hover,
            **style,
        }

    if counts.true is not None:
        for kind, is_known in (("known", True), ("unknown", False)):
            at = np.flatnonzero(best.known[numbers] == is_known)
            if len(at):
                marker = {"color": colours[kind], "pattern": draw.pattern_of(kind), "opacity": 0.55}
                name = f"true, {kind} class"
                style = {"type": "bar", "orientation": "h", "marker": marker, "name": name}
                figure.add_trace(trace(counts.true, at, "true", **style))
    for result, own in reversed(list(zip(counts.methods, values, strict=True))):
        colour, _, symbol = draw.method_style(result, results)
        edge = {"color": "white", "width": 1}
        marker = {"color": colour, "symbol": symbol, "size": 10, "line": edge}
        style = {"type": "scatter", "mode": "markers", "marker": marker}
        title = draw.label(result.title)
        figure.add_trace(trace(own, np.array(places), title, name=title, **style))
    # An axis without a trace is not drawn.
    figure.add_trace({"type": "scatter", "x": [None], "y": [0], "yaxis": "y2", "showlegend": False})
    both = {"tickvals": places, "range": [len(shown) - 0.4, -0.6], "zeroline": False}
    by_method = [plain(values[0][n], 0) for n in shown]
    if counts.true is None:
        right, title = by_method, f"images by {draw.label(best.title)}"
    else:
        # Numbers of labelled images and of all are no pair.
        sign = "|" if best.n_unlabelled else "→"
        true = (plain(counts.true[n], 0) for n in shown)
        right = [f"{a} {sign} {b}" for a, b in zip(true, by_method, strict=True)]
        title = (
            f"images: {'labelled' if best.n_unlabelled else 'true'} {sign} {draw.label(best.title)}"
        )
    figure.update_layout(
        xaxis={"title": "share of the target images, %", "rangemode": "tozero"},
        yaxis={
            "title": {"text": "class", "standoff": 16},
            "ticktext": names,
            "showgrid": True,
            **both,
        },
        yaxis2={
            "title": {"text": title, "standoff": 8},
            "ticktext": right,
            "overlaying": "y",
            "side": "right",
            "automargin": True,
            "showgrid": False,
            **both,
        },
    )
    return figure
