"""Pictures that could not be used: listed for the report, and limited in number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.errors import DataError
from sreclip.features.checks import Reject
from sreclip.features.store import open_images
from sreclip.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("domain", "path", "reason", "row_id")
_SHOWN = 5


def check_rejects(files: Sequence[Path], max_rejects: float) -> pd.DataFrame:
    """List the rejected pictures of a task.

    Parameters
    ----------
    files : sequence of Path
        The joined files of the task's domains.
    max_rejects : float
        Largest share of all pictures that may be rejected, 0 to 1.

    Returns
    -------
    DataFrame
        `COLUMNS`, one row a rejected picture.

    Raises
    ------
    DataError
        More are rejected.
    StoreError
        A file is missing or damaged.
    """
    import pandas as pd

    records: list[dict[str, object]] = []
    rejects: list[Reject] = []
    total = 0
    for path in files:
        with open_images(path) as images:
            total += len(images)
            rejects += images.rejects
            domain = images.header.domain
            records += [{"domain": domain, **asdict(reject)} for reject in images.rejects]
    if len(rejects) > max_rejects * total:
        raise too_many_rejects(rejects, total, max_rejects, "the task")
    table = pd.DataFrame(records, columns=list(COLUMNS))
    return table.astype({"row_id": "int64"})


def write_rejects_csv(table: pd.DataFrame, out: Path) -> None:
    """Write the table of `check_rejects`, whole or not at all."""
    with atomic_path(out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def too_many_rejects(
    rejects: Sequence[Reject], looked_at: int, max_rejects: float, where: str
) -> DataError:
    """Word the error, with the first rejected pictures."""
    lines = [f"  {reject.path}: {reject.reason}" for reject in rejects[:_SHOWN]]
    if len(rejects) > _SHOWN:
        lines.append(f"  and {len(rejects) - _SHOWN} more")
    return DataError(
        f"{len(rejects)} of the {looked_at} pictures looked at in {where} cannot be used, "
        f"more than features.max_rejects = {max_rejects:g} allows:\n" + "\n".join(lines),
        "mend or remove them, or raise features.max_rejects in params.yaml",
    )
