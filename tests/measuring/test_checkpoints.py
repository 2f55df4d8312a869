"""A training that is broken off and goes on: what was trained twice is lost, and told; its joules are kept, and the price is that of both."""

from __future__ import annotations

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure, summarise
from energy_rating.publishing.verification import verify

WATTS, TOKENS = 300, 100


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def started(folder, stage="fine-tuning"):
    clock = VirtualClock()
    power, energy = constant(WATTS)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    return measure(stage, output_dir=folder, sensors=[gpu], clock=clock, report=None, resume=True).start()


def killed(run):
    """As by SIGKILL: the journal stops, and nobody holds it any more. A reading waits up to 50 ms for its line: that of 0.5 s is told."""
    run.settings.clock.sleep(0.56)
    run._journal.close()


def train(run, steps, saves=(), epoch=False):
    """A second and a hundred tokens a step; a checkpoint after some of them."""
    window = run.window("epoch").open() if epoch else None
    for number in steps:
        with run.window("step") as step:
            run.settings.clock.sleep(1)
            step.count(token=TOKENS)
        if number in saves:
            run.checkpoint(step=number)
    return window


def of(record, code):
    return [finding for finding in record.findings if finding.code == code]


def joules(record, name):
    return record[name].energy_j["gpu"].value


def test_what_came_after_the_last_checkpoint_is_lost_and_its_joules_are_kept(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 18), saves=(5, 10))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(11, 21), saves=(15, 20))
    run.stop()
    record = run.record
    assert record["run"].work == record["step"].work == {"token": 20 * TOKENS}
    assert record["lost"].work == {"token": 7 * TOKENS}
    assert joules(record, "lost") == pytest.approx(7.5 * WATTS, rel=0.01)
    assert joules(record, "step") == pytest.approx(20 * WATTS, rel=0.01)
    # The price of a trained token holds what was trained for nothing.
    assert joules(record, "run") == pytest.approx(27.5 * WATTS, rel=0.01)
    assert record["run"].energy_per("token").value == pytest.approx(27.5 * WATTS / 20 / TOKENS, rel=0.01)
    assert record["step"].n == 20


def test_a_run_that_ended_in_order_after_a_resumption_is_valid_and_verifies(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 8), saves=(5,))
    killed(run)
    assert summarise(tmp_path / "run")["run"].validity == "degraded"
    run = started(tmp_path / "run")
    train(run, range(6, 11))
    run.stop()
    assert run.record["run"].validity == run.record["step"].validity == "valid"
    (said,) = of(run.record, "interrupted")
    assert said.severity == "note"
    assert of(run.record, "work-lost")[0].data["token"] == 2 * TOKENS
    assert verify(tmp_path / "run").agrees


def test_a_window_across_the_checkpoint_is_divided_there(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 8), saves=(5,), epoch=True)
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(6, 11), epoch=True).close()
    run.stop()
    record = run.record
    assert record["epoch"].work == record["run"].work == {"token": 10 * TOKENS}
    assert record["epoch"].duration_s == pytest.approx(10, abs=0.01)
    assert joules(record, "epoch") == pytest.approx(10 * WATTS, rel=0.02)
    assert record["lost"].work == {"token": 2 * TOKENS}


def test_a_run_may_go_on_from_an_older_checkpoint_or_begin_again(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 12), saves=(5, 10))
    killed(run)
    run = started(tmp_path / "run")
    run.resumed_from(step=5)
    train(run, range(6, 9), saves=(8,))
    killed(run)
    assert summarise(tmp_path / "run")["lost"].work == {"token": 6 * TOKENS}
    run = started(tmp_path / "run")
    run.resumed_from(step=0)
    train(run, range(1, 4))
    run.stop()
    assert run.record["run"].work == {"token": 3 * TOKENS}
    assert run.record["lost"].work == {"token": (11 + 3) * TOKENS}


def test_of_several_crashes_each_loses_what_came_after_its_checkpoint(tmp_path):
    for steps, saves in ((range(1, 8), (5,)), (range(6, 9), ()), (range(6, 14), (10,))):
        run = started(tmp_path / "run")
        train(run, steps, saves)
        killed(run)
    run = started(tmp_path / "run")
    train(run, range(11, 16))
    run.stop()
    # Steps 6 and 7, then 6 to 8, then 11 to 13 were done for nothing.
    assert run.record["run"].work == {"token": 15 * TOKENS}
    assert run.record["lost"].work == {"token": 8 * TOKENS}
    assert run.record["lost"].n == 3


