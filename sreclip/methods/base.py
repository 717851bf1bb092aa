"""The interface of all methods: tensors and a graph in, logits out; never files."""

from __future__ import annotations

import copy
import inspect
import math
import textwrap
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args, get_type_hints

import torch
from torch import Tensor, nn

from sreclip.config.methods import Settings
from sreclip.errors import ConfigError, FitError
from sreclip.methods.data import ClassGraph, ClassText, FitData
from sreclip.methods.logits import Block, assemble, collect, score_in_blocks, shifted, widened
from sreclip.methods.scores import unknown_bias

# Given a step, the number of steps and the total loss.
Progress = Callable[[int, int, float], None]
# Weight and value of each loss term by name.
Terms = Mapping[str, tuple[float, Tensor]]
KEEP_EVERY = 20


class Diverged(FitError):  # noqa: N818 - it names what happened
    """A loss term or a parameter of ``method`` stopped being finite; it has its last good state."""

    def __init__(self, method: Method, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.method = method


@dataclass(frozen=True)
class Checkpoints:
    """How many states of a fit to keep before its last step.

    ``keep`` is given the step and a finished copy of the method.
    """

    count: int
    keep: Callable[[int, Method], None]

    def steps(self, total: int) -> tuple[int, ...]:
        """Return the steps that cut ``total`` steps into ``count + 1`` equal parts."""
        steps = {round(total * part / (self.count + 1)) for part in range(1, self.count + 1)}
        return tuple(sorted(steps - {0, total}))


class Method(ABC):
    """A way to adapt a frozen image-text model.

    A subclass names its settings model in the annotation of ``settings`` and learns in `_fit`. A
    fit forgets what an earlier one learned; learned attributes end in an underscore.

    Attributes
    ----------
    transductive
        The fit sees the unlabelled target images.
    deterministic
        Nothing is drawn: all seeds give the same.
    baseline
        False for SRE-CLIP itself, in the authors' form and in ours.
    batch_dependent
        The logits of an image depend on the images that are scored with it.
    scoring_batches
        Row numbers of the batches in which a ``batch_dependent`` method scores images, each row
        once; None for its own.
    bias_
        Calibration: what is added to the logits, ``(n_classes,)``; 0 for known classes.
    history_
        Number and loss terms of each step.
    """

    title: ClassVar[str]
    citation: ClassVar[str]
    transductive: ClassVar[bool] = False
    baseline: ClassVar[bool] = True
    batch_dependent: ClassVar[bool] = False

    deterministic: bool = False
    _model: ClassVar[type[Settings]]
    settings: Settings
    text_: ClassText
    bias_: Tensor
    _data: FitData
    checkpoints: Checkpoints | None = None
    scoring_batches: Sequence[Tensor] | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._model = get_type_hints(cls)["settings"]
        cls.__doc__ = f"{inspect.cleandoc(cls.__doc__ or '')}\n\n{_parameters(cls._model)}"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        **values: Any,
    ) -> None:
        try:
            self.settings = (settings or self._model()).changed(values)
        except ValueError as error:
            raise ConfigError(f"{type(self).__name__}: {error}") from None
        self.seed = seed
        self.progress = progress
        self.history_: list[dict[str, float]] = []

    def fit(
        self,
        source_features: Tensor,
        source_labels: Tensor,
        target_features: Tensor,
        text: ClassText,
        graph: ClassGraph,
    ) -> Self:
        """Learn from labelled source and unlabelled target features.

        Features are unit-norm rows, ``(n_source, dim)`` and ``(n_target, dim)``; float16 gives
        what the same numbers in float32 give. Labels are ``(n_source,)`` int64, known classes only.
        After `Diverged`, `state` gives the last good state, at most `KEEP_EVERY` steps older.
        """
        data = FitData(source_features, source_labels, target_features, text, graph)
        data.check()
        fit_together([self], data)
        return self

    def at_once(self, data: FitData) -> int:
        """Return how many fits of these settings with other seeds to make as one batch."""
        return 1

    @classmethod
    def _fit_all(cls, methods: Sequence[Self], data: FitData) -> None:
        """Learn with each method, which differ in their seed."""
        for method in methods:
            torch.manual_seed(method.seed)
            method._fit(data, torch.Generator().manual_seed(method.seed))

    def _fit(self, data: FitData, generator: torch.Generator) -> None:
        """Learn; ``generator`` is newly seeded, and so is torch's own. Or override `_fit_all`."""
        raise NotImplementedError

    def _finish(self, data: FitData) -> None:  # noqa: B027 - most methods add nothing
        """Compute what predictions need from the learned parameters."""

    @torch.no_grad()
    def _settle(self, data: FitData) -> None:
        """Get ready to predict: `_finish`, then calibrate."""
        self._finish(data)
        calibration = self.settings.calibration
        if calibration != "none":
            target, unknown = data.target_features, ~data.text.known
            margin = collect(self._blocks(target), len(target), ~unknown).margin
            least = float(unknown.float().mean()) if calibration == "class_prior" else 0.0
            self.bias_ = unknown_bias(margin, data.zero_shot_margin, least) * unknown.float()

    def _logits(self, features: Tensor) -> Tensor:
        """Return the logits of one chunk before calibration; unless `_blocks` is overridden."""
        raise NotImplementedError

    def _blocks(self, features: Tensor) -> Iterator[Block]:
        """Return the logits before calibration, in blocks of bounded size."""
        return score_in_blocks(self._logits, features, len(self.text_.features))

    def logit_blocks(self, features: Tensor) -> Iterator[Block]:
        """Return the logits of unit-norm features ``(n_images, dim)`` in blocks of bounded size."""
        blocks = self._blocks(features)
        return blocks if self.settings.calibration == "none" else shifted(blocks, self.bias_)

    @torch.inference_mode()
    def logits(self, features: Tensor) -> Tensor:
        """Return class logits ``(n_images, n_classes)`` of features ``(n_images, dim)``."""
        blocks = self.logit_blocks(features)
        return assemble(blocks, len(features), len(self.text_.features))

    def image_features(self, features: Tensor) -> Tensor:
        """Return the unit-norm features that the method compares with class vectors."""
        return widened(features)

    def anchors(self) -> ClassText:
        """Return class vectors in the space of `image_features`, for refinements to hold on to."""
        return self.text_

    def facts(self) -> Mapping[str, float]:
        """Return what the fit found out, by name, for ``fit.json``."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """Return the learned tensors by name, for safetensors."""
        return {**self._state(), "bias": self.bias_}

    def _state(self) -> dict[str, Tensor]:
        """Return the tensors of `state` without the calibration."""
        return {"text": self.text_.features}

    def restore(self, state: Mapping[str, Tensor], text: ClassText) -> Self:
        """Take a saved `state`, to score images without a fit; ``text`` is what the fit saw.

        They are scored as images that were not in the fit. Raises `KeyError` where a tensor is
        missing, `RuntimeError` where one has another shape.
        """
        self.text_ = text
        state = {name: tensor.to(text.features.device) for name, tensor in state.items()}
        self.bias_ = state["bias"]
        self._restore(state)
        return self

    def _restore(self, state: Mapping[str, Tensor]) -> None:  # noqa: B027 - some learn nothing
        """Take the tensors of `_state`."""

    def _finished_copy(self) -> Self:
        """Return the method as it is in the middle of its fit, ready to predict."""
        copied = copy.copy(self)
        memo: dict[int, object] = {}
        for name, value in vars(self).items():
            if isinstance(value, nn.Module):
                setattr(copied, name, copy.deepcopy(value, memo))
        copied._settle(self._data)
        return copied

    def _record(self, step: int, total: int, terms: Mapping[str, tuple[float, float]]) -> None:
        """Keep the loss terms of a step; stop the fit when one is not finite."""
        for name, (_, value) in terms.items():
            if not math.isfinite(value):
                raise Diverged(
                    self,
                    f"step {step}: loss term {name!r} is {value}",
                    "lower the learning rate or the weight of that term",
                )
        self.history_.append({"step": step, **{name: value for name, (_, value) in terms.items()}})
        if self.progress:
            loss = sum(weight * value for weight, value in terms.values())
            self.progress(step, total, loss)


def fit_together(methods: Sequence[Method], data: FitData) -> None:
    """Fit methods that differ in their seed alone, each as `Method.fit` would.

    After `Diverged` only the method that it names can be used.
    """
    for method in methods:
        method.history_ = []
        method.text_ = data.text
        method.bias_ = torch.zeros(len(data.text.known), device=data.text.features.device)
        method._data = data
    try:
        type(methods[0])._fit_all(methods, data)
    except Diverged as error:
        error.method._settle(data)
        raise
    finally:
        for method in methods:
            del method._data
    for method in methods:
        method._settle(data)


def minimize(
    methods: Sequence[Method],
    optimizer: torch.optim.Optimizer,
    terms_of: Callable[[], Terms],
    steps: int,
    *,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    total: int | None = None,
) -> None:
    """Take ``steps`` of the fits' ``total`` steps down the weighted sum of loss terms.

    Of several methods, terms are ``(n_methods,)`` and parameters ``(n_methods, ...)``: each has its
    own, and goes the way that it would go alone.

    Raises
    ------
    Diverged
        A term or a parameter is not finite. The parameters go back to the last that were kept,
        which gave a finite loss.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    done = len(methods[0].history_)
    total = total or done + steps
    kept = [parameter.detach().clone() for parameter in parameters]
    checkpoints = methods[0].checkpoints
    marks = checkpoints.steps(total) if checkpoints else ()
    try:
        for step in range(done + 1, done + steps + 1):
            terms = terms_of()
            weights = [weight for weight, _ in terms.values()]
            values = torch.stack([value.view(len(methods)) for _, value in terms.values()])
            for method, column in zip(methods, values.detach().T.tolist(), strict=True):
                named = zip(terms, zip(weights, column, strict=True), strict=True)
                method._record(step, total, dict(named))
            if (step - done) % KEEP_EVERY == 0:
                for old, parameter in zip(kept, parameters, strict=True):
                    old.copy_(parameter.detach())
            optimizer.zero_grad()
            (values.new_tensor(weights) @ values).sum().backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if step in marks:
                _require_finite(methods, parameters, step)
                for method in methods:
                    if method.checkpoints:
                        method.checkpoints.keep(step, method._finished_copy())
        _require_finite(methods, parameters, done + steps)
    except Diverged:
        with torch.no_grad():
            for old, parameter in zip(kept, parameters, strict=True):
                parameter.copy_(old)
        raise


def _require_finite(methods: Sequence[Method], parameters: Sequence[Tensor], step: int) -> None:
    finite = torch.ones(len(methods), dtype=torch.bool)
    for parameter in parameters:
        finite &= torch.isfinite(parameter.detach()).reshape(len(methods), -1).all(dim=1).cpu()
    if not finite.all():
        first = methods[int(finite.int().argmin())]
        raise Diverged(first, f"step {step}: a parameter is not finite", "lower the learning rate")


def _parameters(settings: type[Settings]) -> str:
    """Return the numpydoc section of a constructor that takes these settings."""
    lines = ["Parameters", "----------"]
    for name, field in settings.model_fields.items():
        choices = ", ".join(map(repr, get_args(field.annotation)))
        kind = f"{{{choices}}}" if choices else getattr(field.annotation, "__name__", "")
        lines.append(f"{name} : {kind}, default: {field.default!r}")
        lines.append(textwrap.indent(textwrap.fill(str(field.description), 92), "    "))
    return "\n".join([*lines, "seed : int, default: 0", "progress : Progress, optional"])
