"""How grave a finding is. Apart from the table of all codes, which is large, and not needed by what only names this."""

from __future__ import annotations

from typing import Literal, get_args

Severity = Literal["note", "degrades", "disqualifies"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)  # the gravest last
