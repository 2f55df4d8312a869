"""How a value shows itself in a notebook. The page is made where pages are made; the package's top says where that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SHOWN_BY: dict[str, Callable[[Any], str]] = {}


def shown(kind: str, value: object) -> str | None:
    """The HTML of a value of this kind; None where it cannot be made, so that its plain text stands there."""
    show = SHOWN_BY.get(kind)
    try:
        return None if show is None else show(value)
    except Exception:  # a notebook shows the text instead
        return None
