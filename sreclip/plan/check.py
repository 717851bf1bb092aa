"""What can be known of a run before it runs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from sreclip.backbones.base import Checked
from sreclip.data.label_file import labels_of
from sreclip.data.tasks import load_task
from sreclip.errors import ConfigError, SreclipError, counted, shortened, some
from sreclip.files import expanded
from sreclip.plan.fingerprints import named
from sreclip.plan.plan import Plan
from sreclip.plan.prompt_file import read_prompts
from sreclip.plan.prompts import refuse_unknown_synonyms, sentences_of
from sreclip.plan.split import known_mask
from sreclip.report.projection import require_umap

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
    for check in (_classes, _prompts, _labels, _senses, _backbone, _devices, _map):
        if counts or check in (_backbone, _devices, _map):
            try:
                for line in check(plan, counts):
                    log.info("%s", line)
            except SreclipError as error:
                problems.append(error)
    # The file of prompts is read for classes and again for the backbone.
    problems = list({str(error): error for error in problems}.values())
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
    labelled = any(image.domain == "target" and image.label is not None for image in data.images)
    if not labelled and plan.params.evaluate.labels is None:
        log.info("note: no target image has a label, so that nothing can be evaluated")
    found = Counter(image.label for image in data.images if image.domain == "source")
    return {entry.name: found[label] for label, entry in enumerate(data.classes)}


def _labels(plan: Plan, counts: Counts) -> Iterator[str]:
    file = plan.params.evaluate.labels
    if file is not None:
        yield f"labels: {counted(len(labels_of(expanded(file), list(counts))), 'image')} of {file}"


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


def _prompts(plan: Plan, counts: Counts) -> Iterator[str]:
    """Synonyms and sentences are of classes that there are."""
    prompts, names = plan.params.prompts, list(counts)
    if prompts.background:
        yield f"prompts: {len(prompts.background)} sentences for images of none of the classes"
    if (prompts.file or prompts.synonyms) and _has_class_vectors(plan):
        yield (
            "note: class vectors come from a file: prompts.file and prompts.synonyms are not used"
        )
        return
    refuse_unknown_synonyms(prompts, names)
    sentences = sentences_of(prompts, names)
    if not sentences:
        return
    without = [name for name, own in zip(names, sentences, strict=True) if not own]
    count, of = sum(map(len, sentences)), len(names) - len(without)
    where = "instead of the" if prompts.mode == "instead" else "beside the"
    yield f"prompts: {count} sentences of {of} classes, {where} templates"
    if without:
        yield f"note: classes without a sentence: {some(without, _SHOWN_CLASSES)}"


def _has_class_vectors(plan: Plan) -> bool:
    task = plan.params.task
    return task.name == "ready_features" and task.ready_features.text is not None


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
    prompts = plan.params.prompts
    if prompts.mode == "beside":
        for template in prompts.templates:
            names = (other for name in counts for other in (name, *prompts.synonyms.get(name, ())))
            filled = [template.replace("{}", name) for name in names]
            if (most := _most_tokens(filled, found)) > found.context_length:
                raise ConfigError(
                    f"prompts.templates: {shortened(template)!r} makes a prompt of {most} tokens, "
                    f"but {backbone.label} reads only {found.context_length}",
                    "shorten the template or the name",
                )
    for text in prompts.background:
        if (most := _most_tokens([text], found)) > found.context_length:
            raise ConfigError(
                f"prompts.background: {shortened(text)!r} has {most} tokens, but "
                f"{backbone.label} reads only {found.context_length}",
                "shorten the sentence",
            )
    if prompts.file is None or _has_class_vectors(plan):
        return
    for sentence in read_prompts(expanded(prompts.file)):
        if (most := _most_tokens([sentence.text], found)) > found.context_length:
            raise ConfigError(
                f"{prompts.file}, {sentence.where}: the sentence has {most} tokens, but "
                f"{backbone.label} reads only {found.context_length}",
                "shorten the sentence",
            )


def _most_tokens(texts: Sequence[str], backbone: Checked) -> int:
    """Return the tokens of the longest text; 0 where all are surely short enough."""
    # A token is at least one character, and two mark start and end.
    long = [text for text in texts if len(text) + 2 > backbone.context_length]
    return max(backbone.count_tokens(long)) if long and backbone.count_tokens else 0


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


def _map(plan: Plan, counts: Counts) -> Iterator[str]:
    if plan.params.report.map == "umap":
        require_umap()
    yield from ()
