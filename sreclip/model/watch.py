"""A folder that images are dropped into: each is labelled once, when it has arrived."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sreclip.errors import ConfigError, StoreError
from sreclip.model import Format
from sreclip.model.found import ROOT, Found
from sreclip.model.model import Model
from sreclip.model.prediction import Prediction
from sreclip.model.writers import columns, line_of

SECONDS = 1.0


def watch(
    model: Model,
    names: Sequence[str],
    done: set[str],
    *,
    top: int,
    reject: float,
    workers: int | None = None,
    seconds: float = SECONDS,
) -> Iterator[tuple[Found, Prediction]]:
    """Yield images that come, and their predictions, without end.

    A file counts as arrived when its size was the same at two looks, ``seconds`` apart. Names in
    ``done`` are left out; those that are labelled are added.
    """
    sizes: dict[str, int] = {}
    while True:
        arrived = []
        for found in model.finder.find(names):
            if found.name in done or found.reason:
                continue
            size = _size(found)
            if sizes.get(found.name) == size:
                arrived.append(found)
                del sizes[found.name]
            else:
                sizes[found.name] = size
        for found, prediction in model.label(arrived, top=top, reject=reject, workers=workers):
            done.add(found.name)
            yield found, prediction
        if not arrived:
            time.sleep(seconds)


def _size(found: Found) -> int:
    try:
        return (ROOT / found.place.path).stat().st_size
    except OSError:
        return -1


class Log:
    """A file of predictions that grows by a line per image: CSV or JSON lines.

    A file that is there is continued; a last line that was cut off is taken away.

    Raises
    ------
    ConfigError
        The format cannot be continued, or the file has other columns.
    StoreError
        The file cannot be written.
    """

    def __init__(self, path: Path, kind: Format, top: int, background: bool = False) -> None:
        if kind not in ("csv", "jsonl"):
            raise ConfigError(
                f"{path}: a file that grows is .csv or .jsonl", "give another --out with --watch"
            )
        self.path, self.kind, self.top, self.background = path, kind, top, background
        try:
            if path.exists():
                whole = path.read_bytes()
                with path.open("rb+") as file:
                    file.truncate(whole.rfind(b"\n") + 1)
            self.done = self._named()
            if kind == "csv" and (not path.exists() or not path.stat().st_size):
                self._add(line_of(columns(top, background)))
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({error.strerror})", "choose another --out"
            ) from error

    def _named(self) -> set[str]:
        """Return the images that the file names."""
        if not self.path.exists():
            return set()
        with self.path.open(encoding="utf-8", newline="") as file:
            if self.kind == "jsonl":
                return {json.loads(line)["path"] for line in file}
            rows = csv.reader(file)
            head = next(rows, None)
            if head not in (None, columns(self.top, self.background)):
                raise ConfigError(
                    f"{self.path} has other columns", "give the --top that it has, or another file"
                )
            return {row[0] for row in rows}

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Add lines as predictions come; each is on the disk before the next."""
        for prediction in predictions:
            self._add(line_of(prediction, self.kind, self.top, self.background))

    def _add(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(line)
