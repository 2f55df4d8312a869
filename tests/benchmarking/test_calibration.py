"""Calibration on the virtual clock, where the truth is known: a device that is 1.3 times as hungry gets the factor 1 / 1.3."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, EnergyRatingError, load, measure, normalise, rate, summarise, verify
from energy_rating.benchmarking.calibration.calibrate import _order, calibrate, calibration_to_json
from energy_rating.benchmarking.calibration.points import POINTS, PROTOCOL, TRIAL_POINTS
from energy_rating.benchmarking.work import Settings
from energy_rating.cli import main
from energy_rating.cli.texts.calibration import calibration_to_text
from energy_rating.files.record import write_record
from energy_rating.judging import evidence
from energy_rating.judging.profiles import (
    CalibrationEnergy,
    MeterGain,
    load_profile,
    profile_files,
    profile_for,
    profile_to_toml,
    profiles,
    read_profile,
    user_profiles,
)
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Device, Load, Model, Task
from energy_rating.publishing import words
from energy_rating.publishing.folder import publish

TOP = Path(__file__).parents[2]
LANGUAGE = [point for point in POINTS if point.workload_class == "llm-small-batch"]
VISION = [point for point in POINTS if point.workload_class == "vision"]


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "example_calibration", TOP / "benchmarks" / "example_calibration.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["example_calibration"] = module
    spec.loader.exec_module(module)
    return module


EXAMPLE = example()
play = EXAMPLE.play


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without profiles of their own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


# ------------------------------------------------------------------------------------------------------ the known truth


def test_a_device_that_is_hungrier_gets_the_factor_that_undoes_it(home):
    found = play(home, name="Hungry GPU", hungrier=1.3 / 1.1, limit_w=1000.0)
    truth = 1.1 / 1.3
    assert {factor.workload_class for factor in found.factors} == {
        "llm-small-batch",
        "llm-serving",
        "diffusion",
        "vision",
    }
    for factor in found.factors:
        assert factor.value == pytest.approx(truth, rel=0.005)
        assert factor.interval == (1.5 if factor.workload_class == "llm-serving" else 1.3)
        assert factor.value / factor.interval < truth < factor.value * factor.interval
        assert (factor.tier, factor.reference) == ("2", "example-gpu")
        assert factor.power_limit_w == 1000.0
        assert factor.driver == "1.0"
        assert factor.instrument.startswith("energy-rating ")
    assert [(f.models, f.rows) for f in found.factors] == [(3, 3), (3, 3), (1, 2), (2, 3)]


def test_a_third_more_power_is_a_factor_of_1_over_1_3_which_a_record_is_then_normalised_by(home):
    found = play(home, name="Hungry GPU", hungrier=1.3, limit_w=1000.0, points=LANGUAGE)
    (factor,) = found.factors
    assert factor.value == pytest.approx(1 / 1.3, rel=0.005)
    # The user's own folder is where all commands look.
    user_profiles().mkdir(parents=True)
    found.profile.rename(user_profiles() / found.profile.name)
    mine = profile_for("Hungry GPU", 80.0)
    assert mine.key == "hungry-gpu-80gb"
    assert mine.factors == found.factors
    assert mine.figures.power_limit_w.value == 1000.0
    record = a_record(home / "run", "Hungry GPU", 390.0, limit_w=1000.0)
    there = normalise(record, to="example-gpu")
    assert there.reasons == ()
    assert there.tier == "2"
    assert there.factor == pytest.approx(1 / 1.3, rel=0.005)
    assert there.measured_per_unit_j.value == pytest.approx(3.0, rel=0.01)
    assert there.energy_per_unit_j.value == pytest.approx(3.0 / 1.3, rel=0.01)
    assert there.interval_90[0] < 3.0 / 1.3 / 1.25 < 3.0 / 1.3 * 1.25 < there.interval_90[1]
    assert set(there.versions) == {"hungry-gpu-80gb", "example-gpu", "vintage 2026.2"}
    # What was found at one power limit says nothing of another.
    other = a_record(home / "other", "Hungry GPU", 390.0, limit_w=600.0)
    assert normalise(other, to="example-gpu").factor is None


def a_record(folder, name, watts, *, limit_w):
    """Text is written for ten seconds, 100 tokens a second, one request at a time."""
    clock = VirtualClock()
    power, energy = constant(watts)
    meter = FakeDevice(clock=clock, power=power, energy=energy, known_period=True)
    device = Device(id=meter.device, name=name, power_limit_w=limit_w, memory_gb=80.0, mig=False)
    with measure(
        "inference",
        model=Model(id="org/name", dtype="float16"),
        task=Task(name="text-generation", unit="token"),
        load=Load(batch_size=1, concurrency=1),
        output_dir=folder,
        sensors=[Detection(sensors=(meter,), devices=(device,))],
        clock=clock,
        report=lambda _: None,
    ) as run:
        clock.sleep(20.0)
        run.count(token=2600)
    return run.record


def test_the_energies_of_the_example_device_are_those_that_its_calibration_finds():
    shipped = load_profile("example-gpu").calibration
    assert [entry.point for entry in shipped] == [point.name for point in POINTS]
    for entry, again in zip(shipped, EXAMPLE.energies(), strict=True):
        assert entry.joules_per_unit == pytest.approx(again.joules_per_unit, rel=0.002)
        assert (entry.point_sha256, entry.config_sha256) == (again.point_sha256, again.config_sha256)
        assert entry.interval_95[0] < entry.joules_per_unit < entry.interval_95[1]


# ------------------------------------------------------------------------------------------------------ what is not there


def test_a_reference_without_energies_is_said_with_the_remedy_and_what_was_measured_is_kept(home):
    told = []
    found = play(
        home, name="Hungry GPU", reference="nvidia-h100-sxm-80gb", points=LANGUAGE[:1], tell=told.append
    )
    assert found.factors == ()
    assert "holds no energies of calibration-2026.1 yet" in told[0]
    assert "--as-reference" in told[0]
    (energy,) = read_profile(found.profile).calibration
    assert energy.joules_per_unit == pytest.approx(0.984, rel=0.01)
    # Once the reference has energies, nothing is measured again.
    again = play(home, name="Hungry GPU", points=LANGUAGE[:1], model=NeverCalled)
    assert [outcome.was_done for outcome in again.outcomes] == [True]
    assert again.factors[0].value == pytest.approx(1.0, rel=0.005)


class NeverCalled(EXAMPLE.ExampleModel):
    def load(self):
        raise AssertionError("it was measured already")


def test_only_the_reference_device_may_write_the_reference_s_energies(home):
    with pytest.raises(BadInput, match="this is Hungry GPU, and the reference is Example GPU"):
        play(home, name="Hungry GPU", as_reference=True)
    found = play(home, as_reference=True, points=LANGUAGE[:1])
    assert found.factors == ()
    assert found.profile.name == "example-gpu.toml"
    # Those of other points stay as they were.
    written = read_profile(found.profile)
    assert len(written.calibration) == len(POINTS)
    assert {entry.source for entry in written.calibration} == {
        "invented",
        written.calibration[0].source,
    }


def test_without_a_gpu_the_road_is_shown_and_no_factor_is_written(home):
    clock = VirtualClock()
    power, energy = constant(65.0)
    cpu = FakeDevice(
        clock=clock, power=power, energy=energy, component="cpu", device="cpu-0", known_period=True
    )
    gpu = EXAMPLE.ExampleGpu(clock)
    EXAMPLE.TOOK.update({point.config: (65.0, 0.2) for point in TRIAL_POINTS})

    def prepare(_workload, config, settings, _items):
        return EXAMPLE.ExampleModel(clock, settings, gpu), Model(id=config)

    found = calibrate(
        home / "profiles",
        sensors=[cpu],
        prepare=prepare,
        clock=clock,
        sleep=clock.sleep,
        reference="example-gpu",
    )
    assert found.device is None
    assert found.profile is None
    assert found.factors == ()
    assert not (home / "profiles").exists()
    assert [outcome.point for outcome in found.outcomes] == list(TRIAL_POINTS)
    assert {outcome.left_out for outcome in found.outcomes} == {
        "the energy is that of the cpu, and calibrates nothing"
    }
    assert "no sensor measures a GPU here" in found.reasons[0]


def test_points_of_trial_are_no_calibration(home):
    EXAMPLE.TOOK.update({point.config: (350.0, 0.2) for point in TRIAL_POINTS})
    found = play(home, name="Hungry GPU", trial=True)
    assert found.factors == ()
    assert found.profile is None
    assert all("a point of trial" in outcome.left_out for outcome in found.outcomes)


# --------------------------------------------------------------------------------------------------------- what is left out


def test_what_uses_too_little_of_the_device_is_left_out(home):
    found = play(home, name="Huge GPU", limit_w=2500.0, points=LANGUAGE)
    assert {o.point.config: o.left_out for o in found.outcomes} == {
        "smollm2-135m": "it drew 8% of the power limit; factors hold from 15% to 99%",
        "llama-3.2-1b": "it drew 12% of the power limit; factors hold from 15% to 99%",
        "llama-3.1-8b": None,
    }
    assert found.factors[0].models == 1


def test_what_is_not_steady_or_fails_is_left_out_with_its_reason_and_the_rest_goes_on(home):
    class Restless(EXAMPLE.ExampleModel):
        calls = 0

        def run(self, items):
            if self.settings.random_weights.stem == "llama-3.2-1b":
                raise EnergyRatingError("the memory ran out", "Take a smaller model")
            if self.settings.random_weights.stem == "smollm2-135m":
                Restless.calls += 1
                self.watts = 210.0 + 150.0 * (Restless.calls // 14 % 2)
            return super().run(items)

    found = play(home, name="Hungry GPU", points=LANGUAGE, model=Restless)
    why = {outcome.point.config: outcome.left_out for outcome in found.outcomes}
    assert why["llama-3.2-1b"] == "the memory ran out. Take a smaller model"
    assert "steady" in why["smollm2-135m"] or "too uncertain" in why["smollm2-135m"]
    assert why["llama-3.1-8b"] is None
    assert found.factors[0].models == 1
    text = calibration_to_text(found)
    assert "left out: the memory ran out" in text
    assert re.search(r"factor to example-gpu: [\d.]+ ×/÷ 1\.3 \(90 %, tier 2, 1 model, 1 point\)", text)


def test_a_model_that_runs_on_the_cpu_beside_a_gpu_is_not_measured(home):
    class OnCpu(EXAMPLE.ExampleModel):
        def load(self):
            super().load()
            self.device = "cpu"

    with pytest.raises(EnergyRatingError, match="the model runs on the CPU"):
        play(home, name="Hungry GPU", points=LANGUAGE[:1], model=OnCpu)


def test_an_energy_of_other_settings_is_not_compared_with(home, monkeypatch):
    known = load_profile("example-gpu")
    forged = replace(
        known, calibration=tuple(replace(entry, point_sha256="0" * 64) for entry in known.calibration)
    )
    user_profiles().mkdir(parents=True)
    (user_profiles() / "example-gpu.toml").write_text(profile_to_toml(forged))
    found = play(home, name="Hungry GPU", points=LANGUAGE[:1])
    assert found.factors == ()
    assert "another configuration" in found.outcomes[0].left_out


def test_several_gpus_parts_of_one_and_variants_are_refused(home):
    clock = VirtualClock()
    power, energy = constant(100.0)
    two = [FakeDevice(clock=clock, power=power, energy=energy, device=f"GPU-{n}", number=n) for n in range(2)]
    with pytest.raises(BadInput, match="2 GPUs are measured here.*CUDA_VISIBLE_DEVICES"):
        calibrate(home, sensors=two)
    part = Device(id="GPU-0", name="NVIDIA H100 80GB HBM3", memory_gb=40.0)
    with pytest.raises(BadInput, match="part or a variant"):
        calibrate(home, sensors=[Detection(sensors=(two[0],), devices=(part,))])
    with pytest.raises(BadInput, match="divided"):
        calibrate(home, sensors=[Detection(sensors=(two[0],), devices=(replace(part, mig=True),))])
    with pytest.raises(BadInput, match="is not calibrated"):
        calibrate(home, classes=["speech"], sensors=two)


# -------------------------------------------------------------------------------------------------------- going on


def test_a_budget_ends_it_and_the_next_call_goes_on(home):
    first = play(home, name="Hungry GPU", points=LANGUAGE, budget_s=20.0)
    done = [outcome.point.name for outcome in first.outcomes if outcome.record is not None]
    assert len(done) == 1
    assert sum("budget" in (outcome.left_out or "") for outcome in first.outcomes) == 2
    second = play(home, name="Hungry GPU", points=LANGUAGE)
    assert [o.point.name for o in second.outcomes if o.was_done] == done
    assert second.factors[0].models == 3
    # Another limit is another device: all is measured anew, and the old runs stay under other names.
    third = play(home, name="Hungry GPU", points=LANGUAGE, limit_w=650.0)
    assert not any(outcome.was_done for outcome in third.outcomes)
    assert (home / "records" / f"{done[0]}.before-1" / "record.json").is_file()


def test_the_order_is_drawn_and_every_class_has_its_turn_before_any_has_two():
    for seed in range(5):
        order = _order(POINTS, seed)
        assert sorted(point.name for point in order) == sorted(point.name for point in POINTS)
        assert len({point.workload_class for point in order[:4]}) == 4
        assert order == _order(POINTS, seed)
    assert len({tuple(point.name for point in _order(POINTS, seed)) for seed in range(5)}) > 1


def test_calibrating_again_replaces_the_factor_of_that_class_only(home):
    first = play(home, name="Hungry GPU", points=LANGUAGE[:1] + VISION[:1], hungrier=1.2)
    user_profiles().mkdir(parents=True)
    first.profile.rename(user_profiles() / first.profile.name)
    second = play(home, name="Hungry GPU", points=VISION[:1], hungrier=1.4, again=True)
    values = {factor.workload_class: factor.value for factor in read_profile(second.profile).factors}
    assert values["llm-small-batch"] == pytest.approx(1 / 1.2, rel=0.005)
    assert values["vision"] == pytest.approx(1 / 1.4, rel=0.005)


# ----------------------------------------------------------------------------------------------------------- profiles


@pytest.mark.parametrize("profile", profiles(), ids=lambda profile: profile.key)
def test_a_profile_that_is_written_is_read_back_the_same(profile, tmp_path):
    path = tmp_path / f"{profile.key}.toml"
    path.write_text(profile_to_toml(profile, "two\nlines"), encoding="utf-8")
    assert read_profile(path) == profile


def test_names_from_a_driver_are_written_so_that_they_are_read_back(tmp_path):
    odd = replace(load_profile("example-gpu"), name='a "GPU"\\ \x7f\t µ', key="odd")
    path = tmp_path / "odd.toml"
    path.write_text(profile_to_toml(odd), encoding="utf-8")
    assert read_profile(path) == odd


def test_the_user_s_own_profile_goes_before_the_one_that_ships(home):
    before = profile_files()["nvidia-l4-24gb"]
    user_profiles().mkdir(parents=True)
    mine = replace(load_profile("nvidia-l4-24gb"), name="My L4")
    (user_profiles() / "nvidia-l4-24gb.toml").write_text(profile_to_toml(mine), encoding="utf-8")
    assert profile_files()["nvidia-l4-24gb"].parent == user_profiles() != before.parent
    assert load_profile("nvidia-l4-24gb").name == "My L4"
    assert profile_for("NVIDIA L4", 24.0).name == "My L4"
    assert [p.name for p in profiles(before.parent) if p.key == "nvidia-l4-24gb"] == ["NVIDIA L4 24 GB"]


def test_a_rating_names_the_profile_that_was_used_by_its_hash_and_verify_says_where_another_is(home):
    run = home / "run"
    shutil.copytree(TOP / "reports" / "example-gpu", run)
    user_profiles().mkdir(parents=True)
    mine = user_profiles() / "example-gpu.toml"
    mine.write_text(profile_to_toml(load_profile("example-gpu"), "mine"), encoding="utf-8")
    record = load(run)
    (run / "rating.json").unlink()
    publish(run, record, rate(record))
    files = json.loads((run / "rating.json").read_text())["provenance"]["files"]
    assert files["hardware_profiles/example-gpu.toml"] == hashlib.sha256(mine.read_bytes()).hexdigest()
    assert not [note for note in verify(run).notes if "example-gpu.toml" in note]
    mine.unlink()
    assert any("a profile of their own" in note for note in verify(run).notes)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gain", 0.1, "no working sensor"),
        ("doubt", 0.0, "uncertainty"),
        ("n", 1, "at least 2 readings"),
        ("device_sha256", "GPU-0", "hexadecimal"),
        ("date", "today", "must be a day"),
    ],
)
def test_a_gain_that_no_meter_found_is_refused(key, value, said):
    entry = {name: getattr(EXAMPLE.METER, name) for name in MeterGain.__dataclass_fields__}
    with pytest.raises(ValueError, match=said):
        MeterGain(**{**entry, key: value})


def test_an_energy_outside_its_interval_is_refused():
    entry = load_profile("example-gpu").calibration[0]
    fields = {name: getattr(entry, name) for name in CalibrationEnergy.__dataclass_fields__}
    with pytest.raises(ValueError, match="joules_per_unit must be above 0"):
        CalibrationEnergy(**{**fields, "interval_95": (0.1, 0.2)})


def test_all_that_is_asked_of_a_point_is_in_its_hash():
    assert len({point.sha256 for point in (*POINTS, *TRIAL_POINTS)}) == len(POINTS) + len(TRIAL_POINTS)
    assert len({point.name for point in (*POINTS, *TRIAL_POINTS)}) == len(POINTS) + len(TRIAL_POINTS)
    assert replace(POINTS[0], new_tokens=65).sha256 != POINTS[0].sha256
    for point in (*POINTS, *TRIAL_POINTS):
        assert isinstance(point.settings, Settings)
        assert point.settings.random_weights.is_file()
        assert len(point.items) == point.batch_size


# ---------------------------------------------------------------------------------------------------------- the meter


def metered(folder, gain, *, device="GPU-0"):
    """A minute at 300 W of which the card's own sensor shows so much."""
    clock = VirtualClock()
    power, energy = constant(300.0)
    card = FakeDevice(
        clock=clock, power=power, energy=energy, gain=gain, device=device, known_period=True, wraps_at_j=5e5
    )
    with measure("other", output_dir=folder, sensors=[card], clock=clock, report=lambda _: None):
        clock.sleep(60.0)
    return folder


