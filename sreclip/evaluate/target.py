"""Names and labels of the target's images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sreclip.data.manifest import read_manifest, read_target_labels
from sreclip.data.place import image_names

if TYPE_CHECKING:
    import pandas as pd


def read_target(folder: Path) -> pd.DataFrame:
    """Return ``path`` and ``label`` (-1: none) of a task's target images, by row id.

    Raises as `read_manifest` and `read_target_labels`.
    """
    rows = read_manifest(folder, ["row_id", "path", "member", "domain"])
    rows = rows[rows["domain"] == "target"].set_index("row_id")
    return rows[[]].assign(path=image_names(rows), label=read_target_labels(folder, rows.index))
