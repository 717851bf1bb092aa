"""The tensors of saved fits: the names of states and how they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sreclip.errors import DamagedError, StoreError
from sreclip.methods.scores import FIELDS, ImageScores

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SCORES = "scores."
AGAIN = "delete it and make it again with: snakemake --cores all train"


def place(seed: int, step: int | None = None) -> str:
    """Return the prefix of a state's tensors; without a step, of the last state of the fit."""
    return f"seed-{seed}." if step is None else f"seed-{seed}.step-{step}."


def score_tensors(scores: ImageScores) -> dict[str, Tensor]:
    """Return the scores of a checkpoint as tensors by name."""
    import torch

    return {f"{SCORES}{name}": torch.from_numpy(getattr(scores, name)) for name in FIELDS}


def scores_of(state: Mapping[str, Tensor]) -> ImageScores:
    """Return the scores that `score_tensors` stored."""
    return ImageScores(**{name: state[f"{SCORES}{name}"].numpy() for name in FIELDS})


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Write tensors to a new file that may be read by whom other new files may be read.

    safetensors by itself lets nobody but the owner read it.
    """
    from safetensors.torch import save_file

    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path, metadata=metadata)
    path.chmod(mode)


@dataclass(frozen=True)
class SavedFit:
    """The tensors of a method's fits, ``model.safetensors``, and the fits' content key."""

    path: Path
    key: str

    def has(self, seed: int) -> bool:
        """Return whether a seed has a state of its own; raises as `state`."""
        with self._opened() as file:
            return any(name.startswith(place(seed)) for name in file.keys())  # noqa: SIM118

    def state(self, seed: int, step: int | None = None) -> dict[str, Tensor]:
        """Return the tensors of one state by name; without a step, of the last one."""
        return self._read("pt", seed, step)[1]

    def arrays(self, seed: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return a method's settings and the last state as arrays, without torch."""
        about, state = self._read("np", seed, None)
        return about["settings"], state

    def _read(
        self, framework: str, seed: int, step: int | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        start, other = place(seed, step), place(seed) + "step-"
        with self._opened(framework) as file:
            about = json.loads((file.metadata() or {}).get("sreclip", "{}"))
            found = {
                name.removeprefix(start): file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118 - the file is no mapping
                if name.startswith(start) and (step is not None or not name.startswith(other))
            }
        if about.get("key") != self.key or not found:
            raise StoreError(f"{self.path} holds no state {start!r} of the fit {self.key}", AGAIN)
        return about, found

    @contextmanager
    def _opened(self, framework: str = "pt") -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        if not self.path.exists():
            raise StoreError(f"{self.path} is missing", "make it with: snakemake --cores all train")
        try:
            with safe_open(self.path, framework=framework) as file:
                yield file
        except (OSError, ValueError, SafetensorError) as error:
            problem = f"{self.path} is damaged ({error})"
            raise DamagedError(self.path, problem, AGAIN) from error
