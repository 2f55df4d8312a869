"""Two records, compared: laws, what cancels, what is refused, and when a build is to fail."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from energy_rating import compare
from energy_rating.cli import cli
from energy_rating.files.record import load, write_record
from energy_rating.judging.comparison import Comparison, comparison_to_json
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Device, Environment, Finding, Load, Measurement, Model, Record, Task
from energy_rating.publishing.terminal import ratings

EXAMPLE = load(Path(__file__).parents[2] / "reports" / "example-gpu")
CARD = "GPU-7e0ca69f-4b1d-4bb9-9f6b-1b1c9e2e4f5a"
OTHER = "GPU-1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"


def a_record(
    energy_j: float = 50_000.0, random: float = 0.005, gain: float = 0.04, device: str = CARD, **changes: Any
) -> Record:
    """The example on a card of one's own, with this energy in ``measured``; doubts are relative, 1 σ."""
    energy = Estimate(value=energy_j, random=random * energy_j, systematic=gain * energy_j)
    measured = replace(
        EXAMPLE["measured"], energy_by_channel_j={"gpu0.energy": energy}, energy_j={"gpu": energy}
    )
    card = Device(id=device, name="NVIDIA H100 80GB HBM3", driver="575.1", power_limit_w=700.0)
    plain: dict[str, Any] = {
        "environment": Environment(devices=(card,)),
        "channels": (replace(EXAMPLE.channels[0], device=device, accuracy=gain),),
        "measurements": (EXAMPLE["run"], measured),
    }
    return replace(EXAMPLE, **(plain | changes))


ENERGIES = st.floats(min_value=1e-3, max_value=1e9)
DOUBTS = st.floats(min_value=0.0, max_value=0.3)
CARDS = st.sampled_from([CARD, OTHER])


@given(energy=ENERGIES, random=DOUBTS, gain=DOUBTS)
def test_a_record_compared_with_itself_is_one_and_decides_nothing(
    energy: float, random: float, gain: float
) -> None:
    record = a_record(energy, random, gain)
    found = compare(record, record)
    assert found.ratio == 1
    assert found.verdict == "undecided"
    assert found.differences == ()
    assert not found.worse_by(0.0)


@given(a=ENERGIES, b=ENERGIES, random=DOUBTS, gain=DOUBTS, card=CARDS)
def test_compared_the_other_way_round_it_is_the_inverse(
    a: float, b: float, random: float, gain: float, card: str
) -> None:
    one, other = a_record(a, random, gain), a_record(b, random / 2, gain, card)
    there, back = compare(one, other), compare(other, one)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.interval_95[0] * back.interval_95[1] == pytest.approx(1)
    assert {there.verdict, back.verdict} in ({"a-better", "b-better"}, {"undecided"})
    assert there.interval_95[0] <= there.ratio <= there.interval_95[1]


@given(a=ENERGIES, b=ENERGIES, scale=st.sampled_from([1e-3, 3.6e3]))
def test_the_unit_of_energy_changes_no_verdict(a: float, b: float, scale: float) -> None:
    plain, scaled = compare(a_record(a), a_record(b)), compare(a_record(a * scale), a_record(b * scale))
    assert scaled.ratio == pytest.approx(plain.ratio)
    assert scaled.interval_95 == pytest.approx(plain.interval_95)


def half(found: Comparison) -> float:
    """Half the 95 % interval, as a share."""
    return math.sqrt(found.interval_95[1] / found.interval_95[0]) - 1


def test_the_gain_cancels_on_one_card_partly_between_cards_and_not_between_models() -> None:
    record = a_record(random=0.0)
    assert half(compare(record, a_record(random=0.0))) == pytest.approx(0)
    between = compare(record, a_record(random=0.0, device=OTHER))
    assert between.gain == "partly-cancels"
    assert half(between) == pytest.approx(0.0453, abs=0.001)  # 1.96 √2 1.6 %
    l4 = a_record(random=0.0, device=OTHER)
    l4 = replace(l4, environment=Environment(devices=(replace(l4.environment.devices[0], name="NVIDIA L4"),)))
    assert compare(record, l4).gain == "counts"
    assert half(compare(record, l4)) == pytest.approx(0.117, abs=0.002)  # 1.96 √2 4 %