def gains(path, *devices, gain=0.95):
    known = load_profile("example-gpu")
    found = tuple(
        replace(EXAMPLE.METER, device_sha256=hashlib.sha256(name.encode()).hexdigest(), gain=gain)
        for name in devices
    )
    path.write_text(profile_to_toml(replace(known, meter=found)), encoding="utf-8")
    return path


def test_a_gain_is_corrected_where_it_is_asked_for_and_only_there(tmp_path):
    run = metered(tmp_path / "run", 0.95)
    plain = summarise(run)["run"].energy_j["gpu"]
    assert plain.value == pytest.approx(0.95 * 18_000, rel=1e-3)
    assert plain.systematic / plain.value == pytest.approx(0.04, rel=0.01)
    record = summarise(run, calibration=gains(tmp_path / "card.toml", "GPU-0"))
    energy = record["run"].energy_j["gpu"]
    assert energy.value == pytest.approx(18_000, rel=1e-3)
    assert energy.interval()[0] < 18_000 < energy.interval()[1]
    assert energy.systematic / energy.value == pytest.approx(0.01, rel=0.01)
    assert record.channels[0].accuracy == 0.01
    (finding,) = [finding for finding in record.findings if finding.code == "gain-corrected"]
    assert "divided by 0.95" in finding.message
    assert finding.severity == "note"
    assert record.provenance.files["calibration/card.toml"]


