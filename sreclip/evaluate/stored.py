"""What the fits and the evaluation of one method store, as later steps read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.evaluate.confusion import confusion_table
from sreclip.files import read_keyed, write_json
from sreclip.plan.results import Result

if TYPE_CHECKING:
    import pandas as pd

ZERO_SHOT = "zero_shot"

# Mean, sd, low, high and n over seeds; see `sreclip.evaluate.statistics.summarise`.
Summary = Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The content of ``evaluation.json``."""

    method: str  # name in the parameters
    title: str  # display name
    citation: str
    transductive: bool  # the fit saw the unlabelled target images
    baseline: bool  # the method is published elsewhere
    settings: Mapping[str, Any]
    seeds: Sequence[int]
    # Target images with a class as label, without a label, with a class but unreadable, and those
    # that show none of the classes.
    n_images: int
    n_unlabelled: int
    n_rejected: int
    n_none: int
    classes: Sequence[str]
    known: NDArray[np.bool_]  # (n_classes,)
    # "name" and, under the protocol "reference", "warning" and how steps were chosen.
    protocol: Mapping[str, Any]
    runs: Sequence[Mapping[str, float]]  # metrics of each seed
    metrics: Mapping[str, Summary]
    # Mean over seeds; None for a class without a labelled target image.
    class_accuracy: Sequence[float | None]
    # "known" and "unknown" accuracies; None if one kind has no image.
    curve: Mapping[str, Sequence[float]] | None
    # Counts over all seeds; see `sreclip.evaluate.confusion.confusion`.
    confusion: Sequence[Sequence[int]]
    # What the predictions say without labels; see `sreclip.evaluate.predicted`.
    predicted: Mapping[str, Any]
    key: str
    selection: str  # how settings were chosen: "last", "pseudo_unknown" or "oracle"
    candidate: int  # number of the candidate that "oracle" chose

    @property
    def warning(self) -> str:
        """What must be said of the numbers; empty under the default protocol."""
        return str(self.protocol.get("warning", ""))

    @cached_property
    def confusion_table(self) -> NDArray[np.int32]:
        """Counts over all seeds, ``(n_classes, n_classes + 1)``; the last column is rejected."""
        return confusion_table(self.confusion, len(self.classes))


def write_evaluation(result: Result, evaluation: Evaluation) -> None:
    """Write ``evaluation.json``, whole or not at all."""
    values = {field.name: getattr(evaluation, field.name) for field in fields(Evaluation)}
    write_json(result["evaluation.json"], values | {"known": evaluation.known.tolist()})


def read_evaluation(result: Result, made_by: str = "") -> Evaluation:
    """Read ``evaluation.json``, made by ``sreclip evaluate`` or another command.

    Raises `StoreError` if the file is missing, damaged, or made from something else.
    """
    path, made_by = result["evaluation.json"], made_by or _made_by(result)
    value = read_keyed(path, result.key, made_by=made_by)
    try:
        found = {field.name: value[field.name] for field in fields(Evaluation)}
    except KeyError as error:
        raise StoreError(
            f"{path} is not an evaluation ({error} is missing)",
            f"delete it and make it again with: {made_by}",
        ) from error
    return Evaluation(**(found | {"known": np.array(found["known"], dtype=bool)}))


def read_fit(result: Result) -> dict[str, Any]:
    """Read ``fit.json`` of a method's fits.

    Raises `StoreError` if the file is missing, damaged, or made from something else.
    """
    made_by = f"sreclip train {result.about['method']}"
    return read_keyed(result["fit.json"], result.key, made_by=made_by)


def read_evaluations(results: Iterable[Result]) -> list[Evaluation]:
    """Read several evaluations, such as the inputs of a plan's comparison."""
    return [read_evaluation(result) for result in results]


def zero_shot_of(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """Return the evaluation of zero-shot CLIP, if it is among them."""
    return next((found for found in evaluations if found.method == ZERO_SHOT), None)


def read_predictions(result: Result, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read ``predictions.parquet``, or some columns; `StoreError` if it is missing or damaged."""
    import pandas as pd

    path, made_by = result["predictions.parquet"], f"make it with: {_made_by(result)}"
    if not path.exists():
        raise StoreError(f"{path} is missing", made_by)
    try:
        return pd.read_parquet(
            path, engine="pyarrow", columns=None if columns is None else list(columns)
        )
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} cannot be read ({error})", f"delete it; {made_by}") from error


def predicted_column(seed: int) -> str:
    """Return the column of ``predictions.parquet`` with the predictions of one seed."""
    return f"predicted_seed_{seed}"


def _made_by(result: Result) -> str:
    return f"sreclip evaluate {result.about['method']}"
