"""A chain for the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from sreclip.provenance.trace import Chain, Step

SHA_DIGITS = 12
SHOWN_ELSEWHERE = ("method", "domain", "rows")
NO_RECORD = "when, where and by which code is not known: it has no record"


def chain_lines(chain: Chain) -> list[str]:
    """Return the lines: the result, then what it was made from, then in which runs."""
    runs: list[dict[str, Any]] = []
    labels = {step.link.path: step.link.label for step in chain.steps}
    lines = []
    for _, group in itertools.groupby(chain.steps, _kind):
        lines += [*_step_lines(list(group), labels, runs), ""]
    lines += [f"run {number}: {_run_text(run)}" for number, run in enumerate(runs, 1)]
    return lines + [f"warning: {text}" for text in chain.warnings]


def _kind(step: Step) -> str:
    """Return the same for shards of one domain, which are shown together."""
    return step.link.about["domain"] if step.link.stage == "shard" else step.link.path


def _step_lines(
    group: list[Step], labels: dict[str, str], runs: list[dict[str, Any]]
) -> Iterator[str]:
    first, link = group[0], group[0].link
    if link.stage == "shard":
        yield f"{_count(len(group))} of {link.about['domain']} images"
        yield f"  {link.path.rpartition('/')[0]}/"
    else:
        yield link.label
        yield f"  {link.path}"
    for name, value in {**link.about, **first.header}.items():
        if name not in SHOWN_ELSEWHERE:
            yield f"  {name.replace('_', ' ')}: {_text(value)}"
    if link.stage == "task":
        yield "  from the images below root; the SHA-256 of each is in its manifest.parquet"
    elif link.inputs:
        yield f"  from {_inputs(link.inputs, labels)}"
    yield f"  {_made(group, runs)}"


def _count(shards: int) -> str:
    return f"{shards} shard{'s' if shards > 1 else ''}"


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
    return ", ".join([f"{_count(n_shards)} of images", *others] if n_shards else others)


def _made(group: list[Step], runs: list[dict[str, Any]]) -> str:
    """Return when, and in which runs; runs are numbered as they come."""
    records = [step.record for step in group if step.record]
    if not records:
        return NO_RECORD
    for record in records:
        if record.circumstances not in runs:
            runs.append(record.circumstances)
    numbers = sorted({runs.index(record.circumstances) + 1 for record in records})
    times = [record.time.replace("T", " ").replace("+00:00", " UTC") for record in records]
    span = " to ".join(sorted({min(times), max(times)}))
    which = ", ".join(map(str, numbers))
    missing = len(group) - len(records)
    return f"made {span}, run {which}" + (f"; no record of {missing} of them" if missing else "")


def _run_text(run: dict[str, Any]) -> str:
    machine = run["machine"]
    where = [machine["name"], machine["system"], f"{machine['cores']} cores"]
    where += [machine["gpu"]] if "gpu" in machine else []
    return (
        f"{commit_text(run['git'])}\n"
        f"  parameters {run['params']} (results/params/{run['params']}.yaml)\n"
        f"  on {', '.join(where)}\n"
        f"  with {_text(run['versions'])}"
    )


def commit_text(state: dict[str, Any] | None) -> str:
    """Return the commit, and which files differed from it."""
    if state is None:
        return "outside of git"
    commit = f"commit {state['commit'][:SHA_DIGITS]}"
    if not state["dirty"]:
        return f"{commit}, clean"
    return f"{commit}, dirty: {', '.join(state['changed'])}"
