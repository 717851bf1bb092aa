"""Every method's predictions with names, for users: one table, CSV and Parquet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sreclip.data.label_file import NONE_OF_THESE
from sreclip.evaluate.accuracy import REJECTED
from sreclip.evaluate.background import REASON, target_background
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
    the true class as ``label``. Rejected images have the reason, and no class; so have images that
    show something else rather than the likeliest class.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    none = target_background(plan)
    reasons = {reject.path: reject.reason for domain, reject in rejects.found if domain == "target"}
    csv, parquet = (plan.page[name] for name in PREDICTIONS)
    with atomic_path(csv) as text, atomic_path(parquet) as table:
        writer = None
        for number, frame in enumerate(_frames(plan, results, reasons, none)):
            frame.round(6).to_csv(text, mode="a", header=not number, index=False)
            rows = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(table, rows.schema)
            writer.write_table(rows.cast(writer.schema))
        if writer:
            writer.close()


def background_line(path: Path) -> str:
    """Say how many images show something else, from a written table; "" where that is not asked."""
    import pyarrow.parquet as pq

    if not path.exists() or REASON not in pq.read_schema(path).names:
        return ""
    table = pq.read_table(path, columns=["method", "reason"]).to_pandas()
    counts = (table["reason"] == REASON).groupby(table["method"], sort=False).sum()
    shown = ", ".join(f"{method} {count:,}" for method, count in counts.items())
    n_images = len(table) // max(1, len(counts))
    return f"Of {n_images:,} target images show something else, which no number counts: {shown}"


def _frames(
    plan: Plan, results: Sequence[Evaluation], reasons: Mapping[str, str], none: pd.Series | None
) -> Iterator[pd.DataFrame]:
    for result in results:
        found = read_predictions(plan.evaluation(result.method))
        named = _named(found, result, reasons)
        if none is not None:
            _put_beside(named, none.reindex(found["row_id"]).to_numpy())
        yield named


def _put_beside(named: pd.DataFrame, none: NDArray[np.float32]) -> None:
    """Let ``background``, the probability of none of the classes, compete with them, in place."""
    for name in map(str, named):
        if name.startswith(("probability", "margin")):
            named[name] *= 1 - none
    other = none > named["probability"]
    named.loc[other, ["class", "kind"]] = ""
    named.loc[other, "reason"] = REASON
    named.insert([*named].index("reason"), REASON, none.astype(float))


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
