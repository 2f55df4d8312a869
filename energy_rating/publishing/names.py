"""What components, and the ways of having a figure, are called wherever a person reads it. Little is loaded for these few words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from energy_rating.nouns.choices import Method

# What was taken over from another tool's file was not measured by us, whatever that tool did.
Origin = Literal["measured", "estimated", "imported"]
ORIGINS: tuple[Origin, ...] = get_args(Origin)

# A label is drawn for a light or a dark page, or for print in black alone; with all that it rests on, or only with what is legible at 100 pixels.
LookName = Literal["light", "dark", "print"]
Size = Literal["full", "small"]
LOOK_NAMES: tuple[LookName, ...] = get_args(LookName)
SIZES: tuple[Size, ...] = get_args(Size)

NAMES: Mapping[str, str] = {
    "gpu": "GPU",
    "cpu": "CPU",
    "dram": "memory",
    "module": "module",
    "host": "host",
    "wall": "wall",
}


def origin_of(method: Method | None, *, imported: bool = False) -> Origin:
    """Whether a figure had in this way was measured; what is not known to be a model's was, by us or by another tool."""
    if method == "model":
        return "estimated"
    return "imported" if imported else "measured"
