"""Devices as their profiles describe them: what the driver calls them, what they can do, and who says so.

One TOML file per device in ``hardware_profiles/``; the folder is the registry. A device that no profile names has none: the
nearest names are offered as help and never taken for an answer.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from energy_rating import formats, hardware_profiles
from energy_rating.errors import BadInput
from energy_rating.quantities import STRICT

PROFILE_SCHEMA = "energy-rating/profile/1"
EXAMPLE_DEVICE = "Example GPU"

# A driver counts bytes, a data sheet rounds: 80 GB of HBM is 85.5e9 bytes, and error correction may take a sixteenth away
# (24 GB of an L4 are 24.2e9). A slice of a divided GPU has half or less.
MEMORY_TOLERANCE = 0.1

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Who says so: a title that can be found again, a link where there is one, and the day on which it was read."""

    __pydantic_config__ = STRICT

    title: str
    date: str
    url: str | None = None

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise ValueError("a source needs a title")
        if not DAY.fullmatch(self.date):
            raise ValueError(f"{self.date!r} is not a day like 2026-11-21")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number of a device; ``source`` names one of its profile's sources."""

    __pydantic_config__ = STRICT

    value: float
    source: str
    note: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"a figure must be above zero: {self.value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What is known of a device in numbers. Absent is not known. Peaks are dense, of matrix units where there are any."""

    __pydantic_config__ = STRICT

    memory_gb: Figure
    bandwidth_gb_s: Figure | None = None
    bf16_tflops: Figure | None = None
    fp16_tflops: Figure | None = None
    fp8_tflops: Figure | None = None
    power_limit_w: Figure | None = None
    idle_w: Figure | None = None
    process_nm: Figure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """What the driver calls the device, exactly; ``source`` names one of the profile's sources."""

    __pydantic_config__ = STRICT

    names: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("at least one name is needed")


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Energy on the ``reference`` device over energy on this one, measured on the same models.

    ``value`` is the median over ``models`` of each model's median ratio over its ``rows``, ``spread`` the standard deviation
    of its natural logarithm between models. The finer form is ``value_at_full_use`` × u ^ ``use_exponent``, with u the mean
    power over the power limit (``median_use`` in the data).
    """

    __pydantic_config__ = STRICT

    workload_class: str
    reference: str
    value: float
    spread: float
    value_at_full_use: float
    use_exponent: float
    spread_with_use: float
    median_use: float
    models: int
    rows: int
    tier: str
    evidence: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One device. ``key`` is the name of its file; ``example`` marks one that does not exist."""

    __pydantic_config__ = STRICT

    key: str
    schema: str
    name: str
    vendor: str
    architecture: str
    memory_kind: str
    driver: Driver
    figures: Figures
    sources: Mapping[str, Source]
    factors: tuple[Factor, ...] = ()
    example: bool = False

    def __post_init__(self) -> None:
        cited = {self.driver.source, *(factor.source for factor in self.factors)}
        for item in fields(Figures):
            figure = getattr(self.figures, item.name)
            if figure is not None:
                cited.add(figure.source)
        unknown, unused = sorted(cited - set(self.sources)), sorted(set(self.sources) - cited)
        if unknown:
            raise ValueError(f"no source is called {', '.join(unknown)}")
        if unused:
            raise ValueError(f"nothing cites the source {', '.join(unused)}")


def profiles(folder: Path | None = None) -> tuple[Profile, ...]:
    """All profiles, by key.

    Raises:
        BadInput: one cannot be read; says which and where.
    """
    found = tuple(read_profile(path) for path in sorted(_folder(folder).glob("*.toml")))
    claimed: dict[tuple[str, float], str] = {}
    for profile in found:
        for name in profile.driver.names:
            other = claimed.setdefault((name, profile.figures.memory_gb.value), profile.key)
            if other != profile.key:
                raise BadInput(
                    f"{name!r} is claimed by {other} too", place=f"{profile.key}.toml: driver.names"
                )
    return found


def load_profile(key: str, folder: Path | None = None) -> Profile:
    """The profile of that key.

    Raises:
        BadInput: there is none (names the nearest), or it cannot be read.
    """
    paths = {path.stem: path for path in sorted(_folder(folder).glob("*.toml"))}
    if key not in paths:
        near = difflib.get_close_matches(key.lower(), paths, n=3, cutoff=0.4)
        raise BadInput(
            f"there is no hardware profile {key[:80]!r}",
            f"{'The nearest are' if near else 'There are'}: {', '.join(near or paths)}",
        )
    return read_profile(paths[key])


def read_profile(path: Path) -> Profile:
    """The profile in a file.

    Raises:
        BadInput: it is no profile; names the place in the file.
    """
    entry = formats.read_toml(path)
    if entry.get("schema") != PROFILE_SCHEMA:
        raise BadInput(f"schema {str(entry.get('schema'))[:80]!r} is not {PROFILE_SCHEMA!r}", place=path)
    if "key" in entry:
        raise BadInput("'key' is not a known key; a profile is called like its file", place=path)
    return formats.validated(Profile, {"key": path.stem, **entry}, path)


def profile_for(
    device_name: str, memory_gb: float | None = None, *, among: Sequence[Profile] | None = None
) -> Profile | None:
    """The profile of a device by the name its driver gives, or None: there is no guessing.

    ``memory_gb`` (10⁹ bytes, as the driver reports it) tells apart devices of one name; a device that reports another memory
    than its profile's is not that device, but a part of it.
    """
    for profile in profiles() if among is None else among:
        if device_name in profile.driver.names and (
            memory_gb is None or abs(memory_gb / profile.figures.memory_gb.value - 1) <= MEMORY_TOLERANCE
        ):
            return profile
    return None


def nearest(device_name: str, *, among: Sequence[Profile] | None = None) -> tuple[str, ...]:
    """At most three driver names that look like this one: help for a person, never an answer."""
    names = [
        name
        for profile in (profiles() if among is None else among)
        if not profile.example
        for name in profile.driver.names
    ]
    # "NVIDIA H100" is nearer to "NVIDIA H100 80GB HBM3" than to "NVIDIA H200", of which it shares more letters.
    inside = [name for name in names if name.startswith(device_name) or device_name.startswith(name)]
    alike = difflib.get_close_matches(device_name, names, n=3, cutoff=0.5)
    return tuple(dict.fromkeys([*inside, *alike]))[:3] if device_name else ()


def _folder(folder: Path | None) -> Path:
    return hardware_profiles() if folder is None else folder
