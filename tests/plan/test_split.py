from __future__ import annotations

import pytest

from sreclip.config.models import SplitSettings
from sreclip.errors import ConfigError
from sreclip.plan.split import known_mask

NAMES, COUNTS = ["cat", "dog", "emu", "fox"], [3, 2, 5, 0]


def split(unknown: object, seed: int = 0) -> list[bool]:
    settings = SplitSettings.model_validate({"unknown": unknown, "seed": seed})
    return known_mask(NAMES, COUNTS, settings).tolist()


def test_auto_takes_classes_without_source_pictures() -> None:
    assert split("auto") == [True, True, True, False]


def test_names() -> None:
    assert split(["fox", "cat"]) == [False, True, True, False]


def test_number_is_drawn_by_seed() -> None:
    settings = [SplitSettings(unknown=2, seed=seed) for seed in range(20)]
    masks = [tuple(known_mask(NAMES, [1] * 4, s).tolist()) for s in settings]
    assert all(sum(mask) == 2 for mask in masks)
    assert len(set(masks)) > 3
    assert tuple(known_mask(NAMES, [1] * 4, settings[0]).tolist()) == masks[0]


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        (["cats", "fox"], "did you mean 'cat'"),
        (["cat", "dog", "emu", "fox"], "at least one must be known"),
        (9, "9 of 4 classes"),
        (["cat"], "known classes without a source image: fox"),
    ],
)
def test_impossible_splits(unknown: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        split(unknown)
