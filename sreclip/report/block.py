"""A figure of a page, with what is said of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sreclip.report.embedded import embedded_json

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


@dataclass(frozen=True)
class View:
    """One choice of a figure: small figures with their titles, drawn side by side."""

    label: str
    panels: Sequence[tuple[str, Figure]]


@dataclass(frozen=True)
class Block:
    """A figure of the page, or the reason why there is none."""

    id: str  # of the HTML element
    summary: str = ""  # for a screen reader
    caption: str = ""  # what the figure shows, and how it was computed
    views: Sequence[View] = ()  # the reader chooses one; the first is shown at first
    missing: str = ""  # why there is no figure
    choice: str = "Method"  # what the reader chooses

    @property
    def json(self) -> str:
        """All views as JSON in which no character can end or open an element."""
        views = [
            [{"title": title, **_plain_figure(figure)} for title, figure in view.panels]
            for view in self.views
        ]
        return embedded_json(views)


def _plain_figure(figure: Figure) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(figure.to_json())
    value["layout"].pop("template", None)
    return {"data": value["data"], "layout": value["layout"]}


def optional(condition: object, sentence: str) -> str:
    """Return a sentence with a space before it, or nothing."""
    return f" {sentence}" if condition else ""
