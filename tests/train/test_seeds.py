"""The seeds of a fit together: each gets what it gets alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from sreclip.errors import FitError
from sreclip.methods import sre_clip
from sreclip.methods.base import Checkpoints, Diverged, Method
from sreclip.methods.data import ClassGraph, ClassText
from sreclip.methods.sre_clip import SreClip, Training
from sreclip.plan.results import Result
from sreclip.train import method as module
from sreclip.train.fits import fit_seeds, make_method, refined_target
from tests.methods.test_methods import FEW_STEPS, problem

__all__ = ["problem"]
SMALL = {"steps": 8, "width": 8, "gcn_width": 8}
SEVERAL = ["clip_adapter", "tip_adapter_f", "taskres", "bgcn", "linear_probe", "sre_clip"]


def fitted(
    problem: dict[str, Any], seeds: list[int], name: str = "sre_clip", **settings: Any
) -> list[Method]:
    cls = {"sre_clip": SreClip}.get(name)
    values = settings | FEW_STEPS.get(name, {}) if cls is None else settings
    chosen = make_method(name, module_settings(name, values), 0).settings
    methods = [make_method(name, chosen, seed) for seed in seeds]
    for method in methods:
        method.checkpoints = Checkpoints(2, keep_in(method))
    return list(fit_seeds(methods, SimpleNamespace(**problem)))  # type: ignore[arg-type]
