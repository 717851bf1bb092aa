"""The pinned requirements, and the same without CUDA."""

from __future__ import annotations

import re

import pytest

from tests.scripts import ROOT, script

pinned = script("install_pinned")
FILES = [ROOT / "requirements" / name for name in ("demo.txt", "test.txt")]


def needed_by(block: str) -> set[str]:
    """The packages that the comments of a block name."""
    return set(re.findall(r"^    #(?: via)? +([a-z][\w.-]*)", block, flags=re.MULTILINE)) - {"via"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_line_is_pinned_with_hashes_and_names_no_place(path) -> None:
    text = path.read_text()
    for each in pinned.requirements_of(text):
        assert re.match(r"[a-z0-9.-]+==\S+( ; .+)? \\\n    --hash=sha256:", each), each
    assert "//" not in text
    assert not re.search(r"^-", text, flags=re.MULTILINE)


def test_tests_run_with_what_the_demo_runs_with() -> None:
    demo, test = (pinned.requirements_of(path.read_text()) for path in FILES)
    hashes = {each.split()[0]: re.findall(r"--hash=\S+", each) for each in test}
    for each in demo:
        assert re.findall(r"--hash=\S+", each) == hashes[each.split()[0]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_without_cuda_exactly_what_only_cuda_needs_is_left_out(path) -> None:
    text = path.read_text()
    same, builds = pinned.without_cuda(text)
    torch = [each for each in pinned.requirements_of(text) if each.startswith("torch")]
    assert builds == [each.split()[0] + "+cpu" for each in torch]
    assert [build.partition("==")[0] for build in builds] == ["torch", "torchvision"]
    left_out = [each for each in pinned.requirements_of(text) if each not in same + torch]
    assert len(same) + len(torch) + len(left_out) == len(pinned.requirements_of(text))
    names = {pinned.name_of(each) for each in left_out}
    assert {"triton", "nvidia-cudnn-cu13", "cuda-toolkit"} <= names
    for each in left_out:
        assert needed_by(each) <= names | {"torch"}, each
    for each in same:
        assert not needed_by(each) or needed_by(each) - names, each