def test_a_gain_belongs_to_one_card(tmp_path):
    run = metered(tmp_path / "run", 0.95, device="GPU-1")
    with pytest.raises(BadInput, match="no gain of a card of this run"):
        summarise(run, calibration=gains(tmp_path / "card.toml", "GPU-0"))
    with pytest.raises(BadInput, match="holds 2 gains"):
        summarise(run, calibration=gains(tmp_path / "twice.toml", "GPU-1", "GPU-1"))
    with pytest.raises(BadInput, match=r"no gain \(\[\[meter\]\]\)"):
        summarise(run, calibration=gains(tmp_path / "none.toml"))


def test_a_corrected_record_is_verified_with_the_file_that_it_was_corrected_by(tmp_path):
    run = metered(tmp_path / "run", 0.95)
    card = gains(tmp_path / "card.toml", "GPU-0")
    write_record(summarise(run, calibration=card), run / "record.json")
    assert verify(run, calibration=card).agrees
    without = verify(run)
    assert not without.agrees
    assert without.verdict == "cannot be checked"
    assert "give that file with --calibration" in without.cannot
    assert not verify(run, calibration=gains(tmp_path / "card.toml", "GPU-0", gain=0.96)).agrees


# ------------------------------------------------------------------------------------------------------- the command


def test_the_command_says_in_one_line_what_is_wrong(home, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "--reference", "nvidia-h100"])
    assert ended.value.code == 1
    assert "there is no hardware profile 'nvidia-h100'" in capsys.readouterr().err


