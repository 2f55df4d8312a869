"""Round figures for the axes of a picture."""

from __future__ import annotations

import math

_COUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def ticks(top: float) -> list[float]:
    """Round steps from 0 up to at most ``top`` (above 0), four to nine of them."""
    power = 10.0 ** math.floor(math.log10(top))
    step = next(power * part for part in (0.2, 0.25, 0.5, 1.0, 2.0) if top / (power * part) <= 6)
    return [round(step * place, 12) for place in range(int(top / step + 1e-9) + 1)]


def short(amount: float) -> str:
    """``40 M``: on an axis there is little room."""
    size, name = next(((size, name) for size, name in _COUNTS if amount >= size), (1.0, ""))
    return f"{amount / size:.4g} {name}".strip()
