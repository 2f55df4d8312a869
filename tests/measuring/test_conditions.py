"""What a device was like while it was measured, from the journal's lines to what the record says of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import load, measure
from energy_rating.files.reading import read_journal
from energy_rating.files.record import condition_schema
from energy_rating.judging.checks import of_all_conditions, of_conditions
from energy_rating.measuring.processes import FIRST_NAMESPACE, declare, foreign
from energy_rating.nouns.entries import Channel, Device

AT_EASE = {"temperature_c": 60.0, "sm_clock_mhz": 1980.0, "power_limit_w": 700.0, "throttled_by": []}


@pytest.fixture(autouse=True)
def _no_rank(monkeypatch):
    for name in ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


class Conditioned(FakeDevice):
    """A GPU whose condition and users are functions of the run's time; it counts how often it is asked."""

    def ask(self, condition, users=lambda t: {}):
        self.tell, self.tell_users = condition, users
        self.asked, self.asked_users = [], []
        return self

    def condition(self):
        self.asked.append(self.clock.time - 1000)
        return AT_EASE | self.tell(self.clock.time - 1000)

    def users(self):
        self.asked_users.append(self.clock.time - 1000)
        return self.tell_users(self.clock.time - 1000)


def a_gpu(clock, condition=lambda t: {}, users=lambda t: {}, **more):
    power, energy = constant(300)
    return Conditioned(clock=clock, power=power, energy=energy, **more).ask(condition, users)


def a_record(tmp_path, condition=lambda t: {}, users=lambda t: {}):
    """40 s of warming up, then 60 s that are measured."""
    clock = VirtualClock()
    gpu = a_gpu(clock, condition, users)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        with run.window("warm-up"):
            clock.sleep(40)
        with run.window("measured"):
            clock.sleep(60)
    return run.record


def said(record, code):
    return {finding.measurement: finding for finding in record.findings if finding.code == code}


def test_the_journal_tells_conditions_at_the_opening_every_ten_seconds_and_at_the_end(tmp_path):
    clock = VirtualClock()
    gpu = a_gpu(clock, users=lambda t: {"foreign_processes": 0})
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(95)
    assert len(gpu.asked) == 11
    assert gpu.asked[0] < 1
    assert gpu.asked[-1] >= 95
    # Who uses it takes milliseconds to ask for.
    assert [round(t, -1) for t in gpu.asked_users] == [0, 60, 100]
    told = read_journal(run.journal).sessions[0].conditions["GPU-fake"]
    assert len(told) == len(gpu.asked)
    assert told[0][1].temperature_c == 60
    assert [c.foreign_processes for _, c in told if c.foreign_processes is not None] == [0, 0, 0]
    assert not said(run.record, "throttled")
    assert run.record["run"].validity == "valid"


@pytest.mark.parametrize(
    "answer", [ZeroDivisionError("oops"), {"temprature_c": 1}, {"temperature_c": None}, 5]
)
def test_a_device_that_does_not_tell_its_condition_is_measured_all_the_same(tmp_path, answer):
    clock = VirtualClock()
    gpu = a_gpu(clock)

    def condition():
        if isinstance(answer, Exception):
            raise answer
        return answer

    gpu.condition = condition
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(20)
    assert read_journal(run.journal).sessions[0].conditions == {}
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(6000, rel=0.01)
    told = [finding.severity for finding in run.record.findings if finding.code == "condition-failed"]
    assert told == ([] if answer == {"temperature_c": None} else ["note"])


@pytest.mark.parametrize("answer", [ZeroDivisionError("oops"), {"foreign_proceses": 1}])
def test_where_nobody_can_tell_who_else_used_a_device_its_figures_are_marked_once(tmp_path, answer):
    def users(t):
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = VirtualClock()
    gpu = a_gpu(clock, users=users)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(200)
    told = [finding for finding in run.record.findings if finding.code == "condition-failed"]
    assert [(finding.severity, finding.channel) for finding in told] == [("degrades", "gpu0.energy")]
    assert "who else used it" in told[0].message
    assert run.record["run"].validity == "degraded"


