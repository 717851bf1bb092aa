"""Where a plan puts results."""

from __future__ import annotations

import pytest

from sreclip.config.load import parse_params
from sreclip.plan.plan import Plan


@pytest.mark.parametrize("version", ["EXTRACTION_VERSION", "FORMAT_VERSION"])
def test_each_version_of_feature_files_has_a_folder_of_its_own(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = parse_params({"task": {"name": "openmoji"}})
    before = Plan(params).feature_dir
    assert Plan(params).feature_dir == before
    monkeypatch.setattr(f"sreclip.plan.fingerprints.{version}", 77)
    assert Plan(params).feature_dir != before
