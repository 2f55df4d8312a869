"""In a notebook: what a cell shows, what is left when one is interrupted, and how a decorated function tells its record."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import load, measure

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clock():
    return VirtualClock()


def a_run(tmp_path, clock, said=None, **more):
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    report = None if said is None else said.append
    return measure("other", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=report, **more)


def cells(page):
    """The table of a page, as text."""
    table = page[page.index("<table>") : page.index("</table>") + len("</table>")]
    return [[cell.text or "" for cell in row] for row in ET.fromstring(table)]


def test_a_record_shows_its_windows_with_their_doubt(tmp_path, clock):
    with a_run(tmp_path, clock) as run, run.window("answers") as window:
        clock.sleep(10)
        window.count(token=1000)
    table = cells(run.record._repr_html_())
    assert table[0] == ["window", "times", "duration", "gpu", "per unit", "validity"]
    assert [row[0] for row in table[1:]] == ["run", "answers"]
    assert table[2][3].startswith("3000 ±") or table[2][3].startswith("3.0")
    assert table[2][4].endswith("J / token")
    assert table[2][5] == "valid"
    assert cells(run._repr_html_()) == table


def test_a_rated_record_shows_its_label():
    page = load(REPORTS / "example-gpu")._repr_html_()
    assert '<img src="data:image/svg+xml;base64,' in page
    assert "of 5 stars" in page


def test_what_strangers_wrote_is_text(tmp_path, clock):
    with a_run(tmp_path, clock) as run, run.window("<script>alert(1)</script>"):
        clock.sleep(5)
    page = run.record._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_run_that_goes_on_shows_what_it_has_so_far_and_one_that_has_not_begun_its_line(tmp_path, clock):
    run = a_run(tmp_path, clock)
    assert run._repr_html_() is None
    assert repr(run) == "<Run: it has not begun>"
    run.start()
    clock.sleep(10)
    assert run._repr_html_().startswith("<p>so far")
    assert "\n" not in repr(run)
    run.stop()
    assert not run._repr_html_().startswith("<p>so far")


def test_a_cell_that_is_interrupted_leaves_a_good_record(tmp_path, clock):
    said = []
    with pytest.raises(KeyboardInterrupt), a_run(tmp_path, clock, said) as run:
        for _ in run.steps(range(100), token=10):
            clock.sleep(2)
            if clock.now() > 1010:
                raise KeyboardInterrupt
    assert run.record["step"].n == 6
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(3600, rel=0.01)
    assert run.record["run"].validity == "valid"
    assert run.record.outcome.exception == "KeyboardInterrupt"
    assert run.record._repr_html_() is not None


def test_a_cell_that_is_run_twice_says_so(tmp_path, clock):
    said = []
    first = a_run(tmp_path, clock, said).start()
    first.start()
    assert "going on already" in said[-1]
    second = a_run(tmp_path, clock, said).start()
    assert "another run" in said[-1]
    first.stop()
    second.stop()


def test_a_decorated_function_tells_the_record_of_its_latest_call(tmp_path, clock):
    decorate = a_run(tmp_path, clock)

    @decorate
    def call(seconds):
        clock.sleep(seconds)

    @decorate
    async def task(seconds):
        clock.sleep(seconds)

    @decorate
    def stream(seconds):
        clock.sleep(seconds)
        yield seconds

    assert not hasattr(call, "run")
    call(2)
    call(5)
    asyncio.run(task(3))
    assert list(stream(4)) == [4]
    assert [one.run.record["run"].duration_s for one in (call, task, stream)] == pytest.approx(
        [5, 3, 4], rel=0.05
    )
