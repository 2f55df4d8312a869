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
from energy_rating.comparison import Comparison, comparison_to_json
from energy_rating.errors import BadInput
from energy_rating.formats import load, write_record
from energy_rating.quantities import Estimate
from energy_rating.records import Device, Environment, Finding, Load, Model, Record, Task

EXAMPLE = load(Path(__file__).parents[1] / "reports" / "example-gpu")
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
        compare(a_record(), nothing)
    assert compare(nothing, nothing).unit is None


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
