"""The parameters of a run: one file that all its jobs read."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sreclip.config import Params, dump_params, load_params, parse_params, read_values
from sreclip.files import write_text
from sreclip.keys import content_key

PARAMS_FILE = Path("params.yaml")
# Where the Snakefile tells its jobs the parameters of the run.
RUN_PARAMS_VARIABLE = "SRECLIP_RUN_PARAMS"
_TICK_NS = 2_000_000_000  # file systems that count in seconds count in two
_SNAPSHOT = re.compile(r"[0-9a-f]{12}\.yaml")


def params_key(params: Params) -> str:
    """Return the key of all parameters."""
    return content_key(params.model_dump())


def snapshot_path(params: Params, results: Path = Path("results")) -> Path:
    """Return where the parameters of a run are kept."""
    return results / "params" / f"{params_key(params)}.yaml"


def write_snapshot(params: Params, results: Path = Path("results")) -> None:
    """Write the parameters under their own key; the newest file is that of the last run.

    Jobs read this file: an edit of `params.yaml` during a run does not reach the jobs of that run.
    """
    path = snapshot_path(params, results)
    earlier = [other for other in snapshots(results) if other != path]
    write_text(path, dump_params(params))
    # A clock that was ahead, once or on another machine, must not make an earlier run the last one.
    newest = max((other.stat().st_mtime_ns for other in earlier), default=0)
    if path.stat().st_mtime_ns <= newest:
        os.utime(path, ns=(newest + _TICK_NS, newest + _TICK_NS))


def snapshots(results: Path) -> list[Path]:
    """Return the parameters of earlier runs, the last run first."""
    found = [path for path in (results / "params").glob("*.yaml") if is_snapshot(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def is_snapshot(path: Path) -> bool:
    """Tell whether a file holds all parameters of a run, by its name."""
    return path.parent.name == "params" and _SNAPSHOT.fullmatch(path.name) is not None


def run_params_key(params: Params) -> str:
    """Return the key of the parameters of the whole run that a job is part of."""
    whole = os.environ.get(RUN_PARAMS_VARIABLE)
    return Path(whole).stem if whole else params_key(params)


def read_run_params(path: Path) -> Params:
    """Read parameters as ``snakemake --configfile FILE`` does.

    The values of a file go over those of ``params.yaml``, section by section; ``params.yaml``
    itself and the complete parameters of a run are taken as they are. Raises `ConfigError` if a
    file is missing, is not such a file, or a value cannot be used.
    """
    if path == PARAMS_FILE or is_snapshot(path) or not PARAMS_FILE.exists():
        return load_params(path)
    values = over(read_values(PARAMS_FILE), read_values(path))
    return parse_params(values, f"{path} over {PARAMS_FILE}")


def over(below: Any, above: Any) -> Any:
    """Return values over others, section by section."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {name: over(below.get(name), value) for name, value in above.items()}