def test_a_power_limit_that_holds_the_clocks_down_is_worth_a_note(tmp_path):
    record = a_record(tmp_path, lambda t: {"throttled_by": ["sw-power-cap"] if 55 < t < 85 else []})
    finding = said(record, "throttled")["measured"]
    assert (finding.severity, finding.channel) == ("note", "gpu0.energy")
    # For 30 s of 60, at a look every 10 s.
    assert 40 <= int(re.search(r"for (\d+)% of 'measured'", finding.message)[1]) <= 60
    assert "warm-up" not in said(record, "throttled")
    assert record["measured"].validity == "valid"


def test_heat_degrades_what_was_measured_meanwhile_and_nothing_else(tmp_path):
    record = a_record(tmp_path, lambda t: {"throttled_by": ["hw-thermal"] if t > 75 else []})
    finding = said(record, "throttled")["measured"]
    assert finding.severity == "degrades"
    assert "hw-thermal" in finding.message
    assert record["measured"].validity == "degraded"
    assert record["warm-up"].validity == "valid"


def test_what_holds_an_idle_device_down_is_nothing(tmp_path):
    record = a_record(tmp_path, lambda t: {"throttled_by": ["sw-thermal"], "idle": True})
    assert not said(record, "throttled")


def test_a_power_limit_that_is_changed_is_told(tmp_path):
    record = a_record(tmp_path, lambda t: {"power_limit_w": 700.0 if t < 75 else 500.0})
    assert "between 500 and 700 W" in said(record, "power-limit-changed")["measured"].message
    assert "warm-up" not in said(record, "power-limit-changed")


def test_clocks_that_somebody_sets_are_told(tmp_path):
    record = a_record(
        tmp_path,
        lambda t: {"throttled_by": ["applications-clocks"], "sm_clock_mhz": 1410.0} if t > 65 else {},
    )
    assert said(record, "clocks-changed")["measured"].severity == "degrades"


def test_clocks_that_move_by_themselves_are_not(tmp_path):
    def moving(t):
        capped = round(t / 10) % 2
        return {"sm_clock_mhz": 1700.0, "throttled_by": ["sw-power-cap"]} if capped else {}

    assert not said(a_record(tmp_path, moving), "clocks-changed")


@pytest.mark.parametrize(("rise", "told"), [(9.0, False), (15.0, True)])
def test_a_device_that_grows_hotter_while_it_is_measured_is_told(tmp_path, rise, told):
    record = a_record(tmp_path, lambda t: {"temperature_c": 50 + rise * max(0.0, t - 40) / 60})
    assert (list(said(record, "temperature-drift")) == ["measured"]) is told
    assert record["measured"].validity == "valid"


def test_another_process_on_the_device_spoils_what_was_measured_meanwhile(tmp_path):
    # Asked at 0, 60 and 100 s: who is there at 60 s was there from 30 to 80 s as far as anybody knows.
    record = a_record(tmp_path, users=lambda t: {"foreign_processes": 2 if 50 < t < 70 else 0})
    finding = said(record, "shared-gpu")["measured"]
    assert finding.severity == "disqualifies"
    assert "2 processes" in finding.message
    assert record["measured"].validity == "invalid"


def test_a_process_that_came_after_the_measuring_spoils_nothing(tmp_path):
    clock = VirtualClock()
    gpu = a_gpu(clock, users=lambda t: {"foreign_processes": 1 if t > 100 else 0})
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        with run.window("measured"):
            clock.sleep(40)
        clock.sleep(80)
    assert "measured" not in said(run.record, "shared-gpu")
    assert run.record["measured"].validity == "valid"
    assert run.record["run"].validity == "invalid"


def test_many_devices_in_one_condition_are_one_finding(tmp_path):
    clock = VirtualClock()
    gpus = [
        a_gpu(clock, lambda t: {"throttled_by": ["sw-power-cap"]}, number=n, device=f"GPU-{n}")
        for n in range(4)
    ]
    with measure(output_dir=tmp_path / "run", sensors=gpus, clock=clock, report=None) as run:
        clock.sleep(30)
    assert "(and 3 more of 4)" in said(run.record, "throttled")["run"].message
    assert sum(finding.code == "throttled" for finding in run.record.findings) == 1


