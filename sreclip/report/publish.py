"""Copies of the results under ``reports/``, and the stamp that says which results they are."""

from __future__ import annotations

import shutil
from pathlib import Path

from sreclip.errors import StoreError
from sreclip.files import atomic_path, write_json
from sreclip.plan.plan import Plan
from sreclip.provenance.records import keep_records, pack, records_of
from sreclip.provenance.stamps import PAGE, PUBLISHED, published_hashes, stamps
from sreclip.report.inputs import load_results
from sreclip.report.provenance import describe


def publish(plan: Plan) -> None:
    """Copy metrics, tables and page to ``plan.reports`` and stamp them.

    Older stamps go first and the new one comes last, so that a stamp always stands beside the
    files that it speaks of, also after a kill in the middle.

    Raises
    ------
    StoreError
        A result is missing, in which case nothing is touched, or the folder cannot be written.
    """
    copies = {
        (plan.page if name == PAGE else plan.comparison)[Path(name).name]: plan.reports / name
        for name in PUBLISHED
    }
    for source in copies:
        if not source.is_file():
            step = "write_page" if source.name == PAGE else "compare_methods"
            raise StoreError(f"{source} is missing", f"make it with: snakemake --cores all {step}")
    keep_records(plan.reports, plan.results)
    stamp = describe(plan, load_results(plan)) | {"made": pack(records_of(plan))}
    _remove_stamps(plan.reports)
    for source, target in copies.items():
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    write_json(plan.publication.path, stamp | {"files": published_hashes(plan.reports)})


def _remove_stamps(reports: Path) -> None:
    for stamp in stamps(reports):
        try:
            stamp.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{stamp} cannot be removed ({error.strerror})",
                "make the folder writable or choose another output folder",
            ) from error
