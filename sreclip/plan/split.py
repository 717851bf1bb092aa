"""Known and unknown classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sreclip.config.models import SplitSettings
from sreclip.errors import ConfigError, did_you_mean, some

# Class names in a hint.
_SHOWN = 60


def known_mask(
    names: Sequence[str], source_counts: Sequence[int], split: SplitSettings
) -> NDArray[np.bool_]:
    """Say which classes are known, from their names and counts of source images, in label order.

    Raises `ConfigError` for a name that is no class, more unknown classes than can be, or a known
    class without a source image.
    """
    if len(names) < 2:
        raise ConfigError(
            f"the task has no other class than {', '.join(names) or 'none'}: nothing to tell apart",
            "add a folder per class, or a class list with all names",
        )
    unknown = _unknown(names, source_counts, split)
    mask = np.array([name not in unknown for name in names])
    if not mask.any() and split.unknown == "auto":
        raise ConfigError(
            f"none of the {len(names)} classes has a source image: {some(list(names))}",
            "a class list must call classes as their folders are called, or say so in the column "
            "`folder`; capitals count",
        )
    if not mask.any():
        raise ConfigError(
            f"split.unknown: all {len(names)} classes would be unknown, at least one must be known"
        )
    bare = [
        name for name, n, known in zip(names, source_counts, mask, strict=True) if known and not n
    ]
    if bare:
        raise ConfigError(
            f"known classes without a source image: {', '.join(bare)}",
            "add labelled source images, or list them in split.unknown (or set it to 'auto')",
        )
    return mask


def _unknown(names: Sequence[str], source_counts: Sequence[int], split: SplitSettings) -> set[str]:
    wanted = split.unknown
    if wanted == "auto":
        return {name for name, n in zip(names, source_counts, strict=True) if n == 0}
    if isinstance(wanted, int):
        if wanted >= len(names):
            raise ConfigError(
                f"split.unknown: {wanted} of {len(names)} classes asked for",
                f"at least one class must be known: choose a number from 0 to {len(names) - 1}",
            )
        candidates = sorted(names)
        drawn = np.random.default_rng(split.seed).permutation(len(candidates))[:wanted]
        return {candidates[i] for i in drawn}
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ConfigError(
            f"split.unknown: {missing[0]!r} is no class of this task"
            + did_you_mean(missing[0], names),
            f"the classes are: {', '.join(names[:_SHOWN])}" + ", ..." * (len(names) > _SHOWN),
        )
    return set(wanted)
