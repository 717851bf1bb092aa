"""A proposal as a parameter file, and for the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from sreclip.errors import some
from sreclip.graph.sense_view import to_json
from sreclip.init.proposal import FEW, Proposal
from sreclip.workflow.command import as_here

LISTED = 12
OTHERS = 3
# A note of the task that the line on unknown classes makes needless.
SAID = "classes without a source image"


def params_text(
    proposal: Proposal, backbone: tuple[str, str] | None, pins: Mapping[str, str]
) -> str:
    """Return ``params.yaml``: what differs from the defaults, each with its reason.

    ``backbone`` is a model of open_clip and its weights, None the small substitute; ``pins`` are
    senses of names.
    """
    return "\n".join(_lines(proposal, backbone, pins)) + "\n"


def _lines(
    proposal: Proposal, backbone: tuple[str, str] | None, pins: Mapping[str, str]
) -> Iterator[str]:
    known, unknown = len(proposal.classes) - len(proposal.unknown), some(proposal.unknown)
    yield "# Written by sreclip init. What is left out has its default: docs/parameters.md"
    yield "task:"
    yield "  name: folder"
    yield "  folder:"
    yield f"    root: {_quoted(str(proposal.root))}"
    yield f"    source: {_quoted(proposal.source)}   # {known} classes with labelled images"
    yield f"    target: {_quoted(proposal.target)}   # {len(proposal.targets)} images to label"
    if proposal.list_path:
        yield f"    classes: {_quoted(str(proposal.list_path.resolve()))}   # all classes"
    if proposal.in_both:
        yield f"  duplicates: drop_target   # {len(proposal.in_both)} images are in both domains"
    yield ""
    yield "split:"
    yield f"  unknown: auto   # classes without a source image: {unknown or 'none'}"
    yield ""
    yield "backbone:"
    if backbone is None:
        yield "  name: mini   # a small substitute for a first look; it is not CLIP"
    else:
        model, pretrained = map(_quoted, backbone)
        yield "  name: open_clip   # which there are: docs/weights.md"
        yield f"  open_clip: {{model: {model}, pretrained: {pretrained}}}"
    yield ""
    yield "prompts:"
    yield "  templates:   # {} is the class name; say how the images of the target look"
    yield from (f"    - {_quoted(template)}" for template in proposal.templates)
    yield ""
    yield "methods:"
    yield "  run: [zero_shot, sre_clip]"
    yield ""
    yield "report:"
    yield "  model: sre_clip   # kept as a folder below results/kept, for sreclip predict"
    yield ""
    yield from _graph(proposal, pins)


def _graph(proposal: Proposal, pins: Mapping[str, str]) -> Iterator[str]:
    senses = proposal.senses[0]
    yield "graph:"
    if senses.unmapped:
        yield f"  # WordNet lacks {some(list(senses.unmapped))}; the text says where they belong."
        yield "  allow_unmapped: true"
    yield "  # What the names mean in WordNet, and what else those can mean that are not clear."
    yield "  # Where one is wrong, pin another: senses: {crane: n02012849}"
    for item in to_json(*proposal.senses):
        if item["wnid"] is None:
            near = [f"{one['name']} ({one['wnid']})" for one in item["near"][:OTHERS]]
            more = f"; near it: {', '.join(near)}" if near else ""
            yield f"  #   {_quoted(item['name'])}: not in WordNet{more}"
            continue
        best, *others = item["senses"]
        yield f"  #   {_quoted(item['name'])}: {item['wnid']}, {best['gloss']}"
        for other in others[:OTHERS] if item["close"] else ():
            yield f"  #       or {other['wnid']}, {other['gloss']}"
    if not pins:
        yield "  senses: {}"
        return
    yield "  senses:"
    yield from (f"    {_quoted(name)}: {wnid}" for name, wnid in pins.items())


def doubtful_senses(proposal: Proposal) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each name that is not clear, and its senses as WordNet id and gloss, the best first."""
    for item in to_json(*proposal.senses):
        if item["close"]:
            found = [(each["wnid"], each["gloss"]) for each in item["senses"]]
            yield item["name"], found[: OTHERS + 1]


def _quoted(text: str) -> str:
    """Return a string as YAML: JSON's are YAML's, too."""
    return json.dumps(text, ensure_ascii=False)


def findings(proposal: Proposal) -> Iterator[str]:
    """Say what was found, for the terminal."""
    known = [
        (entry.name, count)
        for entry, count in zip(proposal.classes, proposal.source_counts, strict=True)
        if count
    ]
    labelled = sum(label is not None for label in proposal.targets)
    yield f"source: {sum(n for _, n in known):,} images of {len(known)} classes ({_counted(known)})"
    judged = f", {labelled:,} of them in class folders: used to judge, never to learn"
    yield f"target: {len(proposal.targets):,} images{judged if labelled else ''}"
    unknown = proposal.unknown
    yield f"unknown classes, which the source does not have: {some(unknown, LISTED) or 'none'}"
    if not unknown:
        yield "  note: give the names of classes that only the target shows with --names"
    few = [f"{name} ({n})" for name, n in known if n < FEW]
    if few:
        yield f"  note: few source images: {some(few)}"
    if proposal.in_both:
        shown = [f"{a} = {b}" for a, b in proposal.in_both]
        yield f"  note: {len(shown)} images are in both domains: {some(shown, 2)}"
    for note in proposal.data.notes:
        if not note.startswith(SAID):
            yield f"  note: {note}"
    senses, _ = proposal.senses
    doubtful = [f"{name} ({wnid})" for name, wnid in senses.doubtful()]
    if doubtful:
        yield f"  note: what these names mean is not clear, look at graph.senses: {some(doubtful)}"
    if senses.unmapped:
        yield f"  note: WordNet does not know {some(list(senses.unmapped))}"


def _counted(known: list[tuple[str, int]]) -> str:
    return some([f"{name} {n}" for name, n in known], LISTED)


def next_step(out: Path) -> str:
    """Return the command to run next."""
    extra = "" if out == Path("params.yaml") else f" --configfile {out}"
    return as_here(f"snakemake --cores all all{extra}")
