"""Images that appear more than once, told by their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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

    ``rows`` are hashed rows of a manifest, target labels included. Returns the rows that are left
    and ``duplicates`` of ``summary.json``. Empty and unreadable files are never duplicates.

    Raises `DataError` if there are such images and the rule is ``error``, or they are all of the
    target.
    """
    import pandas as pd

    source = rows["domain"] == "source"
    real = (rows["size"] > 0) & (rows["sha256"] != UNREADABLE)
    contents = pd.Series(pd.factorize(rows["sha256"])[0], rows.index)
    shared = ~source & real & contents.isin(contents[source & real])

    if shared.any() and rule == "error":
        names = image_names(rows)
        pairs = [
            f"{names[at]} = {names[source & real & (contents == contents[at])].iloc[0]}"
            for at in shared.index[shared][:_SHOWN]
        ]
        rest = int(shared.sum()) - len(pairs)
        raise DataError(
            f"target images that the source has too (same bytes), {int(shared.sum())} in all: "
            + "; ".join(pairs)
            + (f" and {rest} more" if rest else ""),
            "an image with a label must not be in the test; remove them from one domain, or set "
            "task.duplicates to 'drop_target' (remove them from the target) or 'keep'",
        )
    dropped = shared & (rule == "drop_target")
    labels = rows["label"][source & real].groupby(contents[source & real])
    repeats = {
        "across": int(shared.sum()),
        "dropped": image_names(rows[dropped]).tolist(),
        "within": {
            domain: int(contents[real & mask & ~dropped].duplicated().sum())
            for domain, mask in (("source", source), ("target", ~source))
        },
        "source_with_two_labels": int((labels.nunique() > 1).sum()),
    }
    if dropped.any():
        rows = rows[~dropped].reset_index(drop=True)
        if not (rows["domain"] == "target").any():
            raise DataError(
                "every target image is also in the source (same bytes)",
                "check that the target folder is the right one",
            )
    return rows, repeats
