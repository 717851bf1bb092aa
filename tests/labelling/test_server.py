"""The page's server: what it shows, keeps and refuses."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sreclip.data.label_file import NONE_OF_THESE, read_label_file
from sreclip.errors import ConfigError, DataError
from sreclip.labelling.server import LabelServer
from sreclip.labelling.session import Session
from sreclip.plan.plan import Plan
from tests.labelling.serving import serving
from tests.report.conftest import CLASSES, make_results

__all__ = ["make_results"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels/target.csv"


@pytest.fixture(scope="module")
def plan(make_results: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return make_results(tmp_path_factory.mktemp("bare"), labelled=dict.fromkeys(CLASSES, 0))


@pytest.fixture
def server(plan: Plan, file: Path) -> Iterator[LabelServer]:
    with serving(plan, file, 6) as server:
        yield server


def ask(
    server: LabelServer, path: str, body: Any = None, *, key: str | None = None, host: str = ""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.host, timeout=20)
    secret = server.secret if key is None else key
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(
        "GET" if body is None else "POST",
        f"{path}?key={secret}",
        content,
        {"Host": host or server.host},
    )
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_and_the_images_are_served(server: LabelServer) -> None:
    status, page = ask(server, "/")
    assert (status, b"What does this image show?" in page) == (200, True)
    state = json.loads(ask(server, "/state")[1])
    assert state["title"] == "SRE-CLIP"
    assert len(state["images"]) == 6
    assert state["classes"] == list(CLASSES)
    # Few classes: all of them, by the alphabet, so that the prediction does not stand out.
    assert state["images"][0]["guesses"] == sorted(CLASSES)
    status, content = ask(server, "/image/0")
    assert status == 200
    assert Image.open(io.BytesIO(content)).format == "JPEG"


def test_labels_are_kept_as_they_are_given(server: LabelServer, file: Path) -> None:
    images = json.loads(ask(server, "/state")[1])["images"]
    for at, name in enumerate(["dog", NONE_OF_THESE, "owl"]):
        assert ask(server, "/label", {"image": at, "label": name})[0] == 200
    kept = {row.path: row.name for row in read_label_file(file)}
    assert kept == {
        images[0]["path"]: "dog",
        images[1]["path"]: NONE_OF_THESE,
        images[2]["path"]: "owl",
    }
    state = json.loads(ask(server, "/label", {"image": 0, "label": None})[1])
    assert state["images"][0]["label"] is None
    assert "of 2 right" in state["summary"]
    assert len(read_label_file(file)) == 2


def test_the_next_session_goes_on(plan: Plan, file: Path) -> None:
    with closing(Session(plan, "sre_clip", file, 6)) as first:
        for at in range(4):
            first.give(at, "dog")
    with closing(Session(plan, "sre_clip", file, 6)) as second:
        assert [each.path for each in second.shown[:2]] == [each.path for each in first.shown[4:]]
        second.give(0, "cat")
    assert len(read_label_file(file)) == 5


@pytest.mark.parametrize(
    "body",
    [
        {"image": 6, "label": "dog"},
        {"image": -1, "label": "dog"},
        {"image": 0, "label": 5},
        {"image": 0},
        [],
        b"{",
        b"\xff",
    ],
)
def test_what_is_no_label_is_refused(server: LabelServer, file: Path, body: Any) -> None:
    assert ask(server, "/label", body)[0] == 400
    assert not file.exists()


def test_an_unknown_class_is_refused(server: LabelServer, file: Path) -> None:
    status, answer = ask(server, "/label", {"image": 0, "label": "unicorn"})
    assert (status, json.loads(answer)["problem"]) == (409, "no class 'unicorn'")
    assert not file.exists()


def test_nobody_else_can_ask(server: LabelServer, file: Path) -> None:
    label = {"image": 0, "label": "dog"}
    for request in (
        lambda: ask(server, "/state", key=""),
        lambda: ask(server, "/label", label, key="guess"),
        lambda: ask(server, "/", host="evil.example"),
        lambda: ask(server, "/label", label, host=f"evil.example:{server.server_address[1]}"),
    ):
        assert request()[0] == 403
    assert not file.exists()
    assert ask(server, "/image/99")[0] == 404
    assert ask(server, "/image/../../etc/passwd")[0] == 404
    assert server.server_address[0] == "127.0.0.1"


def test_after_each_label_the_parameters_may_name_the_file(plan: Plan, file: Path) -> None:
    called: list[bool] = []
    with serving(plan, file, 2, lambda: called.append(file.exists())) as server:
        ask(server, "/state")
        assert called == []
        ask(server, "/label", {"image": 1, "label": "dog"})
        assert called == [True]


def test_a_moved_folder_is_named(plan: Plan, file: Path) -> None:
    root = Path(plan.summary["root"])
    root.rename(root.with_name("moved"))
    try:
        with pytest.raises(DataError, match=r"the data root .* is missing"):
            Session(plan, "sre_clip", file, 2)
    finally:
        root.with_name("moved").rename(root)


def test_a_port_that_is_taken_is_named(server: LabelServer) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        LabelServer(server.session, int(server.server_address[1]))


def test_an_image_that_is_gone_is_no_image(plan: Plan, server: LabelServer) -> None:
    path = Path(plan.summary["root"]) / server.session.shown[3].path
    content = path.read_bytes()
    path.unlink()
    try:
        assert ask(server, "/image/3")[0] == 404
    finally:
        path.write_bytes(content)
