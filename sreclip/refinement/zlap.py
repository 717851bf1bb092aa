"""ZLaP: zero-shot label propagation (Stojnic, Kalantidis, Tolias; CVPR 2024)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sreclip.refinement.transclip import nearest_neighbours

if TYPE_CHECKING:
    from scipy.sparse import csr_array

CHUNK = 2048
BLOCK_VALUES = 1 << 22
MAX_STEPS = 50


@torch.no_grad()
def zlap(
    features: Tensor,
    text: Tensor,
    k: int = 5,
    gamma: float = 5.0,
    alpha: float = 0.3,
    tolerance: float = 1e-6,
) -> Tensor:
    """Spread each class's label from its text over a graph of texts and images.

    The scores of class c solve ``(I - alpha D^-1/2 W D^-1/2) x = y_c``, y_c being 1 at the text of
    c. ``W = S + S^T``, S holding each image's cosines to its nearest images and, raised to
    ``gamma``, to its nearest texts; negative cosines count as 0. Differences from the authors'
    code: the neighbours are exact, and the conjugate gradients run on a block of classes at once.
    No array is larger than a chunk of similarities, a block of solutions or the scores.

    Parameters
    ----------
    features : Tensor
        Unit norm, ``(n_images, dim)``.
    text : Tensor
        Unit-norm class vectors, ``(n_classes, dim)``.
    k : int
        Nearest images, with the image itself among them as in the authors' code, and nearest
        texts.
    gamma : float
        Power of the image-text cosines.
    alpha : float
        In [0, 1): 0 keeps every label at its text.
    tolerance : float
        Relative residual of each class's solution.

    Returns
    -------
    Tensor
        Scores ``(n_images, n_classes)``, zero where no path leads from text to image.
    """
    n_classes = len(text)
    graph = normalized_graph(features, text, k, gamma)
    scores = torch.empty(len(features), n_classes, dtype=features.dtype)
    block = max(1, BLOCK_VALUES // graph.shape[0])
    for start in range(0, n_classes, block):
        stop = min(start + block, n_classes)
        labels = np.zeros((graph.shape[0], stop - start))
        labels[np.arange(start, stop), np.arange(stop - start)] = 1
        solution = conjugate_gradients(lambda x: x - alpha * (graph @ x), labels, tolerance)
        scores[:, start:stop] = torch.from_numpy(solution[n_classes:])
    return scores.to(features.device)


def normalized_graph(features: Tensor, text: Tensor, k: int, gamma: float) -> csr_array:
    """``D^-1/2 W D^-1/2`` over the texts, which come first, and the images; float64."""
    from scipy.sparse import csr_array, diags_array

    n_images, n_classes = len(features), len(text)
    images, cosines = nearest_neighbours(features, min(k, n_images) - 1)
    texts, text_cosines = _nearest_texts(features, text, min(k, n_classes))
    columns = torch.cat([images + n_classes, texts], dim=1)
    values = torch.cat([cosines.clamp_min(0), text_cosines.clamp_min(0) ** gamma], dim=1)
    rows = np.repeat(np.arange(n_images) + n_classes, columns.shape[1])
    n_nodes = n_classes + n_images
    one_way = csr_array(
        (values.double().cpu().numpy().ravel(), (rows, columns.cpu().numpy().ravel())),
        shape=(n_nodes, n_nodes),
    )
    both_ways = one_way + one_way.T
    degree = both_ways.sum(axis=1)
    scale = diags_array(1 / np.sqrt(np.where(degree > 0, degree, 1)))
    return csr_array(scale @ both_ways @ scale)


def _nearest_texts(features: Tensor, text: Tensor, k: int) -> tuple[Tensor, Tensor]:
    tops = [(chunk @ text.T).topk(k, dim=1) for chunk in features.split(CHUNK)]
    return torch.cat([top.indices for top in tops]), torch.cat([top.values for top in tops])


def conjugate_gradients(
    apply: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    right: NDArray[np.float64],
    tolerance: float,
    max_steps: int = MAX_STEPS,
) -> NDArray[np.float64]:
    """Solve ``A x = b`` for each column b of ``right``, A symmetric and positive definite.

    A column stops when its residual is at most ``tolerance |b|``.

    Parameters
    ----------
    apply : callable
        ``A`` times an array of the shape of ``right``.
    right : float64 array, (n, n_columns)
        Right-hand sides.
    tolerance : float
        Relative residual.
    max_steps : int
        The end in any case.
    """
    solution = np.zeros_like(right)
    residual, direction = right.copy(), right.copy()
    square = (residual**2).sum(axis=0)
    enough = tolerance**2 * square
    for _ in range(max_steps):
        active = square > enough
        if not active.any():
            break
        image = apply(direction)
        step = _divide(square, (direction * image).sum(axis=0), active)
        solution += step * direction
        residual -= step * image
        previous, square = square, (residual**2).sum(axis=0)
        direction = residual + _divide(square, previous, active) * direction
    return solution


def _divide(
    above: NDArray[np.float64], below: NDArray[np.float64], where: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=where)