def test_the_command_corrects_by_a_meter(tmp_path, capsys):
    run = metered(tmp_path / "run", 0.95)
    card = gains(tmp_path / "card.toml", "GPU-0")
    main(["summarise", str(run), "--calibration", str(card), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["measurements"][0]["energy_j"]["gpu"]["value"] == pytest.approx(18_000, rel=1e-3)


def test_what_is_printed_for_programs_holds_all_points(home):
    found = play(home, name="Hungry GPU", points=LANGUAGE[:1])
    entry = json.loads(json.dumps(calibration_to_json(found)))
    assert entry["protocol"] == PROTOCOL
    assert entry["points"][0]["ratio"] == pytest.approx(1.0, rel=0.005)
    assert entry["factors"][0]["tier"] == "2"
    assert entry["profile"].endswith("hungry-gpu-80gb.toml")


def _corrected(tmp_path, gain=0.95):
    run = metered(tmp_path / "run", gain)
    write_record(
        summarise(run, calibration=gains(tmp_path / "card.toml", "GPU-0", gain=gain)), run / "record.json"
    )
    return run


def test_a_corrected_record_follows_from_its_journal_and_the_gains_that_it_tells(tmp_path):
    record = evidence.load(_corrected(tmp_path, 0.951234))
    assert record.checked == "needs-calibration"
    assert words.unchecked(record).endswith("; the readings of GPU-0 were divided by 0.951234")


def _quartered(entry):
    for measurement in entry["measurements"]:
        for name in ("energy_j", "energy_by_channel_j"):
            for energy in measurement[name].values():
                energy.update({key: value / 4 for key, value in energy.items()})


def _with_gain(entry, gain):
    entry["findings"][0]["message"] = entry["findings"][0]["message"].replace("0.95,", f"{gain},")
    entry["findings"][0]["data"]["gain"] = gain


def _one_gain_more(entry):
    _quartered(entry)
    _with_gain(entry, 3.8)


def _of_the_first_release(entry):
    """As it was written when findings had a sentence alone."""
    entry["provenance"]["version"] = "0.1.0"
    for finding in entry["findings"]:
        finding.pop("data", None)


def test_a_corrected_record_of_the_first_release_is_read_by_its_sentence(tmp_path):
    run = _corrected(tmp_path, 0.951234)
    entry = json.loads((run / "record.json").read_text())
    _of_the_first_release(entry)
    (run / "record.json").write_text(json.dumps(entry))
    record = evidence.load(run)
    assert record.checked == "needs-calibration"
    assert words.unchecked(record).endswith("; the readings of GPU-0 were divided by 0.951234")
    entry["findings"][0]["message"] = entry["findings"][0]["message"].replace("0.951234,", "1.2,")
    (run / "record.json").write_text(json.dumps(entry))
    with pytest.raises(BadInput):
        evidence.load(run)


@pytest.mark.parametrize(
    "change",
    [
        _quartered,
        _one_gain_more,
        lambda entry: entry.update(findings=[]),
        lambda entry: entry["measurements"][0].update(work={"token": 10**6}),
        lambda entry: entry["measurements"][0].update(duration_s=1.0),
        lambda entry: _with_gain(entry, 1.2),
        lambda entry: entry["findings"][0].update(
            message=entry["findings"][0]["message"].replace("0.95,", "1.2,")
        ),
        lambda entry: entry["findings"][0].pop("data"),
        lambda entry: entry["findings"][0]["data"].update(n=10**6),
        lambda entry: entry["findings"][0]["data"].update(gain="0.95"),
        lambda entry: entry["findings"][0]["data"].pop("meter"),
        lambda entry: [channel.update(accuracy=0.0001) for channel in entry["channels"]],
    ],
)
def test_a_claim_of_a_calibration_is_no_leave_to_say_anything_else(tmp_path, change):
    run = _corrected(tmp_path)
    entry = json.loads((run / "record.json").read_text())
    assert entry["findings"][0]["code"] == "gain-corrected"
    change(entry)
    (run / "record.json").write_text(json.dumps(entry))
    with pytest.raises(BadInput):
        evidence.load(run)
