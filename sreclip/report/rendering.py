"""Templates become one HTML file: style, scripts and their hashes in it, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sreclip.report.numbers import percent_text

TEMPLATES = "sreclip.report"
# The traces of flat axes alone, a third of the whole; from npm's plotly.js-cartesian-dist-min.
PLOTLY = "plotly-cartesian.min.js"


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the text of a page; its policy allows the scripts in it and no others."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent_text
    scripts = {"plotly": _resource(PLOTLY), "figures": _resource("figures.js.j2")}
    page = environment.get_template(template).render(
        **context,
        style=Markup(_resource("page.css")),
        scripts={name: Markup(text) for name, text in scripts.items()},
        script_hashes=[script_hash(text) for text in scripts.values()],
    )
    return page.rstrip("\n") + "\n"


def _resource(name: str) -> str:
    return (files(TEMPLATES) / "templates" / name).read_text(encoding="utf-8")


def script_hash(text: str) -> str:
    """Return the name of a script in the page's content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
