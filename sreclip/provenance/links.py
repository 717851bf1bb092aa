"""The links between results: for each path of a plan, its key and what it is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from sreclip.data.manifest import DOMAINS
from sreclip.evaluate.reference import REFERENCE
from sreclip.methods import METHODS
from sreclip.plan.plan import TEXT_KINDS, Plan

if TYPE_CHECKING:
    from sreclip.plan.sweep import Sweep


@dataclass(frozen=True)
class Link:
    """One result and what it was made from.

    Attributes
    ----------
    stage : str
        What kind of result it is.
    path : str
        File or folder, relative to the project.
    key : str
        Its content key.
    inputs : tuple of str
        Paths of the results that it was made from; empty for a task, which is made from pictures.
    about : dict
        What else decided it, for a reader.
    """

    stage: str
    path: str
    key: str
    inputs: tuple[str, ...]
    about: dict[str, Any]

    @property
    def label(self) -> str:
        """Stage, method and key, for a reader."""
        return " ".join(filter(None, (self.stage, self.about.get("method"), self.key)))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Link:
        """Read a link from a mapping that has its fields, and perhaps others.

        Raises
        ------
        KeyError, TypeError
            It is something else.
        """
        return cls(
            stage=value["stage"],
            path=value["path"],
            key=value["key"],
            inputs=tuple(value["inputs"]),
            about=dict(value["about"]),
        )


def links(plan: Plan) -> dict[str, Link]:
    """Links of all results of a plan, the pictures first.

    Raises
    ------
    StoreError
        The task is not prepared.
    """
    return {link.path: link for link in _links(plan)}


def sweep_links(plan: Plan) -> dict[str, Link]:
    """Links of a sweep's table and of all that it was made from."""
    from sreclip.plan.sweep import Sweep

    sweep = Sweep(plan)
    found = {
        link.path: link
        for item in sweep.combinations
        for link in [*_before_fits(item.plan), *_fitted(item.plan, [item.method])]
    }
    table = _sweep_table(sweep)
    return {**found, table.path: table}


def link_of(plan: Plan, path: Path) -> Link:
    """Link of one result, or of a file in one: of the plan, of any method's, or of its sweep."""
    places = _at_or_above(place(plan, path))
    return next(link for link in _all_links(plan) if link.path in places)


def _all_links(plan: Plan) -> Iterator[Link]:
    """Links, the cheap ones first: a task has one before the split fits it."""
    yield from _links(plan)
    yield from _fitted(plan, [name for name in METHODS if name not in plan.params.methods.run])
    yield from sweep_links(plan).values()


def holding(known: Mapping[str, Link], name: str) -> Link | None:
    """Link of the result that a place is, or lies in."""
    return next((known[at] for at in _at_or_above(name) if at in known), None)


def _at_or_above(name: str) -> list[str]:
    return [name, *(parent.as_posix() for parent in PurePosixPath(name).parents)]


def place(plan: Plan, path: Path) -> str:
    """Name of a path that does not depend on where the plan's folders are."""
    for name, folder in (("results", plan.results), ("reports", plan.reports)):
        if path.is_relative_to(folder):
            return (PurePosixPath(name) / path.relative_to(folder)).as_posix()
    return path.as_posix()


def _links(plan: Plan) -> Iterator[Link]:
    yield from _before_fits(plan)
    yield from _fitted(plan, plan.params.methods.run)
    evaluations = tuple(place(plan, plan.evaluation_dir(name)) for name in plan.params.methods.run)
    comparison, page = place(plan, plan.comparison_dir), place(plan, plan.page.parent)
    evaluate = plan.params.evaluate
    yield Link(
        "comparison",
        comparison,
        plan.comparison_key,
        evaluations,
        {"methods": plan.params.methods.run, "bootstrap": evaluate.bootstrap},
    )
    yield Link("page", page, plan.report_key, (comparison,), {"title": plan.params.report.title})


def _before_fits(plan: Plan) -> Iterator[Link]:
    task, backbone = place(plan, plan.task_dir), plan.params.backbone
    summary = plan.summary
    yield Link(
        "task",
        task,
        plan.task_dir.name.rpartition("-")[2],
        (),
        {
            "task": plan.params.task.name,
            "images": summary["images"],
            "classes": summary["classes"],
            "root": summary["root"],
        },
    )
    yield Link(
        "graph",
        place(plan, plan.graph_dir),
        plan.graph_key,
        (task,),
        {"similarity": plan.params.graph.similarity},
    )
    features = {
        "backbone": backbone.label,
        "dtype": plan.params.features.dtype,
    }
    for domain in DOMAINS:
        for shard in plan.domain_shards(domain):
            yield Link(
                "shard",
                place(plan, plan.image_features(shard.key)),
                shard.key,
                (task,),
                {**features, "domain": domain, "rows": [shard.start, shard.stop]},
            )
        yield Link(
            f"{domain} features",
            place(plan, plan.joined_features(domain)),
            plan.rows_key(domain),
            tuple(place(plan, path) for path in plan.domain_features(domain)),
            {**features, "images": summary["images"][domain]},
        )
    for kind in TEXT_KINDS:
        yield Link(
            f"text of {kind}",
            place(plan, plan.text_features(kind)),
            plan.text_key(kind),
            (place(plan, plan.graph_dir) if kind == "nodes" else task,),
            {"backbone": backbone.label, "templates": len(plan.params.prompts.templates)},
        )


def _fitted(plan: Plan, methods: list[str]) -> Iterator[Link]:
    """Fits and evaluations; a fit reads the joined features, which stand for their shards."""
    task = place(plan, plan.task_dir)
    inputs = (
        *(place(plan, plan.joined_features(domain)) for domain in DOMAINS),
        *(place(plan, plan.text_features(kind)) for kind in TEXT_KINDS),
        place(plan, plan.graph_dir),
        task,
    )
    # The authors' way of evaluating scores a fit's states again.
    read = inputs if plan.params.evaluate.protocol == REFERENCE else (task,)
    unknown = [e.name for e, known in zip(plan.classes, plan.known, strict=True) if not known]
    for name in methods:
        candidates = plan.candidates(name)
        for candidate in candidates:
            yield Link(
                "fit",
                place(plan, candidate.model_dir(name)),
                candidate.model_key(name),
                inputs,
                {
                    "method": name,
                    "seeds": plan.params.train.seeds,
                    "unknown": unknown,
                    "settings": candidate.params.methods.settings(name).model_dump(),
                },
            )
        yield Link(
            "evaluation",
            place(plan, plan.evaluation_dir(name)),
            plan.evaluation_key(name),
            (*(place(plan, candidate.model_dir(name)) for candidate in candidates), *read),
            {
                "method": name,
                "selection": plan.params.train.selection.rule,
                "protocol": plan.params.evaluate.protocol,
            },
        )


def _sweep_table(sweep: Sweep) -> Link:
    plan = sweep.plan
    evaluations = (
        place(plan, item.plan.evaluation_dir(item.method)) for item in sweep.combinations
    )
    return Link(
        "sweep",
        place(plan, sweep.table.parent),
        sweep.key,
        tuple(dict.fromkeys(evaluations)),
        {"combinations": len(sweep.combinations)},
    )
