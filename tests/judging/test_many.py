"""What is reckoned many at a time is what is reckoned one by one: the slow way stays as the check of the fast one."""

from __future__ import annotations

import random

import pytest

from energy_rating.judging import agreement
from energy_rating.judging.integration import many
from energy_rating.judging.integration.counter import Counter
from energy_rating.judging.integration.register import Register
from energy_rating.nouns.records import Samples


def trace(seed, count=6000):
    """Readings of a counter and a register of one device, with all that happens to such: holes, resets, dips, stillness, wrap-around,
    calls that hang, ticks that are seen badly."""
    chance = random.Random(seed)
    wraps_at_j = chance.choice([None, 5000.0])
    tick_s = chance.choice([0.02, 0.1, 0.1, 0.3])
    starts, ends, joules, watts = [], [], [], []
    t, energy, shown, next_tick, power, still_until = 0.0, 1000.0, 1000.0, tick_s, 200.0, 0.0
    odd = chance.choice([0.0, 0.0005, 0.01])
    for number in range(count):
        near = number % 2 == 0 or chance.random() < 0.3
        t += 0.4 * tick_s * chance.random() + (0.0 if near else 0.6 * tick_s)
        took = chance.choice([1e-4] * 20 + [0.07, 0.004])
        happens = chance.random() < odd
        if happens and chance.random() < 0.4:
            t += chance.choice([0.5, 2.0, 5.0])
        while next_tick <= t:
            power = min(max(power + chance.gauss(0, 8), 50.0), 600.0)
            energy += power * tick_s
            if t > still_until:
                shown = energy
            next_tick += tick_s * chance.choice([1.0] * 8 + [0.95, 1.04])
        if happens and chance.random() < 0.2:
            still_until = t + 3.0
        if happens and chance.random() < 0.3:
            energy = shown = chance.random() * 100  # it begins again
        value = shown % wraps_at_j if wraps_at_j else shown
        if happens and chance.random() < 0.3:
            value = chance.choice([0.0, value * 0.5, value + 1e9])
        starts.append(round(t, 6))
        ends.append(round(t + took, 6))
        joules.append(round(value, 3))
        watts.append(round(power + chance.gauss(0, 5), 3) if chance.random() > odd / 2 else -1.0)
        t = max(t, t + took)
    return (
        Samples(start_s=starts, end_s=ends, values=joules),
        Samples(start_s=starts, end_s=ends, values=watts),
        wraps_at_j,
    )


def told(seed, first_reckoning):
    of_counter, of_register, wraps_at_j = trace(seed)
    counter = Counter(
        of_counter, accuracy=0.04, wraps_at_j=wraps_at_j, limit_w=900.0, first_reckoning=first_reckoning
    )
    register = Register(
        of_register,
        accuracy=0.04,
        period_s=0.1,
        lag_s=0.05,
        limit_w=900.0,
        first_reckoning=first_reckoning,
    )
    end_s = of_counter.end_s[-1]
    windows = [(share * end_s, (share + 0.17) * end_s) for share in (0.0, 0.1, 0.33, 0.6, 0.83)]
    energies = [
        part
        for span in windows
        for found in (counter.between(*span, None, register), register.between(*span))
        for part in (
            (found.energy.value, found.energy.random, found.energy.systematic, found.covered_s)
            if found is not None
            else (0.0,)
        )
    ]
    exact = [
        list(map(tuple, counter.ticks)),
        counter.period_s,
        list(counter.gaps),
        counter.resets,
        counter.stuck,
        counter.late,
        list(register.times),
        list(register.watts),
        list(register.gaps),
        register.rejected,
        [(block.start_s, block.end_s) for block in agreement.suspicions(counter, register)],
    ]
    return exact, energies


@pytest.mark.parametrize("first_reckoning", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_many_samples_together_are_what_they_are_one_by_one(seed, first_reckoning, monkeypatch):
    # The sizes from which on numbers are taken together are those of the whole process.
    monkeypatch.setattr(many, "TICKS_AT_ONCE", 500)
    exact, energies = told(seed, first_reckoning)
    monkeypatch.setattr(many, "MANY", 10**9)
    exact_singly, energies_singly = told(seed, first_reckoning)
    for together, singly in zip(exact, exact_singly, strict=True):
        assert together == singly
    assert energies == pytest.approx(energies_singly, rel=1e-12, abs=1e-9)
