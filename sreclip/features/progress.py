"""How far an extraction is, and where its time goes: a bar on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

_LINE_SECONDS = 15.0

log = logging.getLogger("sreclip")


class Progress:
    """Counts images, if ``enabled``: with a bar on a terminal, else with lines in the log."""

    def __init__(self, label: str, total: int, enabled: bool) -> None:
        self._label, self._total = label, total
        self._done = 0
        self._start = self._last = time.perf_counter()
        terminal = enabled and sys.stderr.isatty()
        self._lines = enabled and not terminal
        self._bar = tqdm(
            desc=label, total=total, unit=" images", disable=not terminal, file=sys.stderr
        )

    def update(self, count: int, note: str) -> None:
        """Count more; ``note`` is shown at the end of the bar or line."""
        self._done += count
        self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)
        now = time.perf_counter()
        if self._lines and (now - self._last > _LINE_SECONDS or self._done == self._total):
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            counted = f"{self._done}/{self._total} images, {rate:.1f}/s"
            log.info("%s: %s, %s", self._label, counted, note)

    def close(self) -> None:
        self._bar.close()


@dataclass
class Seconds:
    """Where the time went.

    ``read`` and ``decode`` are summed over the workers; ``wait`` (for images), ``model`` and
    ``write`` add up to the time of the main process. The text has the fractions of all work, and
    of its time that the main process waited.
    """

    read: float = 0.0
    decode: float = 0.0
    wait: float = 0.0
    model: float = 0.0
    write: float = 0.0

    def __str__(self) -> str:
        parts = {"read": self.read, "decode": self.decode, "model": self.model, "write": self.write}
        whole = sum(parts.values()) or 1.0
        fractions = ", ".join(f"{name} {value / whole:.0%}" for name, value in parts.items())
        passed = self.wait + self.model + self.write or 1.0
        return f"{fractions}; waited {self.wait / passed:.0%}"

    @contextlib.contextmanager
    def spent_on(self, name: str) -> Iterator[None]:
        """Add the time of a block to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + time.perf_counter() - start)
