"""The parameters of a run as one file: what `params.yaml` and the command line say together."""

from __future__ import annotations

from pathlib import Path

from sreclip.config import Params, dump_params
from sreclip.files import write_text
from sreclip.keys import content_key


def write_snapshot(params: Params, results: Path = Path("results")) -> Path:
    """Write the parameters under their own key, once.

    Jobs read this file: an edit of `params.yaml` during a run does not reach the jobs of that run.
    """
    path = results / "params" / f"{content_key(params.model_dump())}.yaml"
    text = dump_params(params)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
    return path
