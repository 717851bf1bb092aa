"""What every backbone needs: device, hash of the weights, unit norm."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch

from sreclip.errors import ConfigError


def usable_device(name: str) -> torch.device:
    """Return the device of that name; raise `ConfigError` if this machine has none such."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device {name!r} is not known", "use cpu, cuda or cuda:0") from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise ConfigError(f"device {name!r} is not on this machine", "use device: cpu")
    return device


def state_sha256(state: Mapping[str, Any]) -> str:
    """Hash tensors by name, dtype, shape and bytes, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def unit_rows(features: torch.Tensor) -> torch.Tensor:
    """Scale the rows of ``(n, dim)`` to unit length, in float32."""
    return torch.nn.functional.normalize(features.float(), dim=-1)
