"""Records: who made a result, when, where and by which code.

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
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sreclip.config import Params
from sreclip.files import write_json
from sreclip.plan.plan import Plan
from sreclip.plan.results import Result
from sreclip.plan.run import run_params_key
from sreclip.provenance.git import git_state
from sreclip.provenance.keys import versions
from sreclip.provenance.stamps import read_stamp, stamps

RECORDS = "records"
# Names the machine instead of its host name, which not everybody wants to publish.
MACHINE_VARIABLE = "SRECLIP_MACHINE"


@dataclass(frozen=True)
class Link:
    """A `Result` as it is written down: paths are text and relative to the project."""

    stage: str
    path: str
    key: str
    inputs: tuple[str, ...]
    about: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Stage, method and key, for a reader."""
        return " ".join(filter(None, (self.stage, self.about.get("method"), self.key)))

    @classmethod
    def of(cls, result: Result, folder: Path) -> Link:
        """Write a result of a project down."""
        path, *inputs = (
            each.path.relative_to(folder).as_posix() for each in (result, *result.inputs)
        )
        return cls(result.stage, path, result.key, tuple(inputs), dict(result.about))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Link:
        """Read a link; `KeyError` or `TypeError` when it is something else."""
        stage, path, key, inputs, about = (value[name] for name in cls.__dataclass_fields__)
        return cls(stage, path, key, tuple(inputs), dict(about))


@dataclass(frozen=True)
class Record:
    """A link, when it was finished (UTC) and under which circumstances.

    These are ``git``, ``params`` (key of the run's parameters), ``machine`` and ``versions``.
    """

    link: Link
    time: str
    circumstances: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return {**asdict(self.link), "time": self.time, "circumstances": self.circumstances}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """Read what `to_json` returned; `KeyError` or `TypeError` when it is something else."""
        return cls(Link.from_json(value), str(value["time"]), dict(value["circumstances"]))


def chosen_params(params: Params) -> dict[str, Any]:
    """Return all parameters except the settings of methods that do not run."""
    return params.model_dump(mode="json", exclude={"methods"}) | {
        "methods": params.methods.model_dump(mode="json", include={"run", *params.methods.run})
    }


def machine() -> dict[str, Any]:
    """Return name, system, cores and, where torch runs on one, the GPU of this machine."""
    about: dict[str, Any] = {
        "name": os.environ.get(MACHINE_VARIABLE) or platform.node(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        about["gpu"] = torch.cuda.get_device_name()
    return about


def write_record(
    plan: Plan, result: Result, code: Callable[[], dict[str, Any] | None] = git_state
) -> None:
    """Record that a result of the plan has just been made, by the code in a state of git."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    circumstances = {
        "git": code(),
        "params": run_params_key(plan.params),
        "machine": machine(),
        "versions": versions(),
    }
    record = Record(Link.of(result, plan.folder), now.isoformat(), circumstances)
    write_json(record_path(record.link.path, plan.results), record.to_json())


def record_path(result: str, results: Path) -> Path:
    """Return where the record of a result is."""
    return results / RECORDS / f"{result.partition('/')[2]}.json"


def pack(records: Iterable[Record]) -> dict[str, Any]:
    """Put records into one value; those of one run share their circumstances."""
    shared: list[dict[str, Any]] = []
    packed = []
    for record in records:
        if record.circumstances not in shared:
            shared.append(record.circumstances)
        packed.append(record.to_json() | {"circumstances": shared.index(record.circumstances)})
    return {"circumstances": shared, "links": packed}


def unpack(value: Any) -> dict[str, Record]:
    """Read what `pack` returned, by path; nothing where it is something else."""
    try:
        shared = value["circumstances"]
        records = [
            Record.from_json({**link, "circumstances": shared[link["circumstances"]]})
            for link in value["links"]
        ]
    except (KeyError, TypeError, IndexError, ValueError):
        return {}
    return {record.link.path: record for record in records}


class Records:
    """Records of the project in a folder: those of its jobs, and those of its stamps."""

    def __init__(self, folder: Path) -> None:
        self._results, self._reports = folder / "results", folder / "reports"

    @cached_property
    def _stamped(self) -> dict[str, Record]:
        return {
            path: record
            for stamp in stamps(self._reports)
            for path, record in unpack(read_stamp(stamp).get("made")).items()
        }

    def keep_stamped(self) -> None:
        """Write the records that stamps carry to ``results``, for a stamp may go."""
        for path, record in self._stamped.items():
            if not (place := record_path(path, self._results)).exists():
                write_json(place, record.to_json())

    def get(self, path: str) -> Record | None:
        """Return the record of a result; None where there is none, or none that can be read."""
        try:
            place = record_path(path, self._results)
            return Record.from_json(json.loads(place.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError):
            return self._stamped.get(path)

    def below(self, path: str) -> list[Record]:
        """Return the records of all results in a folder."""
        folder = self._results / RECORDS
        own = (folder / path.partition("/")[2]).rglob("*.json")
        names = {f"results/{file.relative_to(folder).as_posix()[: -len('.json')]}" for file in own}
        names |= {name for name in self._stamped if name.startswith(f"{path}/")}
        return [record for name in sorted(names) if (record := self.get(name)) is not None]


def records_of(plan: Plan) -> list[Record]:
    """Return the records of all results that the plan's report was made from."""
    records = Records(plan.folder)
    paths = (Link.of(result, plan.folder).path for result in plan.run())
    return [record for path in paths if (record := records.get(path)) is not None]
