"""Images that appear more than once, told by their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sreclip.data.hashes import UNREADABLE
from sreclip.data.place import image_names
from sreclip.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

DuplicateRule = Literal["error", "drop_target", "keep"]
_SHOWN = 5


def settle_duplicates(
    rows: pd.DataFrame, rule: DuplicateRule
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Apply the rule to images that both domains have; count what repeats within a domain.

    Empty and unreadable files are never duplicates.

    Parameters
    ----------
    rows : DataFrame
        Hashed rows of a manifest, target labels included.
    rule : {'error', 'drop_target', 'keep'}
        Raise `DataError`, remove such images from the target, or keep both.

    Returns
    -------
    rows : DataFrame
    repeats : dict
        ``duplicates`` of ``summary.json``.
    """
    contents = _contents(rows)
    source = (rows["domain"] == "source").to_numpy(dtype=bool)
    real = contents >= 0
    in_source = np.zeros(contents.max(initial=-1) + 1, dtype=bool)
    in_source[contents[source & real]] = True
    shared = ~source & real
    shared[shared] = in_source[contents[shared]]

    if shared.any() and rule == "error":
        raise DataError(
            f"target images that the source has too (same bytes), {int(shared.sum())} in all: "
            + _some_pairs(rows, contents, source, np.flatnonzero(shared)),
            "an image with a label must not be in the test; remove them from one domain, or set "
            "task.duplicates to 'drop_target' (remove them from the target) or 'keep'",
        )
    dropped = shared if rule == "drop_target" else np.zeros_like(shared)
    repeats = {
        "across": int(shared.sum()),
        "dropped": image_names(rows[dropped]).tolist(),
        "within": {
            domain: _n_repeated(contents[real & mask & ~dropped])
            for domain, mask in (("source", source), ("target", ~source))
        },
        "source_with_two_labels": _n_label_conflicts(rows, contents, source & real),
    }
    if dropped.any():
        rows = rows[~dropped].reset_index(drop=True)
        if not (rows["domain"] == "target").any():
            raise DataError(
                "every target image is also in the source (same bytes)",
                "check that the target folder is the right one",
            )
    return rows, repeats


def _contents(rows: pd.DataFrame) -> np.ndarray:
    """Number the contents; -1 for files that are empty or unreadable."""
    import pandas as pd

    contents = pd.factorize(rows["sha256"])[0].astype(np.int64)
    contents[((rows["size"] == 0) | (rows["sha256"] == UNREADABLE)).to_numpy(dtype=bool)] = -1
    return contents


def _n_repeated(contents: np.ndarray) -> int:
    return len(contents) - len(np.unique(contents))


def _n_label_conflicts(rows: pd.DataFrame, contents: np.ndarray, mask: np.ndarray) -> int:
    labels = rows["label"].to_numpy(dtype=np.int64, na_value=-1)[mask]
    pairs = np.unique(np.stack([contents[mask], labels]), axis=1)
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())


def _some_pairs(
    rows: pd.DataFrame, contents: np.ndarray, source: np.ndarray, shared: np.ndarray
) -> str:
    shown = shared[:_SHOWN]
    also = [np.flatnonzero(source & (contents == contents[at]))[0] for at in shown]
    names = (image_names(rows.iloc[rows_of]) for rows_of in (shown, also))
    pairs = [f"{name} = {other}" for name, other in zip(*names, strict=True)]
    rest = len(shared) - len(pairs)
    return "; ".join(pairs) + (f" and {rest} more" if rest else "")