def test_a_checkpoint_that_was_written_in_the_background_holds_what_it_says(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 7))
    run.checkpoint(step=4, token=4 * TOKENS)
    train(run, range(7, 9))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(5, 9))
    run.checkpoint(step=7, token=7 * TOKENS)
    train(run, range(9, 11))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(8, 11))
    run.stop()
    assert run.record["run"].work == {"token": 10 * TOKENS}


def test_what_a_checkpoint_says_of_another_count_is_left_alone(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 6))
    run.checkpoint(step=5, token=1_000_000)  # of a training that began elsewhere
    train(run, range(6, 8))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(6, 11))
    run.stop()
    assert run.record["run"].work == {"token": 10 * TOKENS}


def test_a_run_that_ended_in_order_loses_nothing_when_it_goes_on(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 8), saves=(5,))
    run.stop()
    run = started(tmp_path / "run")
    train(run, range(8, 11))
    run.stop()
    assert run.record["run"].work == {"token": 10 * TOKENS}
    assert "lost" not in run.record
    assert not of(run.record, "work-lost")


@pytest.mark.parametrize(
    ("stage", "severity"), [("fine-tuning", "degrades"), ("pre-training", "degrades"), ("inference", "note")]
)
def test_without_a_checkpoint_nobody_knows_what_was_done_twice(tmp_path, stage, severity):
    run = started(tmp_path / "run", stage)
    train(run, range(1, 8))
    killed(run)
    run = started(tmp_path / "run", stage)
    train(run, range(1, 11))
    run.stop()
    (said,) = of(run.record, "lost-work-unknown")
    assert said.severity == severity
    assert not [one for one in of(run.record, "interrupted") if one.severity != "note"]


def test_a_step_that_no_checkpoint_has_is_not_known_either(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 8), saves=(5,))
    killed(run)
    run = started(tmp_path / "run")
    run.resumed_from(step=3)
    train(run, range(4, 11))
    run.stop()
    assert of(run.record, "lost-work-unknown")


def test_a_window_of_the_programs_own_may_be_called_lost(tmp_path):
    run = started(tmp_path / "run")
    with run.window("lost"):
        run.settings.clock.sleep(1)
    train(run, range(1, 8), saves=(5,))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(6, 11))
    run.stop()
    assert run.record["lost"].work == {}
    assert run.record["lost-work"].work == {"token": 2 * TOKENS}


def test_a_run_that_was_not_broken_off_takes_no_notice_of_its_checkpoints(tmp_path):
    run = started(tmp_path / "run")
    train(run, range(1, 11), saves=(5, 10))
    run.stop()
    assert run.record["run"].work == {"token": 10 * TOKENS}
    assert [one.name for one in run.record] == ["run", "step"]
    assert run.record["run"].validity == "valid"


@pytest.mark.parametrize("step", ["ten", float("nan"), -1, object()])
def test_a_checkpoint_of_a_step_that_is_no_number_is_one_all_the_same(tmp_path, step):
    run = started(tmp_path / "run")
    train(run, range(1, 6))
    run.checkpoint(step=step, token=float("inf"))
    run.resumed_from(step=step)
    train(run, range(6, 8))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(6, 11))
    run.stop()
    assert run.record["run"].work == {"token": 10 * TOKENS}
    assert of(run.record, "count-refused")


def test_a_checkpoint_before_the_start_and_after_the_end_is_said_and_nothing_raised(tmp_path):
    said = []
    power, energy = constant(WATTS)
    clock = VirtualClock()
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    run = measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=said.append)
    run.checkpoint(step=1)
    run.start()
    clock.sleep(2)
    run.stop()
    run.checkpoint(step=2)
    run.resumed_from(step=2)
    assert sum("a checkpoint of it is not noted" in line for line in said) == 2


def test_the_line_at_the_end_tells_what_was_lost(tmp_path):
    from energy_rating.publishing.facts import one_line

    run = started(tmp_path / "run")
    train(run, range(1, 8), saves=(5,))
    killed(run)
    run = started(tmp_path / "run")
    train(run, range(6, 11))
    run.stop()
    assert "of which lost in a crash: 200 token, gpu 7" in one_line(run.record)


def test_what_a_checkpoint_told_is_known_of_a_run_that_is_killed_at_once(tmp_path):
    """Counts of open windows are told once a second only: of what was counted since, the checkpoint tells."""
    run = started(tmp_path / "run")
    epoch = run.window("epoch").open()
    run.settings.clock.sleep(0.3)
    epoch.count(token=TOKENS)
    run.checkpoint(step=1)
    run._journal.close()
    record = summarise(tmp_path / "run")
    assert record["run"].work == record["epoch"].work == {"token": TOKENS}
