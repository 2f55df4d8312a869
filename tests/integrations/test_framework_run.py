"""The run of a training that a framework conducts: its hooks come in any order, and none of ours is raised into it."""

from __future__ import annotations

import copy
import pickle
import signal

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput
from energy_rating.integrations.framework_run import FrameworkRun
from energy_rating.integrations.guard import Guard, hook
from energy_rating.nouns.entries import Model


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def training(tmp_path, lines=None, *, watts=300, **settings):
    clock = VirtualClock()
    power, energy = constant(watts)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    report = None if lines is None else lines.append
    return FrameworkRun(tmp_path / "run", sensors=[gpu], clock=clock, report=report, **settings), clock


def test_hooks_measure_steps_epochs_and_evaluation_apart(tmp_path):
    energy, clock = training(tmp_path)
    energy.begin()
    energy.open("epoch")
    for _ in range(10):
        energy.open("step")
        clock.sleep(1)
        energy.close("step", token=100)
    energy.open("evaluation")
    clock.sleep(5)
    energy.close("evaluation")
    energy.close("epoch")
    energy.end()
    record = energy.record()
    assert record["step"].n == 10
    assert record["run"].work == record["epoch"].work == {"token": 1000}
    assert record["step"].energy_j["gpu"].value == pytest.approx(3000, rel=0.01)
    assert record["evaluation"].energy_j["gpu"].value == pytest.approx(1500, rel=0.01)
    assert record["epoch"].energy_j["gpu"].value == pytest.approx(4500, rel=0.01)


def test_hooks_may_come_twice_not_at_all_and_in_any_order(tmp_path):
    energy, clock = training(tmp_path)
    energy.close("step", token=5)
    energy.count(token=5)
    energy.end()
    assert energy.record() is None
    run = energy.begin()
    assert energy.begin() is run
    energy.open("epoch")
    energy.open("epoch")
    clock.sleep(2)
    energy.close("step", token=7)  # was never opened: what was done was done
    energy.end(ValueError("broken off"))
    energy.end()
    energy.count(token=100)
    record = energy.record()
    assert record["epoch"].n == 1
    assert record["run"].work == {"token": 7}
    assert {finding.code for finding in record.findings} >= {"program-failed"}
    assert "window-reopened" not in {finding.code for finding in record.findings}


def test_one_training_after_another_has_a_folder_of_its_own(tmp_path):
    energy, clock = training(tmp_path)
    for _ in range(2):
        energy.begin()
        clock.sleep(1)
        energy.end()
    assert (tmp_path / "run" / "record.json").is_file()
    assert (tmp_path / "run-2" / "record.json").is_file()


def test_the_model_of_the_framework_keeps_the_name_that_the_user_gave(tmp_path):
    energy, clock = training(tmp_path, model="org/name")
    energy.begin(
        model=Model(id="LlamaForCausalLM", parameters=1000, trainable_parameters=10, dtype="float32")
    )
    clock.sleep(1)
    energy.end()
    assert energy.record().model == Model(
        id="org/name", parameters=1000, trainable_parameters=10, dtype="float32"
    )


def test_what_is_logged_is_joules_so_far_and_watts_since(tmp_path):
    energy, clock = training(tmp_path)
    assert energy.figures() == {}
    energy.begin()
    clock.sleep(10)
    assert energy.figures() == {"gpu_energy_j": pytest.approx(3000, rel=0.02)}
    clock.sleep(0.2)
    assert "gpu_power_w" not in energy.figures()
    clock.sleep(10)
    assert energy.figures()["gpu_power_w"] == pytest.approx(300, rel=0.01)
    energy.end()
    assert energy.figures() == {}


def test_a_training_that_begins_again_has_lost_what_it_had_done(tmp_path):
    """As where a batch did not fit into memory, and a smaller one is tried."""
    energy, clock = training(tmp_path)
    energy.begin()
    energy.open("step")
    clock.sleep(4)
    energy.close("step", token=1000)
    energy.begin_again()
    for _ in range(3):
        energy.open("step")
        clock.sleep(2)
        energy.close("step", token=100)
    energy.end()
    record = energy.record()
    assert record["run"].work == {"token": 300}
    assert record["run"].energy_j["gpu"].value == pytest.approx(3000, rel=0.02)
    assert record["lost"].energy_j["gpu"].value == pytest.approx(1200, rel=0.05)