def test_journals_without_conditions_stay_readable(tmp_path):
    clock = VirtualClock()
    power, energy = constant(300)
    plain = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(output_dir=tmp_path / "run", sensors=[plain], clock=clock, report=None) as run:
        clock.sleep(10)
    assert read_journal(run.journal).sessions[0].conditions == {}
    assert load(tmp_path / "run")["run"].validity == "valid"


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ({"GPU-fake": {"temprature_c": 3}}, "did you mean 'temperature_c'"),
        ({"GPU-fake": {"foreign_processes": -1}}, "foreign_processes"),
        ({"GPU-fake": {"throttled_by": "heat"}}, "valid array, not 'heat'"),
        (["GPU-fake"], "does not hold what it should"),
    ],
)
def test_a_condition_that_is_none_ends_what_can_be_read(tmp_path, condition, why):
    from energy_rating.files.journal import encoded

    clock = VirtualClock()
    with measure(output_dir=tmp_path / "run", sensors=[a_gpu(clock)], clock=clock, report=None) as run:
        clock.sleep(10)
    with run.journal.open("ab") as file:
        file.write(encoded({"condition": condition, "t": 11.0}))
    assert why in (read_journal(run.journal).damage or "")


def test_the_published_schema_of_conditions_is_the_one_in_force():
    published = Path(__file__).parents[2] / "docs" / "schemas" / "condition.schema.json"
    assert json.loads(published.read_text()) == condition_schema(), "run: python docs/schemas/write.py"
    described = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
    for key in condition_schema()["properties"]:
        assert f"`{key}`" in described


class Guess:
    """A model of a CPU's power beside the GPU: a mean over each second."""

    channels = (
        Channel(id="cpu.model", component="cpu", device="cpus", method="model", accuracy=0.5, period_s=1.0),
    )

    def read(self):
        return {"cpu.model": 8.0}

    def close(self):
        pass


def test_a_long_quiet_time_of_a_gpu_and_a_model_is_read_to_its_end(tmp_path):
    clock = VirtualClock()
    with measure(
        output_dir=tmp_path / "run", sensors=[a_gpu(clock), Guess()], clock=clock, report=None
    ) as run:
        clock.sleep(300)
    read = read_journal(run.journal)
    assert read.damage is None
    starts = read.sessions[0].samples["cpu.model"].start_s
    assert list(starts) == sorted(starts)
    assert run.record["run"].energy_j["cpu"].value == pytest.approx(2400, rel=0.01)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(90000, rel=0.01)


def test_in_quiet_times_the_means_of_a_register_and_a_model_keep_their_spans(tmp_path):
    clock = VirtualClock()
    power, energy = constant(250.0)
    register = FakeDevice(clock=clock, power=power, energy=energy, has_counter=False, cost_s=0.01)
    with measure(output_dir=tmp_path / "run", sensors=[register, Guess()], clock=clock, report=None) as run:
        clock.sleep(130.3)
        with run.window("work"):
            clock.sleep(5.0)
        clock.sleep(200.0)
    read = read_journal(run.journal)
    assert read.damage is None
    for samples in read.sessions[0].samples.values():
        assert list(samples.start_s) == sorted(samples.start_s)
        # None reaches into the next one.
        assert all(later > end - 0.05 for end, later in zip(samples.end_s, samples.start_s[1:], strict=False))
    assert run.record["run"].energy_j["cpu"].value == pytest.approx(8.0 * 335.3, rel=0.01)
    assert run.record["run"].energy_j["gpu"].value == pytest.approx(250.0 * 335.3, rel=0.01)


# Whose processes they are


