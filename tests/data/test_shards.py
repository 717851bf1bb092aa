"""Cutting: complete, bounded, and unmoved by what happens elsewhere."""

import hashlib
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sreclip.data.manifest import row_id
from sreclip.data.shards import (
    Shard,
    _ends,
    _scatter,
    cut_shards,
    read_shards,
    shard_key,
    write_shards,
)
from sreclip.errors import StoreError


def rows_of(images: dict[tuple[str, str], str]) -> pd.DataFrame:
    """Build rows from ``(domain, path) -> content``."""
    places = sorted(images)
    return pd.DataFrame(
        {
            "row_id": np.array([row_id(*place) for place in places], dtype=np.int64),
            "domain": pd.array([domain for domain, _ in places], dtype="string"),
            "sha256": pd.array(
                [hashlib.sha256(images[place].encode()).hexdigest() for place in places],
                dtype="string",
            ),
        }
    )


def some_images(n_source: int, n_target: int, seed: int = 0) -> dict[tuple[str, str], str]:
    return {
        (domain, f"{seed}/{i:06d}.jpg"): "x"
        for domain, n in (("source", n_source), ("target", n_target))
        for i in range(n)
    }


def keys(images: dict[tuple[str, str], str], shard_size: int) -> set[str]:
    return {shard.key for shard in cut_shards(rows_of(images), shard_size)}


@settings(max_examples=60, deadline=None)
@given(
    n_source=st.integers(0, 400),
    n_target=st.integers(0, 400),
    shard_size=st.integers(1, 500),
    seed=st.integers(0, 10**6),
)
def test_shards_cover_every_row_once_and_keep_to_their_domain(n_source, n_target, shard_size, seed):
    rows = rows_of(some_images(n_source, n_target, seed))
    shards = cut_shards(rows, shard_size)
    assert [row for shard in shards for row in range(shard.start, shard.stop)] == list(
        range(len(rows))
    )
    for shard in shards:
        assert 1 <= len(shard) <= 4 * shard_size
        assert set(rows["domain"].iloc[shard.start : shard.stop]) == {shard.domain}
        assert shard.key == shard_key(rows.iloc[shard.start : shard.stop])
    assert len({shard.key for shard in shards}) == len(shards)
    for domain in ("source", "target"):
        for shard in [shard for shard in shards if shard.domain == domain][:-1]:
            assert len(shard) >= shard_size // 4


def test_sizes_are_near_the_wanted_one():
    sizes = [len(shard) for shard in cut_shards(rows_of(some_images(20_000, 20_000)), 100)]
    assert np.mean(sizes) == pytest.approx(100, rel=0.1)
    assert np.std(sizes) < 50


def changed_shards(
    change: str, place: int, shard_size: int, seed: int
) -> tuple[list[Shard], list[Shard]]:
    """The shards that a change of one of 1,500 source images ends, and those it makes."""
    images = some_images(1500, 100, seed)
    before = cut_shards(rows_of(images), shard_size)
    path = f"{seed}/{place:06d}.jpg"
    if change == "add":
        images["source", path + "-new"] = "y"
    elif change == "remove":
        del images["source", path]
    else:
        images["source", path] = "y"
    after = cut_shards(rows_of(images), shard_size)
    old, new = {shard.key for shard in before}, {shard.key for shard in after}
    ended = [shard for shard in before if shard.key not in new]
    return ended, [shard for shard in after if shard.key not in old]


# A draw in which the cuts meet unusually late.
LATE = {"change": "remove", "place": 812, "shard_size": 20, "seed": 742517}


@settings(max_examples=80, deadline=None)
@given(
    change=st.sampled_from(["add", "remove", "replace"]),
    place=st.integers(0, 1499),
    shard_size=st.sampled_from([20, 60]),
    seed=st.integers(0, 10**6),
)
@example(**LATE)
def test_one_change_touches_one_run_of_shards_that_begins_at_it(change, place, shard_size, seed):
    """What holds of every draw. How long the run is, is a matter of chance: see below."""
    ended, made = changed_shards(change, place, shard_size, seed)
    # A shard may end right before a new image, and hold nothing but an old one.
    first, row = (made[0], place + 1) if change == "add" else (ended[0], place)
    assert first.start <= row < first.stop
    for run in (ended, made):
        assert all(shard.stop == after.start for shard, after in pairwise(run))
    # Until they meet, an old cut lies between two new ones, and a new one between two old ones.
    assert abs(len(ended) - len(made)) <= 1
    if change == "replace":
        assert (len(ended), len(made)) == (1, 1)


def test_a_late_meeting():
    """One change in 30,000 that removes or adds an image makes 16 shards of 20 images or more."""
    assert tuple(map(len, changed_shards(**LATE))) == (17, 16)


