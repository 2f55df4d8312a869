"""A report: everything that is known of one run or of several, as a page that needs nothing else, or as Markdown.

``content`` says it, ``charts`` draws it, ``page`` and ``plain`` lay it out. The page asks nobody for anything: styles, script and pictures
stand in it, and its own policy (CSP) forbids all else. It reads without its script, on paper, in the dark, and aloud.
"""

from __future__ import annotations

from energy_rating.publishing.report.content import Reported, report
from energy_rating.publishing.report.page import html
from energy_rating.publishing.report.plain import markdown

__all__ = ["Reported", "html", "markdown", "report"]
