"""Schemes: the rules of a rating as a vintage's file has them. Rates nothing."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from energy_rating.files import strict
from energy_rating.files.opening import read_whole
from energy_rating.judging.vintages import FIRST
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import ROUNDING, STRICT
from energy_rating.nouns.records import TRAINING, Component, Setting, Stage, Status

SCHEME_SCHEMA = "energy-rating/scheme/1"
SCHEMES = Path(__file__).parent / "schemes"
MOST_STARS = 5


# ---------------------------------------------------------------------------------------------------------- schemes


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """What may be rated at all: seconds, samples and repeats of the measurement, its coverage, how many stars its interval may
    touch, and how many models a class is made of.

    ``bears``: codes of findings that degrade a measurement and keep nothing from being rated, since the doubt holds all that they say.
    """

    __pydantic_config__ = STRICT

    shortest_s: float
    fewest_samples: int
    fewest_repeats: int
    least_coverage: float
    widest_stars: int
    fewest_models: int
    bears: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtocolRule:
    """A way of measuring that a scheme knows.

    ``devices``: on how many it measures; None: on as many as the model needs. ``whole_rounds``: every repeat takes all items a
    whole number of times; a steady state is cut out of a stream of them, and does not. ``unset``: settings by which the work itself
    would be another one (inputs cut short, fewer steps, smaller images); a record that has one of them set is outside the protocol.
    """

    __pydantic_config__ = STRICT

    name: str
    title: str
    url: str
    devices: int | None = None
    whole_rounds: bool = True
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeClass:
    """The class of models that need at most so much memory, or have at most so many parameters; without bounds, all others.

    ``writes_tokens``: only models that write their answer token by token, as counted; or only those that do not.
    """

    __pydantic_config__ = STRICT

    protocol: str
    task: str
    name: str
    largest_gb: float | None = None
    largest_parameters: int | None = None
    writes_tokens: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RatingClass:
    """What is compared with what. ``name`` None: the task has one class.

    ``e_ref_j`` is the frozen constant, joules per ``unit`` with two significant digits; ``centre_j``, ``lowest_j``,
    ``highest_j`` and ``n`` describe the population that it came from. ``operating_point``: the lowest and highest value of
    each of ``items``, ``max_new_tokens``, ``in_flight`` (requests at once: batch × concurrency) and ``bits`` (of the weights); and of
    what the engine says: ``mean_running`` (requests that it computed at once), ``tensor_parallel``, ``data_parallel``.
    ``tokens_per_request``: the fewest and the most that must have been counted; None: any number, and none at all.
    ``items_sha256``: of the protocol's items, where it is known; what ran on others is indicative. ``dataset``: where they come
    from; what ran on those that ship with the package, or on a file of one's own, is indicative. ``reasoning``: whether the model
    must have been asked to think first, or not to; None: either. ``engine``: what the engine must say of itself, by the names of
    the record's ``operating_point``, each with the words of which it must be one (``speculative = [false]``); none named: anything.
    """

    __pydantic_config__ = STRICT

    protocol: str
    task: str
    unit: str
    e_ref_j: float
    centre_j: float
    lowest_j: float
    highest_j: float
    n: int
    status: Status
    operating_point: Mapping[str, tuple[int, int]]
    population: str
    source: str
    url: str
    name: str | None = None
    tokens_per_request: tuple[int, int] | None = None
    items_sha256: str | None = None
    dataset: str | None = None
    reasoning: bool | None = None
    engine: Mapping[str, tuple[Setting, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.lowest_j <= self.centre_j <= self.highest_j or self.e_ref_j <= 0:
            raise ValueError("energies must be above zero, and the centre between the lowest and the highest")
        for key, (low, high) in self.operating_point.items():
            if key not in OPERATING_POINT:
                raise ValueError(
                    f"an operating point must consist of {', '.join(OPERATING_POINT)}; got {key!r}"
                )
            _refuse_reversed(key, low, high)
        if self.tokens_per_request is not None:
            _refuse_reversed("tokens_per_request", *self.tokens_per_request)


def _refuse_reversed(key: str, low: int, high: int) -> None:
    if low > high:
        raise ValueError(f"{key} must rise; got {low} before {high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingClass:
    """What the training runs of one stage are compared with: joules per floating-point operation that the model needs.

    ``e_ref_j`` has two significant digits; ``centre_j``, ``lowest_j`` and ``highest_j`` are of ``n`` published runs on the
    reference device, taken at its power limit.
    """

    __pydantic_config__ = STRICT

    stage: Stage
    protocol: str
    e_ref_j: float
    centre_j: float
    lowest_j: float
    highest_j: float
    n: int
    status: Status
    population: str
    source: str
    url: str
    unit: str = "flop"
    name: str | None = None

    def __post_init__(self) -> None:
        if self.stage not in TRAINING:
            raise ValueError(f"the stage must be one of training; got {self.stage}")
        if not 0 < self.lowest_j <= self.centre_j <= self.highest_j or self.e_ref_j <= 0:
            raise ValueError("energies must be above zero, and the centre between the lowest and the highest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unrated:
    """What a scheme knows and does not rate. ``task`` or ``name`` None: all of them."""

    __pydantic_config__ = STRICT

    protocol: str
    reason: str
    task: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BesideUnit:
    """A unit that is said beside the one that is rated.

    Either work that was counted, all of ``sum`` together; or what somebody verified: a quality called as one of ``outcomes`` is the
    share of the first of ``each`` that was counted which came out right.
    """

    __pydantic_config__ = STRICT

    unit: str
    sum: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    each: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.sum) == bool(self.outcomes) or bool(self.outcomes) != bool(self.each):
            raise ValueError("a unit beside must be the sum of counted ones, or outcomes of each of one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One vintage of the rating, as its file says. ``ladder``: the highest index of 5, 4, 3 and 2 stars.

    ``normalised_tiers``: of a record from another device than the reference, the tiers of normalisation that are rated, by the rules
    and factors of the vintage ``normalisation``. ``limit_must_bind``: whether another power limit of the reference device counts only
    where it held the clocks down. ``beside``: units that are said beside the one that is rated.
    """

    __pydantic_config__ = STRICT

    schema: str
    name: str
    draft: bool
    date: str
    component: Component
    reference_device: str
    ladder: tuple[float, float, float, float]
    rules: Rules
    protocols: tuple[ProtocolRule, ...]
    classes: tuple[RatingClass, ...]
    sizes: tuple[SizeClass, ...] = ()
    unrated: tuple[Unrated, ...] = ()
    training: tuple[TrainingClass, ...] = ()
    normalised_tiers: tuple[str, ...] = ()
    normalisation: str = FIRST
    limit_must_bind: bool = False
    beside: tuple[BesideUnit, ...] = ()

    def __post_init__(self) -> None:
        if self.ladder[0] <= 0 or list(self.ladder) != sorted(set(self.ladder)):
            raise ValueError(f"a ladder's steps must rise from above 0; got {self.ladder}")
        known = {protocol.name for protocol in self.protocols}
        used = [item.protocol for item in self.classes] + [item.protocol for item in self.sizes]
        used += [item.protocol for item in self.training]
        for name in used:
            if name not in known:
                raise ValueError(f"protocol {name!r} is not among the scheme's protocols")
        for item in self.classes:
            if item.n < self.rules.fewest_models:
                raise ValueError(
                    f"a class must have at least {self.rules.fewest_models} models (fewest_models); got {item.n}"
                )
        keys = [(item.protocol, item.task, item.name) for item in self.classes]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"the class {' '.join(part for part in key if part)} stands twice")
        stages = [item.stage for item in self.training]
        if len(set(stages)) < len(stages):
            raise ValueError(f"a stage stands twice: {', '.join(stages)}")

    def stars(self, index: float) -> int:
        """The stars of an index, 1 to 5; fewer for more energy."""
        for stars, highest in zip(range(MOST_STARS, 1, -1), self.ladder, strict=True):
            if index <= highest * (1 + ROUNDING):
                return stars
        return 1

    def highest_index(self, stars: int) -> float:
        """The highest index that earns so many stars (2 to 5)."""
        return self.ladder[MOST_STARS - stars]


