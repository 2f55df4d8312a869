"""What all findings of one code have in common. The codes themselves are in ``findings``, those that speak against a run in ``doubts``."""

from __future__ import annotations

from typing import NamedTuple

from energy_rating.nouns.choices import Severity


class FindingKind(NamedTuple):
    """What all findings of one code have in common.

    ``severities``: those that it may have; where there are several ``when`` says which of them applies. ``remedy``: what to do, where
    the finding itself does not say it better.
    """

    severities: tuple[Severity, ...]
    meaning: str
    remedy: str = ""
    when: str = ""


NOTE: tuple[Severity, ...] = ("note",)
DEGRADES: tuple[Severity, ...] = ("degrades",)
DISQUALIFIES: tuple[Severity, ...] = ("disqualifies",)
NOTE_OR_DEGRADES: tuple[Severity, ...] = ("note", "degrades")

SEE = "See what can be measured here, and why the rest cannot, with: energy-rating sensors"
