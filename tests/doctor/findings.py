"""What the tests of the doctor share."""

from __future__ import annotations

from collections.abc import Iterable

from sreclip.doctor.finding import Finding


def only(findings: Iterable[Finding], mark: str, text: str) -> Finding:
    (found,) = findings
    assert found.mark == mark
    assert text in found.text
    assert bool(found.mend) == (mark != "ok")
    return found
