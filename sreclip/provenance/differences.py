"""What differs between two runs: parameters, data, code and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sreclip.errors import some
from sreclip.evaluate.metrics import MAIN_METRICS, METRICS
from sreclip.provenance.changes import DATA_KEYS, Changes, changes, flat_params
from sreclip.provenance.git import CODE, git
from sreclip.provenance.keys import flat_keys
from sreclip.provenance.runs import Run, read_run

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.text import Text

ABSENT = "\u2013"
SHOWN_FILES = 12


@dataclass(frozen=True)
class Differences:
    """All that differs between two runs; nothing of what one of them does not tell."""

    a: Run
    b: Run
    params: Changes  # by dotted name
    data: Changes  # keys of task and images
    code: Changes  # keys
    results: Changes  # keys of the results that are therefore others
    versions: Changes  # of packages
    files: list[str] | None  # of code, between two commits; None where it is not two commits
    numbers: Changes  # means over seeds, by method and metric

    def to_json(self) -> dict[str, Any]:
        """Return the differences as JSON-able values."""

        def pairs(found: Changes) -> dict[str, Any]:
            return {name: {"a": a, "b": b} for name, (a, b) in found.items()}

        numbers: dict[str, dict[str, Any]] = {}
        for (method, metric), (a, b) in self.numbers.items():
            values = {"a": a, "b": b, "difference": _difference(a, b)}
            numbers.setdefault(method, {})[metric] = values
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


def diff(name_a: str, name_b: str) -> Differences:
    """Compare two runs; see `sreclip.provenance.runs.read_run` for what can be named."""
    a, b = read_run(name_a), read_run(name_b)
    keys = changes(dict(flat_keys(a.keys)), dict(flat_keys(b.keys)))
    return Differences(
        a=a,
        b=b,
        params=changes(flat_params(a.params), flat_params(b.params)),
        data={name: change for name, change in keys.items() if name in DATA_KEYS},
        code=changes(dict(flat_keys(a.code)), dict(flat_keys(b.code))),
        results={name: change for name, change in keys.items() if name not in DATA_KEYS},
        versions=changes(a.versions, b.versions),
        files=_changed_files(a, b),
        numbers=changes(_means(a), _means(b)),
    )


def _means(run: Run) -> dict[tuple[str, str], float]:
    return {
        (method, metric): summaries[metric]["mean"]
        for method, summaries in run.numbers.items()
        for metric in METRICS
        if metric in summaries
    }


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else b - a


def _changed_files(a: Run, b: Run) -> list[str] | None:
    ends = [commit for commit in (a.commit, b.commit) if commit]
    if a.commit is None or b.commit is None or not ends:
        return None
    # Against the working folder git compares one commit, whichever side it is.
    listed = git("diff", "--name-only", *ends, "--", *CODE)
    return None if listed is None else listed.splitlines()


def render(found: Differences, *, every_metric: bool = False) -> Group:
    """Lay out the differences for the terminal."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [
        Text(f"A  {found.a.name}: {found.a.about}"),
        Text(f"B  {found.b.name}: {found.b.about}"),
    ]
    parts += _section("Parameters", found.params, bool(found.a.params and found.b.params))
    keyed = bool(found.a.keys and found.b.keys)
    parts += _section("Data", found.data, keyed)
    if found.code or not found.files:
        coded = bool(found.a.code and found.b.code) or found.files == []
        parts += _section("Code", found.code, coded)
    else:
        parts.append(_heading("Code"))
    if found.files:
        parts.append(Text(f"  files: {some(found.files, SHOWN_FILES)}"))
    parts += _section("Results made anew", found.results, keyed, nothing="none")
    if found.versions:
        parts += _section("Versions", found.versions, compared=True)
    return Group(*parts, *_numbers(found, every_metric=every_metric))


def _heading(title: str, text: str = "") -> Text:
    from rich.text import Text

    return Text.assemble((f"\n{title}", "bold"), text)


def _section(
    title: str, found: Changes, compared: bool, nothing: str = "the same"
) -> list[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    if not found:
        return [_heading(title, f": {nothing if compared else 'not known of both'}")]
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    for name, sides in found.items():
        a, b = (Text(ABSENT if value is None else str(value)) for value in sides)
        table.add_row(Text(name, overflow="fold"), a, "->", b)
    return [_heading(title), table]


def _numbers(found: Differences, *, every_metric: bool) -> list[RenderableType]:
    from rich.table import Table

    if not (found.a.numbers and found.b.numbers):
        return [_heading("Numbers", ": not known of both")]
    table = Table(box=None, padding=(0, 2, 0, 2))
    for title in ("method", "metric"):
        table.add_column(title)
    for title in ("A", "B", "B - A"):
        table.add_column(title, justify="right")
    for (method, metric), (a, b) in found.numbers.items():
        if every_metric or metric in MAIN_METRICS:
            cells = (_percent(a), _percent(b), _percent(_difference(a, b), "+"))
            table.add_row(method, metric, *cells)
    if not table.row_count:
        same = "the same" if not found.numbers else "the same but for metrics that --all shows"
        return [_heading("Numbers", f": {same}")]
    about = " (percent, means over seeds)"
    if found.a.task != found.b.task:
        about += f"; of other tasks or backbones: A {found.a.task}; B {found.b.task}"
    return [_heading("Numbers", about), table]


def _percent(value: float | None, sign: str = "") -> str:
    return ABSENT if value is None else f"{100 * value:{sign}.1f}"