class Meeting:
    """How soon cuts that differ meet: exactly, as derived in the docstring of ``shards.py``.

    A state is the lead of the later cut over the earlier, and the kind of its row: 0 ends shards
    early on, 1 only past the bend, 2 none (a cut at the limit).
    """

    def __init__(self, shard_size: int) -> None:
        least, bend, most = shard_size // 4, shard_size * 7 // 8, shard_size * 4
        self.early, self.late = 0.25 / shard_size, 4 / shard_size
        self.meets = np.zeros((most + 1, 3), bool)
        self.meets[least:, 0] = self.meets[bend:, 1] = self.meets[most] = True
        self.moves = np.zeros((most + 1, 3, most + 1, 3))
        for lead in range(1, most):
            none_before = 1.0
            for size in range(lead + 1, most + 1):
                early = self.early if size >= least else 0.0
                late = self.late - early if size >= bend else 0.0
                kinds = np.array([early, late, 1 - early - late if size == most else 0.0])
                self.moves[lead, :, size - lead] = none_before * kinds
                none_before -= none_before * (early + late)

    def kind(self, row_id: int) -> int:
        chance = _scatter(np.array([row_id]))[0]
        return 0 if chance < self.early else 1 if chance < self.late else 2

    def chances_apart(self, steps: int) -> np.ndarray:
        """The chance in each state not to have met after so many steps, or fewer."""
        apart = [np.ones(self.meets.shape)]
        for _ in range(steps):
            apart.append(np.where(self.meets, 0.0, np.tensordot(self.moves, apart[-1], axes=2)))
        return np.array(apart)


def test_cuts_that_moved_meet_as_soon_as_derived():
    """Counts of late meetings agree with their exact chances, for changes with a fixed seed."""
    shard_size, most_steps = 20, 30
    meeting = Meeting(shard_size)
    chances = meeting.chances_apart(most_steps)
    rng = np.random.default_rng(0)
    steps, expected = [], np.zeros((0, most_steps + 1))
    for _ in range(8000):
        rows = rng.integers(0, 2**62, 40 * shard_size)
        place = rng.integers(3 * shard_size, 6 * shard_size)
        old = np.array(_ends(rows, shard_size))
        new = np.array(_ends(np.delete(rows, place), shard_size))
        new += new > place  # as positions among the old rows
        old, new = old[old > place], new[new > place]
        if old[0] == new[0]:
            continue
        later = max(old[0], new[0])
        met = np.intersect1d(old, new)[0]
        steps.append((old <= met).sum() + (new <= met).sum() - 2)
        state = abs(old[0] - new[0]), meeting.kind(rows[later - 1])
        expected = np.vstack([expected, chances[:, *state]])
    for k in range(most_steps + 1):
        deviation = np.sqrt((expected[:, k] * (1 - expected[:, k])).sum().clip(0))
        counted = (np.array(steps) > k).sum()
        assert abs(counted - expected[:, k].sum()) <= 4 * deviation + 1, k
    assert expected[:, 0].sum() == len(steps) > 1000


@pytest.mark.parametrize(("shard_size", "per_shard"), [(20, 0.54), (60, 0.53)])
def test_the_chance_of_one_more_shard(shard_size, per_shard):
    """Each shard takes a step of either cutting, so two."""
    worst = Meeting(shard_size).chances_apart(32).max(axis=(1, 2))
    assert worst[32] / worst[30] == pytest.approx(per_shard, abs=0.005)


def test_one_change_touches_one_shard_on_average():
    changed = []
    images = some_images(3000, 0)
    before = keys(images, 30)
    for i in range(0, 3000, 60):
        changed.append(len(keys(images | {("source", f"0/{i:06d}.jpg-new"): "y"}, 30) - before))
    assert np.mean(changed) < 1.5


def test_no_shard_grows_past_four_times_the_wanted_size():
    # A row id whose hash ends no shard, for every row: only the limit is left.
    rows = rows_of(some_images(1000, 0)).assign(row_id=1)
    assert [len(shard) for shard in cut_shards(rows, 100)] == [400, 400, 200]


def test_a_new_folder_of_images_leaves_the_others_alone():
    images = some_images(3000, 3000)
    before = keys(images, 100)
    more = {("source", f"0/001500-{i:04d}.jpg"): "y" for i in range(1000)}
    assert len(before - keys(images | more, 100)) <= 4


def test_another_domain_is_never_touched():
    images = some_images(500, 500)
    before = [s.key for s in cut_shards(rows_of(images), 50) if s.domain == "target"]
    images |= {("source", f"new/{i}.jpg"): "y" for i in range(77)}
    assert [s.key for s in cut_shards(rows_of(images), 50) if s.domain == "target"] == before


def test_key_tells_content_and_order():
    rows = rows_of(some_images(3, 0))
    assert shard_key(rows) == shard_key(rows.copy())
    assert shard_key(rows) != shard_key(rows.iloc[::-1])
    assert shard_key(rows) != shard_key(rows.assign(sha256=rows["sha256"].str.replace("a", "b")))


def test_cuts_do_not_depend_on_content():
    images = some_images(1000, 0)
    other = dict.fromkeys(images, "another")
    cuts = [(s.start, s.stop) for s in cut_shards(rows_of(images), 50)]
    assert cuts == [(s.start, s.stop) for s in cut_shards(rows_of(other), 50)]


def test_file_round_trip(tmp_path):
    shards = cut_shards(rows_of(some_images(100, 100)), 20)
    write_shards(tmp_path, shards)
    assert read_shards(tmp_path) == shards
    write_shards(tmp_path, [])
    assert read_shards(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "3",
        "[{}]",
        '[{"domain": "source", "key": "k", "start": 1, "stop": 2}]',
        '[{"domain": "source", "key": "k", "start": 0, "stop": 0}]',
        '[{"domain": "source", "key": "k", "start": 0, "stop": "2"}]',
        '[{"domain": "source", "key": "k", "start": 0, "stop": 2, "more": 1}]',
    ],
)
def test_damaged_file(tmp_path, text):
    (tmp_path / "shards.json").write_text(text)
    with pytest.raises(StoreError, match="shards"):
        read_shards(tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(StoreError, match="missing"):
        read_shards(tmp_path)


def test_length():
    assert len(Shard("source", "k", 3, 10)) == 7
