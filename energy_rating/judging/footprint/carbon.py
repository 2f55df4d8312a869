"""From energy to carbon, the first step: location-based grams by a country's yearly factor. Without a zone nothing is guessed.

The factors are those that CodeCarbon ships (Our World in Data, from Ember and the Energy Institute): a country's yearly mean of
production, several years old; the year is part of the result. Nothing is asked of the network. Not in here yet: market-based
carbon, water, the embodied share.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from energy_rating.files.libraries import without_stray_prints
from energy_rating.files.opening import read_whole
from energy_rating.judging.footprint.countries import near
from energy_rating.nouns.errors import BadInput, NotMeasured
from energy_rating.nouns.quantities import JOULES_PER_KWH, Estimate, total
from energy_rating.nouns.records import FULL_COVERAGE, RUN, Measurement, Record, Validity, validity

# What adds up to what was seen of a machine. A wall meter, a host or a module figure holds its parts already, and stands alone.
WHOLES = ("wall", "host", "module")
PARTS = ("gpu", "cpu", "dram")

# Where CodeCarbon 3 keeps the table (codecarbon/input.py, global_energy_mix_data_path); it has 129 kB.
FACTORS = "data/private_infra/global_energy_mix.json"
LARGEST_TABLE = 16 << 20

SOURCE = "Our World in Data (Ember, Energy Institute) as shipped with CodeCarbon"


@dataclass(frozen=True, kw_only=True, slots=True)
class Impact:
    """What an amount of energy comes to. Assumptions are fields, never folded into the energy.

    ``carbon_g`` is grams of CO2-equivalent, location-based; its doubt is the energy's alone: the factor's own is not published.
    ``components`` are those whose energy is in it, ``missing`` those that were not measured. ``coverage`` is the share (0 to 1)
    of the time that each component's sensors saw, ``validity`` what the findings leave of the measurement. ``zone_from``: whether the
    zone was given, or is the one that the record says it ran in.
    """

    measurement: str
    energy_j: Estimate
    components: tuple[str, ...]
    estimated: tuple[str, ...]
    missing: tuple[str, ...]
    carbon_g: Estimate
    intensity_g_per_kwh: float
    zone: str
    zone_name: str
    year: int
    coverage: Mapping[str, float]
    validity: Validity
    source: str = SOURCE
    zone_from: Literal["given", "record"] = "given"
    pue: float | None = None

    @property
    def partly_seen(self) -> Mapping[str, float]:
        """The components of which less than 99 % of the time was seen."""
        return {name: share for name, share in self.coverage.items() if share < FULL_COVERAGE}


def zone_of(record: Record) -> str | None:
    """The zone that a record says it ran in; None where it says none."""
    return record.place.zone if record.place is not None else None


def footprint(record: Record, *, zone: str | None = None, measurement: str = RUN) -> Impact:
    """The carbon of a measurement's energy in a zone (a country by its three letters, such as FRA).

    Args:
        record: whose energy.
        zone: by default the one that the record says it ran in; which of both it was is ``Impact.zone_from``.
        measurement: its measurement; by default the whole run.

    Raises:
        BadInput: there is no factor for the zone, or neither the caller nor the record says one.
        NotMeasured: there is no such measurement, or no energy in it.
    """
    said = zone_of(record) if zone is None else zone
    if said is None:
        raise BadInput(
            "the record does not say where it ran", "Name the country with --zone, such as FRA", place="zone"
        )
    factor = _factor(said, place="--zone" if zone is not None else "place.zone of the record")
    measured = record[measurement]
    components = _components(measured)
    if not components:
        raise NotMeasured(
            f"no energy was measured in {measurement!r}",
            "See what can be measured with: energy-rating sensors",
        )
    energy = total((measured.energy_j[name] for name in components), same_sensor=False)
    intensity = float(factor["carbon_intensity"])
    return Impact(
        measurement=measurement,
        energy_j=energy,
        components=components,
        estimated=tuple(name for name in components if measured.methods.get(name) == "model"),
        missing=missing(components),
        carbon_g=energy.times(intensity / JOULES_PER_KWH),
        intensity_g_per_kwh=intensity,
        zone=str(factor["iso_code"]),
        zone_name=str(factor["country_name"]),
        year=int(factor["year"]),
        coverage={name: measured.coverage.get(name, 1.0) for name in components},
        zone_from="record" if zone is None else "given",
        validity=_worse(measured.validity, validity(record.findings_on(measurement))),
    )


def check_zone(zone: str) -> None:
    """Raises ``BadInput`` where there is no factor for the zone: better before a long run than after it."""
    _factor(zone)


def zone_named(name: str) -> str | None:
    """The zone (three letters) of a country by the name that ``Impact.zone_name`` gives; None if there is none."""
    return next((code for code, entry in _table().items() if entry.get("country_name") == name), None)


def missing(components: Collection[str]) -> tuple[str, ...]:
    """The parts of a machine that are not among these; none where a whole is, since it holds its parts."""
    return () if set(components) & set(WHOLES) else tuple(name for name in PARTS if name not in components)


def _worse(one: Validity, other: Validity) -> Validity:
    order: tuple[Validity, ...] = get_args(Validity)
    return max(one, other, key=order.index)


def _components(measured: Measurement) -> tuple[str, ...]:
    for whole in WHOLES:
        if whole in measured.energy_j:
            return (whole,)
    return tuple(name for name in PARTS if name in measured.energy_j)


def _factor(zone: str, *, place: str = "--zone") -> Mapping[str, Any]:
    table = _table()
    found = table.get(zone.upper())
    if found is None or not found.get("carbon_intensity") or not found.get("year"):
        known = {code: str(entry.get("country_name", "")) for code, entry in table.items()}
        meant = [f"{code} ({known[code]})" for code in near(zone, known)]
        part = "; states, and regions of a cloud, have no factor here" if "-" in zone else ""
        raise BadInput(
            f"there is no carbon factor for the zone {zone[:40]!r}",
            f"Zones are countries by three letters, such as FRA{part}{'; did you mean ' + ' or '.join(meant) + '?' if meant else ''}",
            place=place,
        )
    return found


def _table() -> Mapping[str, Mapping[str, Any]]:
    found = importlib.util.find_spec("codecarbon")
    path = Path(found.origin).parent / FACTORS if found is not None and found.origin is not None else None
    if path is not None and path.is_file():
        return _table_in(path)
    try:  # it may keep its data elsewhere one day, and knows where
        with without_stray_prints():
            from codecarbon.input import DataSource
    except ImportError as error:
        raise BadInput(
            "the carbon factors come with codecarbon, which is not installed", "Run: pip install codecarbon"
        ) from error
    table: Mapping[str, Mapping[str, Any]] = DataSource().get_global_energy_mix_data()
    return table


@functools.cache
def _table_in(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """The file itself: CodeCarbon reads all its others beside it, and loads pandas for them."""
    table: Mapping[str, Mapping[str, Any]] = json.loads(read_whole(path, LARGEST_TABLE))
    return table
