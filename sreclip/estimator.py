"""Every method as a scikit-learn estimator: arrays in, predictions out."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from sreclip.config.methods import METHOD_NAMES, MethodsSettings, Settings
from sreclip.errors import ArgumentError, SreclipError
from sreclip.registry import registered

if TYPE_CHECKING:
    from torch import Tensor

    from sreclip.methods.logits import Block
    from sreclip.refinement.candidates import Candidates, State


class _Refined(NamedTuple):
    """The target of a fit, its refined predictions, and what refines those of other images."""

    target: Tensor
    predictions: Candidates
    states: list[State]


class Estimator(ClassifierMixin, BaseEstimator):
    """A method of sreclip on features that are at hand as an array.

    Rows of features and text vectors are scaled to unit length: methods compare directions.

    Parameters
    ----------
    method : str, default: 'sre_clip'
        A method's name, see ``docs/methods.md``.
    seed : int, default: 0
    logit_scale : float, default: 100.0
        The frozen model's factor from cosine to logits.
    device : str, default: 'cpu'
        Where torch computes.
    **settings
        Settings of the method by name, see ``docs/parameters.md``; those that are not given have
        their defaults. `get_params` returns those that were given; `set_params` takes all.

    Attributes
    ----------
    classes_ : array, (n_classes,)
        All classes, sorted: the columns of `predict_proba`.
    known_ : bool array, (n_classes,)
        Which of them ``y`` has.
    method_ : Method
        The fitted method; ``method_.facts()`` says what the fit found out.
    n_features_in_ : int

    Examples
    --------
    Source images of two classes, and a target that also holds a class without source images:

    >>> import numpy as np
    >>> import sreclip
    >>> text = np.eye(3)
    >>> X = text[[0, 0, 0, 1, 1, 1]] + 0.1
    >>> y = ["cat", "cat", "cat", "dog", "dog", "dog"]
    >>> X_target = text[[2, 0, 1, 2]] - 0.1
    >>> estimator = sreclip.Estimator("class_bias", strength=0.5, logit_scale=20)
    >>> estimator.fit(X, y, X_target, text=text, classes=["cat", "dog", "owl"])
    Estimator(logit_scale=20, method='class_bias', strength=0.5)
    >>> estimator.predict(X_target).tolist()
    ['owl', 'cat', 'dog', 'owl']
    >>> estimator.predict_proba(X_target).shape
    (4, 3)
    >>> estimator.classes_[~estimator.known_].tolist()
    ['owl']

    Settings are checked when the estimator is fitted:

    >>> sreclip.Estimator("class_bias", strenght=0.5).fit(X, y)
    Traceback (most recent call last):
        ...
    sreclip.errors.ArgumentError: class_bias: strenght: unknown key (did you mean 'strength'?)...
    """

    def __init__(
        self,
        method: str = "sre_clip",
        *,
        seed: int = 0,
        logit_scale: float = 100.0,
        device: str = "cpu",
        **settings: Any,
    ) -> None:
        self.method = method
        self.seed = seed
        self.logit_scale = logit_scale
        self.device = device
        self._settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name, with the settings that were given."""
        return super().get_params(deep) | self._settings

    def set_params(self, **params: Any) -> Self:
        """Set parameters, or settings of the method; `fit` checks them."""
        names = super().get_params(deep=False).keys() & params.keys()
        super().set_params(**{name: params.pop(name) for name in names})
        self._settings = self._settings | params
        return self

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        X_target: ArrayLike | None = None,
        *,
        text: ArrayLike | None = None,
        classes: ArrayLike | None = None,
        relation: ArrayLike | None = None,
        edges: ArrayLike | None = None,
        node_text: ArrayLike | None = None,
    ) -> Self:
        """Learn from labelled source and unlabelled target features.

        Parameters
        ----------
        X : array, (n_source, dim)
            Source features.
        y : array, (n_source,)
            Their classes, strings or numbers.
        X_target : array, (n_target, dim), optional
            Target features; ``X`` by default.
        text : array, (n_classes, dim), optional
            Text vectors of all classes, also of unknown ones, which ``y`` does not have. By
            default the mean direction of each class in ``X``; then every class must be in ``y``.
        classes : array, (n_classes,), optional
            The class of each row of ``text``; by default the sorted classes of ``y``.
        relation : array, (n_classes, n_classes), optional
            Relation of the classes, in the order of ``classes``: symmetric, in [0, 1], diagonal 1.
            By default the similarity of their texts, (1 + cos) / 2.
        edges : int array, (n_edges, 2), optional
            The graph of methods with a graph convolution: numbers of child and parent nodes. The
            nodes are the classes in the order of ``classes``, then the rows of ``node_text``. By
            default a tree of the classes by their texts, see
            `sreclip.graph.text_hierarchy.text_hierarchy`.
        node_text : array, (n_nodes - n_classes, dim), optional
            Text vectors of the nodes of ``edges`` that are no classes.

        Raises
        ------
        ValueError
            An argument, parameter or setting cannot be used.
        FitError
            The loss stopped being finite.
        """
        import torch

        from sreclip.methods.base import fit_together
        from sreclip.refinement.candidates import Candidates
        from sreclip.train.arrays import fit_data
        from sreclip.train.fits import make_method, refined_blocks

        settings = self._checked_settings()
        source, labels = validate_data(self, X, y, ensure_min_samples=2)
        check_classification_targets(labels)
        classes_, data = fit_data(
            source,
            labels,
            X_target,
            text=text,
            classes=classes,
            relation=relation,
            edges=edges,
            node_text=node_text,
            logit_scale=float(self.logit_scale),
            device=self.device,
        )
        method = make_method(self.method, settings, int(self.seed))
        # A fit seeds torch's generator, which is the caller's.
        with torch.random.fork_rng(devices=[]):
            fit_together([method], data)
        self._refined = None
        if settings.refine:
            target = data.target_features
            with torch.inference_mode():
                blocks, states = refined_blocks(method, target)
                found = Candidates.from_blocks(blocks, len(target), len(classes_))
            self._refined = _Refined(target, found, states)
        self.classes_ = classes_
        self.known_ = data.text.known.cpu().numpy()
        self.method_ = method
        return self

    def predict(self, X: ArrayLike) -> NDArray:
        """Return the likeliest class of each image, ``(n_images,)``; see `predict_proba`."""
        import torch

        from sreclip.methods.logits import collect

        n_images, blocks = self._score(X)
        with torch.inference_mode():
            scores = collect(blocks, n_images, self.method_.text_.known)
        return self.classes_[scores.top_class[:, 0]]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of ``classes_``, ``(n_images, n_classes)``.

        Transductive methods and refinements label the target of the fit as a whole: those rows, all
        of them and in their order, get what the fit found for them. Other images are scored by what
        was learned from it.
        """
        import torch

        from sreclip.methods.logits import assemble

        n_images, blocks = self._score(X)
        with torch.inference_mode():
            logits = assemble(blocks, n_images, len(self.classes_))
            return logits.double().softmax(dim=1).cpu().numpy()

    def _score(self, X: ArrayLike) -> tuple[int, Iterable[Block]]:
        """Return the number of images and their refined logits in blocks."""
        import torch

        from sreclip.methods.transductive import same_images
        from sreclip.train.arrays import unit_rows
        from sreclip.train.fits import others_blocks

        check_is_fitted(self, "method_")
        rows = unit_rows(validate_data(self, X, reset=False), "X")
        method, refined = self.method_, self._refined
        features = torch.from_numpy(rows).to(method.text_.features.device)
        if refined is not None and same_images(features, refined.target):
            return len(rows), refined.predictions.blocks()
        return len(rows), others_blocks(method, refined.states if refined else [], features)

    def _checked_settings(self) -> Settings:
        """Return the method's settings; `ArgumentError` where a parameter cannot be used."""
        from sreclip.train.inputs import checked_device

        try:
            name = registered("method", self.method, METHOD_NAMES)
            checked_device(self.device)
        except SreclipError as error:
            raise ArgumentError(error.message, error.hint) from None
        if not isinstance(self.logit_scale, Real) or not 0 < self.logit_scale < np.inf:
            raise ArgumentError(f"logit_scale must be a positive number, not {self.logit_scale!r}")
        if not isinstance(self.seed, Integral) or self.seed < 0:
            raise ArgumentError(f"seed must be a whole number from 0, not {self.seed!r}")
        try:
            return MethodsSettings().settings(name).changed(self._settings)
        except ValueError as error:
            raise ArgumentError(f"{name}: {error}") from None