def test_a_wrong_argument_is_told_before_the_training_begins(tmp_path):
    with pytest.raises(BadInput, match="stage"):
        FrameworkRun(tmp_path, stage="finetuning")


def test_a_copy_is_a_run_of_its_own_that_has_not_begun(tmp_path):
    energy, _clock = training(tmp_path)
    energy.settings = {"stage": "fine-tuning", "output_dir": tmp_path / "run", "task": "text-generation"}
    energy.begin()
    for copied in (copy.deepcopy(energy), pickle.loads(pickle.dumps(energy))):
        assert copied.run is None
        assert copied.settings == energy.settings
    energy.end()


class Hooks:
    def __init__(self, energy):
        self.guard = energy.guard

    @hook
    def on_step(self, number):
        raise RuntimeError(f"step {number}")

    @hook
    def on_end(self):
        return "ended"


def test_a_hook_that_fails_is_told_once_and_the_training_goes_on(tmp_path):
    lines = []
    energy, clock = training(tmp_path, lines)
    energy.begin()
    hooks = Hooks(energy)
    for number in range(3):
        assert hooks.on_step(number) is None
    assert hooks.on_end() == "ended"
    clock.sleep(1)
    energy.end()
    failed = [finding for finding in energy.record().findings if finding.code == "hook-failed"]
    assert [finding.message for finding in failed] == ["on_step failed (RuntimeError: step 0)"]
    assert energy.record()["run"].validity == "degraded"


def test_what_fails_before_the_run_begins_is_said_and_stands_in_the_record(tmp_path):
    lines = []
    energy, clock = training(tmp_path, lines)
    Hooks(energy).on_step(1)
    assert lines == ["on_step failed (RuntimeError: step 1); the training goes on"]
    energy.begin()
    clock.sleep(1)
    energy.end()
    assert "hook-failed" in {finding.code for finding in energy.record().findings}


def test_what_cannot_even_be_told_ends_no_training():
    def untellable(message):
        raise OSError("no disk")

    assert Guard(untellable).call("on_step", lambda: 1 / 0) is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_is_the_programs(error):
    def interrupted():
        raise error

    with pytest.raises(error):
        Guard(print).call("on_step", interrupted)


def test_a_timeout_of_the_program_goes_on_to_it_from_within_a_hook():
    def alarm(number, frame):
        raise TimeoutError("of the program")

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        with pytest.raises(TimeoutError, match="of the program"):
            Guard(print).call("on_step", lambda: signal.raise_signal(signal.SIGALRM))
    finally:
        signal.signal(signal.SIGALRM, before)


CARD = "---\nlicense: apache-2.0\n---\n\n# Model\n\nIt answers.\n"


def test_the_section_stands_again_after_a_framework_rewrote_the_card(tmp_path):
    energy, clock = training(tmp_path)
    readme = tmp_path / "README.md"
    assert energy.into_card(readme) is False
    energy.begin()
    clock.sleep(10)
    readme.write_text(CARD)
    assert energy.into_card(readme)  # of what was measured so far
    assert "energy-rating:start" in readme.read_text()
    clock.sleep(10)
    energy.end()
    readme.write_text(CARD)
    assert energy.into_card(readme)
    first = readme.read_text()
    assert energy.record().run_id in first
    assert first.removeprefix(CARD).startswith("<!-- energy-rating:start -->")
    energy.into_card(readme)
    assert readme.read_text() == first


def test_where_there_is_no_record_the_section_from_before_is_put_back(tmp_path):
    energy, clock = training(tmp_path)
    energy.begin()
    clock.sleep(5)
    energy.end()
    readme = tmp_path / "README.md"
    readme.write_text(CARD)
    energy.into_card(readme)
    before = readme.read_text()
    readme.write_text(CARD)
    assert FrameworkRun(tmp_path / "other").into_card(readme, before=before)
    assert readme.read_text() == before