def schemes(folder: Path = SCHEMES) -> tuple[str, ...]:
    """The names of the schemes that ship, oldest first; a draft stands before what it became."""
    return tuple(sorted((path.stem for path in folder.glob("*.toml")), key=_vintage))


def load_scheme(name: str | None = None, folder: Path = SCHEMES) -> Scheme:
    """The scheme of that name; without one, the newest that is published, or the newest draft where none is.

    Raises:
        BadInput: there is none (names those there are), or its file cannot be read.
    """
    names = schemes(folder)
    if name is None and names:
        name = next((item for item in reversed(names) if not item.endswith("-draft")), names[-1])
    if name not in names:
        raise BadInput(
            f"there is no scheme {str(name)[:80]!r}",
            f"There are: {', '.join(names) or 'none'}",
            place="scheme",
        )
    path = folder / f"{name}.toml"
    return _scheme_in(path, read_whole(path, strict.LARGEST_TOML))


# Asked for by the whole content, so that what is kept is what the file says.
@functools.lru_cache(maxsize=16)
def _scheme_in(path: Path, content: bytes) -> Scheme:
    name, entry = path.stem, strict.toml_in(content, path)
    if entry.get("schema") != SCHEME_SCHEMA:
        raise BadInput(f"schema must be {SCHEME_SCHEMA!r}; got {str(entry.get('schema'))[:80]!r}", place=path)
    scheme = strict.validated(Scheme, entry, path)
    if scheme.name != name:
        raise BadInput(
            f"the file calls itself {scheme.name!r}", "A scheme is called like its file", place=path
        )
    return scheme


def _vintage(name: str) -> tuple[list[int], bool, str]:
    return [int(number) for number in re.findall(r"\d+", name)], not name.endswith("-draft"), name


def scheme_schema() -> dict[str, Any]:
    """The JSON Schema of a scheme's file, as published in ``docs/``."""
    return strict.json_schema(Scheme, SCHEME_SCHEMA)


# What an operating point may be bounded by, and how a person calls it.
OPERATING_POINT = {
    "items": "items",
    "in_flight": "requests at once (batch × concurrency)",
    "max_new_tokens": "new tokens at most",
    "bits": "bits per weight",
    "mean_running": "requests computed at once, on average",
    "tensor_parallel": "devices that share each layer",
    "data_parallel": "copies of the model",
}
