"""What a kilowatt-hour of a place's electricity emits: vintages as files in ``grids``, each with source, licence, year, unit and basis.

A zone is a country (``FRA``), a part of one (``US-CA``, ``USA/california``, ``CAN/quebec``, ``SE3``) or a cloud's region
(``aws:eu-west-3``). What is not known is refused with the nearest names: never the country in place of its part, and never a mean of
the world. A vintage is a file that never changes; a new one is a new file.

*Standing* of a file: **default** ones are asked in this order where no vintage is named; **alternative** ones tell what else is
published of the same zone, which is the doubt of the factor; **share-alike** ones are under a licence of their own and are used only where
they are named.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from energy_rating.files.opening import read_whole
from energy_rating.judging.footprint.countries import ALSO, THREE_OF_TWO, near
from energy_rating.nouns.errors import BadInput

FACTS = Path(__file__).parent
GRIDS = FACTS / "grids"
CLOUDS = FACTS / "clouds.csv"
LARGEST_TABLE = 1 << 20  # bytes; the largest that ships has ten thousand
FIRST = "codecarbon-3.3"  # that of 0.1.0: what was published without naming a vintage was worked out with it
GRID_SCHEMA, CLOUD_SCHEMA = "energy-rating/grid/1", "energy-rating/clouds/1"

# Figures of years further apart than this tell of two grids, and not of the doubt of one figure.
YEARS_BESIDE = 2

_STANDINGS = ("default", "alternative", "share-alike")
_PROVIDERS = {
    "aws": "aws",
    "amazon": "aws",
    "gcp": "gcp",
    "google": "gcp",
    "azure": "azure",
    "microsoft": "azure",
    "amazon web services": "aws",
    "google cloud": "gcp",
    "microsoft azure": "azure",
}
_OPERATORS = {"aws": "Amazon Web Services", "gcp": "Google", "azure": "Microsoft"}
_BIDDING = re.compile(r"(SE|NO)[1-9]")


@dataclass(frozen=True, kw_only=True, slots=True)
class GridRow:
    """What a file says of one zone; None where it says nothing. Carbon in g/kWh, water in L/kWh."""

    zone: str
    name: str
    year: int | None
    intensity: float | None
    lowest: float | None = None
    highest: float | None = None
    water_l_per_kwh: float | None = None
    primary_energy_mj_per_kwh: float | None = None
    adpe_kg_sb_per_kwh: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Vintage:
    """One file of factors, and where it comes from."""

    name: str
    title: str
    link: str
    read: str
    licence: str
    unit: str
    basis: str
    level: str
    standing: str
    note: str = ""
    rows: Mapping[str, GridRow] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloudRegion:
    """A cloud's region: where it lies, and what its operator publishes of it. ``grid`` is what Electricity Maps calls its grid."""

    region: str
    place: str
    zone: str
    grid: str | None
    pue: float | None
    pue_year: int | None
    wue_l_per_kwh: float | None
    wue_year: int | None

    @property
    def operator(self) -> str:
        return _OPERATORS[self.region.partition(":")[0]]


@dataclass(frozen=True, kw_only=True, slots=True)
class GridFactor:
    """Grams of CO2e per kWh at a place, with all that is to be said of the figure.

    ``zone`` is whose figure it is, ``asked`` what was asked for; where they differ, ``stands_for`` says why. ``published`` are the figures of
    the same zone by vintage, this one with them: ``lowest`` and ``highest`` are their ends. ``granularity``: over what time it is a mean.
    """

    zone: str
    name: str
    asked: str
    intensity_g_per_kwh: float
    lowest: float
    highest: float
    year: int | None
    vintage: str | None
    source: str
    link: str
    licence: str
    basis: str
    granularity: str = "yearly mean"
    stands_for: str | None = None
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def spread_known(self) -> bool:
        """Whether more than one figure is published, so that something can be said of its doubt."""
        return self.highest > self.lowest


@functools.cache
def vintages() -> tuple[str, ...]:
    """The names of all that ship: those that are asked first, first."""
    return tuple(path.stem for path in sorted(GRIDS.glob("*.csv")))


