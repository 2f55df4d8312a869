"""Where a run is, from CodeCarbon's arguments: whose figure of the grid is taken, as its version 3.3.2 chooses it (core/emissions.py).

A cloud's region goes before a state or a province, that before the country. States and provinces have a figure of their own in the United
States, Canada and China, bidding zones in Sweden and Norway; elsewhere a region is a name. Where there is none for what was named, it is
the country's, and that is said. Figures are those of this package: of a Canadian province all sources count, where CodeCarbon's file
leaves hydropower at nothing, and of Google's regions they are newer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from energy_rating.nouns.errors import BadInput
from energy_rating.publishing.emissions_files import check_zone, cloud_place

OF_PARTS = ("USA", "CAN", "CHN", "SWE", "NOR")
# As CodeCarbon leaves them out of the name of a Chinese province.
_SUFFIX = re.compile(r"\s+(autonomous region|municipality|province|sheng|shi|zizhiqu)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """``zone``: whose figure is taken; None: nobody's is known. ``region``: the name that is written down. ``said``: what is to be told."""

    zone: str | None
    region: str | None
    said: tuple[str, ...] = ()


def where(
    country: str | None, region: str | None, cloud_provider: str | None, cloud_region: str | None
) -> Where:
    """The zone of what was named."""
    said: list[str] = []
    if cloud_provider is not None and cloud_region is not None:
        zone = f"{cloud_provider}:{cloud_region}"
        if (wrong := _wrong(zone)) is None:
            return Where(zone=zone, region=cloud_place(zone) or region)
        said.append(f"{wrong}. The figure of {country or 'no place'} is taken")
    if country is None:
        return Where(zone=None, region=region, said=tuple(said))
    if (wrong := _wrong(country)) is not None:
        return Where(zone=None, region=region, said=(*said, wrong))
    if region is not None and country in OF_PARTS:
        zone = f"{country}/{_SUFFIX.sub('', ' '.join(region.lower().split()))}"
        if (wrong := _wrong(zone)) is None:
            return Where(zone=zone, region=region, said=tuple(said))
        said.append(f"{wrong}. The figure of {country} is taken")
    return Where(zone=country, region=region, said=tuple(said))


def _wrong(zone: str) -> str | None:
    try:
        check_zone(zone)
    except BadInput as error:
        return str(error).rstrip(".")
    return None
