"""What making a base model took, as that model's own card says: shown beside what was made of it, and added to nothing.

Of a card that carries our section it is the sum of its trainings, with their doubt; of one with a ``dia_report`` (of whatever tool)
what that says. A card of neither says nothing that could be taken, however much stands in its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from energy_rating.nouns.quantities import significant
from energy_rating.publishing.strangers import for_plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

By = Literal["energy-rating", "dia_report"]
LONGEST = 200
Ends = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseShare:
    """What one model's own making took, by its card. Energy in kilowatt-hours and carbon in kilograms, each as the ends of what the card
    says (95 %, where the card is ours); None where it says nothing of it. ``quality`` is the card's own word for its energy.
    """

    model: str
    by: By
    quality: str
    energy_kwh: Ends | None
    carbon_kg: Ends | None
    tool: str | None
    runs: int

    @property
    def said(self) -> str:
        """In one line of plain text."""
        told = []
        if self.energy_kwh is not None:
            told.append(f"{_ends(self.energy_kwh, _KWH)}, {self.quality}")
        if self.carbon_kg is not None:
            told.append(f"{_ends(self.carbon_kg, _KG)} CO2e")
        by = "its card's dia_report" if self.by == "dia_report" else "its card's section"
        return (
            f"{self.model}: {'; '.join(told) or 'no figure'} (its own runs alone, as {by} says; "
            "not checked here, and in no other figure)"
        )


_KWH = ((1e6, "GWh"), (1e3, "MWh"), (1.0, "kWh"), (1e-3, "Wh"))
_KG = ((1e6, "kt"), (1e3, "t"), (1.0, "kg"), (1e-3, "g"))


def _ends(ends: Ends, units: Sequence[tuple[float, str]]) -> str:
    """Both ends in one unit, that of the upper one."""
    size, unit = next((one for one in units if ends[1] >= one[0]), units[-1])
    texts = list(dict.fromkeys(significant(end / size, 3) if end else "0" for end in ends))
    return f"{' to '.join(texts)} {unit}"


def share_from(entry: object) -> BaseShare | None:
    """From the data of a section.

    Raises:
        ValueError: it is none.
    """
    if entry is None:
        return None
    if not isinstance(entry, dict) or entry.keys() != BaseShare.__dataclass_fields__.keys():
        raise ValueError("base must be what a base model took")
    by = next((one for one in ("energy-rating", "dia_report") if one == entry["by"]), None)
    runs = entry["runs"]
    if by is None or not isinstance(runs, int) or isinstance(runs, bool) or runs < 0:
        raise ValueError("base must say by what it was told, and of how many runs")
    for name in ("model", "quality"):
        if not isinstance(entry[name], str):
            raise ValueError(f"{name} of base must be text; got {entry[name]!r:.80}")
    if entry["tool"] is not None and not isinstance(entry["tool"], str):
        raise ValueError("tool of base must be text")
    return BaseShare(
        model=for_plain_text(entry["model"], LONGEST),
        by="dia_report" if by == "dia_report" else "energy-rating",
        quality=for_plain_text(entry["quality"], 60),
        energy_kwh=_read_ends(entry["energy_kwh"]),
        carbon_kg=_read_ends(entry["carbon_kg"]),
        tool=None if entry["tool"] is None else for_plain_text(entry["tool"], LONGEST),
        runs=runs,
    )


def _read_ends(entry: Sequence[object] | None) -> Ends | None:
    if entry is None:
        return None
    if (
        not isinstance(entry, list | tuple)
        or len(entry) != 2
        or not all(
            isinstance(one, int | float) and not isinstance(one, bool) and 0 <= one < 1e18 for one in entry
        )
    ):
        raise ValueError("a figure of base must be two numbers, the ends of what its card says")
    low, high = (float(one) for one in entry if isinstance(one, int | float))
    return min(low, high), max(low, high)
