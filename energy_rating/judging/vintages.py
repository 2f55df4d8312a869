"""Vintages of normalisation: by which rules and factors a figure goes from one device to another, as a frozen file has them.

A scheme names the vintage that its ratings are converted by, so that what was published never moves when better factors come. In
2026.1, the first, the factors are those of the hardware profiles; from 2026.2 on they stand in the vintage's own file, with what
they were fitted on (``benchmarks/normalisation.py``, docs/normalisation.md). Converts nothing: that is ``normalisation``.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from energy_rating.files import strict
from energy_rating.files.opening import read_whole
from energy_rating.judging.profiles import FEWEST_MODELS, Source, WorkloadClass
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import STRICT

VINTAGE_SCHEMA = "energy-rating/normalisation/1"
VINTAGES = Path(__file__).parent / "vintages"
FIRST = "2026.1"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionRules:
    """The 90 % intervals of the tiers, ×/÷, and what is refused.

    ``least_use``, ``most_use``: what part of its power limit a GPU must draw. ``calibrated`` is tier 2's, ``alike`` tier 3's for two
    devices of one generation, ``by_bandwidth`` tier 4's; ``_serving`` those of language models that serve many at once.
    ``most_filled``: from which share of a device's memory on the weights leave so little room that fewer requests run at once than
    were asked for; what is so on one device and not on the other is refused. None: that is not asked. ``limit_must_bind``: whether
    another power limit counts only where it held the clocks down.
    """

    __pydantic_config__ = STRICT

    least_use: float
    most_use: float
    calibrated: float
    calibrated_serving: float
    alike: float
    alike_serving: float
    by_bandwidth: float
    most_filled: float | None = None
    limit_must_bind: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class UseForm:
    """A factor as a function of what a record tells: value × u^use × exp(use_squared (ln u)²) × n^devices × (video, of videos).

    u is the mean power over the power limit, taken to be ``least_use`` to ``most_use``, which is what was seen; ``typical_use`` is
    its median there, and stands in where it is not known. n: over how many devices one copy of the model is spread. ``interval`` is
    f of the 90 % interval ×/÷ f.

    Raises:
        ValueError: a factor is not above zero, an interval not above one, or less energy in the same time would be more elsewhere.
    """

    __pydantic_config__ = STRICT

    value_at_full_use: float
    interval: float
    use: float = 0.0
    use_squared: float = 0.0
    devices: float = 0.0
    video: float = 1.0
    least_use: float
    typical_use: float
    most_use: float

    def __post_init__(self) -> None:
        for value in (self.value_at_full_use, self.video):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"a factor must be above zero; got {value}")
        if not (math.isfinite(self.interval) and self.interval > 1):
            raise ValueError(f"a 90 % interval must be above ×/÷ 1; got {self.interval}")
        if not 0 < self.least_use <= self.typical_use <= self.most_use <= 1:
            raise ValueError("the uses must rise from above 0 to at most 1: least, typical, most")
        if min(self.exponent(use) for use in (self.least_use, self.most_use)) < -1:
            raise ValueError("less energy in the same time must never be more on the other device")

    def within(self, use: float) -> float:
        """The use that is reckoned with: nothing was seen beyond."""
        return min(max(use, self.least_use), self.most_use)

    def exponent(self, use: float) -> float:
        """The exponent of the use at a use: d ln(factor) / d ln(u)."""
        return self.use + 2 * self.use_squared * math.log(use)

    def at(self, use: float | None, devices: int = 1, *, is_video: bool = False) -> tuple[float, float]:
        """The factor, and the exponent by which the doubt of the use acts on it; None: at the typical use, which has none."""
        taken = self.typical_use if use is None else self.within(use)
        log = math.log(taken)
        value = self.value_at_full_use * math.exp(self.use * log + self.use_squared * log * log)
        value *= float(devices) ** self.devices * (self.video if is_video else 1.0)
        return value, self.exponent(taken) if use == taken else 0.0

    def told(self, use: float | None, devices: int = 1, *, is_video: bool = False) -> str:
        """The arithmetic of ``at``, as it is read."""
        u = f"{self.typical_use if use is None else self.within(use):.3g}"
        parts = [f"{self.value_at_full_use:g}"]
        parts += [f"{u}^{self.use:+g}"] if self.use else []
        parts += [f"exp({self.use_squared:+g} ln² {u})"] if self.use_squared else []
        parts += [f"{devices}^{self.devices:+g}"] if self.devices and devices > 1 else []
        parts += [f"{self.video:g}"] if is_video and self.video != 1 else []
        return " × ".join(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasuredFactor:
    """Energy on the ``reference`` over energy on the ``device`` (keys of profiles), as measured on the same models.

    ``there`` takes the use of the device, ``back`` that of the reference. ``formats``: number formats that one of the two has no
    units for, and that this factor was measured in; any other factor is of formats that both compute in. Tier 1 rests on at least
    five models, tier 2 on fewer.
    """

    __pydantic_config__ = STRICT

    device: str
    reference: str
    workload_class: WorkloadClass
    tier: Literal["1", "2"]
    models: int
    rows: int
    evidence: str
    source: str
    there: UseForm
    back: UseForm
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.models < 1 or self.rows < self.models or (self.tier == "1") != (self.models >= FEWEST_MODELS):
            raise ValueError(
                f"{self.models} models in {self.rows} rows are not what tier {self.tier} rests on"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """Tier 3: what is taken for a device of one architecture that nothing was measured on, towards one of another.

    It holds between devices with stacked memory (HBM). ``workload_class`` None: those that no other entry names.
    """

    __pydantic_config__ = STRICT

    origin: str
    target: str
    evidence: str
    source: str
    there: UseForm
    back: UseForm
    workload_class: WorkloadClass | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ConversionVintage:
    """One vintage, as its file says. ``factors_of``: whether the factors are those of the profiles, or its own."""

    __pydantic_config__ = STRICT

    schema: str
    name: str
    date: str
    factors_of: Literal["profiles", "vintage"]
    rules: ConversionRules
    factors: tuple[MeasuredFactor, ...] = ()
    generations: tuple[Generation, ...] = ()
    sources: Mapping[str, Source]

    def __post_init__(self) -> None:
        cited = {one.source for one in self.factors} | {one.source for one in self.generations}
        if cited != set(self.sources):
            raise ValueError(f"sources must be those that are cited: {', '.join(sorted(cited))}")
        keys = [(one.device, one.workload_class, one.formats) for one in self.factors]
        if len(set(keys)) < len(keys):
            raise ValueError("a device must have one factor for each class of workloads and format")

    def of(self, device: str) -> tuple[MeasuredFactor, ...]:
        """The factors of a device in formats that both devices compute in."""
        return tuple(one for one in self.factors if one.device == device and not one.formats)

    def in_format(self, device: str, workload_class: str, name: str) -> MeasuredFactor | None:
        """The factor of a device that was measured in a format that one of the two has no units for."""
        found = (one for one in self.factors if one.device == device and name in one.formats)
        return next((one for one in found if one.workload_class == workload_class), None)

    def between(self, origin: str, target: str, workload_class: str) -> tuple[Generation, bool] | None:
        """What holds from one architecture to another, and whether it is taken backwards."""
        for wanted in (workload_class, None):
            for one in self.generations:
                if one.workload_class == wanted and {one.origin, one.target} == {origin, target}:
                    return one, one.origin != origin
        return None


def vintages(folder: Path = VINTAGES) -> tuple[str, ...]:
    """The names of the vintages that ship, oldest first."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_vintage(name: str, folder: Path = VINTAGES) -> ConversionVintage:
    """The vintage of that name.

    Raises:
        BadInput: there is none (names those there are), or its file cannot be read.
    """
    if name not in vintages(folder):
        raise BadInput(
            f"there is no vintage of normalisation {name[:80]!r}",
            f"There are: {', '.join(vintages(folder)) or 'none'}",
            place="vintage",
        )
    path = folder / f"{name}.toml"
    return _vintage_in(path, read_whole(path, strict.LARGEST_TOML))


# Asked for by the whole content, so that what is kept is what the file says.
@functools.lru_cache(maxsize=8)
def _vintage_in(path: Path, content: bytes) -> ConversionVintage:
    entry = strict.toml_in(content, path)
    if entry.get("schema") != VINTAGE_SCHEMA:
        raise BadInput(
            f"schema must be {VINTAGE_SCHEMA!r}; got {str(entry.get('schema'))[:80]!r}", place=path
        )
    vintage = strict.validated(ConversionVintage, entry, path)
    if vintage.name != path.stem:
        raise BadInput(
            f"the file calls itself {vintage.name!r}", "A vintage is called like its file", place=path
        )
    return vintage


def vintage_version(name: str) -> str:
    """Eight digits that change with anything that the file of a vintage says."""
    return hashlib.sha256(read_whole(VINTAGES / f"{name}.toml", strict.LARGEST_TOML)).hexdigest()[:8]


def vintage_schema() -> dict[str, Any]:
    """The JSON Schema of a vintage's file, as published in ``docs/``."""
    return strict.json_schema(ConversionVintage, VINTAGE_SCHEMA)