def test_another_method_on_the_same_card_is_another_sensor() -> None:
    by_power = a_record(random=0.0)
    by_power = replace(by_power, channels=(replace(by_power.channels[0], method="power"),))
    assert compare(a_record(random=0.0), by_power).gain == "counts"


def test_a_name_that_every_machine_has_is_no_one_card() -> None:
    one = a_record(random=0.0, device="package-0")
    assert compare(one, one).gain == "partly-cancels"
    here = replace(one, environment=replace(one.environment, host="1f2e3d"))
    assert compare(here, here).gain == "cancels"


def test_a_verdict_needs_an_interval_that_leaves_one_out() -> None:
    assert compare(a_record(100.0), a_record(90.0)).verdict == "b-better"
    assert compare(a_record(100.0), a_record(110.0)).verdict == "a-better"
    assert compare(a_record(100.0), a_record(101.0)).verdict == "undecided"
    assert compare(a_record(100.0), a_record(90.0, device=OTHER)).verdict == "b-better"
    assert compare(a_record(100.0), a_record(97.0, device=OTHER)).verdict == "undecided"


def test_what_is_estimated_or_invalid_decides_nothing_and_says_so() -> None:
    guess = a_record(200.0)
    guess = replace(guess, channels=(replace(guess.channels[0], method="model"),))
    found = compare(a_record(100.0), guess)
    assert found.verdict == "undecided"
    assert "B is estimated by a model" in found.notes[0]
    assert not found.worse_by(0.05)
    bad = a_record(200.0, findings=(Finding(code="counter-reset", message="…", severity="disqualifies"),))
    bad = replace(bad, measurements=(bad["run"], replace(bad["measured"], validity="invalid")))
    assert compare(bad, a_record()).notes == ("A is invalid: counter-reset",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": Task(name="summarization", protocol="aes-2025-02", unit="request")}, "the tasks differ"),
        (
            {"task": Task(name="text-generation", protocol="serving-2026.1", unit="request")},
            "the protocols differ",
        ),
        ({"task": None}, "the tasks differ: 'text-generation' and none is named"),
        ({"stage": "other"}, "the stages differ"),
    ],
)
def test_records_of_different_work_are_refused_in_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        compare(a_record(), a_record(**changes))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_not_in_both_is_refused_with_what_there_is() -> None:
    with pytest.raises(BadInput, match="cpu was not measured in both.*A has: gpu"):
        compare(a_record(), a_record(), component="cpu")
    with pytest.raises(BadInput, match="no 'image' was counted in both.*A counted: request, token"):
        compare(a_record(), a_record(), unit="image")
    nothing = a_record()
    nothing = replace(nothing, measurements=(nothing["run"], replace(nothing["measured"], work={})))
    with pytest.raises(BadInput, match="B counted: none"):
        compare(a_record(), nothing, unit="token")


# ------------------------------------------------------------------------------------------------------- equal work


def a_run(*windows: Measurement, joules: float = 10_000.0, **changes: Any) -> Record:
    """A fine-tuning of 100 s: its run, into which nothing was counted, and windows in it."""
    energy = Estimate(value=joules, random=0.001 * joules, systematic=0.04 * joules)
    run = replace(
        EXAMPLE["run"],
        start_s=0.0,
        duration_s=100.0,
        work=changes.pop("work", {}),
        energy_by_channel_j={"gpu0.energy": energy},
        energy_j={"gpu": energy},
    )
    plain: dict[str, Any] = {"stage": "fine-tuning", "task": None, "measurements": (run, *windows)}
    return replace(a_record(), **(plain | changes))


def window(
    name: str = "epoch", start_s: float = 0.0, duration_s: float = 99.0, n: int = 3, **work: int
) -> Measurement:
    return replace(EXAMPLE["run"], name=name, n=n, start_s=start_s, duration_s=duration_s, work=work)


