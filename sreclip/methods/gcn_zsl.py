"""Zero-shot classifiers from a graph convolution (zGCN)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sreclip.methods.base import FitData, Method, Progress
from sreclip.methods.sre_clip_reference import PrototypeGcn


class GcnZsl(Method):
    """A GCN regresses classifiers of known classes and so gives those of unknown ones.

    ``sum_c |e_c - m_c|^2 / (2 K)`` over the K known classes is minimised, e_c being the unit-norm
    class rows of two graph convolutions on the relation graph and m_c the known classifiers;
    logits are ``s f.e_c`` for all classes. Sources: Wang, Ye, Gupta, CVPR 2018; the two-layer form
    with row-normalised adjacency is Kampffmeyer et al.'s, CVPR 2019.

    Deviations from the original: a known classifier is the normalised mean of the class's source
    features, not a row of a trained network's last layer; node vectors are the backbone's own text
    vectors; width 1024 and 300 steps in place of 2048 and 3000. Known classes, too, are classified
    by what the GCN gives.

    Parameters
    ----------
    width : int
        Hidden width.
    dropout : float
        Dropout before each graph convolution.
    lr, weight_decay : float
        Adam's.
    steps : int
        Optimisation steps, each on the whole graph.
    seed : int
        Seed of weights and dropout.
    progress : callable, optional
        Called with step, number of steps and the loss.
    """

    title = "zGCN"
    citation = "Wang et al., CVPR 2018; Kampffmeyer et al., CVPR 2019"
    transductive = False

    def __init__(
        self,
        width: int = 1024,
        dropout: float = 0.5,
        lr: float = 1e-3,
        weight_decay: float = 5e-4,
        steps: int = 300,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.width = width
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = steps
        self.seed = seed
        self.progress = progress

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        text, graph = data.text, data.graph
        dim = text.features.shape[1]
        gcn = PrototypeGcn(graph.node_features.shape[1], self.width, dim, self.dropout)
        gcn.to(text.features.device)
        means = class_means(data.source_features, data.source_labels, len(text.known))[text.known]
        optimizer = torch.optim.Adam(gcn.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        for step in range(1, self.steps + 1):
            difference = gcn(graph)[text.known] - means
            loss = difference.square().sum() / (2 * len(means))
            self._record(step, self.steps, {"regression": loss})
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            self.classifiers_ = gcn.eval()(graph)

    def _logits(self, features: Tensor) -> Tensor:
        return self.text_.logit_scale * features @ self.classifiers_.T

    def state(self) -> dict[str, Tensor]:
        """Classifiers of all classes."""
        return {"classifiers": self.classifiers_}


def class_means(features: Tensor, labels: Tensor, n_classes: int) -> Tensor:
    """Normalised sum of each class's features, ``(n_classes, dim)``; zero without an image."""
    sums = features.new_zeros(n_classes, features.shape[1]).index_add(0, labels, features)
    return F.normalize(sums, dim=1)
