"""Devices as their profiles describe them: what the driver calls them, what they can do, and who says so.

One TOML file per device in ``hardware_profiles/``; the folder is the registry. A device that no profile names has none: the
nearest names are offered as help and never taken for an answer.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from energy_rating.files import strict
from energy_rating.files.opening import read_whole
from energy_rating.files.shipped import hardware_profiles
from energy_rating.nouns import records
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import ROUNDING, STRICT
from energy_rating.nouns.records import Record

PROFILE_SCHEMA = "energy-rating/profile/1"
EXAMPLE_DEVICE = "Example GPU"

# A driver counts bytes, a data sheet rounds: 80 GB of HBM is 85.5e9 bytes, and error correction may take a sixteenth away
# (24 GB of an L4 are 24.2e9). A slice of a divided GPU has half or less.
MEMORY_TOLERANCE = 0.1

# Loads that stress a device in the same way, so that one factor holds for all models among them.
WorkloadClass = Literal["llm-serving", "llm-small-batch", "diffusion", "vision", "speech", "embedding"]

# A factor from fewer models is a calibration (tier 2).
FEWEST_MODELS = 5

# A card with another limit runs at other clocks, and uses another energy for the same work: it is another device.
POWER_LIMIT_TOLERANCE = 0.05

# Where a device is at home, in the order of the list. "integrated" shares the memory of the processor that it is built into.
Kind = Literal["data-centre", "workstation", "consumer", "edge", "integrated", "example"]

# Number formats of matrix arithmetic.
Dtype = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "fp8", "fp4", "int8"]

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

# Against a meter, 15 cards were off by 11 % at most (computed from the sheet of SC24, arXiv 2312.02741); what is beyond these is another
# fault than a gain.
LEAST_GAIN, MOST_GAIN = 0.5, 2.0
FEWEST_READINGS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Who says so: a title that can be found again, a link where there is one, and the day on which it was read."""

    __pydantic_config__ = STRICT

    title: str
    date: str
    url: str | None = None

    def __post_init__(self) -> None:
        if not self.title.strip():
            raise ValueError("a source must have a title")
        if not DAY.fullmatch(self.date):
            raise ValueError(f"the date must be a day such as 2026-11-21; got {self.date!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcedFigure:
    """One number of a device; ``source`` names one of its profile's sources.

    ``lowest`` and ``highest`` are there where devices of this name differ, or where the source gives a range.
    """

    __pydantic_config__ = STRICT

    value: float
    source: str
    note: str | None = None
    lowest: float | None = None
    highest: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and self.value > 0):
            raise ValueError(f"a figure must be above zero: {self.value}")
        lowest = self.value if self.lowest is None else self.lowest
        highest = self.value if self.highest is None else self.highest
        if not (0 < lowest <= self.value <= highest < math.inf):
            raise ValueError(f"must be from {lowest} to {highest}; got {self.value}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What is known of a device in numbers. Absent is not known.

    Memory is absent where it may be chosen with the device. Peaks are dense (without sparsity): ``fp32_tflops`` of the vector
    units, all others of the matrix units where there are any, accumulating in 32 bits as frameworks do. ``clock_mhz`` is where the
    clocks of its arithmetic units end, of cards that nobody can set beyond that.
    """

    __pydantic_config__ = STRICT

    memory_gb: SourcedFigure | None = None
    bandwidth_gb_s: SourcedFigure | None = None
    fp32_tflops: SourcedFigure | None = None
    tf32_tflops: SourcedFigure | None = None
    bf16_tflops: SourcedFigure | None = None
    fp16_tflops: SourcedFigure | None = None
    fp8_tflops: SourcedFigure | None = None
    fp4_tflops: SourcedFigure | None = None
    int8_tops: SourcedFigure | None = None
    power_limit_w: SourcedFigure | None = None
    clock_mhz: SourcedFigure | None = None
    idle_w: SourcedFigure | None = None
    process_nm: SourcedFigure | None = None
    die_mm2: SourcedFigure | None = None
    year: SourcedFigure | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Driver:
    """What the driver calls the device, exactly; ``source`` names one of the profile's sources.

    Where no name could be checked there is none: such a device cannot be recognised by itself, and ``note`` says so.
    """

    __pydantic_config__ = STRICT

    names: tuple[str, ...] = ()
    source: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if any(not name.strip() for name in self.names):
            raise ValueError("a name must not be empty")
        if bool(self.names) != (self.source is not None):
            raise ValueError("names need a source, and a source names")
        if not (self.names or (self.note and self.note.strip())):
            raise ValueError("a device without names needs a note that says why")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dtypes:
    """The number formats in which the device multiplies matrices at its full rate. Any other is emulated, or refused."""

    __pydantic_config__ = STRICT

    native: tuple[Dtype, ...]
    source: str
    note: str | None = None

    def __post_init__(self) -> None:
        if not self.native or len(set(self.native)) != len(self.native):
            raise ValueError("native dtypes must be at least one, each once")


@dataclass(frozen=True, kw_only=True, slots=True)
class Embodied:
    """What making one such device emits, by one account. Accounts of one device differ by up to 3.5×; all are kept.

    ``kind`` is who says so: the manufacturer, a study of the real device, or a model fed with its data sheet.
    """

    __pydantic_config__ = STRICT

    kg_co2e: float
    kind: Literal["manufacturer", "study", "model"]
    scope: str
    method: str
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.kg_co2e) and self.kg_co2e > 0):
            raise ValueError(f"a figure must be above zero: {self.kg_co2e}")
        if not (self.scope.strip() and self.method.strip()):
            raise ValueError("an embodied figure must say its scope and method")


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """Energy on the ``reference`` device over energy on this one, measured on the same models.

    ``value`` is the median over ``models`` of each model's median ratio over its ``rows``, ``spread`` the standard deviation
    of its natural logarithm between models. The finer form is ``value_at_full_use`` × u ^ ``use_exponent``, with u the mean
    power over the power limit (``median_use`` in the data); ``value_at_full_reference_use`` is the same with the use of the
    reference, for the way back. ``interval`` is f of the 90 % interval ×/÷ f. Tier 1 rests on at least five models; tier 2, a
    calibration, on fewer, and has no finer form. Of a calibration ``instrument`` and ``driver`` are the versions of what measured
    and of the device's driver, and ``power_limit_w`` the limit that was enforced: the factor holds at that limit only.

    Raises:
        ValueError: a number is not above zero, an interval is not above one, or the tier is not what its models allow.
    """

    __pydantic_config__ = STRICT

    workload_class: WorkloadClass
    reference: str
    value: float
    interval: float
    models: int
    rows: int
    tier: Literal["1", "2"]
    evidence: str
    source: str
    spread: float | None = None
    value_at_full_use: float | None = None
    value_at_full_reference_use: float | None = None
    use_exponent: float | None = None
    spread_with_use: float | None = None
    median_use: float | None = None
    instrument: str | None = None
    driver: str | None = None
    power_limit_w: float | None = None

    def __post_init__(self) -> None:
        finer = (self.value_at_full_use, self.use_exponent)
        if self.power_limit_w is not None and not (
            math.isfinite(self.power_limit_w) and self.power_limit_w > 0
        ):
            raise ValueError(f"a power limit must be above zero: {self.power_limit_w}")
        for value in (self.value, self.value_at_full_use, self.value_at_full_reference_use):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"a factor must be above zero: {value}")
        if not (math.isfinite(self.interval) and self.interval > 1):
            raise ValueError(f"a 90 % interval of ×/÷ {self.interval} is none")
        if self.models < 1 or self.rows < self.models or (self.tier == "1") != (self.models >= FEWEST_MODELS):
            raise ValueError(
                f"{self.models} models in {self.rows} rows are not what tier {self.tier} rests on"
            )
        if (None in finer and finer != (None, None)) or (self.tier == "2" and finer != (None, None)):
            raise ValueError("the form with the use of the device needs both numbers, and tier 1")


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationEnergy:
    """What one model of a calibration protocol took on this device: other devices are compared with it.

    ``point`` is the protocol's name for a model and its load, ``point_sha256`` the hash of all that was asked for;
    ``config`` the name of the configuration that was given random weights, ``config_sha256`` its file's. ``interval_95`` is in
    joules per unit too, with the gain of the sensor; ``use`` the mean power over the power limit.

    Raises:
        ValueError: an energy is not above zero, or outside its interval.
    """

    __pydantic_config__ = STRICT

    protocol: str
    point: str
    point_sha256: str
    workload_class: WorkloadClass
    config: str
    config_sha256: str
    dtype: str
    unit: str
    joules_per_unit: float
    interval_95: tuple[float, float]
    source: str
    use: float | None = None

    def __post_init__(self) -> None:
        low, high = self.interval_95
        if not (0 <= low <= self.joules_per_unit <= high < math.inf and self.joules_per_unit > 0):
            raise ValueError(
                f"joules_per_unit must be above 0 and from {low} to {high}; got {self.joules_per_unit}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterGain:
    """How much one card's own sensor shows of what a meter showed, found over ``n`` readings at different loads.

    ``gain`` is shown over true: 0.95 is 5 % too little. ``doubt`` is its relative standard uncertainty (1 σ), the meter's own
    among it. A gain belongs to one card: ``device_sha256`` is the SHA-256 of the id that its driver gives (``GPU-…``).
    It is applied only where it is asked for (``summarise --calibration``).

    Raises:
        ValueError: the gain is none that a working sensor has, the doubt is no share, or ``n`` is too few.
    """

    __pydantic_config__ = STRICT

    device_sha256: str
    gain: float
    doubt: float
    n: int
    date: str
    meter: str
    source: str

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.device_sha256):
            raise ValueError("device_sha256 must be 64 hexadecimal digits")
        if not LEAST_GAIN <= self.gain <= MOST_GAIN:
            raise ValueError(f"no working sensor shows {self.gain} of what there is")
        if not 0 < self.doubt < 1:
            raise ValueError(f"a relative standard uncertainty of {self.doubt} is none")
        if self.n < FEWEST_READINGS:
            raise ValueError(f"a gain must rest on at least {FEWEST_READINGS} readings; got {self.n}")
        if not DAY.fullmatch(self.date):
            raise ValueError(f"the date must be a day such as 2026-11-21; got {self.date!r}")

    def is_of(self, device_id: str) -> bool:
        """Whether this is the gain of the card with this id."""
        return hashlib.sha256(device_id.encode()).hexdigest() == self.device_sha256


class Sourced(Protocol):
    """What names its source."""

    @property
    def source(self) -> str | None: ...


def cited(*groups: Iterable[Sourced | None]) -> set[str]:
    """The names of the sources that these cite."""
    return {item.source for group in groups for item in group if item is not None and item.source is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One device. ``key`` is the name of its file; ``example`` marks one that does not exist.

    ``dtypes`` is None where it is not known in which number formats the device computes.
    """

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
    kind: Kind | None = None
    dtypes: Dtypes | None = None
    embodied: tuple[Embodied, ...] = ()
    factors: tuple[Factor, ...] = ()
    calibration: tuple[CalibrationEnergy, ...] = ()
    meter: tuple[MeterGain, ...] = ()
    example: bool = False

    def __post_init__(self) -> None:
        named = cited((self.driver, self.dtypes), self.known_figures().values(), self.embodied, self.factors)
        named |= cited(self.calibration, self.meter)
        unknown, unused = sorted(named - set(self.sources)), sorted(set(self.sources) - named)
        if unknown:
            raise ValueError(f"every source that is cited must be listed; not listed: {', '.join(unknown)}")
        if unused:
            raise ValueError(f"every source that is listed must be cited; not cited: {', '.join(unused)}")

    def known_figures(self) -> dict[str, SourcedFigure]:
        """The figures that are known, by name, in their order."""
        values = {item.name: getattr(self.figures, item.name) for item in fields(Figures)}
        return {name: value for name, value in values.items() if value is not None}

    def is_native(self, dtype: str) -> bool | None:
        """Whether matrices of that dtype are multiplied natively; None where it is not known."""
        return None if self.dtypes is None else dtype in self.dtypes.native

    @property
    def has_hbm(self) -> bool:
        """Whether its memory is stacked beside the chip."""
        return self.memory_kind.startswith("HBM")

    @property
    def embodied_kg(self) -> tuple[float, float] | None:
        """The lowest and the highest account of what making it emits, in kg CO₂e; None where there is none."""
        accounts = [entry.kg_co2e for entry in self.embodied]
        return (min(accounts), max(accounts)) if accounts else None

    def may_have(self, memory_gb: float | None) -> bool:
        """Whether a device with that memory (10⁹ bytes, as the driver reports it; None: not known) can be this one."""
        mine = self.figures.memory_gb
        return mine is None or memory_gb is None or abs(memory_gb / mine.value - 1) <= MEMORY_TOLERANCE


def user_profiles(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of the user's own profiles, which go before those that ship under the same name; it need not be there.

    ``$XDG_CONFIG_HOME/energy-rating/hardware_profiles``, by default under ``~/.config``. ``calibrate`` writes there.
    """
    root = environ.get("XDG_CONFIG_HOME", "")
    base = Path(root) if root.startswith("/") else Path.home() / ".config"
    return base / "energy-rating" / "hardware_profiles"


def profile_files(folder: Path | None = None) -> dict[str, Path]:
    """The files of all profiles by key, in their order: those that ship, and before them the user's own; or those of a folder."""
    folders = (hardware_profiles(), user_profiles()) if folder is None else (folder,)
    found = {name.removesuffix(".toml"): one / name for one in folders for name, *_ in _listed(one)}
    return dict(sorted(found.items()))


def profiles(folder: Path | None = None) -> tuple[Profile, ...]:
    """All profiles, by key: those that ship and the user's own, or those of a folder.

    A process parses a file once for each content that it finds in it: those that ship are read again where size or time of one
    has changed, all others each time.

    Raises:
        BadInput: one cannot be read; says which and where.
    """
    if folder is None:
        own = {path.stem: path for path in profile_files(user_profiles()).values()}
        found = [_profile_in(path, content) for path, content in _shipped() if path.stem not in own]
        found += [read_profile(path) for path in own.values()]
    else:
        found = [read_profile(path) for path in profile_files(folder).values()]
    return _told_apart_by_name(sorted(found, key=lambda profile: profile.key))


def profiles_naming(names: Collection[str]) -> tuple[Profile, ...]:
    """Those of ``profiles()`` that a driver calls by one of these names; of those that ship, few others are parsed.

    Raises:
        BadInput: one of them cannot be read, or one of the user's own.
    """
    own = {path.stem: read_profile(path) for path in profile_files(user_profiles()).values()}
    # What the user's own profiles claim as well, so that two with one name are refused here too.
    claimed = {*names, *(name for profile in own.values() for name in profile.driver.names)}
    shipped = [profile for profile in _shipped_naming(claimed) if profile.key not in own]
    found = _told_apart_by_name(sorted((*shipped, *own.values()), key=lambda profile: profile.key))
    return tuple(profile for profile in found if not claimed.isdisjoint(profile.driver.names))


def _told_apart_by_name(found: Iterable[Profile]) -> tuple[Profile, ...]:
    """The same profiles.

    Raises:
        BadInput: two of them claim one name, and nothing tells them apart.
    """
    found = tuple(found)
    claimed: dict[str, list[Profile]] = {}
    for profile in found:
        for name in dict.fromkeys(profile.driver.names):
            for other in claimed.setdefault(name, []):
                if not _told_apart(profile, other):
                    raise BadInput(
                        f"{name!r} is claimed by {other.key} too, and their memory does not tell them apart",
                        place=f"{profile.key}.toml: driver.names",
                    )
            claimed[name].append(profile)
    return found


# A file's name, and what changes with its content: the time of its last change in nanoseconds, its size in bytes, its number on its disk.
_Listed = tuple[str, int, int, int]


def _listed(folder: Path) -> tuple[_Listed, ...]:
    """The profiles' files of a folder, by name; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return tuple(sorted(_as_listed(entry) for entry in entries if entry.name.endswith(".toml")))
    except OSError:
        return ()


def _as_listed(entry: os.DirEntry[str]) -> _Listed:
    try:
        seen = entry.stat()
    except OSError:  # a link that leads nowhere: whoever reads it says so
        return entry.name, 0, 0, 0
    return entry.name, seen.st_mtime_ns, seen.st_size, seen.st_ino


def _shipped() -> tuple[tuple[Path, bytes], ...]:
    """The files of the profiles that ship, by name, and what is in them."""
    folder = hardware_profiles()
    return _contents(folder, _listed(folder))


@functools.lru_cache(maxsize=2)
def _contents(folder: Path, listed: tuple[_Listed, ...]) -> tuple[tuple[Path, bytes], ...]:
    """The files of a folder as they were when they were last seen to change."""
    return tuple(
        (path, read_whole(path, strict.LARGEST_TOML)) for path in (folder / name for name, *_ in listed)
    )


def _shipped_naming(names: Collection[str]) -> Iterator[Profile]:
    """Of the profiles that ship, those in which one of these names stands; no other is parsed."""
    # A name that is no text (half a pair of surrogates, which JSON may hold) stands in none of them.
    written = [json.dumps(name, ensure_ascii=False).encode(errors="replace") for name in names]
    for path, content in _shipped():
        if any(name in content for name in written):
            yield _profile_in(path, content)


def load_profile(key: str, folder: Path | None = None) -> Profile:
    """The profile of that key.

    Raises:
        BadInput: there is none (names the nearest), or it cannot be read.
    """
    paths = profile_files(folder)
    if key not in paths:
        wanted = key.lower()
        # "h100" is the name of a chip and shares few letters with "nvidia-h100-sxm-80gb".
        inside = [name for name in paths if len(wanted) > 1 and wanted in name]
        near = tuple(
            dict.fromkeys([*inside[:3], *difflib.get_close_matches(wanted, paths, n=3, cutoff=0.4)])
        )[:3]
        raise BadInput(
            f"there is no hardware profile {key[:80]!r}",
            f"The nearest are: {', '.join(near)}" if near else "See all with: energy-rating profiles",
        )
    return read_profile(paths[key])


def read_profile(path: Path) -> Profile:
    """The profile in a file, which is read each time.

    Raises:
        BadInput: it is no profile; names the place in the file.
    """
    return _profile_in(path, read_whole(path, strict.LARGEST_TOML))


# Four times those that ship: no value is wrong that is kept, since it is asked for by the whole content.
@functools.lru_cache(maxsize=512)
def _profile_in(path: Path, content: bytes) -> Profile:
    entry = strict.toml_in(content, path)
    if entry.get("schema") != PROFILE_SCHEMA:
        raise BadInput(
            f"schema must be {PROFILE_SCHEMA!r}; got {str(entry.get('schema'))[:80]!r}", place=path
        )
    if "key" in entry:
        raise BadInput("'key' is not a known key; a profile is called like its file", place=path)
    return strict.validated(Profile, {"key": path.stem, **entry}, path)


def profile_for(
    device_name: str, memory_gb: float | None = None, *, among: Sequence[Profile] | None = None
) -> Profile | None:
    """The profile of a device by the name its driver gives, or None: there is no guessing.

    ``memory_gb`` (10⁹ bytes, as the driver reports it) tells apart devices of one name; a device that reports another memory
    than its profile's is not that device, but a part of it. Without it a name that several devices bear says nothing.
    """
    known = profiles() if among is None else among
    found = [
        profile for profile in known if device_name in profile.driver.names and profile.may_have(memory_gb)
    ]
    return found[0] if len(found) == 1 else None


def shipped_profiles(device_names: Iterable[str]) -> tuple[Profile, ...]:
    """The profiles that ship and bear one of these names, whatever the user added; only the files that name a device are read whole.

    What follows from them is so the same on every machine. A file that cannot be read says nothing.
    """
    try:
        return tuple(_shipped_naming(tuple(dict.fromkeys(device_names))))
    except BadInput:
        return ()


def shipped_profile(device_name: str, memory_gb: float | None = None) -> Profile | None:
    """The profile of a device, as ``profile_for``, among those that ship alone."""
    return profile_for(device_name, memory_gb, among=shipped_profiles([device_name]))


def is_same_limit(limit_w: float, other_w: float) -> bool:
    """Whether a card that is limited to ``limit_w`` (W) is the device that one limited to ``other_w`` is."""
    return abs(limit_w - other_w) <= POWER_LIMIT_TOLERANCE * other_w * (1 + ROUNDING)


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


def profile_to_toml(profile: Profile, comment: str = "") -> str:
    """The text of a profile's file; what is absent or at its default is left out. Reading it gives the same profile."""
    entry: dict[str, Any] = records.plain(profile)
    del entry["key"]
    lines = [f"# {line}" for line in comment.splitlines()] + ([""] if comment else [])
    tables: list[tuple[str, Mapping[str, Any]]] = []
    for name, value in entry.items():
        if value is None or value in ([], {}) or value is False:
            continue
        if isinstance(value, list):
            tables += [(f"[[{name}]]", item) for item in value]
        elif name == "sources":
            tables += [(f"[sources.{_key(source)}]", item) for source, item in value.items()]
        elif isinstance(value, Mapping):
            tables.append((f"[{name}]", value))
        else:
            lines.append(f"{name} = {_value(value)}")
    # As in those that ship, the sources come last.
    for head, table in sorted(tables, key=lambda item: item[0].startswith("[sources.")):
        lines += ["", head, *(f"{_key(key)} = {_value(value)}" for key, value in _there(table))]
    return "\n".join(lines) + "\n"


def _there(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in table.items() if value is not None and value != [])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


def _value(value: Any) -> str:
    """A value as TOML 1.0 writes it: its basic strings are JSON's, but for the character DEL."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(key)} = {_value(item)}' for key, item in _there(value))} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def profile_schema() -> dict[str, Any]:
    """The JSON Schema of a profile's file, as published in ``docs/``."""
    schema = strict.json_schema(Profile, PROFILE_SCHEMA)
    # A profile is called like its file.
    del schema["properties"]["key"]
    schema["required"].remove("key")
    schema["properties"]["schema"] = {"const": PROFILE_SCHEMA}
    return schema


def _told_apart(one: Profile, other: Profile) -> bool:
    """Whether no memory that a driver reports fits both."""
    if one.figures.memory_gb is None or other.figures.memory_gb is None:
        return False
    small, large = sorted((one.figures.memory_gb.value, other.figures.memory_gb.value))
    return small * (1 + MEMORY_TOLERANCE) < large * (1 - MEMORY_TOLERANCE)


def is_example(record: Record) -> bool:
    """Whether the record names the device that does not exist: it shows what a rating looks like, and must say so."""
    return any(device.name == EXAMPLE_DEVICE for device in record.environment.devices)
