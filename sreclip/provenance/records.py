"""Records: who made a result, when, where and by which code, beside the result's link.

A job writes its record to ``results/records/``, at the path of its result and outside of it: times
and machines must not reach files that are to be the same bytes everywhere, nor the folders that DVC
hashes. The stamp in ``reports/`` carries the records of all that the report was made from, so that
they travel with git; a clone reads them from there.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sreclip.config import Params
from sreclip.files import write_json
from sreclip.keys import content_key
from sreclip.plan.plan import Plan
from sreclip.provenance.git import git_state
from sreclip.provenance.keys import versions
from sreclip.provenance.links import Link, link_of, links
from sreclip.provenance.stamps import STAMPS, stamps

RECORDS = "records"
PUBLISHED_REPORT = "published report"
# Where the Snakefile tells its jobs the parameters of the run.
RUN_PARAMS_VARIABLE = "SRECLIP_RUN_PARAMS"
# Names the machine instead of its host name, which not everybody wants to publish.
MACHINE_VARIABLE = "SRECLIP_MACHINE"


@dataclass(frozen=True)
class Record:
    """A link and the circumstances of its making.

    Attributes
    ----------
    link : Link
    time : str
        When it was finished, UTC.
    circumstances : dict
        ``git``, ``params`` (key of the run's parameters), ``machine`` and ``versions``.
    """

    link: Link
    time: str
    circumstances: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give the record as JSON-able values."""
        return {**asdict(self.link), "time": self.time, "circumstances": self.circumstances}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """Read what `to_json` gave; `KeyError` or `TypeError` when it is something else."""
        return cls(Link.from_json(value), str(value["time"]), dict(value["circumstances"]))


def params_key(params: Params) -> str:
    """Key of all parameters: the name of their file in ``results/params/``."""
    return content_key(params.model_dump())


def chosen_params(params: Params) -> dict[str, Any]:
    """All parameters but the settings of methods that do not run."""
    return params.model_dump(mode="json", exclude={"methods"}) | {
        "methods": params.methods.model_dump(mode="json", include={"run", *params.methods.run})
    }


def machine() -> dict[str, Any]:
    """Name, system, cores and, where torch runs on one, the GPU of this machine."""
    about: dict[str, Any] = {
        "name": os.environ.get(MACHINE_VARIABLE) or platform.node(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        about["gpu"] = torch.cuda.get_device_name()
    return about


def write_record(plan: Plan, path: Path) -> Path:
    """Record that a result of the plan has just been made."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    circumstances = {
        "git": git_state(),
        "params": _run_params(plan),
        "machine": machine(),
        "versions": versions(),
    }
    record = Record(link_of(plan, path), now.isoformat(), circumstances)
    return _write(record, plan.results)


def _run_params(plan: Plan) -> str:
    """Key of the parameters of the whole run, of which a job may have been given a part."""
    whole = os.environ.get(RUN_PARAMS_VARIABLE)
    return Path(whole).stem if whole else params_key(plan.params)


def _write(record: Record, results: Path) -> Path:
    place = record_path(record.link.path, results)
    write_json(place, record.to_json())
    return place


def record_path(result: str, results: Path) -> Path:
    """Where the record of a result lies."""
    return results / RECORDS / f"{result.partition('/')[2]}.json"


def pack(records: Iterable[Record]) -> dict[str, Any]:
    """Put records into one value; those of one run share their circumstances."""
    shared: list[dict[str, Any]] = []
    packed = []
    for record in records:
        if record.circumstances not in shared:
            shared.append(record.circumstances)
        number = shared.index(record.circumstances)
        packed.append({**record.to_json(), "circumstances": number})
    return {"circumstances": shared, "links": packed}


def unpack(value: Any) -> dict[str, Record]:
    """Read what `pack` gave, by path; nothing where it is something else."""
    try:
        shared = value["circumstances"]
        records = [
            Record.from_json({**link, "circumstances": shared[link["circumstances"]]})
            for link in value["links"]
        ]
    except (KeyError, TypeError, IndexError, ValueError):
        return {}
    return {record.link.path: record for record in records}


def keep_records(reports: Path, results: Path) -> None:
    """Write the records that stamps carry to ``results``, for a stamp may go."""
    for path, record in _of_stamps(reports).items():
        if not record_path(path, results).exists():
            _write(record, results)


def _of_stamps(reports: Path) -> dict[str, Record]:
    return {path: record for stamp in stamps(reports) for path, record in _of_stamp(stamp).items()}


def _of_stamp(stamp: Path) -> dict[str, Record]:
    try:
        return unpack(json.loads(stamp.read_text(encoding="utf-8")).get("made"))
    except (OSError, ValueError, AttributeError):
        return {}


class Records:
    """Records of a project folder: those of its jobs, and those that came with its stamps.

    Parameters
    ----------
    results, reports : Path
    """

    def __init__(self, results: Path, reports: Path) -> None:
        self._results, self._reports = results, reports

    def link(self, stamp: str) -> Link | None:
        """Link of a stamp, by its path; None where it cannot be read."""
        try:
            value = json.loads(
                (self._reports / STAMPS / Path(stamp).name).read_text(encoding="utf-8")
            )
            under, keys = f"{value['task']}/{value['backbone']}", value["keys"]
            inputs = (
                f"results/comparisons/{under}/{keys['comparison']}",
                f"results/pages/{under}/{keys['report']}",
            )
            return Link(PUBLISHED_REPORT, stamp, keys["report"], inputs, {})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def _stamped(self) -> dict[str, Record]:
        return _of_stamps(self._reports)

    def get(self, path: str) -> Record | None:
        """Record of a result; None where there is none, or none that can be read."""
        try:
            place = record_path(path, self._results)
            return Record.from_json(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return self._stamped.get(path)

    def below(self, path: str) -> list[Record]:
        """Records of all results in a folder."""
        folder = self._results / RECORDS
        below = (folder / path.partition("/")[2]).rglob("*.json")
        names = {
            f"results/{place.relative_to(folder).as_posix().removesuffix('.json')}"
            for place in below
        }
        names |= {name for name in self._stamped if name.startswith(f"{path}/")}
        return [record for name in sorted(names) if (record := self.get(name)) is not None]


def records_of(plan: Plan) -> list[Record]:
    """Records of all results that the plan's report was made from, as far as there are any."""
    records = Records(plan.results, plan.reports)
    return [record for path in links(plan) if (record := records.get(path)) is not None]
