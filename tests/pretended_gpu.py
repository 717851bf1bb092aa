"""A GPU in name only, to see on any machine whether code keeps its tensors where they belong.

Within `PretendedGpu`, what is asked to be on ``cuda`` lies in the CPU's memory as an `OnGpu`, says
that it is on ``cuda:0``, and makes more of its kind. As with a real GPU, an operation on tensors of
both sides is refused, and so are a generator of the CPU for numbers on the GPU, and ``numpy()``.
What no pretence shows: kernels, their rounding, streams and speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda", 0)
# A GPU's tensor may be indexed with numbers that lie on the CPU.
INDEXED = {Tensor.__getitem__, Tensor.__setitem__}


def _handle(
    _: object,
    func: Callable[..., Any],
    types: Sequence[type],
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Do what the GPU would, or refuse."""
    kwargs = kwargs or {}
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_gpu = any(isinstance(tensor, OnGpu) for tensor in tensors)
    if on_gpu and func == Tensor.device.__get__:
        return DEVICE
    if on_gpu and func == Tensor.is_cuda.__get__:
        return True
    if on_gpu and func in (Tensor.numpy, Tensor.__array__):
        raise TypeError("can't convert a tensor on cuda:0 to numpy")
    with torch._C.DisableTorchFunctionSubclass():
        if func is torch._has_compatible_shallow_copy_type:
            # So that a module that is moved gets new parameters.
            return isinstance(args[0], OnGpu) == isinstance(args[1], OnGpu) and func(*args)
        if func in (Tensor.to, Tensor.cpu):
            return _moved(args[0], ["cpu"] if func is Tensor.cpu else [*args[1:], *kwargs.values()])
        if func is not Tensor.copy_:
            _refuse_two_sides(func, args, tensors)
        if kwargs.get("device") is not None:
            on_gpu = _is_gpu(kwargs["device"])
            if on_gpu and kwargs.get("generator") is not None:
                raise RuntimeError(f"{func.__name__}: the generator is the CPU's")
            kwargs = {**kwargs, "device": "cpu"} if on_gpu else kwargs
        out = func(*args, **kwargs)
    return tree_map(lambda leaf: _typed(leaf, OnGpu), out) if on_gpu else out


class OnGpu(Tensor):
    """A tensor that counts as one on the GPU."""

    __torch_function__ = classmethod(_handle)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = self.detach().clone()
        if isinstance(self, torch.nn.Parameter):
            copied = torch.nn.Parameter(copied, self.requires_grad)
        memo[id(self)] = copied
        return copied


class PretendedGpu(TorchFunctionMode):
    """Context in which ``cuda`` can be used."""

    __torch_function__ = _handle


def _moved(tensor: Tensor, asked: Sequence[Any]) -> Tensor:
    """Do what `Tensor.to` does with these arguments."""
    goes, dtype = isinstance(tensor, OnGpu), None
    for value in asked:
        if isinstance(value, str | torch.device):
            goes = _is_gpu(value)
        elif isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, Tensor):
            goes, dtype = isinstance(value, OnGpu), value.dtype
    plain = _typed(tensor, Tensor) if isinstance(tensor, OnGpu) else tensor
    moved = plain if dtype is None else plain.to(dtype)
    return _typed(moved, OnGpu) if goes else moved


def _refuse_two_sides(
    func: Callable[..., Any], args: tuple[Any, ...], tensors: Sequence[Tensor]
) -> None:
    if func in INDEXED and isinstance(args[0], OnGpu):
        # The numbers may lie on either side, but not what is put there.
        tensors = [args[0], *(leaf for leaf in args[2:] if isinstance(leaf, Tensor))]
    sides = {isinstance(tensor, OnGpu) for tensor in tensors if tensor.dim()}
    if len(sides) > 1:
        shapes = [(type(tensor).__name__, tuple(tensor.shape)) for tensor in tensors]
        raise RuntimeError(f"{func.__name__}: tensors on two devices: {shapes}")


def _is_gpu(device: Any) -> bool:
    return torch.device(device).type == "cuda"


def _typed(value: Any, kind: type[Tensor]) -> Any:
    """Show a tensor as one of another kind; what is none stays."""
    if not isinstance(value, Tensor) or type(value) is kind:
        return value
    with torch._C.DisableTorchFunction():
        if value.layout == torch.strided:
            return value.as_subclass(kind)
        return torch.Tensor._make_subclass(kind, value)