@functools.cache
def vintage(name: str) -> Vintage:
    """The vintage of that name.

    Raises:
        BadInput: there is none.
    """
    path = GRIDS / f"{name}.csv"
    if name not in vintages():
        close = difflib.get_close_matches(name, vintages(), n=1, cutoff=0.5)
        raise BadInput(
            f"there are no factors called {name[:40]!r}",
            f"There are: {', '.join(vintages())}{f'; did you mean {close[0]}?' if close else ''}",
            place="--factors",
        )
    head, rows = read_table(path, GRID_SCHEMA)
    said = {
        key: head.pop(key)
        for key in ("title", "link", "read", "licence", "unit", "basis", "level", "standing")
    }
    return Vintage(
        name=name, note=head.get("note", ""), rows={row["zone"]: _row(row) for row in rows}, **said
    )


def read_table(path: Path, schema: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What stands above the table of a file that ships, by name, and the table."""
    lines = read_whole(path, LARGEST_TABLE).decode().splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    if head.pop("schema") != schema:
        raise BadInput(f"must be {schema}", place=path)
    return head, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def _row(cells: Mapping[str, str]) -> GridRow:
    def number(name: str) -> float | None:
        return float(cells[name]) if cells.get(name) else None

    return GridRow(
        zone=cells["zone"],
        name=cells["name"],
        year=int(cells["year"]) if cells["year"] else None,
        intensity=number("intensity"),
        lowest=number("lowest"),
        highest=number("highest"),
        water_l_per_kwh=number("water_l_per_kwh"),
        primary_energy_mj_per_kwh=number("primary_energy_mj_per_kwh"),
        adpe_kg_sb_per_kwh=number("adpe_kg_sb_per_kwh"),
    )


@functools.cache
def clouds() -> Mapping[str, CloudRegion]:
    """The regions of clouds by ``provider:region``."""
    _, rows = read_table(CLOUDS, CLOUD_SCHEMA)
    return {
        row["region"]: CloudRegion(
            region=row["region"],
            place=row["place"],
            zone=row["zone"],
            grid=row["grid"] or None,
            pue=float(row["pue"]) if row["pue"] else None,
            pue_year=int(row["pue_year"]) if row["pue_year"] else None,
            wue_l_per_kwh=float(row["wue_l_per_kwh"]) if row["wue_l_per_kwh"] else None,
            wue_year=int(row["wue_year"]) if row["wue_year"] else None,
        )
        for row in rows
    }


def clouds_source() -> tuple[str, str, str]:
    """Title, link and day of what is said of clouds' regions."""
    head, _ = read_table(CLOUDS, CLOUD_SCHEMA)
    return head["title"], head["link"], head["read"]


def region_of(zone: str) -> CloudRegion | None:
    """The cloud's region that a zone names; None where it names none."""
    return clouds().get(_cloud(zone) or "")


# ----------------------------------------------------------------------------------------------------------- the factor


def factor_of(zone: str, *, vintage_name: str | None = None, place: str = "--zone") -> GridFactor:
    """The factor of a zone, as its users write it.

    Raises:
        BadInput: there is none; says which are near. Or there is no such vintage.
    """
    asked = _cloud(zone) or _written(zone)
    region = clouds().get(asked)
    if vintage_name is None:
        found = _first(asked) or (_first(region.zone) if region is not None else None)
    else:
        chosen = vintage(vintage_name)
        row = next((chosen.rows[one] for one in _names(asked, region) if one in chosen.rows), None)
        found = (chosen, row) if row is not None and row.intensity is not None else None
        if found is None and _is_known(asked, region):
            others = ", ".join(one.name for one, _ in _all_of(asked, region))
            raise BadInput(
                f"{vintage_name} has no factor for the zone {zone[:40]!r}",
                f"There is one in: {others}" if others else "Leave --factors out",
                place="--factors",
            )
    if found is None:
        raise _unknown(zone, place)
    return _factor(asked, region, *found)


def _factor(asked: str, region: CloudRegion | None, chosen: Vintage, row: GridRow) -> GridFactor:
    assert row.intensity is not None
    published: dict[str, float] = {}
    ends = [row.intensity]
    standings = _STANDINGS if chosen.standing == "share-alike" else _STANDINGS[:2]
    for other, its in _all_of(row.zone, None, standings):
        far = row.year is not None and its.year is not None and abs(row.year - its.year) > YEARS_BESIDE
        if not its.intensity or far:
            continue
        published[other.name] = its.intensity
        ends += [end for end in (its.intensity, its.lowest, its.highest) if end is not None]
    stands_for = None
    if row.zone != asked:
        whose = (
            f"{region.operator} publishes no figure of its own"
            if region is not None
            else "it is the nearest of it"
        )
        where = f"{asked} lies in {row.name}" if region is not None else f"{asked} is in {row.name}"
        stands_for = f"{where}; {whose}"
    return GridFactor(
        zone=row.zone,
        name=row.name,
        asked=asked,
        intensity_g_per_kwh=row.intensity,
        lowest=min(ends),
        highest=max(ends),
        year=row.year,
        vintage=chosen.name,
        source=chosen.title,
        link=chosen.link,
        licence=chosen.licence,
        basis=chosen.basis,
        stands_for=stands_for,
        published=published,
    )


def mix_of(zone: str) -> tuple[Vintage, GridRow] | None:
    """The file that tells water, primary energy and ADPe of a zone's electricity, and what it says; None where none does.

    They are published of countries: a part of one, and a cloud's region, has that of its country, which its row names.
    """
    region = clouds().get(_cloud(zone) or "")
    for name in _countries(zone if region is None else region.zone):
        for one in _vintages("default", "alternative"):
            row = one.rows.get(name)
            if row is not None and (
                row.water_l_per_kwh is not None or row.primary_energy_mj_per_kwh is not None
            ):
                return one, row
    return None


def _countries(zone: str) -> Iterator[str]:
    written = _written(zone)
    yield written
    if "-" in written:
        yield THREE_OF_TWO.get(written.partition("-")[0], "")


def _vintages(*standings: str) -> Iterator[Vintage]:
    for standing in standings:
        for name in vintages():
            one = vintage(name)
            if one.standing == standing:
                yield one


def _first(zone: str) -> tuple[Vintage, GridRow] | None:
    # Of several years of one table, the newest: their names end in it.
    for one in sorted(_vintages("default"), key=lambda one: one.name, reverse=True):
        row = one.rows.get(zone)
        if row is not None and row.intensity:
            return one, row
    return None


def _names(asked: str, region: CloudRegion | None) -> Iterator[str]:
    """What a zone may be called in a file, the finest first."""
    yield asked
    if region is not None:
        if region.grid is not None:
            yield region.grid
            yield THREE_OF_TWO.get(region.grid, region.grid)
        yield region.zone


def _all_of(
    asked: str, region: CloudRegion | None, standings: tuple[str, ...] = _STANDINGS
) -> Iterator[tuple[Vintage, GridRow]]:
    for one in _vintages(*standings):
        for name in _names(asked, region):
            if name in one.rows:
                yield one, one.rows[name]
                break


def _is_known(asked: str, region: CloudRegion | None) -> bool:
    return region is not None or any(True for _ in _all_of(asked, None))


def _cloud(zone: str) -> str | None:
    """``aws:eu-west-3`` as it stands in the files; None where it is no cloud's."""
    provider, colon, region = " ".join(zone.split()).casefold().partition(":")
    known = _PROVIDERS.get(provider.strip())
    return f"{known}:{region.strip()}" if colon and known else None


def _written(zone: str) -> str:
    """A zone as it stands in the files: ``fra`` is FRA, ``USA/california`` US-CA, ``SE3`` SE-SE3. What is not known stays as it is."""
    text = " ".join(zone.split())
    country, slash, part = text.partition("/")
    if slash:
        found = _part(country.strip(), part.strip())
        return found if found is not None else text
    code = text.upper()
    whole, dash, part_of = code.partition("-")
    if dash and len(whole) == 3:  # USA-CA
        code = _part(whole, part_of) or code
    return f"{code[:2]}-{code}" if _BIDDING.fullmatch(code) else code


def _part(country: str, part: str) -> str | None:
    two = next((two for two, three in THREE_OF_TWO.items() if three == country.upper()), None)
    if two is None:
        return None
    code = part.upper()
    for standing in ("default", "share-alike"):
        known = _parts(two, standing)
        for name in (code, f"{two}-{code}"):
            if name in known:
                return name
        for zone, called in known.items():
            if _plain(called) == _plain(part):
                return zone
    return None


def _parts(two: str, *standings: str) -> Mapping[str, str]:
    """The parts of a country that have a factor, and what they are called without the country's name."""
    found: dict[str, str] = {}
    for one in _vintages(*standings):
        for zone, row in one.rows.items():
            if zone.startswith(f"{two}-"):
                found.setdefault(zone, row.name.partition(",")[0])
    return found


def _plain(name: str) -> str:
    """A name without capitals and accents: Québec is quebec."""
    apart = unicodedata.normalize("NFKD", name.casefold())
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def country_of(zone: str) -> tuple[str, str] | None:
    """The country of a zone, by three letters and by name; None where the zone, or its country, is not known."""
    region = region_of(zone)
    known = countries()
    for code in _countries(zone if region is None else region.zone):
        if code in known:
            return code, known[code]
    return None


def is_elsewhere(grid: str, zone: str) -> bool:
    """Whether a grid, as Electricity Maps calls it (``DE``, ``US-CAL-CISO``), cannot be that of a zone.

    It cannot where the countries differ, or where both are parts of one that it tells apart (two zones of Sweden). A state of the USA is
    none of its grids, so that one of the same country may be the grid in which it lies. A name that is not known is left alone.
    """
    region = region_of(zone)
    theirs = _written(grid)
    there, here = country_of(THREE_OF_TWO.get(theirs, theirs)), country_of(zone)
    if there is None or here is None:
        return False
    if there[0] != here[0]:
        return True
    ours = _written(zone) if region is None else region.grid or region.zone
    known = [
        name
        for one in _vintages("share-alike")
        for name in (ours, theirs)
        if name in one.rows and "-" in name
    ]
    return ours != theirs and ours in known and theirs in known


def countries() -> Mapping[str, str]:
    """The countries that have a factor, by their three letters: what they are called."""
    return {zone: row.name for zone, row in vintage(FIRST).rows.items()}


# ------------------------------------------------------------------------------------------------- what is not known


def _unknown(zone: str, place: str) -> BadInput:
    told = f"there is no carbon factor for the zone {zone[:40]!r}"
    provider, colon, wanted = " ".join(zone.split()).casefold().partition(":")
    if colon:
        known = _PROVIDERS.get(provider.strip())
        if known is None:
            return BadInput(
                told, "A cloud's region is written aws:REGION, gcp:REGION or azure:REGION", place=place
            )
        regions = [one.partition(":")[2] for one in clouds() if one.startswith(f"{known}:")]
        close = difflib.get_close_matches(wanted.strip(), regions, n=3, cutoff=0.4) or regions[:3]
        return BadInput(
            told,
            f"Regions of {_OPERATORS[known]} are called so: {_or(f'{known}:{one}' for one in close)}",
            place=place,
        )
    elsewhere = [one.name for one, _ in _all_of(_written(zone), None, ("share-alike",))]
    if elsewhere:
        return BadInput(
            told,
            f"There is one under a licence of its own (ODbL), used where it is named: --factors {elsewhere[-1]}",
            place=place,
        )
    names = countries()
    meant = [f"{code} ({names[code]})" for code in near(zone.replace("/", "-"), names)]
    parts = _near_parts(zone)
    asked = f"; did you mean {_or([*parts, *meant])}?" if meant or parts else ""
    return BadInput(
        told,
        f"Zones are countries by three letters, such as FRA, parts of some (US-CA, CAN/quebec) and regions of clouds (aws:eu-west-3){asked}",
        place=place,
    )


def _near_parts(zone: str) -> list[str]:
    """The parts of a country that may have been meant: by the code before them, or by their names alone."""
    text = " ".join(zone.split())
    country, sign, part = text.partition("/") if "/" in text else text.partition("-")
    if not sign:
        found = [
            (code, name)
            for two in ("US", "CA")
            for code, name in _parts(two, "default").items()
            if _plain(name) == _plain(text)
        ]
        return [f"{code} ({name})" for code, name in found]
    three = ALSO.get(country.casefold(), THREE_OF_TWO.get(country.upper(), country.upper()))
    two = next((two for two, one in THREE_OF_TWO.items() if one == three), None)
    if two is None:
        return []
    known = _parts(two, "default")
    by_name = {_plain(name): zone for zone, name in known.items()}
    close = [by_name[name] for name in difflib.get_close_matches(_plain(part), by_name, n=3, cutoff=0.5)]
    close += difflib.get_close_matches(f"{two}-{part.upper()}", known, n=3, cutoff=0.7)
    return [f"{zone} ({known[zone]})" for zone in dict.fromkeys(close)][:3]


def _or(names: Iterator[str] | list[str]) -> str:
    return " or ".join(names)
