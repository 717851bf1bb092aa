"""The ready parameter files say the same alone and laid over `params.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from snakemake.utils import update_config

from sreclip.config.load import load_params, parse_params

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_alone_and_over_the_default_parameters(path: Path) -> None:
    """`sreclip --params FILE` and `snakemake --configfile FILE` then mean the same run."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    update_config(values, yaml.safe_load(path.read_text()))
    assert parse_params(values) == load_params(path)


def test_there_are_some() -> None:
    assert len(FILES) >= 2
