"""How far a long step is: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

_LINE_SECONDS = 15.0


class Progress:
    """Counts pictures or texts on the standard error stream.

    Parameters
    ----------
    label : str
        What is being done.
    total : int
        How many there are.
    unit : str
        What is counted, in the plural.
    enabled : bool
        False keeps it silent.
    """

    def __init__(self, label: str, total: int, unit: str, enabled: bool = True) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done = 0
        self._start = self._last = time.perf_counter()
        terminal = enabled and sys.stderr.isatty()
        self._lines = enabled and not terminal
        self._bar = tqdm(
            desc=label, total=total, unit=f" {unit}", disable=not terminal, file=sys.stderr
        )

    def update(self, count: int, note: str = "") -> None:
        """Count some more; ``note`` stands at the end of the bar or line."""
        self._done += count
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        now = time.perf_counter()
        if self._lines and (now - self._last > _LINE_SECONDS or self._done == self._total):
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            text = f"{self._label}: {self._done}/{self._total} {self._unit}, {rate:.1f}/s"
            print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the bar."""
        self._bar.close()