def test_work_counted_in_windows_that_cover_the_run_is_the_runs() -> None:
    """The second did nine times the work for a tenth more energy: it is better, and no build fails."""
    few, many = a_run(window(token=1000), joules=10_000.0), a_run(window(token=9000), joules=11_000.0)
    found = compare(few, many)
    assert (found.unit, found.verdict) == ("token", "b-better")
    assert found.ratio == pytest.approx(1.1 / 9)
    assert found.a_j.value == pytest.approx(10.0), "of the whole run, over the work of its windows"
    assert any("'epoch', which covers 99 % of the run" in remark for remark in found.remarks)
    assert ("work", "1,000 token in 'epoch'", "9,000 token in 'epoch'") in {
        (item.what, item.a, item.b) for item in found.differences
    }
    assert compare(few, many, unit="token") == found
    assert compare(many, few).worse_by(0.05)


def test_counted_in_the_run_of_one_and_in_the_windows_of_the_other_is_the_same_work() -> None:
    found = compare(a_run(work={"token": 1000}), a_run(window(token=1000), joules=12_000.0))
    assert (found.unit, found.verdict) == ("token", "a-better")


@pytest.mark.parametrize(
    ("windows", "what"),
    [
        ((), "nothing was counted"),
        ((window(duration_s=94.9, token=9000),), "a part of the run only"),
        ((window(duration_s=120.0, token=9000),), "they overlap: more time than there is"),
        ((window(start_s=40.0, token=9000),), "they overlap: all of it in the last part"),
        ((window(token=9000), window("step", n=90, token=4500)), "two tell different things"),
        ((window(image=10),), "another kind of work"),
    ],
)
def test_energies_as_a_whole_are_no_verdict_where_the_work_is_not_known(
    windows: tuple[Measurement, ...], what: str
) -> None:
    found = compare(a_run(window(token=1000)), a_run(*windows, joules=20_000.0))
    assert (found.unit, found.verdict) == (None, "undecided"), what
    assert found.notes
    assert "A did 1,000 token" in found.notes[0], what
    assert not found.worse_by(0.0), what


def test_windows_that_are_found_to_overlap_cover_nothing() -> None:
    overlap = Finding(code="windows-overlap", message="…", severity="degrades", measurement="epoch")
    assert compare(a_run(window(token=1)), a_run(window(token=1), findings=(overlap,))).unit is None
    elsewhere = replace(overlap, measurement="step")
    assert compare(a_run(window(token=1)), a_run(window(token=1), findings=(elsewhere,))).unit == "token"


def test_nested_windows_that_tell_the_same_work_are_one_witness_more() -> None:
    nested = a_run(window(token=1000), window("step", n=90, duration_s=98.0, token=1000))
    assert compare(nested, nested).unit == "token"


def test_where_nobody_counted_there_is_no_verdict_and_the_reason_says_what_to_do() -> None:
    found = compare(a_run(), a_run(joules=20_000.0))
    assert found.verdict == "undecided"
    assert "not known of either" in found.notes[0]
    assert "--count" in found.notes[0]
    told = ratings.comparison(found)
    assert told.startswith("No verdict: ")
    assert "more energy" not in told, "not even as a ratio"


def test_no_verdict_fails_no_build_and_says_so(tmp_path: Path) -> None:
    for name, tokens, share in (("a", 1000, 50.0), ("b", 9000, 60.0)):
        run = a_run(window(token=tokens, duration_s=share), joules=100 * share**2)
        write_record(replace(run, measurements=run.measurements[:1]), tmp_path / f"{name}.json")
    done = CliRunner().invoke(
        cli, ["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--fail-if-worse", "1%"]
    )
    assert done.exit_code == 0, done.output
    assert "--fail-if-worse: there is no verdict" in done.output


def test_single_runs_are_told_as_single_runs() -> None:
    one, other = a_run(window(token=1)), a_run(window(token=1), run_id="another")
    (said,) = (remark for remark in compare(one, other).remarks if "may be chance" in remark)
    assert said.startswith("single runs")
    repeated = compare(a_record(), a_record(run_id="another"))
    assert any(remark.startswith("one run each") for remark in repeated.remarks)
    assert repeated.notes == (), "it forbids no verdict"


