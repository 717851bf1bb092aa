"""Predictions as files: CSV, JSON lines, Parquet, and what labelling programs import."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sreclip.errors import ConfigError
from sreclip.evaluate.background import REASON
from sreclip.files import atomic_path
from sreclip.model import Format
from sreclip.model.prediction import Prediction

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}
ROW_GROUP = 4096


def format_of(out: Path | None, asked: Format | None) -> Format:
    """Return the format that was asked for, or that the name of the file says; CSV without both.

    Raises `ConfigError` if the name says none, or Parquet is to go to the terminal.
    """
    if out is None:
        if asked == "parquet":
            raise ConfigError("Parquet needs a file", "give one with --out")
        return asked or "csv"
    if asked is None and out.suffix not in SUFFIXES:
        raise ConfigError(
            f"{out}: the name does not say the format",
            f"end it in {', '.join(SUFFIXES)}, or give --format",
        )
    return asked or SUFFIXES[out.suffix]


def write(
    predictions: Iterable[Prediction],
    out: Path | None,
    kind: Format,
    *,
    top: int,
    classes: Sequence[str],
    model: str,
    background: bool = False,
) -> None:
    """Write predictions as they come, to a file (whole or not at all) or to the terminal.

    ``top`` is the number of classes per row, ``classes`` are all of them, ``model`` the name that
    labelling programs show. ``background``: the model knows images of none of the classes.
    """
    if kind == "parquet":
        assert out is not None
        with atomic_path(out) as temporary:
            _write_parquet(predictions, temporary, top, background)
        return
    with _opened(out) as file:
        if kind in ("csv", "jsonl"):
            if kind == "csv":
                file.write(line_of(columns(top, background)))
            for prediction in predictions:
                file.write(line_of(prediction, kind, top, background))
                if out is None:
                    file.flush()
        elif kind == "label-studio":
            _write_list(file, (_task(each, model) for each in predictions))
        else:
            _write_fiftyone(predictions, file, classes)


@contextmanager
def _opened(out: Path | None) -> Iterator[IO[str]]:
    # A file name that is not UTF-8 is written with its odd bytes as \\udcXX.
    if out is None:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        yield sys.stdout
        return
    with (
        atomic_path(out) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        yield file


def columns(top: int, background: bool = False) -> list[str]:
    """Return the columns of a table of predictions."""
    none = [REASON] if background else []
    more = [f"{name}_{rank}" for rank in range(2, top + 1) for name in ("class", "probability")]
    return ["path", "class", "probability", "kind", "margin", "agreement", *none, "reason", *more]


def _row(prediction: Prediction, top: int, background: bool) -> list[Any]:
    kind = "" if prediction.known is None else "known" if prediction.known else "unknown"
    row = [
        prediction.path,
        prediction.label,
        prediction.probability,
        kind if prediction.label else "",
        prediction.margin,
        prediction.agreement,
        *([prediction.background] if background else []),
        prediction.reason,
    ]
    pairs = list(zip(prediction.classes, prediction.probabilities, strict=True))[1:top]
    pairs += [("", None)] * (top - 1 - len(pairs))  # type: ignore[list-item]
    return row + [value for pair in pairs for value in pair]


def line_of(
    value: Prediction | list[str], kind: Format = "csv", top: int = 1, background: bool = False
) -> str:
    """Return a prediction, or a row of text, as a line of CSV or JSON."""
    if kind == "jsonl":
        assert isinstance(value, Prediction)
        return json.dumps(_as_json(value), ensure_ascii=False) + "\n"
    row = _row(value, top, background) if isinstance(value, Prediction) else value
    text = io.StringIO(newline="")
    numbers = [round(each, 6) if isinstance(each, float) else each for each in row]
    csv.writer(text, lineterminator="\n").writerow(numbers)
    return text.getvalue()


def _write_parquet(
    predictions: Iterable[Prediction], path: Path, top: int, background: bool
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, _type(name)) for name in columns(top, background)])
    with pq.ParquetWriter(path, schema) as writer:
        given = iter(predictions)
        while rows := list(islice(given, ROW_GROUP)):
            values = zip(*(_row(_encodable(each), top, background) for each in rows), strict=True)
            arrays = [
                pa.array(column, kind) for column, kind in zip(values, schema.types, strict=True)
            ]
            writer.write_table(pa.table(arrays, schema=schema))


def _type(column: str) -> pa.DataType:
    import pyarrow as pa

    numbers = ("probability", "margin", "agreement", REASON)
    return pa.float64() if column.startswith(numbers) else pa.string()


def _encodable(prediction: Prediction) -> Prediction:
    path = prediction.path.encode(errors="backslashreplace").decode()
    return replace(prediction, path=path)


def _as_json(prediction: Prediction) -> dict[str, Any]:
    pairs = zip(prediction.classes, prediction.probabilities, strict=True)
    return {
        "path": _encodable(prediction).path,
        "class": prediction.label or None,
        "known": prediction.known if prediction.label else None,
        "margin": prediction.margin,
        "agreement": prediction.agreement,
        **({} if prediction.background is None else {REASON: prediction.background}),
        "reason": prediction.reason or None,
        "top": [{"class": name, "probability": round(p, 6)} for name, p in pairs],
    }


def _task(prediction: Prediction, model: str) -> dict[str, Any]:
    """Return a task of Label Studio, whose labels come as a choice named ``choice``."""
    task: dict[str, Any] = {"data": {"image": _encodable(prediction).path}}
    if prediction.label:
        choice = {
            "from_name": "choice",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [prediction.label]},
        }
        task["predictions"] = [
            {"model_version": model, "score": prediction.probability, "result": [choice]}
        ]
    return task


def _write_list(file: IO[str], values: Iterable[Any], start: str = "[", end: str = "]") -> None:
    between = start
    for value in values:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        file.write(f"{between}\n{text}")
        between = ","
    file.write((start if between == start else "") + f"\n{end}\n")


def _write_fiftyone(
    predictions: Iterable[Prediction], file: IO[str], classes: Sequence[str]
) -> None:
    """Write labels as FiftyOne's ``FiftyOneImageClassificationDataset`` has them."""

    def entry(prediction: Prediction) -> str:
        label = {"label": prediction.label, "confidence": prediction.probability}
        value = json.dumps(label if prediction.label else None, ensure_ascii=False)
        return f"{json.dumps(_encodable(prediction).path, ensure_ascii=False)}: {value}"

    names = json.dumps(list(classes), ensure_ascii=False)
    _write_list(file, map(entry, predictions), f'{{"classes": {names}, "labels": {{', "}}")
