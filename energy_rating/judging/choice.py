"""What a choice costs over a life: two ways to one service, each with what went before use and all requests that it answers.

Two architectures, quantised or not, a small model that was trained longer: A and B are lives, and the service is the same. The difference
is B less A. What both sides share cancels in it: an error of a kind of sensor acts on the difference of the energies alone; by how
much cards of one name differ stays, where they are not the same cards. Of a service that was measured with requests of another length
nothing is told (as in ``life``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from energy_rating.judging.comparison import BETWEEN_CARDS
from energy_rating.judging.life import BEFORE, BreakEven, Life, Service, break_even, planned
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate

Verdict = Literal["a-better", "b-better", "undecided"]

# The 97.5 % point of the normal law.
_Z = 1.959963984540054


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Two lives over one service. ``difference_j`` is B less A; ``ratio`` B over A, which ``interval_95`` holds with 95 % confidence.

    ``break_even`` is None where neither cost more before use than the other. ``notes``: what a reader of the figures has to know.
    """

    a: Service
    b: Service
    component: str
    unit: str
    difference_j: Estimate
    ratio: float
    interval_95: tuple[float, float]
    verdict: Verdict
    break_even: BreakEven | None
    notes: tuple[str, ...]

    def worse_by(self, share: float) -> bool:
        """Whether B takes more than A by more than that share (0.05: 5 %), with 95 % confidence."""
        return self.verdict != "undecided" and self.interval_95[0] > 1 + share


def choice(
    a: Life,
    b: Life,
    *,
    requests: float,
    tokens: float | None = None,
    months: float | None = None,
    there: tuple[Life, Life] | None = None,
    zone: str | None = None,
) -> Choice:
    """What B takes more or less than A over a service of so many requests (a month, for so many months).

    Raises:
        BadInput: the use of one of them was not measured, or in another unit, of another component, or with requests of another length.
    """
    services = [
        planned(
            one,
            requests=requests,
            tokens=tokens,
            months=months,
            there=there[place] if there is not None else None,
            zone=zone,
        )
        for place, one in enumerate((a, b))
    ]
    of_a, of_b = services
    assert a.use is not None
    assert b.use is not None
    if (a.use.unit, a.component) != (b.use.unit, b.component):
        raise BadInput(
            "both must be told by one unit of work and one component", "Name them: --unit, --component"
        )
    if of_a.whole_j.value <= 0:
        raise BadInput("the energy of A must be above 0: its sensor told nothing", "Measure it again")
    weights = [
        one.use_j.value / (its.use.energy_j.value or 1.0) for one, its in ((of_a, a), (of_b, b)) if its.use
    ]
    ratio = of_b.whole_j.value / of_a.whole_j.value
    difference = _difference(a, b, weights, 1.0)
    # B - r A = 0 on the edge of the interval (Fieller), so that what is shared cancels at the ratio itself.
    sigma = _difference(a, b, weights, ratio).sigma / of_a.whole_j.value
    half = _Z * sigma
    interval = (max(ratio - half, 0.0), ratio + half)
    verdict: Verdict = "b-better" if interval[1] < 1 else "a-better" if interval[0] > 1 else "undecided"
    notes = tuple(_notes(a, b, of_a, of_b))
    if any(one.estimated or one.invalid for one in (a, b)):
        verdict = "undecided"
    return Choice(
        a=of_a,
        b=of_b,
        component=a.component,
        unit=a.use.unit,
        difference_j=difference,
        ratio=ratio,
        interval_95=interval,
        verdict=verdict,
        break_even=break_even(*_named(a, b)) if a.before_j.value != b.before_j.value else None,
        notes=notes,
    )


def _named(a: Life, b: Life) -> tuple[Life, Life]:
    """Both by names that differ: of one model in two precisions the names are the same."""
    return replace(a, model=f"A ({a.model})"), replace(b, model=f"B ({b.model})")


def _difference(a: Life, b: Life, weights: list[float], factor: float) -> Estimate:
    """B less ``factor`` times A, over all: by the name of the devices, whose sensors may share one error."""
    value = random = shared = 0.0
    same_cards = set(a.devices) == set(b.devices)
    for name in sorted({*a.gains, *b.gains}):
        nothing = (Estimate(value=0.0), Estimate(value=0.0))
        sides = []
        for life, weight in ((a, weights[0]), (b, weights[1])):
            before, each = life.gains.get(name, nothing)
            used = each.times(weight)
            sides.append(before.plus(used, same_sensor=True))
        one, other = sides[0].times(factor), sides[1]
        value += other.value - one.value
        random = math.hypot(random, one.random, other.random)
        if a.imported or b.imported:
            # How others read a sensor, nobody here knows, even where it was the same one.
            random = math.hypot(random, one.systematic, other.systematic)
            continue
        shared = math.hypot(shared, other.systematic - one.systematic)
        if not same_cards:
            own = [min(side.systematic, BETWEEN_CARDS * side.value) for side in (one, other)]
            random = math.hypot(random, *own)
    return Estimate(value=value, random=random, systematic=abs(shared))


def _notes(a: Life, b: Life, of_a: Service, of_b: Service) -> list[str]:
    notes = []
    for letter, one in (("A", a), ("B", b)):
        if one.estimated:
            notes.append(
                f"{letter} is estimated by a model in part, not measured: no verdict, whatever the figures say"
            )
        if one.imported:
            notes.append(
                f"{letter} has runs that were taken over from other tools' files: what their sensors share is not known, and nothing cancels"
            )
        if one.invalid:
            notes.append(f"{letter} has an invalid run: no verdict, whatever the figures say")
        if not any(portion.name in BEFORE for portion in one.stages):
            notes.append(f"no training of {letter} is among its runs: what went before use is not in it")
    if of_a.basis != of_b.basis:
        notes.append(
            "one of them is told per token and the other per request: their requests had other lengths"
        )
    if set(a.devices) != set(b.devices):
        notes.append(
            "the cards are not the same ones; by how much cards of one name differ is in the interval"
        )
    return notes
