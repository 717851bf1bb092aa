"""A GPU in name only, to see on any machine whether code keeps its tensors where they belong.

Within `PretendedGpu`, what is asked to be on ``cuda`` lies in the CPU's memory as an `OnGpu`, says
that it is on ``cuda:0``, and makes more of its kind. As with a real GPU, an operation on tensors of
both sides is refused, and so are a generator of the CPU for numbers on the GPU, and ``numpy()``.
What is copied to the host without blocking, or to the GPU on a stream of its own, is nan until
somebody waits for it. What no pretence shows: kernels, their rounding, and speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

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
            asked = ["cpu"] if func is Tensor.cpu else [*args[1:], *kwargs.values()]
            return _moved(args[0], asked, kwargs.get("non_blocking", False))
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


class Stream:
    """Copies that are not there before somebody waits for them.

    The memory of a tensor belongs to the stream it was made on, and may be used again while another
    stream reads it, unless `Tensor.record_stream` tells of that.
    """

    main: ClassVar[Stream]
    current: ClassVar[Stream]
    unrecorded: ClassVar[list[Tensor]]

    def __init__(self, device: torch.device | None = None) -> None:
        self.copies: list[Callable[[], object]] = []

    def wait_stream(self, other: Stream) -> None:
        """Have the other's copies done."""
        for copy in other.copies:
            copy()

    @staticmethod
    def record(tensor: Tensor, stream: Stream) -> None:
        """Stand for `Tensor.record_stream`."""
        Stream.unrecorded = [other for other in Stream.unrecorded if other is not tensor]

    @staticmethod
    @contextmanager
    def use(stream: Stream) -> Iterator[None]:
        """Stand for `torch.cuda.stream`."""
        before, Stream.current = Stream.current, stream
        try:
            yield
        finally:
            Stream.current = before


class Event:
    """The copies of a stream until now."""

    def record(self, stream: Stream) -> None:
        """Note them."""
        self.copies = list(stream.copies)

    def synchronize(self) -> None:
        """Have them done."""
        for copy in self.copies:
            copy()


class PretendedGpu(TorchFunctionMode):
    """Context in which ``cuda`` can be used."""

    __torch_function__ = _handle

    def __enter__(self) -> PretendedGpu:
        Stream.main = Stream.current = Stream()
        Stream.unrecorded = []
        self._patches = ExitStack()
        enter = self._patches.enter_context
        enter(patch.object(Tensor, "record_stream", Stream.record))
        enter(patch.multiple(torch.cuda, Stream=Stream, Event=Event, stream=Stream.use))
        enter(patch.object(torch.cuda, "current_stream", lambda device=None: Stream.current))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._patches.close()
        if Stream.unrecorded and not any(error):
            raise RuntimeError("a tensor of one stream was read on another without record_stream")


def _moved(tensor: Tensor, asked: Sequence[Any], non_blocking: bool) -> Tensor:
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
    if not goes:
        return _later(moved) if non_blocking and isinstance(tensor, OnGpu) else moved
    if Stream.current is Stream.main:
        return _typed(moved, OnGpu)
    sent = _typed(_later(moved) if non_blocking else moved, OnGpu)
    Stream.unrecorded.append(sent)
    return sent


def _later(tensor: Tensor) -> Tensor:
    """Give a copy that is nan until somebody waits for the current stream."""
    # Bytes have no nan: what is there instead is no image.
    copy = torch.full_like(tensor, torch.nan) if tensor.is_floating_point() else 255 - tensor
    Stream.current.copies.append(lambda: copy.copy_(tensor))
    return copy


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
