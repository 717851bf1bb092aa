from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fake_backbone

from sreclip.features.extract import ExtractionReport, extract_images


@pytest.fixture
def fake() -> SimpleNamespace:
    return SimpleNamespace(
        Backbone=fake_backbone.FakeBackbone,
        make_pictures=fake_backbone.make_pictures,
        manifest_rows=fake_backbone.manifest_rows,
        program=Path(fake_backbone.__file__),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with 30 source pictures."""
    fake_backbone.make_pictures(tmp_path / "data", 30)
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
        defaults = {"rows_key": "rows", "batch_size": 7, "max_pixels": 10**6, "progress": False}
        settings = {**defaults, **settings}
        return extract_images(rows, folder, backbone, out, **settings)

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
