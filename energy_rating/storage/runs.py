"""One run as a line: what a collection keeps of it, so that nobody opens its folder again to sort, sum up or search.

Values only. What stands in a line is worked out by ``publishing.collected`` from the facts of a record; here is what it may be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from energy_rating.files.values import value_of
from energy_rating.nouns.errors import STRICT, BadInput

# Whether a run's energy may be added to others', and as what: measured by a sensor; measured with gaps, so that it is a lower bound;
# a model's; another tool's; or of no use, since something speaks against the figure itself.
Kind = Literal["measured", "incomplete", "estimated", "imported", "invalid"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# What verification came to. ``not verified``: nobody has asked yet.
Verified = Literal["matches", "differs", "cannot be checked", "not verified"]
VERIFIED: tuple[Verified, ...] = get_args(Verified)

LONGEST_LINE = 1 << 20  # characters of a kept line


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectedRun:
    """A run, in joules, seconds and grams. An empty text or None is not known.

    ``created`` is when it started, in UTC; ``start_s`` and ``end_s`` are seconds since 1970. ``measured_j`` is the energy that sensors
    saw, of ``components`` that may be added up; ``estimated_j`` what a model said beside it. ``coverage`` is the least of theirs.
    ``figure_j`` is the energy per ``figure_unit`` that stands for the run, of ``figure_component``. ``waste`` says why a run was for
    nothing; empty where it was not. ``devices``: those that sensors told of, each with its machine. ``quality`` are pairs of a metric
    and a value, and ``reasons`` say why there are no stars.
    """

    __pydantic_config__ = STRICT

    run_id: str
    created: str
    start_s: float | None = None
    end_s: float | None = None
    duration_s: float = 0.0
    stage: str = "other"
    role: str = ""
    origin: str = "measured"
    kind: Kind = "measured"
    waste: str = ""
    ending: str = ""
    model: str = ""
    revision: str = ""
    dtype: str = ""
    base_model: str = ""
    parameters: int | None = None
    task: str = ""
    protocol: str = ""
    engine: str = ""
    items: int | None = None
    batch: int | None = None
    concurrency: int | None = None
    tokens: int | None = None
    place: str = ""
    hardware: str = ""
    hardware_count: int = 0
    devices: tuple[str, ...] = ()
    components: str = ""
    measured_j: float | None = None
    measured_random_j: float = 0.0
    measured_systematic_j: float = 0.0
    estimated_j: float | None = None
    estimated_sigma_j: float = 0.0
    coverage: float | None = None
    validity: str = "valid"
    figure_j: float | None = None
    figure_random_j: float = 0.0
    figure_systematic_j: float = 0.0
    figure_unit: str = ""
    figure_component: str = ""
    figure_origin: str = ""
    carbon_g: float | None = None
    stars: int | None = None
    could_be_low: int | None = None
    could_be_high: int | None = None
    index: float | None = None
    class_: str = ""
    scheme: str = ""
    basis: str = ""
    status: str = ""
    reasons: tuple[str, ...] = ()
    reason_codes: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    quality: tuple[tuple[str, float], ...] = ()
    example: bool = False
    journal_sha256: str = ""
    made_by: str = ""
    worked_out_by: str = ""

    @property
    def figure_half_j(self) -> float:
        """Half the width of the figure's 95 % interval."""
        from energy_rating.nouns.quantities import Estimate

        random, systematic = self.figure_random_j, self.figure_systematic_j
        return Estimate(value=0.0, random=random, systematic=systematic).half_width()


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkup:
    """What verification found of a run's folder, by which version, and the SHA-256 of all that it looked at (``content``).

    ``plausible`` None: the journal was not asked whether it can be true. ``why`` is the first of what speaks against it. ``run``: the line
    that the journal gives today, where that is another one than its record gives.
    """

    __pydantic_config__ = STRICT

    content: str
    verdict: Verified
    version: str
    journal_sha256: str = ""
    plausible: bool | None = None
    why: str = ""
    run: CollectedRun | None = None

    @property
    def good(self) -> bool:
        """Whether the figures follow from their journal, and nothing speaks against that."""
        return self.verdict == "matches" and self.plausible is not False


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptFolder:
    """What a collection holds of one folder: a run, or why there is none (``error``). ``stamp`` changes with any change of its files."""

    folder: str
    stamp: str
    content: str
    run: CollectedRun | None
    error: str = ""
    checkup: Checkup | None = None


def to_line(value: Any) -> str:
    """One line of JSON of a frozen value: what is as it is by default is left out."""
    entry = {
        one.name: _plain(getattr(value, one.name))
        for one in fields(value)
        if getattr(value, one.name) != one.default
    }
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return json.loads(to_line(value))
    return list(value) if isinstance(value, tuple) else value


def from_line(kind: type[Any], line: str | bytes, place: str) -> Any:
    """The value in a line.

    Raises:
        BadInput: it is none.
    """
    if len(line) > LONGEST_LINE:
        raise BadInput(f"the line is longer than {LONGEST_LINE:,} characters", place=place)
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        entry = None
    found = value_of(kind, entry) if isinstance(entry, Mapping) else None
    if found is None:
        raise BadInput(
            f"the line must be a {kind.__name__}", "Remove the line, or remake the file", place=place
        )
    return found
