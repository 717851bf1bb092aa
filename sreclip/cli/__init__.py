"""The ``sreclip`` command."""

from __future__ import annotations

import importlib
import sys

from sreclip.cli import init, labels, looks, models, reference, run, steps
from sreclip.cli.app import app, log
from sreclip.errors import SreclipError

__all__ = ["app", "init", "labels", "looks", "main", "models", "reference", "run", "steps"]


def main() -> None:
    """Run the command; a user's mistake ends in two lines and status 2, not in a traceback."""
    if "data" in sys.argv:
        # Its options are made from the settings models, which take long to load.
        importlib.import_module("sreclip.cli.data")
    try:
        app()
    except SreclipError as error:
        log.error("sreclip: %s", error)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(0)
    except Exception:
        log.exception("sreclip stopped on a bug; please report it with this traceback")
        sys.exit(1)
