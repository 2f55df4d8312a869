"""A report as one HTML page. The template escapes whatever it is given; only pictures that were made here stand in it as they are."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from energy_rating.publishing.report.content import Report
from energy_rating.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template

HERE = Path(__file__).parent


def html(report: Report) -> str:
    """The page. The same report gives the same bytes."""
    style, script = _file("style.css"), _file("page.js")
    # Nothing but this style, this script and pictures that stand in the page: whatever else a name might bring is dead.
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page: str = _template().render(
        report=report, style=style, script=script, policy=policy, version=__version__
    )
    return page


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """As a policy names it (CSP level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return made.from_string(_file("template.html"))
