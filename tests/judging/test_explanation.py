"""Why two runs differ: their ratio is that of power times that of time, and what the journals tell of the devices stands beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, measure
from energy_rating.cli import cli
from energy_rating.files.reading import read_journal
from energy_rating.judging.explanation import explain
from energy_rating.publishing import explanation as shown


@dataclass
class Conditioned(FakeDevice):
    """A GPU that tells what it is like."""

    told: dict | None = None

    def condition(self):
        return self.told or {}


def a_run(folder, watts, seconds, told=None, tokens=60_000, stage="fine-tuning"):
    clock = VirtualClock()
    power, energy = constant(watts)
    gpu = Conditioned(clock=clock, power=power, energy=energy, told=told)
    with measure(stage, output_dir=folder, sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(seconds)
        run.count(token=tokens)
    return run.record, read_journal(folder)


FREE = {
    "sm_clock_mhz": 1980.0,
    "temperature_c": 60.0,
    "power_limit_w": 700.0,
    "throttled_by": (),
    "idle": False,
}
HOT = {**FREE, "sm_clock_mhz": 1200.0, "temperature_c": 86.0, "throttled_by": ("sw-thermal",)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return a_run(folder / "a", 600, 80, FREE), a_run(folder / "b", 420, 260, HOT), folder


def test_the_ratio_is_that_of_the_power_times_that_of_the_time(pair):
    (a, of_a), (b, of_b), _ = pair
    found = explain(a, b, (of_a, of_b))
    assert found.ratio == pytest.approx(420 * 260 / (600 * 80), rel=1e-3)
    assert found.by_power == pytest.approx(0.7, rel=1e-3)
    assert found.by_time == pytest.approx(3.25, rel=1e-3)
    assert found.by_power * found.by_time == pytest.approx(found.ratio)
    assert (found.a.units_per_s, found.b.units_per_s) == (
        pytest.approx(750, rel=1e-3),
        pytest.approx(60_000 / 260, rel=1e-3),
    )


def test_what_held_the_clocks_down_is_named_before_what_follows_from_it(pair):
    (a, of_a), (b, of_b), _ = pair
    found = explain(a, b, (of_a, of_b))
    assert [cause.what for cause in found.causes][:3] == ["throttled", "clock", "temperature"]
    told = shown.paragraph(found)
    assert "B needed 2.27 times the energy of A for each token" in told
    assert "held down for 100 % of the time (none in A), by sw-thermal" in told
    assert "1200 MHz on average (1980 MHz in A)" in told
    assert "86 °C" in told
    assert "Not recorded: other programs on the device" in told


def test_a_lower_limit_and_others_on_the_device_are_causes_too(tmp_path):
    a, of_a = a_run(tmp_path / "a", 600, 60, {**FREE, "foreign_processes": 0})
    b, of_b = a_run(tmp_path / "b", 300, 90, {**FREE, "power_limit_w": 350.0, "foreign_processes": 2})
    causes = [cause.what for cause in explain(a, b, (of_a, of_b)).causes]
    assert causes[:2] == ["shared", "power-limit"]


def test_a_run_beside_itself_has_no_cause_and_says_so(tmp_path):
    a, of_a = a_run(tmp_path / "a", 600, 60, FREE)
    b, of_b = a_run(tmp_path / "b", 600, 60, FREE)
    found = explain(a, b, (of_a, of_b))
    assert found.causes == ()
    assert found.ratio == pytest.approx(1, rel=1e-3)
    assert "Nothing that was recorded differs" in shown.paragraph(found)


def test_records_alone_tell_power_and_time_and_what_they_lack(pair):
    (a, _), (b, _), _ = pair
    found = explain(a, b)
    assert found.by_time == pytest.approx(3.25, rel=1e-3)
    assert found.a.course == ()
    assert "Not recorded: clocks, temperature, throttling, other programs on the device" in shown.paragraph(
        found
    )


def test_both_courses_are_drawn_on_one_scale(pair):
    (a, of_a), (b, of_b), _ = pair
    found = explain(a, b, (of_a, of_b))
    assert max(watts for _, watts in found.a.course) == pytest.approx(600, rel=0.02)
    assert sum(watts for _, watts in found.b.course) / len(found.b.course) == pytest.approx(420, rel=0.01)
    text = shown.plot(found)
    assert text == shown.plot(explain(a, b, (of_a, of_b)))
    lines = ElementTree.fromstring(text.encode()).findall("{http://www.w3.org/2000/svg}polyline")
    heights = [[float(point.split(",")[1]) for point in line.get("points").split()] for line in lines]
    assert min(heights[0]) < min(heights[1])  # 600 W stand higher than 420 W
    widths = [float(line.get("points").split()[-1].split(",")[0]) for line in lines]
    assert widths[0] < widths[1]


def test_unlike_work_is_refused_as_by_compare(tmp_path, pair):
    (a, _), _, _ = pair
    other, _ = a_run(tmp_path / "c", 300, 60, stage="inference")
    with pytest.raises(BadInput):
        explain(a, other)


def test_the_command_tells_a_paragraph_a_table_and_draws(pair):
    *_, folder = pair
    asked = ["explain", str(folder / "a"), str(folder / "b")]
    result = CliRunner().invoke(cli, [*asked, "--plot", str(folder / "both.svg")])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "by sw-thermal" in " ".join(result.stdout.split())
    assert (folder / "both.svg").exists()
    told = json.loads(CliRunner().invoke(cli, [*asked, "--json"]).stdout)
    assert told["by_time"] == pytest.approx(3.25, rel=1e-3)
    assert told["paragraph"].startswith("B needed 2.27 times")
