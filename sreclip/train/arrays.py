"""What a fit is given, made from a caller's arrays; `ArgumentError` where one cannot be used."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array

from sreclip.errors import ArgumentError, GraphError, some
from sreclip.graph.adjacency import normalized_adjacency
from sreclip.graph.relation import text_similarity
from sreclip.graph.relation_graph import RelationGraph
from sreclip.graph.text_hierarchy import text_hierarchy
from sreclip.methods.data import ClassGraph, ClassText, FitData, sparse_tensor

FLOATS = (np.float32, np.float64)
ROUNDING = 1e-4


def fit_data(
    X: NDArray[np.floating],
    y: NDArray,
    X_target: ArrayLike | None,
    *,
    text: ArrayLike | None,
    classes: ArrayLike | None,
    relation: ArrayLike | None,
    edges: ArrayLike | None,
    node_text: ArrayLike | None,
    logit_scale: float,
    device: str,
) -> tuple[NDArray, FitData]:
    """Return the sorted classes, ``(n_classes,)``, and what a fit sees, with classes in that order.

    See `sreclip.Estimator.fit` for the arguments; ``X`` and ``y`` have been checked.
    """
    dim = X.shape[1]
    given = np.unique(y) if classes is None else np.asarray(classes)
    if given.ndim != 1:
        raise ArgumentError("classes must have one label per row of text")
    sorted_classes, order = np.unique(given, return_index=True)
    if len(order) < len(given):
        raise ArgumentError("classes names a class twice")
    if len(order) < 2:
        raise ArgumentError("there is only one class, and at least two are needed")
    numbers = _class_numbers(y, given)
    source = unit_rows(X, "X")
    target = source if X_target is None else unit_rows(X_target, "X_target", dim)
    if text is None:
        vectors = _class_means(source, numbers, given)
    else:
        vectors = unit_rows(text, "text", dim)
        if len(vectors) != len(given):
            raise ArgumentError(
                f"text has {len(vectors)} rows, and there are {len(given)} classes",
                "name the class of each row of text in classes",
            )
    place = np.argsort(order)
    labels = torch.from_numpy(place[numbers])
    known = torch.zeros(len(order), dtype=torch.bool)
    known[labels] = True
    class_text = ClassText(torch.from_numpy(vectors[order]), logit_scale, known)
    return sorted_classes, FitData(
        source_features=torch.from_numpy(source).to(device),
        source_labels=labels.to(device),
        target_features=torch.from_numpy(target).to(device),
        text=class_text.to(device),
        graph=_class_graph(vectors, order, relation, edges, node_text).to(device),
    )


def unit_rows(values: ArrayLike, name: str, width: int | None = None) -> NDArray[np.float32]:
    """Return a copy with rows of unit length, ``(n_rows, width)``."""
    table = check_array(values, dtype=FLOATS, input_name=name, ensure_min_samples=0)
    if len(table) == 0:
        raise ArgumentError(f"{name} has no row")
    if width is not None and table.shape[1] != width:
        raise ArgumentError(f"{name} has {table.shape[1]} features, and X has {width}")
    lengths = np.sqrt(np.einsum("ij,ij->i", table, table, dtype=np.float64))
    wrong = np.flatnonzero((lengths == 0) | ~np.isfinite(lengths))
    if wrong.size:
        raise ArgumentError(
            f"row {wrong[0]} of {name} has the length {lengths[wrong[0]]:g}, and no direction"
        )
    unit = np.empty(table.shape, dtype=np.float32)
    return np.divide(table, lengths[:, None], out=unit, casting="same_kind")


def _class_numbers(y: NDArray, classes: NDArray) -> NDArray[np.int64]:
    """Return the position of each label among the classes, ``(n_source,)``."""
    present, rows = np.unique(y, return_inverse=True)
    # Python's equality: to numpy the number 1 and the string "1" are one.
    number = {label: position for position, label in enumerate(classes.tolist())}
    missing = [str(label) for label in present.tolist() if label not in number]
    if missing:
        raise ArgumentError(f"y has labels that classes does not have: {some(missing)}")
    return np.array([number[label] for label in present.tolist()], dtype=np.int64)[rows]


def _class_means(
    source: NDArray[np.float32], numbers: NDArray[np.int64], classes: NDArray
) -> NDArray[np.float32]:
    """Return the mean direction of each class, ``(n_classes, dim)``."""
    counts = np.bincount(numbers, minlength=len(classes))
    without = [str(label) for label in classes[counts == 0].tolist()]
    if without:
        raise ArgumentError(
            f"classes that y does not have need text: {some(without)}",
            "give text with a vector for each class",
        )
    sums = np.zeros((len(classes), source.shape[1]))
    np.add.at(sums, numbers, source)
    return unit_rows(sums, "the class means of X")


def _class_graph(
    vectors: NDArray[np.float32],
    order: NDArray[np.int64],
    relation: ArrayLike | None,
    edges: ArrayLike | None,
    node_text: ArrayLike | None,
) -> ClassGraph:
    """Return the graph of classes in the order ``order``; the other arguments are as given."""
    if edges is None:
        if node_text is not None:
            raise ArgumentError("node_text is given without edges")
        joined, others = text_hierarchy(vectors)
    else:
        others = vectors[:0]
        if node_text is not None:
            others = unit_rows(node_text, "node_text", vectors.shape[1])
        joined = _checked_edges(edges, len(vectors) + len(others))
    related = (
        text_similarity(vectors) if relation is None else _checked_relation(relation, len(order))
    )
    nodes = np.concatenate([vectors, others])
    return ClassGraph(
        node_features=torch.from_numpy(nodes),
        adjacency=sparse_tensor(normalized_adjacency(len(nodes), joined)),
        edges=torch.from_numpy(joined),
        class_nodes=torch.from_numpy(order),
        relation=torch.from_numpy(related[np.ix_(order, order)]),
    )


def _checked_edges(edges: ArrayLike, n_nodes: int) -> NDArray[np.int64]:
    names = [str(node) for node in range(n_nodes)]
    graph = {"wnids": names, "names": names, "edges": np.asarray(edges).tolist(), "classes": []}
    try:
        return RelationGraph.from_json(graph).edges
    except GraphError as error:
        raise ArgumentError(f"edges: {error.message}", error.hint) from error


def _checked_relation(relation: ArrayLike, n_classes: int) -> NDArray[np.float32]:
    table: NDArray[np.float32] = check_array(relation, dtype=np.float32, input_name="relation")
    if table.shape != (n_classes, n_classes):
        raise ArgumentError(f"relation has shape {table.shape}, and there are {n_classes} classes")
    # Symmetric to the bit, as methods take it to be.
    exact: NDArray[np.float32] = np.clip((table + table.T) / 2, 0, 1)
    np.fill_diagonal(exact, 1)
    if np.abs(exact - table).max() > ROUNDING:
        raise ArgumentError("relation must be symmetric, in [0, 1], with diagonal 1")
    return exact
