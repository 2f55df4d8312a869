"""Laws of values with doubt."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energy_rating.nouns.quantities import (
    EnergyPerUnit,
    Estimate,
    duration,
    rounded,
    scaled,
    significant,
    total,
    with_doubt,
)

positive = st.floats(1e-6, 1e9)
shares = st.floats(0, 1)


@st.composite
def estimates(draw):
    value = draw(positive)
    return Estimate(value=value, random=value * draw(shares), systematic=value * draw(shares))


def test_an_energy_per_token_prints_as_the_readme_says():
    each = EnergyPerUnit(value=0.0312, random=0.0, systematic=0.00133, unit="token", component="gpu")
    assert str(each) == "0.0312 ± 0.0026 J (gpu)"


def test_an_estimated_energy_never_looks_measured():
    each = EnergyPerUnit(value=1.0, systematic=0.5, unit="token", component="cpu", estimated=True)
    assert str(each) == "1.00 ± 0.98 J (cpu, estimated)"


@given(estimates(), estimates())
def test_random_doubt_adds_in_quadrature_and_systematic_linearly_on_one_sensor(a, b):
    both = a.plus(b, same_sensor=True)
    assert both.random == pytest.approx(math.hypot(a.random, b.random))
    assert both.systematic == pytest.approx(a.systematic + b.systematic)
    apart = a.plus(b, same_sensor=False)
    assert apart.systematic == pytest.approx(math.hypot(a.systematic, b.systematic))


@given(positive, positive, st.floats(0, 0.5))
def test_a_shared_gain_cancels_in_a_ratio_and_acts_on_the_difference_only(a, b, gain):
    one, other = Estimate(value=a, systematic=gain * a), Estimate(value=b, systematic=gain * b)
    ratio = one.over(other, same_sensor=True)
    assert ratio.systematic <= 1e-9 * ratio.value
    assert one.minus(other, same_sensor=True).systematic == pytest.approx(
        gain * abs(a - b), abs=1e-9 * (a + b)
    )


@given(estimates(), st.integers(1, 50))
def test_n_equal_devices_of_one_model_are_n_times_one(a, n):
    together = total([a] * n, same_sensor=True)
    assert together.value == pytest.approx(n * a.value)
    assert together.systematic == pytest.approx(n * a.systematic)
    assert together.random == pytest.approx(math.sqrt(n) * a.random)


@given(estimates(), st.floats(1e-6, 1e6))
def test_changing_the_unit_changes_no_relative_doubt(a, factor):
    b = a.times(factor)
    assert b.sigma / b.value == pytest.approx(a.sigma / a.value)


@pytest.mark.parametrize(
    "bad",
    [
        {"value": math.nan},
        {"value": math.inf},
        {"value": 1.0, "random": -1.0},
        {"value": 1.0, "systematic": math.nan},
    ],
)
def test_an_estimate_that_cannot_be_is_not_made(bad):
    with pytest.raises(ValueError, match="estimate|must be at least 0"):
        Estimate(**bad)


@given(st.floats(1e-12, 1e12), st.integers(1, 6))
def test_significant_digits_are_kept_and_never_written_in_powers_of_ten(value, digits):
    text = significant(value, digits)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


@pytest.mark.parametrize(
    ("value", "doubt", "text"),
    [
        (0.0312, 0.0026, "0.0312"),
        (15120.0, 1187.0, "15100"),
        (3.14159, 0.0, "3.142"),
        (9.996, 0.0996, "10.00"),
        (0.0, 0.0, "0"),
    ],
)
def test_a_value_is_written_to_the_second_digit_of_its_doubt(value, doubt, text):
    assert rounded(value, doubt) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3020.0, "3.02 kJ"),
        (999.96, "1.00 kJ"),
        (0.041, "41.0 mJ"),
        (1.0, "1.00 J"),
        (0.0, "0 J"),
        (3.6e9, "3.60 GJ"),
        (1e-9, "1.00 nJ"),
        (2.5e-12, "2.50 pJ"),
        (2.5e-15, "2.50e-15 J"),
        (7e18, "7.00 EJ"),
        (1e300, "1.00e+300 J"),
    ],
)
def test_figures_for_people_carry_a_prefix(value, text):
    assert scaled(value, "J") == text


@given(estimates(), estimates())
def test_the_interval_holds_the_value(a, b):
    assume(a.sigma > 0)
    low, high = a.interval()
    assert low <= a.value <= high
    assert a.half_width() == pytest.approx(1.959964 * a.sigma, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "half", "words"),
    [
        (18.0, 1.4, "18.0 ± 1.4 J"),
        (0.0312, 0.0026, "31.2 ± 2.6 mJ"),
        (137_412.0, 11_833.0, "137 ± 12 kJ"),
        (9_412.0, 120.0, "9410 ± 120 J"),
        (2.5e-5, 2e-6, "25.0 ± 2.0 µJ"),
        (1e-9, 1e-10, "1.00 ± 0.10 nJ"),
        (18.0, 0.0, "18 J"),
        (18.0, 1e-9, "18 J ± less than 0.01 %"),
        (0.0, 0.0, "0 J"),
        (2.0, 30.0, "below 32 J"),
        (1.0, 0.94, "1.00 ± 0.94 J"),
        (1.0, 0.999, "below 2.0 J"),
        (1.0, 1.01, "below 2.1 J"),
        (1e300, 1e299, "1.00e+300 ± 1.0e+299 J"),
    ],
)
def test_energies_are_written_for_people(value, half, words):
    assert with_doubt(Estimate(value=value, random=half / 1.959963985), "J") == words


@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_no_figure_is_longer_than_a_cell_and_none_says_less_than_nothing(value, sigma):
    estimate = Estimate(value=value, random=sigma)
    for text in (with_doubt(estimate, "J"), str(estimate), scaled(value, "J"), duration(value)):
        assert len(text) <= 60
        assert "-" not in text.replace("e-", "")


@given(st.floats(1e-9, 1e9), st.floats(1, 1e3))
def test_an_upper_end_is_never_told_too_low(value, times):
    text = with_doubt(Estimate(value=value, random=value * times / 1.959963985), "J")
    figure, unit = text.removeprefix("below ").split()
    prefixes = {"": 1.0, "n": 1e-9, "µ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
    assert float(figure) * prefixes[unit[:-1]] >= value * (1 + times) * (1 - 1e-7)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (2e-4, "200 µs"),
        (0.0123, "12.3 ms"),
        (10.000118, "10.0 s"),
        (119.7, "2 min 0 s"),
        (332.0, "5 min 32 s"),
        (5400.0, "1 h 30 min"),
    ],
)
def test_times_for_people_have_a_unit_that_suits_them(seconds, words):
    assert duration(seconds) == words