def test_the_settings_that_differ_are_told() -> None:
    other = a_record(
        load=Load(
            items=500,
            batch_size=1,
            concurrency=1,
            max_new_tokens=10,
            seed=1,
            reasoning=False,
            settings={"min_new_tokens": 10, "max_input_tokens": 512},
        ),
        model=Model(id="example/example-model", parameters=1_240_000_000, dtype="q4_1"),
        environment=Environment(
            devices=(Device(id=CARD, name="NVIDIA H100 80GB HBM3", driver="580.2", power_limit_w=400.0),),
            software={"torch": "2.9"},
        ),
    )
    told = {item.what: (item.a, item.b) for item in compare(a_record(), other).differences}
    assert told == {
        "model dtype": ("float16", "q4_1"),
        "items": ("1,000", "500"),
        "seed": ("0", "1"),
        "reasoning": (None, "off"),
        "max input tokens": (None, "512"),
        "driver": ("575.1", "580.2"),
        "power limit (W)": ("700", "400"),
        "torch": (None, "2.9"),
    }


def written(folder: Path, name: str, energy_share: float) -> Path:
    """The example with so much more energy everywhere: a record that can be read back."""

    def scaled(energies: Any) -> Any:
        return {key: energy.times(energy_share) for key, energy in energies.items()}

    record = replace(
        EXAMPLE,
        measurements=tuple(
            replace(m, energy_by_channel_j=scaled(m.energy_by_channel_j), energy_j=scaled(m.energy_j))
            for m in EXAMPLE.measurements
        ),
    )
    write_record(record, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("share", "limit", "code"),
    [(1.2, "5%", 1), (1.2, "25%", 0), (0.8, "5%", 0), (1.055, "5%", 0), (1.2, "0.05", 1)],
)
def test_a_build_fails_only_where_b_is_worse_beyond_doubt(
    tmp_path: Path, share: float, limit: str, code: int
) -> None:
    a, b = written(tmp_path, "a.json", 1.0), written(tmp_path, "b.json", share)
    done = CliRunner().invoke(cli, ["compare", str(a), str(b), "--fail-if-worse", limit])
    assert done.exit_code == code, done.output
    assert ("worse than A by more than" in done.output) == (code == 1)


def test_the_command_tells_ratio_interval_and_verdict(tmp_path: Path) -> None:
    a, b = written(tmp_path, "a.json", 1.0), written(tmp_path, "b.json", 0.5)
    done = CliRunner().invoke(cli, ["compare", str(a), str(b)])
    assert done.exit_code == 0, done.output
    assert "B needs less energy" in done.output
    assert "50 % less" in done.output
    entry = json.loads(CliRunner().invoke(cli, ["compare", str(a), str(b), "--json"]).stdout)
    assert entry.pop("checked") == {"a": "no-journal", "b": "no-journal"}
    assert entry == comparison_to_json(compare(load(a), load(b)))
    assert (entry["verdict"], entry["gain"], entry["unit"]) == ("b-better", "cancels", "request")


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    a = written(tmp_path, "a.json", 1.0)
    b = tmp_path / "b.json"
    write_record(replace(EXAMPLE, task=Task(name="juggling", protocol="aes-2025-02", unit="request")), b)
    done = CliRunner().invoke(cli, ["compare", str(a), str(b)])
    assert done.exit_code == 1
    wrong = CliRunner().invoke(cli, ["compare", str(a), str(a), "--fail-if-worse", "much"])
    assert wrong.exit_code == 2


def test_a_library_that_measuring_loads_itself_is_no_setting_where_one_run_lacks_it() -> None:
    def with_software(**software: str) -> Record:
        record = a_record(1000.0)
        return replace(record, environment=replace(record.environment, software=software))

    found = compare(
        with_software(python="3.11"), with_software(python="3.11", codecarbon="3.3.2", numpy="2.4")
    )
    assert found.differences == ()
    found = compare(with_software(codecarbon="3.2.0"), with_software(codecarbon="3.3.2", vllm="0.9"))
    assert [difference.what for difference in found.differences] == ["codecarbon", "vllm"]
