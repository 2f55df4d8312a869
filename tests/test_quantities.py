"""Laws of values with doubt."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from energy_rating.quantities import EnergyPerUnit, Estimate, rounded, scaled, significant, total

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
    with pytest.raises(ValueError, match="estimate|doubt"):
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
