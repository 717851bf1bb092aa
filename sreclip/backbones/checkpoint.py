"""Reading a file of weights safely, whoever wrote it, or saying what it is instead."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from sreclip.errors import ConfigError
from sreclip.files import file_sha256

State = dict[str, torch.Tensor]

# Where training programs put the weights in what they save, in the order of trust.
_WRAPPINGS = ("state_dict", "model_state_dict", "model")
# Put before every name by DistributedDataParallel, torch.compile and Lightning.
_PREFIXES = ("module.", "_orig_mod.", "model.")
_SCALAR = np.float64(0).__reduce__()[0]
# Plain data that training programs save beside weights; to make them runs no code of the file.
_PLAIN_TYPES: list[Any] = [
    argparse.Namespace,
    np.dtype,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    *{type(np.dtype(kind)) for kind in "?bhilqBHILQefd"},
]
_BEGINNINGS = {
    b"version https://git-lfs": (
        "a Git LFS pointer, not the weights",
        "fetch the file itself: git lfs pull",
    ),
    b"<!doctype html": ("a web page, not weights", "download it again; perhaps log in first"),
    b"<html": ("a web page, not weights", "download it again; perhaps log in first"),
    b'{"': ("JSON, not weights", "set pretrained to the file of weights beside it"),
}
# What torch says after its advice to load the file without care.
_REASON = re.compile(r"WeightsUnpickler error: (.+)")
_CUT_OFF = re.compile(r"miniz|central directory|Ran out of input|EOF")
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def read_state(path: Path, trusted_sha256: set[str]) -> State:
    """Read the tensors of a checkpoint by name, without what a training program wraps them in.

    Nothing is unpickled but tensors and plain numbers. A TorchScript archive can hold code: it is
    opened only if its SHA-256 is in ``trusted_sha256``.

    Raises `ConfigError` that says what the file is, if it is no checkpoint that can be used.
    """
    if not path.is_file():
        where = "a folder" if path.is_dir() else "no checkpoint file"
        raise ConfigError(
            f"open_clip: {where} at {path}",
            f"set model: local-dir:{path}"
            if path.is_dir()
            else "check the setting backbone.open_clip.pretrained",
        )
    refuse_other_files(path)
    if _is_torchscript(path):
        return _read_torchscript(path, trusted_sha256)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_PLAIN_TYPES), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of old ways to pickle, which are refused below
            saved = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        SafetensorError,
        ValueError,
        KeyError,
    ) as error:
        raise ConfigError(
            f"open_clip: {path} is not a plain file of tensors ({short(error)})",
            "copy it again if it is damaged; else save its state dict as .safetensors: sreclip "
            "does not unpickle other objects",
        ) from error
    return _unwrapped(saved, path)


def short(error: Exception) -> str:
    """Return what an error says in one line: its reason if torch names one, without colours."""
    text = _ESCAPES.sub("", str(error)).strip()
    if _CUT_OFF.search(text):
        return "it is cut off or damaged"
    reason = _REASON.search(text)
    if reason is None and text.startswith("Weights only load failed"):
        return "it holds objects that only unpickling can make"
    said = reason[1] if reason else text.partition("\n")[0] or type(error).__name__
    return said.partition(" Please use")[0][:200]


def refuse_other_files(path: Path) -> None:
    """Raise `ConfigError` that says what a file is, if it is plainly none of weights."""
    with path.open("rb") as handle:
        start = handle.read(64)
    if not start:
        raise ConfigError(f"open_clip: {path} is empty (0 bytes)", "copy it again")
    for beginning, (what, way_out) in _BEGINNINGS.items():
        if start.lstrip().lower().startswith(beginning):
            raise ConfigError(f"open_clip: {path} is {what}", way_out)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_torchscript(path: Path, trusted_sha256: set[str]) -> State:
    found = file_sha256(path)
    if found not in trusted_sha256:
        raise ConfigError(
            f"open_clip: {path} is a TorchScript archive, which can hold code, and none that "
            f"OpenAI published (SHA-256 {found[:12]}...)",
            'where you trust it, save its weights alone: python -c "import torch; '
            "from safetensors.torch import save_file; "
            f"save_file(torch.jit.load('{path.name}').state_dict(), 'weights.safetensors')\"",
        )
    with warnings.catch_warnings(action="ignore"):  # to load an archive is deprecated
        state = dict(torch.jit.load(str(path), map_location="cpu").state_dict())
    for about in ("input_resolution", "context_length", "vocab_size"):
        state.pop(about, None)
    return state


def _unwrapped(saved: Any, path: Path) -> State:
    """Return the tensors of what a training program saved, by their own names."""
    for name in _WRAPPINGS:
        if isinstance(saved, Mapping) and isinstance(saved.get(name), Mapping):
            saved = saved[name]
    state = (
        {str(name): value for name, value in saved.items() if isinstance(value, torch.Tensor)}
        if isinstance(saved, Mapping)
        else {}
    )
    if not state:
        inside = ", ".join(map(str, list(saved)[:5])) if isinstance(saved, Mapping) else ""
        raise ConfigError(
            f"open_clip: {path} holds no weights by name"
            + (f" (it holds: {inside})" if inside else f" but a {type(saved).__name__}"),
            "save the model's state dict as .safetensors",
        )
    while prefix := next((p for p in _PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
