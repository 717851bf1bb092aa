"""The doctor's findings for the terminal and for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sreclip.doctor.examine import Section
from sreclip.doctor.finding import Finding, Mark

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

STYLES: dict[Mark, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}
_WHAT_WIDTH = 11


def print_findings(sections: Iterable[Section], console: Console) -> int:
    """Print findings as they are made; return how many are problems."""
    from rich.text import Text

    counts: Counter[Mark] = Counter()
    for section in sections:
        console.print(Text(f"\n{section.title}" if counts else section.title, style="bold"))
        for finding in section.findings:
            counts[finding.mark] += 1
            console.print(_row(finding))
    notes = _counted(counts["note"], "note")
    console.print()
    if counts["problem"]:
        stop = "stops" if counts["problem"] == 1 else "stop"
        said = f"{_counted(counts['problem'], 'problem')} {stop} a run"
        console.print(Text(f"{said}; {notes}", style=STYLES["problem"]))
    else:
        console.print(Text(f"Nothing stops a run; {notes}", style=STYLES["ok"]))
    return counts["problem"]


def _row(finding: Finding) -> Table:
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=len("problem"), no_wrap=True)
    row.add_column(width=_WHAT_WIDTH, overflow="fold")
    row.add_column(overflow="fold")
    row.add_row(Text(finding.mark, style=STYLES[finding.mark]), finding.what, Text(finding.text))
    if finding.mend:
        row.add_row("", "", Text(f"→ {finding.mend}", style="cyan"))
    return row


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def to_json(sections: Iterable[Section]) -> dict[str, Any]:
    """Return findings as plain values."""
    found = [
        {"section": section.title.lower(), **asdict(finding)}
        for section in sections
        for finding in section.findings
    ]
    counts = Counter(each["mark"] for each in found)
    return {"problems": counts["problem"], "notes": counts["note"], "findings": found}
