"""Every method's predictions with names, for users: one table, CSV and Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sreclip.data.label_file import NONE_OF_THESE
from sreclip.evaluate.accuracy import REJECTED
from sreclip.evaluate.stored import Evaluation, predicted_column, read_predictions
from sreclip.files import atomic_path
from sreclip.plan.plan import Plan
from sreclip.plan.results import PREDICTIONS

if TYPE_CHECKING:
    import pandas as pd

    from sreclip.report.rejects import Rejects

NOT_READ = "it could not be read"


def write_predictions(plan: Plan, results: Sequence[Evaluation], rejects: Rejects) -> None:
    """Write the predictions of all methods, one after the other.

    Columns are as `sreclip.model.writers` has them, with the method before and, where it is known,
    the true class as ``label``. Rejected images have the reason, and no class.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    reasons = {reject.path: reject.reason for domain, reject in rejects.found if domain == "target"}
    csv, parquet = (plan.page[name] for name in PREDICTIONS)
    with atomic_path(csv) as text, atomic_path(parquet) as table:
        writer = None
        for number, frame in enumerate(_frames(plan, results, reasons)):
            frame.round(6).to_csv(text, mode="a", header=not number, index=False)
            rows = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(table, rows.schema)
            writer.write_table(rows.cast(writer.schema))
        if writer:
            writer.close()


def _frames(
    plan: Plan, results: Sequence[Evaluation], reasons: Mapping[str, str]
) -> Iterator[pd.DataFrame]:
    for result in results:
        yield _named(read_predictions(plan.evaluation(result.method)), result, reasons)


def _named(found: pd.DataFrame, result: Evaluation, reasons: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    # From the end: for -1 nothing, then what stands for `SHOWS_NONE`.
    names = np.array([*result.classes, NONE_OF_THESE, ""], dtype=object)
    predicted = found["predicted"].to_numpy()
    read = predicted != REJECTED
    seeds = np.stack([found[predicted_column(seed)].to_numpy() for seed in result.seeds])
    agreement = (seeds == predicted).mean(axis=0)
    several = len(seeds) > 1

    def where_read(values: object) -> pd.Series:
        return pd.Series(values, found.index, dtype=float).where(read)

    more = [name for name in map(str, found) if re.fullmatch(r"(class|probability)_\d+", name)]
    return pd.DataFrame(
        {
            "method": result.method,
            "path": found["path"],
            "class": names[predicted],
            "probability": where_read(found["confidence"]),
            "kind": np.where(read, np.where(result.known[predicted], "known", "unknown"), ""),
            "margin": where_read(found["confidence"] - found.get("probability_2", 0.0)),
            "agreement": where_read(agreement if several else np.nan),
            "reason": [
                "" if ok else reasons.get(path, NOT_READ)
                for path, ok in zip(found["path"], read, strict=True)
            ],
            "label": names[found["label"].to_numpy()],
            **{
                name: np.where(read, names[found[name].to_numpy()], "")
                if name.startswith("class")
                else where_read(found[name])
                for name in more
            },
        }
    )
