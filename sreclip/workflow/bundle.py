"""The job of a bundle: its fits and evaluations, one after the other in one process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sreclip.errors import DamagedError, FitError, SreclipError
from sreclip.evaluate.evaluation import evaluate_method
from sreclip.evaluate.target import read_target
from sreclip.files import aside
from sreclip.plan.bundles import Bundle, Piece
from sreclip.provenance.git import git_state
from sreclip.provenance.records import write_record

if TYPE_CHECKING:
    from sreclip.plan.plan import Plan
    from sreclip.train.fits import FitInputs

log = logging.getLogger("sreclip")


def make_bundle(bundle: Bundle, *, progress: bool = True) -> None:
    """Make what is missing of a bundle; features, texts, graph and labels are read once.

    Each result is whole at its own path before the next is begun. One that fails keeps only those
    from being made that are made from it.

    Raises
    ------
    FitError
        Some could not be made. Which and why has been logged.
    """
    fits = [each for each in bundle.pieces if each.result.stage == "fit" and not each.is_made]
    fit = _fitting(fits[0].plan, progress) if fits else None
    code = cache(git_state)
    target = cache(lambda: read_target(bundle.pieces[0].plan))
    failed: set[str] = set()
    for piece in bundle.pieces:
        if piece.is_made:  # before, or by another job since
            continue
        if failed & {each.path.as_posix() for each in piece.result.inputs}:
            failed.add(piece.path)
            continue
        log.info("%s", piece.label)
        try:
            if fit and piece.result.stage == "fit":
                fit(piece)
            else:
                evaluate_method(piece.plan, piece.method, target())
            write_record(piece.plan, piece.result, code)
        except SreclipError as error:
            said = aside(error) if isinstance(error, DamagedError) else error
            log.error("sreclip: %s: %s", piece.label, said)
            failed.add(piece.path)
        except Exception:
            log.exception("%s: a bug; please report it with this traceback", piece.label)
            failed.add(piece.path)
    if failed:
        raise FitError(
            f"{len(failed)} of the {len(bundle.pieces)} results of this job could not be made",
            "what could be made is kept: the next run makes what is missing",
        )


def _fitting(plan: Plan, progress: bool) -> Callable[[Piece], None]:
    """Read what the fits of all plans of one task read, and return what makes a fit."""
    # Evaluations alone need no torch.
    from sreclip.train.inputs import read_stored
    from sreclip.train.method import fit_method

    stored = read_stored(plan)

    @lru_cache(maxsize=1)
    def inputs(known: tuple[bool, ...]) -> FitInputs:
        return stored.of_split(np.array(known))

    def fit(piece: Piece) -> None:
        seen = inputs(tuple(piece.plan.known.tolist()))
        fit_method(piece.plan, piece.method, seen, progress=progress)

    return fit
