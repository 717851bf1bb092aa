"""Several modules of one kind as one, whose parameters have a leading dimension."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)
# Of all seeds that are fitted as one batch: 128 MB.
MOST_VALUES = 1 << 25


def stacked(modules: Sequence[Module]) -> Module:
    """Return a module with the parameters of all, each ``(n_modules, ...)``.

    The modules' own parameters become views of these: what is learned together, each has.
    """
    together = copy.deepcopy(modules[0])
    for name, _ in list(together.named_parameters()):
        own = [module.get_parameter(name) for module in modules]
        all_values = torch.stack([parameter.detach() for parameter in own])
        for parameter, values in zip(own, all_values, strict=True):
            parameter.data = values
        owner, _, last = name.rpartition(".")
        setattr(together.get_submodule(owner), last, nn.Parameter(all_values))
    return together
