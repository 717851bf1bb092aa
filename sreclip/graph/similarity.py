"""The file of WordNet similarities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sreclip.errors import StoreError
from sreclip.graph.relation_graph import GRAPH_STEP
from sreclip.plan.results import Result
from sreclip.sealed import new_sealed, open_sealed

CHUNK_VALUES = 1 << 18


def write_similarity(result: Result, similarity: NDArray[np.float32]) -> None:
    """Write the upper triangle of a symmetric matrix, compressed, with zeros below it."""
    n = len(similarity)
    with new_sealed(result["similarity.h5"], "similarity") as file:
        file.attrs["key"] = result.key
        file.create_dataset(
            "similarity",
            data=np.triu(similarity),
            chunks=(max(1, min(n, CHUNK_VALUES // n)), n),
            compression="gzip",
            shuffle=True,
            track_times=False,
        )


def read_similarity(result: Result) -> NDArray[np.float32]:
    """Read WordNet similarities, ``(n_classes, n_classes)``, NaN where a class has no sense.

    Raises `StoreError` if the file is missing or damaged, or was made from something else.
    """
    path = result["similarity.h5"]
    with open_sealed(path, "similarity").hdf5() as file:
        if file.attrs["key"] != result.key:
            raise StoreError(
                f"{path} was made from something else", f"delete it and run: {GRAPH_STEP}"
            )
        similarity = file["similarity"][:]
    for row in range(len(similarity)):
        similarity[row + 1 :, row] = similarity[row, row + 1 :]
    return similarity
