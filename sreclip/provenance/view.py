"""A chain for the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sreclip.provenance.trace import Chain, Step

SHA_DIGITS = 12
NO_RECORD = "when, where and by which code is not known: it has no record"


def chain_lines(chain: Chain) -> list[str]:
    """Lines of text: the result first, then what it was made from, then who made it."""
    runs: list[dict[str, Any]] = []
    labels = {step.link.path: step.link.label for step in chain.steps}
    lines = []
    for group in _groups(chain.steps):
        lines += [*_step_lines(group, labels, runs), ""]
    for number, run in enumerate(runs, 1):
        lines.append(f"run {number}: {run_text(run)}")
    lines += [f"warning: {text}" for text in chain.warnings]
    return lines


def _groups(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Shards of one domain together, everything else alone."""

    def kind(step: Step) -> tuple[str, ...]:
        link = step.link
        return ("shard", str(link.about["domain"])) if link.stage == "shard" else (link.path,)

    for _, group in itertools.groupby(steps, kind):
        yield list(group)


def _step_lines(
    group: list[Step], labels: dict[str, str], runs: list[dict[str, Any]]
) -> Iterator[str]:
    first, link = group[0], group[0].link
    if link.stage == "shard":
        folder = link.path.rpartition("/")[0]
        many = "s" if len(group) > 1 else ""
        yield f"{len(group)} shard{many} of {link.about['domain']} images"
        yield f"  {folder}/"
    else:
        yield link.label
        yield f"  {link.path}"
    about = {name: value for name, value in link.about.items() if name not in _SHOWN_ELSEWHERE}
    facts = about | first.header
    yield from (f"  {name.replace('_', ' ')}: {_text(value)}" for name, value in facts.items())
    if link.stage == "task":
        yield "  from the images below root; the SHA-256 of each is in its manifest.parquet"
    elif link.inputs:
        yield f"  from {_inputs(link.inputs, labels)}"
    yield f"  {_made(group, runs)}"


_SHOWN_ELSEWHERE = ("method", "domain", "rows")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value) or "none"
    return str(value)


def _inputs(paths: Sequence[str], labels: dict[str, str]) -> str:
    names = [labels.get(path, path) for path in paths]
    others = [name for name in names if not name.startswith("shard ")]
    n_shards = len(names) - len(others)
    shards = [f"{n_shards} shard{'s' if n_shards > 1 else ''} of images"] if n_shards else []
    return ", ".join(shards + others)


def _made(group: list[Step], runs: list[dict[str, Any]]) -> str:
    """When, and in which runs; runs are numbered as they come."""
    times, numbers = [], []
    for step in group:
        if step.record is None:
            continue
        if step.record.circumstances not in runs:
            runs.append(step.record.circumstances)
        times.append(step.record.time)
        numbers.append(runs.index(step.record.circumstances) + 1)
    if not times:
        return NO_RECORD
    times = sorted({time.replace("T", " ").replace("+00:00", " UTC") for time in times})
    span = times[0] if len(times) == 1 else f"{times[0]} to {times[-1]}"
    which = ", ".join(str(number) for number in sorted(set(numbers)))
    missing = len(group) - len(numbers)
    return f"made {span}, run {which}" + (f"; no record of {missing} of them" if missing else "")


def run_text(run: dict[str, Any]) -> str:
    """Commit, parameters, machine and versions of one run."""
    machine, versions = run["machine"], run["versions"]
    where = ", ".join(
        [machine["name"], machine["system"], f"{machine['cores']} cores"]
        + ([machine["gpu"]] if "gpu" in machine else [])
    )
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{commit_text(run['git'])}\n"
        f"  parameters {run['params']} (results/params/{run['params']}.yaml)\n"
        f"  on {where}\n"
        f"  with {libraries}"
    )


def commit_text(state: dict[str, Any] | None) -> str:
    """A commit and how the files differed from it."""
    if state is None:
        return "outside of git"
    commit = f"commit {state['commit'][:SHA_DIGITS]}"
    if not state["dirty"]:
        return f"{commit}, clean"
    return f"{commit}, dirty: {', '.join(state['changed'])}"
