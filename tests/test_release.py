"""What a release is checked for; `scripts/check_release.py` does the slow rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.scripts import ROOT, script

release = script("check_release")


def test_versions_of_the_repository_agree() -> None:
    release.check_version(ROOT, tag=None)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    (tmp_path / "sreclip").mkdir()
    (tmp_path / "sreclip/__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text('version: 1.2.3\ndate-released: "2026-01-02"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-01-02\n\n### Added\n- New.\n\n"
        "## [1.2.2] - 2025-01-01\n- Old.\n"
    )
    return tmp_path


def test_a_tag_that_agrees(released: Path) -> None:
    release.check_version(released, "v1.2.3")
    assert release.notes_of(released, "v1.2.3") == "### Added\n- New."
    assert release.notes_of(released, "v1.2.2") == "- Old."


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("sreclip/__init__.py", "1.2.3", "1.2.4", "CITATION.cff is of version 1.2.3"),
        ("CITATION.cff", "1.2.3", "1.2.2", "CITATION.cff is of version 1.2.2"),
        ("CHANGELOG.md", "[1.2.3]", "[1.2.4]", "CHANGELOG.md has no line"),
        ("CHANGELOG.md", "2026-01-02", "2026-01-03", "released on 2026-01-02"),
        ("CITATION.cff", "date-released", "date", "CITATION.cff has no line"),
    ],
)
def test_what_does_not_agree(released: Path, name: str, old: str, new: str, message: str) -> None:
    path = released / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SystemExit, match=message.replace(".", r"\.")):
        release.check_version(released, "v1.2.3")


def test_another_tag(released: Path) -> None:
    with pytest.raises(SystemExit, match=r"should be v1\.2\.3"):
        release.check_version(released, "v1.3.0")


def test_numbers_of_the_demo(tmp_path: Path) -> None:
    committed = ROOT / "reports/metrics.json"
    made = tmp_path / "metrics.json"
    numbers = json.loads(committed.read_text())
    numbers["openmoji"]["mini"]["zero_shot"]["h"]["mean"] += 0.004
    made.write_text(json.dumps(numbers))
    release.check_numbers(made, committed)
    numbers["openmoji"]["mini"]["zero_shot"]["h"]["mean"] += 0.004
    made.write_text(json.dumps(numbers))
    with pytest.raises(SystemExit, match="h of zero_shot"):
        release.check_numbers(made, committed)
    del numbers["openmoji"]["mini"]["zero_shot"]
    made.write_text(json.dumps(numbers))
    with pytest.raises(SystemExit, match="has the methods"):
        release.check_numbers(made, committed)


def test_both_distributions_are_built_whole(tmp_path: Path) -> None:
    wheel, source = release.build(ROOT, tmp_path / "dist")
    assert wheel.name == f"sreclip-{release.version_of(ROOT)}-py3-none-any.whl"
    assert {path.name for path in (tmp_path / "dist").iterdir()} == {wheel.name, source.name}
