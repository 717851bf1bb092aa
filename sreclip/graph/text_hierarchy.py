"""A hierarchy of classes that is made from their texts alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform


def text_hierarchy(text: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return edges and inner nodes of a tree over classes, joined pair by pair by their texts.

    Clusters of classes are joined in the order of the mean cosine between their texts (average
    linkage); a joined pair becomes a node, whose vector is the direction of its classes' sum.

    Parameters
    ----------
    text : float array, (n_classes, dim)
        Unit-norm class vectors of at least two classes.

    Returns
    -------
    edges : int64 array, (2 * (n_classes - 1), 2)
        Node numbers, child and parent: the classes first, then the inner nodes.
    inner : float32 array, (n_classes - 1, dim)
        Unit-norm vectors of the inner nodes; zero where the classes' vectors cancel out.
    """
    n_classes = len(text)
    distances = squareform(1 - text @ text.T, checks=False)
    pairs = linkage(distances, "average")[:, :2].astype(np.int64)
    sums = np.concatenate([text, np.zeros_like(text[1:])])
    for node, pair in enumerate(pairs, start=n_classes):
        sums[node] = sums[pair].sum(axis=0)
    inner = sums[n_classes:]
    lengths = np.linalg.norm(inner, axis=1, keepdims=True)
    parents = np.repeat(np.arange(n_classes, n_classes + len(pairs)), 2)
    edges = np.stack([pairs.ravel(), parents], axis=1)
    return edges, np.divide(inner, lengths, out=np.zeros_like(inner), where=lengths > 0)
