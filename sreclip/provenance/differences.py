"""What differs between two runs: parameters, data, code and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sreclip.errors import some
from sreclip.evaluate.metrics import METRICS
from sreclip.provenance.git import CODE, git
from sreclip.provenance.keys import flat_keys
from sreclip.provenance.runs import Run, read_run

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

ABSENT = "\u2013"
SHOWN_FILES = 12
DATA_KEYS = ("task", "source features", "target features")
SHOWN_METRICS = ("known", "unknown", "h", "all", "zsl", "ausuc", "ece")


@dataclass(frozen=True)
class Change:
    """One thing that differs; a side is None where it lacks it."""

    name: str
    a: Any
    b: Any


@dataclass(frozen=True)
class NumberChange:
    """Mean over seeds of one metric on both sides."""

    method: str
    metric: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float | None:
        """B minus A."""
        return None if self.a is None or self.b is None else self.b - self.a


@dataclass(frozen=True)
class Differences:
    """All that differs between two runs.

    Attributes
    ----------
    a, b : Run
    params, data, code, results, versions : list of Change
        Parameters by dotted name; keys of task and pictures; keys of code; keys of the results that
        are therefore others; versions of packages.
    files : list of str or None
        Files of code that differ between two commits; None where it is not two commits.
    numbers : list of NumberChange
        Every metric that differs.
    """

    a: Run
    b: Run
    params: list[Change]
    data: list[Change]
    code: list[Change]
    results: list[Change]
    versions: list[Change]
    files: list[str] | None
    numbers: list[NumberChange]

    def to_json(self) -> dict[str, Any]:
        """Give the differences as JSON-able values."""

        def pairs(changes: list[Change]) -> dict[str, Any]:
            return {change.name: {"a": change.a, "b": change.b} for change in changes}

        numbers: dict[str, dict[str, Any]] = {}
        for row in self.numbers:
            values = {"a": row.a, "b": row.b, "difference": row.difference}
            numbers.setdefault(row.method, {})[row.metric] = values
        return {
            "a": {"name": self.a.name, "about": self.a.about, "commit": self.a.commit},
            "b": {"name": self.b.name, "about": self.b.about, "commit": self.b.commit},
            "params": pairs(self.params),
            "data": pairs(self.data),
            "code": pairs(self.code),
            "files": self.files,
            "results": pairs(self.results),
            "versions": pairs(self.versions),
            "numbers": numbers,
        }


def diff(a: str, b: str) -> Differences:
    """Compare two runs; see `sreclip.provenance.runs.read_run` for what can be named."""
    return compare(read_run(a), read_run(b))


def compare(a: Run, b: Run) -> Differences:
    """Compare two runs; where one side says nothing of a thing, the thing is left out."""
    keys = _changes(dict(flat_keys(a.keys)), dict(flat_keys(b.keys)))
    return Differences(
        a=a,
        b=b,
        params=_changes(flat_params(a.params), flat_params(b.params)),
        data=[change for change in keys if change.name in DATA_KEYS],
        code=_changes(dict(flat_keys(a.code)), dict(flat_keys(b.code))),
        results=[change for change in keys if change.name not in DATA_KEYS],
        versions=_changes(a.versions, b.versions),
        files=_changed_files(a, b),
        numbers=_number_changes(a, b),
    )


def flat_params(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters by dotted name; lists and empty mappings stay whole."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flat_params(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    if not a or not b:
        return []
    names = dict.fromkeys([*a, *b])
    return [Change(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def _changed_files(a: Run, b: Run) -> list[str] | None:
    ends = [commit for commit in (a.commit, b.commit) if commit]
    if a.commit is None or b.commit is None or not ends:
        return None
    # Against the working folder git compares one commit, whichever side it is.
    listed = git("diff", "--name-only", *ends, "--", *CODE)
    return None if listed is None else listed.splitlines()


def _number_changes(a: Run, b: Run) -> list[NumberChange]:
    if not a.numbers or not b.numbers:
        return []
    rows = []
    for method in dict.fromkeys([*a.numbers, *b.numbers]):
        for metric in METRICS:
            row = NumberChange(method, metric, _mean(a, method, metric), _mean(b, method, metric))
            if row.a != row.b:
                rows.append(row)
    return rows


def _mean(run: Run, method: str, metric: str) -> float | None:
    return run.numbers.get(method, {}).get(metric, {}).get("mean")


def render(found: Differences, *, every_metric: bool = False) -> Group:
    """Lay out the differences for the terminal."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(f"A  {found.a.name}: {found.a.about}"),
        Text(f"B  {found.b.name}: {found.b.about}"),
    ]
    compared = bool(found.a.params and found.b.params)
    parts += _section("Parameters", found.params, compared)
    keyed = bool(found.a.keys and found.b.keys)
    parts += _section("Data", found.data, keyed)
    coded = bool(found.a.code and found.b.code) or found.files == []
    if found.code or not found.files:
        parts += _section("Code", found.code, coded)
    else:
        parts.append(Text("\nCode", style="bold"))
    if found.files:
        parts.append(Text(f"  files: {some(found.files, SHOWN_FILES)}"))
    parts += _section("Results made anew", found.results, keyed, nothing="none")
    if found.versions:
        parts += _section("Versions", found.versions, compared=True)
    parts += _numbers(found, every_metric=every_metric)
    return Group(*parts)


def _section(
    title: str, changes: list[Change], compared: bool, nothing: str = "the same"
) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    heading = Text(f"\n{title}", style="bold")
    if not changes:
        what = nothing if compared else "not known of both"
        return [heading + Text(f": {what}", style="not bold")]
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    for change in changes:
        table.add_row(Text(change.name), Text(_shown(change.a)), "->", Text(_shown(change.b)))
    return [heading, table]


def _shown(value: Any) -> str:
    return ABSENT if value is None else str(value)


def _numbers(found: Differences, *, every_metric: bool) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    heading = Text("\nNumbers", style="bold")
    if not (found.a.numbers and found.b.numbers):
        return [heading + Text(": not known of both", style="not bold")]
    rows = [row for row in found.numbers if every_metric or row.metric in SHOWN_METRICS]
    if not rows:
        same = "the same" if not found.numbers else "the same but for metrics that --all shows"
        return [heading + Text(f": {same}", style="not bold")]
    heading += Text(" (percent, means over seeds)", style="not bold")
    if found.a.task != found.b.task:
        heading += Text(
            f"; of other tasks or backbones: A {found.a.task}; B {found.b.task}", style="not bold"
        )
    table = Table(box=None, padding=(0, 2, 0, 2))
    for title in ("method", "metric"):
        table.add_column(title)
    for title in ("A", "B", "B - A"):
        table.add_column(title, justify="right")
    for row in rows:
        cells = (_percent(row.a), _percent(row.b), _percent(row.difference, "+"))
        table.add_row(row.method, row.metric, *cells)
    return [heading, table]


def _percent(value: float | None, sign: str = "") -> str:
    return ABSENT if value is None else f"{100 * value:{sign}.1f}"
