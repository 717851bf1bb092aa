"""Figures of the page with their captions, or the sentence that stands in their place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sreclip.graph.relation_graph import RelationGraph
from sreclip.plan.plan import Plan
from sreclip.report import figures as draw
from sreclip.report.curves import training_figures
from sreclip.report.inputs import MethodResult, baseline_of
from sreclip.report.matrix import matrix_figure
from sreclip.report.tree import MOST_NODES, tree_figure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

NO_UNKNOWN = "No labelled target picture is of an unknown class"
NO_KNOWN = "No labelled target picture is of a known class"


@dataclass(frozen=True)
class View:
    """One choice of a figure: small figures with their titles, drawn side by side."""

    label: str
    panels: Sequence[tuple[str, Figure]]


@dataclass(frozen=True)
class Block:
    """A figure of the page, or the sentence that stands in its place.

    Attributes
    ----------
    id : str
        Of the HTML element; the same on each run.
    summary : str
        What a screen reader says.
    caption : str
        What to see, and how it was computed.
    views : sequence of View
        What the reader can choose from; the first is shown.
    missing : str
        Why there is no figure.
    """

    id: str
    summary: str = ""
    caption: str = ""
    views: Sequence[View] = ()
    missing: str = ""

    @property
    def labels(self) -> list[str]:
        """What the reader chooses from."""
        return [view.label for view in self.views]

    @property
    def json(self) -> str:
        """All views, fit to stand in a script element."""
        views = [
            [{"title": title, **_plain_figure(figure)} for title, figure in view.panels]
            for view in self.views
        ]
        return script_json(views)


def script_json(value: Any) -> str:
    """JSON in which no character can end or open an element."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _plain_figure(figure: Figure) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(figure.to_json())
    value["layout"].pop("template", None)
    return {"data": value["data"], "layout": value["layout"]}


def bars_block(results: Sequence[MethodResult], colours: Mapping[str, str], n_seeds: int) -> Block:
    spread = (
        f"The whiskers are the Student-t interval of the mean over {n_seeds} seeds; "
        "they have no length where every seed gives the same."
        if n_seeds > 1
        else "There is one seed, so there are no intervals."
    )
    absent = [
        f"{sentence}, so the bars of that kind and H are left out. "
        for metric, sentence in (("known", NO_KNOWN), ("unknown", NO_UNKNOWN))
        if metric not in results[0].metrics
    ]
    return Block(
        "bars",
        "Bar chart of the accuracy on known and unknown classes and their harmonic mean, "
        "for each method.",
        "A method is useful where it gains on known classes without losing the unknown ones: H, "
        "the harmonic mean, falls with the worse of the two. Accuracies are means over classes, "
        f"with all classes to choose from. {''.join(absent)}{spread}",
        [View("", [("", draw.bars_figure(results, colours))])],
    )


def curve_block(results: Sequence[MethodResult], n_seeds: int) -> Block:
    if not any(result.curve for result in results):
        why = NO_KNOWN if "known" not in results[0].metrics else NO_UNKNOWN
        return Block("curve", missing=f"{why}, so there is no trade-off to draw.")
    return Block(
        "curve",
        "Line chart of unknown against known accuracy, one curve a method.",
        "Each curve is traced by a bias added to the logits of unknown classes, from all pictures "
        "called unknown (left) to none (right); the full marker is the method as it is, without a "
        "bias. The hollow marker is the point of the curve with the highest harmonic mean: only the"
        " target labels tell which bias leads there, so it is an upper bound and no result. "
        "A curve further out is better at every setting. AUSUC is the area under the curve, 100 at "
        "most. "
        + (
            "Curves are means over seeds at equal known accuracy, so that a marker may lie beside "
            "its own."
            if n_seeds > 1
            else ""
        ),
        [View("", [("", draw.curve_figure(results))])],
    )


