"""Work cannot be made wrong, and is otherwise what a dict of amounts by unit is."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace
from fractions import Fraction

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, Measurement, NotMeasured, load, measure
from energy_rating.benchmarking.work import Done, Stretch
from energy_rating.files.strict import validated
from energy_rating.nouns.entries import Window
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.work import LEAST_WORK, LONGEST_UNIT, MOST_COUNTED, MOST_WORK, Work

UNITS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=LONGEST_UNIT
).filter(str.isprintable)
WHOLE = st.integers(0, 10**30)
AMOUNTS = st.one_of(st.just(0), st.just(0.0), WHOLE, st.floats(LEAST_WORK, 1e30))
WORKS = st.dictionaries(UNITS, AMOUNTS, max_size=5)

WRONG = (
    *(-1, -1e-300, math.nan, math.inf, -math.inf, True, False, None, "5", [5], {"in": 5}, 1j, Fraction(1, 2)),
    *(LEAST_WORK / 2, 5e-324, 2 * MOST_WORK, 10**46, 10**400),
)


@given(amounts=WORKS)
@settings(derandomize=True)
def test_work_is_what_a_dict_of_its_amounts_is(amounts):
    work = Work(amounts)
    assert work == amounts
    assert amounts == work
    assert (list(work), list(work.items()), len(work)) == (list(amounts), list(amounts.items()), len(amounts))
    assert json.loads(json.dumps(work)) == amounts
    assert json.dumps(work) == json.dumps(amounts)
    assert Work(work) == Work(amounts.items()) == work
    assert {**work} == amounts
    assert type(work | {"x": 1}) is dict
    for same in (copy.copy(work), copy.deepcopy(work), pickle.loads(pickle.dumps(work))):
        assert (type(same), same) == (Work, work)


@given(amounts=WORKS, unit=UNITS, wrong=st.sampled_from(WRONG))
@settings(derandomize=True)
def test_no_amount_that_could_not_be_done_is_work(amounts, unit, wrong):
    with pytest.raises(
        BadInput, match=r"^work: .* must be 0, or a number from 1e-09 to 1e\+45; got .*\. Count what was done"
    ):
        Work({**amounts, unit: wrong})


@pytest.mark.parametrize(
    "unit", ["", "a\nb", "\x00", "\ud800", "x" * (LONGEST_UNIT + 1), 5, None, ("token",)]
)
def test_no_unit_that_nobody_could_ask_for_is_one(unit):
    with pytest.raises(BadInput, match="^work: a unit must be a printable word of 1 to 60 letters; got "):
        Work({unit: 1})


@pytest.mark.parametrize(
    "change",
    [
        lambda work: work.__setitem__("token", -1),
        lambda work: work.__delitem__("token"),
        lambda work: work.update(token=math.nan),
        lambda work: work.setdefault("image", -1),
        lambda work: work.pop("token"),
        lambda work: work.popitem(),
        lambda work: work.clear(),
        lambda work: work.__init__({"token": -1}),
    ],
)
def test_work_that_is_made_stays(change):
    work = Work({"token": 5})
    with pytest.raises(TypeError, match="work cannot be changed; make another"):
        change(work)
    other = work
    other |= {"image": 1}
    assert (work, type(work), other) == ({"token": 5}, Work, {"token": 5, "image": 1})


@given(one=WORKS, other=WORKS)
@settings(derandomize=True)
def test_two_works_add_up_unit_by_unit_in_either_order(one, other):
    both = Work(one) + Work(other)
    assert both == Work(other) + one == other + Work(one) == Work.total([one, other])
    assert set(both) == {*one, *other}
    for unit, amount in both.items():
        assert amount == one.get(unit, 0) + other.get(unit, 0)
        if isinstance(one.get(unit, 0), int) and isinstance(other.get(unit, 0), int):
            assert isinstance(amount, int), "whole numbers stay exact"


@given(work=WORKS, factor=st.one_of(st.integers(0, 1000), st.floats(0, 1000)))
@settings(derandomize=True)
def test_work_scales_and_what_is_next_to_nothing_is_none(work, factor):
    scaled = factor * Work(work)
    assert scaled == Work(work) * factor
    for unit, amount in work.items():
        assert scaled[unit] == (amount * factor if amount * factor >= LEAST_WORK else 0)


def test_work_is_not_scaled_to_what_cannot_be():
    for factor in (-1, math.nan, math.inf, 1e300):
        with pytest.raises(BadInput, match="^work: token must be 0, or a number from"):
            Work({"token": 5}) * factor


@given(unit=UNITS, amount=AMOUNTS)
@settings(derandomize=True)
def test_nothing_is_divided_by_none(unit, amount):
    work = Work({unit: amount})
    assert work.divisor(unit) == (amount or None)
    assert work.divisor(f"{unit}x"[-LONGEST_UNIT:] + "!") is None
    assert work.divisor(None) is None
    measurement = replace(MEASUREMENT, work=work)
    if amount:
        per = measurement.energy_per(unit)
        assert math.isfinite(per.value)
        assert per.value == pytest.approx(30 / amount)
    else:
        with pytest.raises(NotMeasured, match="was counted in 'run'"):
            measurement.energy_per(unit)


@given(amounts=st.lists(AMOUNTS, min_size=1, max_size=20))
@settings(derandomize=True)
def test_what_a_window_counts_is_always_work(amounts):
    window = Window("run")
    for amount in amounts:
        window.count(token=amount)
    assert Work(window.work) == window.work
    assert sum(amounts) <= MOST_COUNTED or window.faults()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:20])
def test_a_window_leaves_out_what_is_no_work_and_says_so(wrong):
    window = Window("run")
    window.count(token=5)
    window.count(token=wrong)
    window.count(**{"": 1})
    assert window.work == {"token": 5}
    assert len(window.faults()) == 2


class Contrary(float):
    """A number that is one, and cannot be reckoned with."""

    def __add__(self, other):
        raise ArithmeticError("not with me")

    __radd__ = __add__


class Own(int):
    __radd__ = __add__ = Contrary.__add__


@pytest.mark.parametrize(
    "amount", [Contrary(2.5), Own(2), numpy.float64(2.5), numpy.float32(2.5), numpy.int64(2)]
)
def test_a_window_counts_in_numbers_of_pythons_own_and_raises_nothing_into_the_program(amount):
    window = Window("run")
    for _ in range(2):
        window.count(token=amount)
    assert (window.work["token"], window.faults()) == (2 * int(amount) if int(amount) == amount else 5.0, ())
    assert type(window.work["token"]) in (int, float)


def test_whole_numbers_beyond_64_bits_stay_whole_from_the_window_to_the_record(tmp_path):
    clock, watts = VirtualClock(), constant(100)
    gpu = FakeDevice(clock=clock, power=watts[0], energy=watts[1])
    amount = 38 * 10**24 + 1  # no float can tell it from its neighbours
    with measure("pre-training", output_dir=tmp_path, sensors=[gpu], clock=clock, report=None) as run:
        for _ in range(3):
            with run.window("epoch") as window:
                clock.sleep(20)
                window.count(flop=amount)
    assert run.record["epoch"].work == load(tmp_path)["run"].work == {"flop": 3 * amount}
    assert str(3 * amount) in (tmp_path / "record.json").read_text()


def test_a_number_of_more_digits_than_python_writes_is_refused_as_any_other():
    with pytest.raises(
        BadInput, match="token must be 0, or a number from .* a number of thousands of digits"
    ):
        Work({"token": 10**5000})


def test_the_flop_of_a_large_training_are_counted():
    window = Window("run")
    window.count(flop=6 * 405e9 * 15.6e12)  # Llama 3.1 405B
    assert window.work["flop"] == pytest.approx(3.8e25, rel=0.01)
    assert not window.faults()


# ------------------------------------------------------------------------------------------------------- who holds it

MEASUREMENT = Measurement(
    name="run",
    n=1,
    start_s=0.0,
    duration_s=1.0,
    work={"token": 10},
    energy_by_channel_j={},
    energy_j={"gpu": Estimate(value=30.0, random=0.0, systematic=0.0)},
    coverage={},
    validity="valid",
)


def test_every_noun_that_holds_work_makes_work_of_a_mapping():
    held = (
        MEASUREMENT,
        Done(work={"token": 10}),
        Stretch(name="x", start_s=0.0, end_s=1.0, work={"token": 10}),
    )
    for noun in held:
        assert (type(noun.work), noun.work) == (Work, {"token": 10})
        with pytest.raises(BadInput, match="token must be 0, or a number"):
            replace(noun, work={"token": -1})


def test_work_is_read_from_a_file_strictly_and_told_with_its_place():
    entry = {
        "name": "run",
        "n": 1,
        "start_s": 0.0,
        "duration_s": 1.0,
        "work": {"token": 10, "image": 0},
        "energy_by_channel_j": {},
        "energy_j": {},
        "coverage": {},
        "validity": "valid",
    }
    read = validated(Measurement, entry, "record.json")
    assert (type(read.work), read.work) == (Work, {"token": 10, "image": 0})
    for wrong in ("5", True, None, -1, 1e46, 1e-12):
        with pytest.raises(BadInput, match=r"^record\.json.*work"):
            validated(Measurement, {**entry, "work": {"token": wrong}}, "record.json")
    with pytest.raises(BadInput, match="a unit must be a printable word"):
        validated(Measurement, {**entry, "work": {"": 1}}, "record.json")
