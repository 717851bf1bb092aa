"""Cutting: complete, bounded, and unmoved by what happens elsewhere."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sreclip.data.manifest import row_id
from sreclip.data.shards import Shard, cut_shards, read_shards, shard_key, write_shards
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


@settings(max_examples=80, deadline=None)
@given(
    change=st.sampled_from(["add", "remove", "replace"]),
    place=st.integers(0, 1499),
    shard_size=st.sampled_from([20, 60]),
    seed=st.integers(0, 10**6),
)
def test_one_change_touches_few_shards(change, place, shard_size, seed):
    images = some_images(1500, 100, seed)
    before = keys(images, shard_size)
    path = f"{seed}/{place:06d}.jpg"
    if change == "add":
        images["source", path + "-new"] = "y"
    elif change == "remove":
        del images["source", path]
    else:
        images["source", path] = "y"
    after = keys(images, shard_size)
    assert before != after
    changed = len(after - before)
    if change == "replace":
        assert changed == 1
    # Nearly always one or two; a cut that has moved takes a few shards to fall into step.
    assert changed <= 12


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
