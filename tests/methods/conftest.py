"""A small problem for the tests of single methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import log_softmax, softmax

from sreclip.methods.bgcn import Bgcn
from sreclip.methods.data import ClassGraph, ClassText

DIM, CLASSES, SCALE = 6, 5, 20.0


# Known and unknown classes are interleaved, so that a mix-up of numberings shows.
KNOWN = torch.tensor([True, False, True, True, False])


@pytest.fixture
def problem() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    text = F.normalize(torch.randn(CLASSES, DIM, generator=generator), dim=1)
    labels = torch.tensor([0, 2, 3])[torch.arange(30) % 3]
    source = F.normalize(text[labels] + 0.4 * torch.randn(30, DIM, generator=generator), dim=1)
    wanted = torch.arange(45) % CLASSES
    target = F.normalize(text[wanted] + 0.3 * torch.randn(45, DIM, generator=generator), dim=1)
    adjacency = torch.eye(CLASSES) + torch.eye(CLASSES).roll(1, 0)
    return {
        "source_features": source,
        "source_labels": labels,
        "target_features": target,
        "text": ClassText(text, 20.0, KNOWN),
        "graph": ClassGraph(
            text,
            (adjacency / 2).to_sparse(),
            torch.stack([torch.arange(CLASSES - 1), torch.arange(1, CLASSES)], dim=1),
            torch.arange(CLASSES),
            torch.eye(CLASSES),
        ),
    }


def frozen(problem: dict[str, Any]) -> torch.Tensor:
    return SCALE * problem["target_features"] @ problem["text"].features.T


def array(value: torch.Tensor) -> np.ndarray:
    return value.detach().double().numpy()


SMALL = {"gcn_width": 8, "batch_size": 10, "regression_steps": 30}


def terms_in_numpy(method: Bgcn, problem: dict[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    w = array(method._classifiers)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    sides = []
    for key in ("source_features", "target_features"):
        v = array(problem[key][rows]) @ array(method.adapter_.weight).T
        v += array(method.adapter_.bias)
        sides.append(v / np.linalg.norm(v, axis=1, keepdims=True))
    source, target = sides
    p, q = softmax(source @ w.T / 0.05, axis=1), softmax(target @ w.T / 0.05, axis=1)
    labels, known = problem["source_labels"][rows].numpy(), KNOWN.numpy()
    matched = (p * q)[:, known].sum(axis=1) > 0.6
    e = array(method.gcn_(problem["graph"]))
    distance = ((e - w) ** 2).sum(axis=1)
    return {
        "cross_entropy": -log_softmax(source @ w.T / 0.05, axis=1)[
            np.arange(len(rows)), labels
        ].mean(),
        "tie": distance[known].sum() / 6 + distance[~known].sum() / 4,
        "mass": q[:, ~known].sum(axis=1),
        "matched": matched,
        "matching": np.linalg.norm(source - target, axis=1)[matched].mean(),
    }