def gains_block(results: Sequence[MethodResult], colours: Mapping[str, str]) -> Block:
    baseline = baseline_of(results)
    others = [result for result in reversed(results) if result is not baseline]
    if baseline is None or not others:
        return Block(
            "gains",
            missing="Gains are shown over zero_shot, and "
            + (
                "zero_shot is not among the methods of this run."
                if baseline is None
                else "no other method is in this run."
            ),
        )
    drawn = {result.name: draw.gains_figure(result, baseline, colours) for result in others}
    left_out = max(n for _, n in drawn.values())
    return Block(
        "gains",
        "Bar chart of each class's gain in accuracy over zero-shot.",
        f"Accuracy of each class minus that of {baseline.title}, mean over seeds, sorted. Bars to "
        "the left are classes that the method made worse. Classes of a few pictures move in large "
        "steps: point at a bar to see how many there are."
        + (
            f" Only the {draw.MOST_BARS} classes at both ends are shown, "
            f"{left_out} in between are not."
            if left_out
            else ""
        ),
        [View(result.title, [("", drawn[result.name][0])]) for result in others],
    )


def confusion_block(
    results: Sequence[MethodResult], colours: Mapping[str, str], n_seeds: int
) -> Block:
    drawn = [(result, *matrix_figure(result, colours)) for result in reversed(results)]
    left_out = max(n for _, _, n in drawn)
    has_rejected = any(result.confusion[:, -1].any() for result in results)
    return Block(
        "confusion",
        "Heat map of true against predicted classes.",
        "Each row is a true class and adds up to 100 %: the stronger a cell off the diagonal, the "
        "more often that mistake is made. Unknown classes stand after the known ones and are marked"
        " with ○; the lines part the two. In the lower left quarter pictures of unknown classes "
        "are taken for known ones, in the upper right one it is the other way round."
        + (f" Counts are summed over {n_seeds} seeds." if n_seeds > 1 else "")
        + (
            " The last column is for pictures that could not be read; they count as wrong."
            if has_rejected
            else ""
        )
        + (f" The {left_out} classes with the fewest mistakes are left out." if left_out else ""),
        [View(result.title, [("", figure)]) for result, figure, _ in drawn],
    )


def graph_block(plan: Plan, last: MethodResult, colours: Mapping[str, str]) -> Block:
    graph = RelationGraph.load(plan.graph["graph.json"])
    if graph.n_nodes > MOST_NODES:
        return Block(
            "graph",
            missing=f"The graph has {graph.n_nodes} nodes, too many to draw here: "
            "see it with sreclip show-graph.",
        )
    return Block(
        "graph",
        "Tree of the classes below their WordNet hypernyms.",
        f"Classes and their WordNet hypernyms, the root at the left: {graph.n_nodes} nodes, "
        f"{len(graph.edges)} edges. Hypernyms with a single branch are not drawn. Open circles are "
        "unknown classes: those that share a near hypernym with known ones can learn from them.",
        [View("", [("", tree_figure(graph, last.known, colours))])],
    )


def training_block(results: Sequence[MethodResult], n_seeds: int) -> Block:
    trained = [result for result in reversed(results) if result.history]
    if not trained:
        return Block("training", missing="No method of this run is trained in steps.")
    silent = [result.title for result in results if not result.history]
    return Block(
        "training",
        "Line charts of the loss terms by training step.",
        "Loss terms by training step, before their weights"
        + (
            ", mean over seeds; the band runs from the lowest to the highest seed"
            if n_seeds > 1
            else ""
        )
        + ". Terms that are switched off are absent; a term that joins later starts later. Long "
        "runs are averaged in blocks of steps."
        + (f" Without steps: {', '.join(silent)}." if silent else ""),
        [
            View(
                result.title,
                [
                    (term.replace("_", " "), figure)
                    for term, figure in training_figures(
                        result.history, draw.method_style(result, results)[0]
                    ).items()
                ],
            )
            for result in trained
        ],
    )
