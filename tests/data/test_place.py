"""Places: their names, and that no path leaves the data root."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sreclip.data.manifest import COLUMNS
from sreclip.data.place import Place, check_paths, image_names, places_of, resolve_inside
from sreclip.errors import DataError


def test_rows_become_places_and_keep_their_names():
    places = [Place("s/a.jpg", size=3), Place("s/b.tar", "c/d.jpg", 2**53 + 1, 5), Place("t")]
    columns = {name: [getattr(place, name) for place in places] for name in Place._fields}
    kinds = COLUMNS | {"size": "Int64"}
    rows = pd.DataFrame({name: pd.array(columns[name], kinds[name]) for name in columns})
    assert places_of(rows) == places
    assert [type(value) for value in places_of(rows)[1]] == [str, str, int, int]
    names = ["s/a.jpg", "s/b.tar/c/d.jpg", "t"]
    assert image_names(rows).tolist() == [place.name for place in places] == names


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "root"
    (root / "s").mkdir(parents=True)
    (root / "s/a.jpg").touch()
    (tmp_path / "secret.jpg").touch()
    return root


def test_resolve_inside(root):
    assert resolve_inside(root, "s/a.jpg") == (root / "s/a.jpg").resolve()
    assert resolve_inside(root, "s/not-yet.jpg") == root.resolve() / "s/not-yet.jpg"


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "s/../../secret.jpg", "/etc/passwd", "s/../s/a.jpg"]
)
def test_resolve_inside_refuses(root, path):
    with pytest.raises(DataError, match="leaves the data root"):
        resolve_inside(root, path)


def test_resolve_inside_refuses_links_out(root):
    (root / "s/out.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "up").symlink_to("..")
    (root / "in.jpg").symlink_to("s/a.jpg")
    for path in ("s/out.jpg", "up/secret.jpg"):
        with pytest.raises(DataError, match="leaves the data root"):
            resolve_inside(root, path)
    assert resolve_inside(root, "in.jpg") == (root / "s/a.jpg").resolve()


def test_resolve_inside_refuses_what_cannot_be_followed(root):
    (root / "loop").symlink_to("loop")
    for path in ("loop/x.jpg", "a\0b"):
        with pytest.raises(DataError):
            resolve_inside(root, path)


PARTS = st.sampled_from(["..", ".", "", "a", "..b", "c..", "...", "s", "up"])


@given(parts=st.lists(PARTS, min_size=1, max_size=6))
def test_both_checks_agree_on_where_a_path_leads(tmp_path_factory, parts):
    root = tmp_path_factory.getbasetemp() / "root"
    root.mkdir(exist_ok=True)
    path = "/".join(parts)
    try:
        assert resolve_inside(root, path).is_relative_to(root.resolve())
        allowed = True
    except DataError:
        allowed = False
    assert allowed == (".." not in parts and not path.startswith("/"))
    if path:
        try:
            check_paths(pd.Series([path], dtype="string"), "test")
            assert allowed
        except DataError:
            assert not allowed
