"""What can be known of a run before it runs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from sreclip.data.tasks import load_task
from sreclip.errors import ConfigError, SreclipError, shortened, some
from sreclip.plan.fingerprints import named
from sreclip.plan.plan import Plan
from sreclip.plan.split import known_mask

log = logging.getLogger(__name__)

_SHOWN_CLASSES = 20

Counts = Mapping[str, int]


def check_plan(plan: Plan) -> None:
    """Log what is found: the classes, the backbone, and notes on what may go wrong.

    Raises one `SreclipError` with all problems.
    """
    problems: list[SreclipError] = []
    counts: Counts = {}
    try:
        counts = _class_counts(plan)
    except SreclipError as error:
        problems.append(error)
    for check in (_classes, _senses, _backbone, _devices):
        if counts or check in (_backbone, _devices):
            try:
                for line in check(plan, counts):
                    log.info("%s", line)
            except SreclipError as error:
                problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigError(f"{len(problems)} problems\n" + "\n".join(map(str, problems)))


def _class_counts(plan: Plan) -> dict[str, int]:
    """Return the source images per class; for images that are yet to be made, 0 or 1.

    Raises `DataError` as the preparation of the task would.
    """
    task = load_task(plan.params.task.name)
    where = plan.params.task.settings, plan.task.path
    look = task.first_look(*where)
    if look.classes is not None and not look.inputs:
        return look.classes
    data = task.prepare(*where)
    for note in data.notes:
        log.info("note: %s", note)
    if not any(image.domain == "target" and image.label is not None for image in data.images):
        log.info("note: no target image has a label, so that nothing can be evaluated")
    found = Counter(image.label for image in data.images if image.domain == "source")
    return {entry.name: found[label] for label, entry in enumerate(data.classes)}


def _classes(plan: Plan, counts: Counts) -> Iterator[str]:
    name = plan.params.task.name
    known = known_mask(list(counts), list(counts.values()), plan.params.split)
    unknown = [each for each, is_known in zip(counts, known, strict=True) if not is_known]
    shown = some(unknown, _SHOWN_CLASSES) or "none"
    yield f"task {name}: {len(counts)} classes, unknown: {shown}"
    if not unknown:
        yield (
            "note: no class is unknown, so that there is no accuracy on unknown classes and no H; "
            "set split.unknown to names or a number, or list classes without source images"
        )


def _senses(plan: Plan, counts: Counts) -> Iterator[str]:
    """Pinned senses are of classes that there are, and WordNet has them."""
    pinned = plan.params.graph.senses
    if pinned:
        from sreclip.graph.senses import choose_senses

        for name in set(pinned) - set(counts):
            yield f"note: graph.senses: {name!r} is no class of this task"
        named = [name for name in pinned if name in counts]
        choose_senses(named, pinned={name: pinned[name] for name in named})


def _backbone(plan: Plan, counts: Counts) -> Iterator[str]:
    backbone = plan.params.backbone
    files, sha256 = backbone.chosen.files, plan.weights_sha256
    found = backbone.check()
    yield f"backbone {backbone.label}: {found.about}"
    if sha256:
        yield f"SHA-256 of {named(files)}: {sha256}"
    yield from (f"note: {note}" for note in found.notes)
    if found.count_tokens is None:
        return
    for template in plan.params.prompts.templates:
        prompts = [template.replace("{}", name) for name in counts]
        # A token is at least one character, and two mark start and end.
        long = [text for text in prompts if len(text) + 2 > found.context_length]
        tokens = np.array(found.count_tokens(long) if long else [])
        if (tokens > found.context_length).any():
            raise ConfigError(
                f"prompts.templates: {shortened(template)!r} makes a prompt of {tokens.max()} "
                f"tokens, but {backbone.label} reads only {found.context_length}",
                "shorten the template or the name",
            )


def _devices(plan: Plan, counts: Counts) -> Iterator[str]:
    params = plan.params
    for setting, device in {
        "features.device": params.features.device,
        "train.device": params.train.device,
    }.items():
        if device == "cpu":  # which every machine has: no need for torch
            continue
        from sreclip.backbones.weights import usable_device

        try:
            usable_device(device)
        except ConfigError as error:
            yield f"note: {setting}: {error.message}; the jobs need a machine that has it"
