"""Copies of the results under ``reports/``, and the stamp that says which results they are."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sreclip.errors import StoreError
from sreclip.evaluate.stored import read_evaluations
from sreclip.files import atomic_path, write_json
from sreclip.plan.plan import Plan
from sreclip.provenance.keys import code_keys, stage_keys, versions
from sreclip.provenance.records import Link, Records, chosen_params, pack, records_of
from sreclip.provenance.stamps import PUBLISHED, published_hashes, stamps
from sreclip.report.labels import warnings_of


def publish(plan: Plan) -> None:
    """Copy metrics, tables and page to ``plan.reports`` and stamp them.

    Older stamps are removed first and the new one is written last, so that a stamp always belongs
    to the files beside it, also after a kill in the middle.

    Raises `StoreError` if a result is missing, in which case nothing changes, or the folder cannot
    be written.
    """
    copies = {
        (plan.page if Path(name).name in plan.page.files else plan.comparison)[Path(name).name]: (
            plan.reports / name
        )
        for name in PUBLISHED
    }
    for source in copies:
        if not source.is_file():
            step = "write_page" if source.name in plan.page.files else "compare_methods"
            raise StoreError(f"{source} is missing", f"make it with: snakemake --cores all {step}")
    Records(plan.folder).keep_stamped()
    stamp = _stamp(plan)
    _remove_stamps(plan.reports)
    for source, target in copies.items():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    write_json(plan.publication.path, stamp | {"files": published_hashes(plan.reports)})


def _stamp(plan: Plan) -> dict[str, Any]:
    params = plan.params
    evaluations = read_evaluations(plan.comparison.inputs)
    return {
        "task": params.task.name,
        "backbone": params.backbone.label,
        "seeds": params.train.seeds,
        "confidence": params.evaluate.confidence,
        "selection": params.train.selection.rule,
        "protocol": params.evaluate.protocol,
        "methods": [
            {"name": found.method, "title": found.title, "transductive": found.transductive}
            for found in evaluations
        ],
        "few_labels": warnings_of(evaluations[0]),
        "link": asdict(Link.of(plan.publication, plan.folder)),
        "keys": stage_keys(plan),
        "code": code_keys(plan),
        "params": chosen_params(params),
        "versions": versions(),
        "made": pack(records_of(plan)),
    }


def _remove_stamps(reports: Path) -> None:
    for stamp in stamps(reports):
        try:
            stamp.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{stamp} cannot be removed ({error.strerror})",
                "make the folder writable or choose another output folder",
            ) from error
