from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fake_backbone

from sreclip.config.models import FeatureSettings
from sreclip.features.extract import ExtractionReport, extract_images


@pytest.fixture
def fake() -> SimpleNamespace:
    return SimpleNamespace(
        Backbone=fake_backbone.FakeBackbone,
        make_images=fake_backbone.make_images,
        manifest_rows=fake_backbone.manifest_rows,
        program=Path(fake_backbone.__file__),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with 30 source images."""
    fake_backbone.make_images(tmp_path / "data", 30)
    return tmp_path / "data"


@pytest.fixture
def rows(root: Path) -> pd.DataFrame:
    files = [path.relative_to(root).as_posix() for path in root.rglob("*.png")]
    return fake_backbone.manifest_rows(root, files)


@pytest.fixture
def extract(root: Path) -> Callable[..., ExtractionReport]:
    """Extract with the fake backbone and small batches."""

    def run(rows: pd.DataFrame, out: Path, **settings: object) -> ExtractionReport:
        folder = settings.pop("root", root)
        backbone = settings.pop("backbone", None) or fake_backbone.FakeBackbone()
        others = {"rows_key": "rows", "progress": False, "outside_links": False}
        others = {name: settings.pop(name, value) for name, value in others.items()}
        features = FeatureSettings(**{"batch_size": 7, "workers": 0, **settings})
        return extract_images(rows, folder, backbone, out, features, **others)

    return run
