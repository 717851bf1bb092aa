"""A session's page, served while a test looks at it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sreclip.labelling.server import LabelServer
from sreclip.labelling.session import Session
from sreclip.plan.plan import Plan


@contextlib.contextmanager
def serving(
    plan: Plan, file: Path, count: int, labelled: Callable[[], object] = lambda: None
) -> Iterator[LabelServer]:
    """Serve ``count`` images of a plan whose labels go to a file."""
    with (
        contextlib.closing(Session(plan, "sre_clip", file, count)) as session,
        LabelServer(session, labelled=labelled) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
