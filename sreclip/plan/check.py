"""What can be known of a run before it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np

from sreclip.data.tasks import load_task
from sreclip.errors import ConfigError, SreclipError, some
from sreclip.plan.plan import Plan
from sreclip.plan.split import known_mask

log = logging.getLogger(__name__)

_SHOWN_CLASSES = 20


def check_plan(plan: Plan) -> None:
    """Log what is found: the classes, the backbone, and notes on what may go wrong.

    Raises one `SreclipError` with all problems.
    """
    problems: list[SreclipError] = []

    def tried(check: Callable[[Plan], Iterator[str]]) -> None:
        try:
            for line in check(plan):
                log.info("%s", line)
        except SreclipError as error:
            problems.append(error)

    for check in (_classes, _senses, _backbone, _devices):
        tried(check)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError(f"{len(problems)} problems\n" + "\n".join(map(str, problems)))


def _class_names(plan: Plan) -> dict[str, int] | None:
    """Return class names with 0 for those without source images; None if not known yet."""
    if plan.task.path.exists():
        counts = plan.summary["source_images"]
        return {entry.name: counts[entry.name] for entry in plan.classes}
    task = plan.params.task
    return load_task(task.name).first_look(task.settings, plan.task.path).classes


def _classes(plan: Plan) -> Iterator[str]:
    name, counts = plan.params.task.name, _class_names(plan)
    if counts is None:
        yield f"task {name}: its classes are known once it is prepared"
        return
    known = known_mask(list(counts), list(counts.values()), plan.params.split)
    unknown = [each for each, is_known in zip(counts, known, strict=True) if not is_known]
    shown = some(unknown, _SHOWN_CLASSES) or "none"
    yield f"task {name}: {len(counts)} classes, unknown: {shown}"
    if not unknown:
        yield (
            "note: no class is unknown, so that there is no accuracy on unknown classes and no H; "
            "set split.unknown to names or a number, or list classes without source images"
        )


def _senses(plan: Plan) -> Iterator[str]:
    """Pinned senses are of classes that there are, and WordNet has them."""
    pinned, counts = plan.params.graph.senses, _class_names(plan)
    if pinned and counts is not None:
        from sreclip.graph.senses import choose_senses

        for name in set(pinned) - set(counts):
            yield f"note: graph.senses: {name!r} is no class of this task"
        named = [name for name in pinned if name in counts]
        choose_senses(named, pinned={name: pinned[name] for name in named})


def _backbone(plan: Plan) -> Iterator[str]:
    backbone = plan.params.backbone
    sha256 = plan.weights_sha256
    found = backbone.check()
    yield f"backbone {backbone.label}: {found.about}" + (f", SHA-256 {sha256}" if sha256 else "")
    yield from (f"note: {note}" for note in found.notes)
    counts = _class_names(plan)
    if found.count_tokens is None or counts is None:
        return
    for template in plan.params.prompts.templates:
        prompts = [template.replace("{}", name) for name in counts]
        # A token is at least one character, and two mark start and end.
        long = [text for text in prompts if len(text) + 2 > found.context_length]
        tokens = np.array(found.count_tokens(long) if long else [])
        if (tokens > found.context_length).any():
            raise ConfigError(
                f"prompts.templates: {template!r} makes a prompt of {tokens.max()} tokens, "
                f"but {backbone.label} reads only {found.context_length}: "
                f"{long[int(tokens.argmax())]!r}",
                "shorten the template or the name",
            )


def _devices(plan: Plan) -> Iterator[str]:
    from sreclip.backbones.weights import usable_device

    params = plan.params
    for setting, device in {
        "features.device": params.features.device,
        "train.device": params.train.device,
    }.items():
        try:
            usable_device(device)
        except ConfigError as error:
            yield f"note: {setting}: {error.message}; the jobs need a machine that has it"
