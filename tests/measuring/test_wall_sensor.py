"""A wall meter's file: every line once, no half line, no old value for a new one, and the machine's whole draw."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_hwmon import recorded
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import VirtualClock, steps

from energy_rating.judging.summary import summarise as load_record
from energy_rating.measuring.sensors.wall import WallMeter, added_afterwards, detect, unix_s
from energy_rating.meter import measure
from energy_rating.nouns.errors import BadInput, HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable

EPOCH = 1_795_310_000.0  # what the wall clock shows at virtual time 0


class FakeMeter:
    """Another program that appends lines; ``writing`` lets it write one every ``every_s`` of virtual time."""

    def __init__(self, folder: Path, header: str = "time,power_w", *, accuracy: str = "0.01") -> None:
        self.path = folder / "meter.csv"
        self.clock = VirtualClock()
        self.path.write_text(
            (f"# accuracy={accuracy}\n" if accuracy else "") + f"{header}\n" if header else ""
        )

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def line(self, *cells: object, age_s: float = 0.0) -> None:
        self.append(f"{self.now() - age_s:.3f},{','.join(map(str, cells))}\n")

    def now(self) -> float:
        return EPOCH + self.clock.time

    def writing(self, cells, every_s: float) -> None:
        def step(now: float) -> float:
            self.append(f"{EPOCH + now:.3f},{cells(now)}\n")
            return round(now + every_s, 6)

        self.clock.repeat(step, 1.0)

    def look(self):
        return detect(self.path, now=self.now)

    def meter(self) -> WallMeter:
        (sensor,) = self.look().sensors
        return sensor


@pytest.fixture
def fake(tmp_path: Path) -> FakeMeter:
    return FakeMeter(tmp_path)


def test_watts_of_the_newest_line(fake):
    fake.line(412.75)
    found = fake.look()
    (channel,) = found.sensors[0].channels
    assert (channel.id, channel.component, channel.method, channel.accuracy) == (
        "wall.power",
        "wall",
        "power",
        0.01,
    )
    assert found.sensors[0].read() == {"wall.power": 412.75}
    assert not found.findings
    fake.clock.time += 1
    fake.line(415.5)
    assert found.sensors[0].read() == {"wall.power": 415.5}


def test_joules_and_watts_side_by_side_with_other_columns(tmp_path):
    fake = FakeMeter(tmp_path, "Volt, Time ,energy_j,name,POWER_W")
    fake.append(f"230.1,{fake.now()},1893021.4,pdu-1,412.7\n")
    assert fake.meter().read() == {"wall.energy": 1893021.4, "wall.power": 412.7}


def test_lines_that_came_together_are_averaged_so_that_none_is_lost(fake):
    fake.line(1)
    meter = fake.meter()
    meter.read()
    for watts in (100, 200, 600):
        fake.clock.time += 0.01
        fake.line(watts)
    assert meter.read() == {"wall.power": 300.0}
    assert meter.read() == {"wall.power": 300.0}


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(1, 40), max_size=30))
def test_wherever_a_line_is_cut_while_it_is_written_no_half_of_it_is_read(tmp_path_factory, cuts):
    fake = FakeMeter(tmp_path_factory.mktemp("meter"))
    fake.line(111.0)
    meter = fake.meter()
    text = "".join(f"{fake.now() + n / 1000:.3f},{1000 + n}\n" for n in range(10))
    seen = set()
    while text:
        cut = cuts.pop() if cuts else len(text)
        fake.append(text[:cut])
        text = text[cut:]
        seen.add(meter.read()["wall.power"])
    allowed = {111.0} | {sum(range(a, b)) / (b - a) for a in range(1000, 1010) for b in range(a + 1, 1011)}
    assert seen <= allowed
    assert meter.read()["wall.power"] >= 1000


def test_a_job_is_charged_what_the_machine_drew(tmp_path):
    for column, scale in (("power_w", 0), ("energy_j", 1)):
        folder = tmp_path / column
        folder.mkdir()
        fake = FakeMeter(folder, f"time,{column}")
        start = fake.clock.time + 5.0
        watts, joules = steps((-math.inf, 200.0), (start, 900.0), (start + 20.0, 200.0))
        fake.writing(joules if scale else watts, 0.2)
        fake.clock.sleep(0.0)
        record = recorded(fake.clock, fake.look(), 20.0, folder=folder / "run")
        job = record["job"]
        assert job.energy_j["wall"].value == pytest.approx(18_000.0, rel=0.02)
        assert job.coverage["wall"] == 1.0
        assert job.methods == {"wall": "counter" if scale else "power"}


def test_a_slow_meter_is_known_to_be_slow(fake):
    for _ in range(4):
        fake.line(100)
        fake.clock.time += 10
    meter = fake.meter()
    assert meter.channels[0].period_s == pytest.approx(10.0)
    fake.clock.time += 15
    assert meter.read() == {"wall.power": 100.0}
    fake.clock.time += 10
    with pytest.raises(SensorFailed, match="35 s old"):
        meter.read()


def test_a_meter_that_falls_silent_gives_no_old_value(fake):
    fake.line(100)
    meter = fake.meter()
    fake.clock.time += 2.9
    assert meter.read() == {"wall.power": 100.0}
    fake.clock.time += 0.2
    with pytest.raises(SensorFailed, match="3 s old"):
        meter.read()
    fake.line(120)
    assert meter.read() == {"wall.power": 120.0}


def test_a_clock_that_is_not_this_machines_is_told(fake):
    fake.line(100, age_s=-7.0)
    with pytest.raises(SensorFailed, match="7 s ahead"):
        fake.meter().read()


@pytest.mark.parametrize(
    "bad",
    ["nonsense", "1795311000.5", "1795311000.5,many", "1795311000.5,-3", "1795311000.5,nan", "1795311000.5,inf", "12:00,3",
     "2026-11-22T01:00:00,3", "1795311000500,3", "17,3"],
)  # fmt: skip
def test_a_line_that_is_not_understood_is_told_and_the_next_one_counts(fake, bad):
    fake.line(100)
    meter = fake.meter()
    fake.append(f"{bad}\n")
    with pytest.raises(SensorFailed, match="cannot be understood"):
        meter.read()
    with pytest.raises(SensorFailed):
        meter.read()
    fake.line(101)
    assert meter.read() == {"wall.power": 101.0}


def test_a_time_that_goes_back_is_no_reading(fake):
    fake.line(100)
    meter = fake.meter()
    fake.line(50, age_s=1.0)
    with pytest.raises(SensorFailed, match="goes back"):
        meter.read()


def test_a_file_that_is_cut_short_or_replaced_begins_anew(fake):
    fake.line(100)
    fake.line(110)
    meter = fake.meter()
    fake.path.write_text(f"power_w,time\n77,{fake.now()}\n")
    assert meter.read() == {"wall.power": 77.0}
    fake.path.rename(fake.path.with_name("old.csv"))
    with pytest.raises(SensorFailed, match="gone"):
        meter.read()
    fake.path.write_text(f"time,power_w\n{fake.now()},78\n" + "#" * 50 + "\n")
    assert meter.read() == {"wall.power": 78.0}
    fake.append("9" * 5000)
    with pytest.raises(SensorFailed, match="without an end"):
        meter.read()


def test_of_a_long_file_only_its_end_is_read(fake):
    fake.append("".join(f"{fake.now() - 20_000 + n:.3f},{n}\n" for n in range(20_000)))
    fake.line(123.0)
    meter = fake.meter()
    assert meter.read()["wall.power"] > 0
    fake.line(124.0)
    assert meter.read() == {"wall.power": 124.0}


def test_a_meter_that_has_written_no_line_yet_is_waited_for(fake):
    meter = fake.meter()
    with pytest.raises(SensorFailed, match="not written a line"):
        meter.read()
    fake.line(99)
    assert meter.read() == {"wall.power": 99.0}
    meter.close()
    with pytest.raises(SensorLost):
        meter.read()


@pytest.mark.parametrize("header", ["", "time,volts", "power_w,energy_j", "a,b\n1,2", "time;power_w"])
def test_a_file_that_is_no_such_csv_is_unavailable(tmp_path, header):
    with pytest.raises(SensorUnavailable):
        FakeMeter(tmp_path, header, accuracy="").look()


@pytest.mark.parametrize("accuracy", ["1 %", "0", "2"])
def test_an_accuracy_that_is_no_share_is_refused(tmp_path, accuracy):
    with pytest.raises(SensorUnavailable):
        FakeMeter(tmp_path, accuracy=accuracy).look()


def test_an_accuracy_that_is_not_told_is_assumed_and_said(tmp_path):
    fake = FakeMeter(tmp_path, accuracy="")
    fake.line(1)
    found = fake.look()
    assert found.sensors[0].channels[0].accuracy == 0.05
    assert [finding.code for finding in found.findings] == ["wall-accuracy-assumed"]


@pytest.mark.parametrize(("told", "data"), [("1.3", {"pue": 1.3}), ("included", {})])
def test_a_meter_in_front_of_the_cooling_says_that_its_figure_holds_the_pue(tmp_path, told, data):
    fake = FakeMeter(tmp_path, f"# pue={told}\ntime,power_w")
    fake.line(1)
    (finding,) = fake.look().findings
    assert (finding.code, finding.data) == ("energy-holds-pue", data)


@pytest.mark.parametrize("told", ["0.9", "much", "inf", "nan"])
def test_a_pue_that_none_can_be_is_refused(tmp_path, told):
    with pytest.raises(SensorUnavailable):
        FakeMeter(tmp_path, f"# pue={told}\ntime,power_w").look()


def test_the_file_is_named_by_the_environment_and_never_told(fake, tmp_path):
    with pytest.raises(HardwareAbsent):
        detect(environ={})
    fake.line(5)
    assert detect(environ={"ENERGY_RATING_WALL": str(fake.path)}, now=fake.now).sensors[0].read()
    with pytest.raises(SensorUnavailable) as refused:
        detect(tmp_path / "secret" / "meter.csv")
    assert "secret" not in str(refused.value)


def test_times_are_seconds_or_iso_8601_with_a_zone():
    moment = datetime(2026, 11, 22, 1, 14, 4, 250_000, tzinfo=UTC).timestamp()
    assert unix_s("2026-11-22T01:14:04.250Z") == unix_s("2026-11-22T02:14:04.25+01:00") == moment
    assert unix_s(f"{moment:.2f}") == moment


def a_run(folder: Path, *watts: float) -> Path:
    """A run of ten seconds for each of these powers, without any wall meter."""
    clock = VirtualClock()
    with measure(output_dir=folder, sensors=[], clock=clock, report=None) as run:
        for _ in watts:
            with run.window("job"):
                clock.sleep(10.0)
    return folder / "journal.jsonl"


def start_of(journal: Path) -> float:
    return unix_s(json.loads(journal.read_text().splitlines()[0])["started"])


@pytest.mark.parametrize("late_s", [0.0, 0.7, 1.9])
@pytest.mark.parametrize("column", ["power_w", "energy_j"])
def test_a_file_that_comes_after_the_run_is_placed_as_well_as_its_clock_allows(tmp_path, late_s, column):
    journal = a_run(tmp_path / "run", 300.0, 300.0, 300.0)
    before = journal.read_bytes()
    zero = start_of(journal) + late_s
    power, energy = steps((-math.inf, 100.0), (0.0, 300.0), (30.0, 100.0))
    rows = [
        f"{zero + n / 2:.3f},{(power if column == 'power_w' else energy)(n / 2)}" for n in range(-40, 120)
    ]
    meter = tmp_path / "meter.csv"
    offset = 5000.0 if column == "energy_j" else 0.0
    rows = [f"{time},{float(value) + offset}" for time, value in (row.split(",") for row in rows)]
    meter.write_text("\n".join(["# accuracy=0.01", f"time,{column}", *rows]) + "\n")
    made = added_afterwards(journal, meter, tmp_path / "both")
    record = load_record(made)
    job = record["job"]
    figure = job.energy_j["wall"]
    # An edge of 200 W that is misplaced by a second, at both ends of 9000 J.
    assert figure.value == pytest.approx(9000.0, abs=2 * 200.0 * 1.3)
    assert abs(figure.value - 9000.0) <= figure.half_width()
    assert job.coverage["wall"] == 1.0
    assert "wall-added-afterwards" in {finding.code for finding in record.findings}
    assert journal.read_bytes() == before
    assert [line for line in made.read_bytes().splitlines() if b"wall" not in line] == before.splitlines()


def test_a_file_of_another_day_or_a_second_meter_or_a_taken_folder_is_refused(tmp_path):
    journal = a_run(tmp_path / "run", 300.0)
    meter = tmp_path / "meter.csv"
    meter.write_text(f"time,power_w\n{start_of(journal) - 86400},5\n")
    with pytest.raises(BadInput, match="must have lines from the time of the run"):
        added_afterwards(journal, meter, tmp_path / "both")
    assert not (tmp_path / "both").exists()
    meter.write_text("time,volts\n")
    with pytest.raises(BadInput, match="header"):
        added_afterwards(journal, meter, tmp_path / "both")
    with pytest.raises(BadInput, match="there is no such file"):
        added_afterwards(journal, tmp_path / "nowhere.csv", tmp_path / "both")
    meter.write_text(f"time,power_w\n{start_of(journal) + 1},5\n{start_of(journal) + 2},5\n")
    made = added_afterwards(journal, meter, tmp_path / "both")
    with pytest.raises(BadInput, match="already"):
        added_afterwards(journal, meter, tmp_path / "both")
    with pytest.raises(BadInput, match="already"):
        added_afterwards(made, meter, tmp_path / "again")


def test_the_journal_of_a_killed_run_and_a_packed_one_take_a_meter_too(tmp_path):
    journal = a_run(tmp_path / "run", 300.0)
    meter = tmp_path / "meter.csv"
    meter.write_text("time,power_w\n" + "".join(f"{start_of(journal) + n},50\n" for n in range(-3, 20)))
    whole = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(whole[:-1]) + whole[-1][:5])
    killed = load_record(added_afterwards(journal, meter, tmp_path / "killed"))
    assert killed["job"].energy_j["wall"].value == pytest.approx(500.0, rel=1e-3)
    packed = tmp_path / "journal.jsonl.gz"
    packed.write_bytes(gzip.compress(b"".join(whole)))
    record = load_record(added_afterwards(packed, meter, tmp_path / "packed"))
    assert record["job"].energy_j["wall"].value == pytest.approx(500.0, rel=1e-3)


def test_the_command_writes_beside_the_run(tmp_path):
    journal = a_run(tmp_path / "run", 300.0)
    meter = tmp_path / "meter.csv"
    meter.write_text("time,power_w\n" + "".join(f"{start_of(journal) + n},50\n" for n in range(-3, 20)))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "energy_rating",
            "summarise",
            str(tmp_path / "run"),
            "--wall",
            str(meter),
            "--json",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    energies = {entry["name"]: entry["energy_j"] for entry in json.loads(done.stdout)["measurements"]}
    assert energies["job"]["wall"]["value"] == pytest.approx(500.0, rel=1e-3)
    assert (tmp_path / "run-wall" / "journal.jsonl").exists()