def a_machine(folder: Path, parents: dict[int, int], namespace: str = FIRST_NAMESPACE) -> Path:
    """``/proc`` with these processes and their parents."""
    (folder / "self" / "ns").mkdir(parents=True)
    (folder / "self" / "ns" / "pid").symlink_to(namespace)
    for pid, parent in parents.items():
        (folder / str(pid)).mkdir()
        (folder / str(pid) / "stat").write_text(f"{pid} (a (name) b) S {parent} 1 1 0 -1\n")
    return folder


# 1 init, 10 a shell, 20 the run, 30 and 31 what it started, 40 another rank, 50 somebody else's.
FAMILY = {1: 0, 10: 1, 20: 10, 30: 20, 31: 30, 40: 10, 50: 1}


@pytest.mark.parametrize(
    ("pids", "count"), [([], 0), ([20, 30, 31, 10], 0), ([50], 1), ([31, 50, 50], 1), ([40], 1), ([99], 1)]
)
def test_a_runs_own_processes_are_those_above_and_below_it(tmp_path, pids, count):
    proc = a_machine(tmp_path, FAMILY)
    assert foreign(pids, proc=proc, pid=20, environ={}) == count


def test_other_ranks_of_the_job_are_the_runs_own(tmp_path):
    proc = a_machine(tmp_path, FAMILY)
    assert foreign([40, 50], proc=proc, pid=20, environ={"LOCAL_WORLD_SIZE": "2"}) == 1


def test_in_a_container_nobody_can_be_told_from_anybody(tmp_path):
    proc = a_machine(tmp_path, FAMILY, "pid:[4026532999]")
    assert foreign([50], proc=proc, pid=20, environ={}) is None
    assert foreign([50], proc=tmp_path / "nothing", pid=20, environ={}) is None


def test_a_server_that_is_declared_is_the_runs_own(tmp_path, monkeypatch):
    monkeypatch.setattr("energy_rating.measuring.processes._declared", set())
    proc = a_machine(tmp_path, {1: 0, 20: 1, 60: 1, 61: 60})
    assert foreign([60, 61], proc=proc, pid=20, environ={}) == 2
    declare(60)
    assert foreign([60, 61], proc=proc, pid=20, environ={}) == 0


def test_a_first_process_that_measures_does_not_own_everything(tmp_path):
    proc = a_machine(tmp_path, {1: 0, 50: 1})
    assert foreign([50], proc=proc, pid=1, environ={}) == 1


@pytest.mark.parametrize(
    ("limit_w", "held_by", "told"),
    [
        (650.0, lambda t: [], True),
        (700.0, lambda t: [], False),  # that of its data sheet: nothing is to be said
        (650.0, lambda t: ["sw-power-cap"] if t > 75 else [], False),
        (650.0, lambda t: None, False),  # nobody knows
        (650.0, lambda t: ["sw-power-cap"] if t < 30 else [], True),  # not while it was measured
    ],
)
def test_another_power_limit_that_held_no_clocks_down_is_told(tmp_path, limit_w, held_by, told):
    clock = VirtualClock()
    gpu = a_gpu(clock, lambda t: {"throttled_by": held_by(t), "power_limit_w": limit_w})
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        with run.window("warm-up"):
            clock.sleep(40)
        with run.window("measured"):
            clock.sleep(60)
    session = read_journal(run.journal).sessions[0]
    device = Device(id="GPU-fake", name="NVIDIA H100 80GB HBM3", power_limit_w=limit_w, memory_gb=85.5)
    session = replace(session, environment=replace(session.environment, devices=(device,)))
    found = [one for one in of_conditions(session) if one.code == "power-limit-held-nothing"]
    assert [one.measurement for one in found] == (["measured"] if told else [])
    assert [one.code for one in of_all_conditions([session, session])].count("power-limit-held-nothing") == (
        2 if told else 0
    )
    # Of a run that was resumed each session has to say so.
    silent = replace(session, conditions={})
    assert "power-limit-held-nothing" not in {one.code for one in of_all_conditions([session, silent])}
    first = replace(session, schema="energy-rating/journal/1")
    assert "power-limit-held-nothing" not in {one.code for one in of_conditions(first)}
