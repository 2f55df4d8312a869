"""All runs of a model: they add up in any order, count once, and a choice pays back where the doubt allows saying so."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_footprint import a_record

from energy_rating import BadInput
from energy_rating.cli import cli
from energy_rating.files.record import write_record
from energy_rating.judging.choice import choice
from energy_rating.judging.footprint.carbon import footprint
from energy_rating.judging.life import break_even, life, lives, planned
from energy_rating.nouns.entries import Channel, Environment, Lineage, Model, Outcome, Place
from energy_rating.nouns.quantities import Estimate
from energy_rating.publishing import life as shown

KWH = 3.6e6
NUMBERS = itertools.count()


def a_run(
    joules, stage="pre-training", model="org/name", *, systematic=0.04, noise=0.001, card="GPU", **more
):
    """A run of one card of its own number, whose sensor may be off by a share that all cards of that name share."""
    number = next(NUMBERS)
    record = a_record(
        joules,
        3600.0,
        cards=(card,),
        parts=("gpu",),
        stage=stage,
        work=more.pop("work", {"request": 1000, "token": 10_000}),
    )
    energy = Estimate(value=joules, random=noise * joules, systematic=systematic * joules)
    run = replace(record["run"], energy_j={"gpu": energy}, energy_by_channel_j={"gpu0": energy})
    channel = Channel(
        id="gpu0", component="gpu", device=f"GPU-{number}", method="counter", accuracy=systematic
    )
    device = replace(record.environment.devices[0], id=f"GPU-{number}")
    return replace(
        record,
        run_id=f"20261130T120000Z-{number:04x}",
        measurements=(run,),
        channels=(channel,),
        environment=Environment(devices=(device,), host="0123456789ab"),
        model=Model(id=model),
        **more,
    )


# ------------------------------------------------------------------------------------------------------------- laws


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.floats(1.0, 1e9), st.sampled_from(["pre-training", "fine-tuning", "inference", "other"])
        ),
        min_size=1,
        max_size=6,
    ),
    st.randoms(),
)
def test_stages_add_up_and_the_order_of_runs_changes_nothing(runs, shuffler):
    records = [a_run(joules, stage) for joules, stage in runs]
    found = life(records)
    assert found.energy_j.value == pytest.approx(sum(joules for joules, _ in runs))
    assert sum(portion.energy_j.value for portion in found.stages) == pytest.approx(found.energy_j.value)
    assert sum(portion.share.value for portion in found.stages) == pytest.approx(1.0)
    assert sum(portion.runs for portion in found.roles) == len(records)
    other = list(records)
    shuffler.shuffle(other)
    assert life(other).energy_j == found.energy_j
    assert set(life(other).runs) == set(found.runs)
    assert life(other).before_j == found.before_j


@pytest.mark.parametrize("zone", ["FRA", "US-CA", "gcp:europe-west9"])
def test_the_life_of_one_record_is_its_footprint(zone):
    record = a_record(parts=("gpu", "cpu", "dram"), stage="pre-training")
    found, alone = life([record], zone=zone), footprint(record, zone=zone)
    assert found.carbon_g.value == pytest.approx(alone.carbon_g.value)
    assert found.carbon_g.sigma == pytest.approx(alone.carbon_g.sigma)
    assert found.embodied_g.value == pytest.approx(alone.embodied_g.value)
    assert found.embodied_g.sigma == pytest.approx(alone.embodied_g.sigma)
    assert found.energy_j == record["run"].energy_j["gpu"]


def test_a_gain_that_all_sensors_share_never_averages_out():
    ten = life([a_run(1000.0, systematic=0.04, noise=0.0) for _ in range(10)])
    assert ten.energy_j.systematic == pytest.approx(0.04 * 10_000)
    mixed = life([a_run(1000.0, systematic=0.04, noise=0.0, card=f"GPU {number}") for number in range(4)])
    assert mixed.energy_j.systematic == pytest.approx(0.04 * 1000 * 2)


def test_a_run_is_counted_once():
    one = a_run(10.0)
    with pytest.raises(BadInput, match="is there twice"):
        life([one, one])
    same = replace(a_run(10.0), channels=one.channels, environment=one.environment)
    with pytest.raises(BadInput, match="measured one device at one time"):
        life([one, same])
    later = replace(same, created="2026-11-30T13:00:00Z")
    assert life([one, later]).energy_j.value == 20.0
    elsewhere = replace(same, environment=replace(same.environment, host=None))
    assert life([one, elsewhere]).energy_j.value == 20.0  # which machine it was is not told


def test_one_model_has_one_base():
    of = [
        a_run(1.0, "fine-tuning", lineage=Lineage(base_model=base, relation="lora"))
        for base in ("org/a", "org/b")
    ]
    with pytest.raises(BadInput, match="one model has one base; the runs name org/a and org/b"):
        life(of)
    found = life(of[:1])
    assert (found.base_model, found.relation) == ("org/a", "lora")
    assert any("incremental: what making org/a took is not in it" in note for note in found.notes)


@pytest.mark.parametrize(
    ("records", "says"),
    [
        ([], "there is no run"),
        ([a_run(1.0), a_run(1.0, model="org/other")], "a life is that of one model and revision"),
        ([replace(a_run(1.0), model=None)], "no model"),
        ([a_run(1.0), a_record(parts=("cpu",))], "no component is in all of the runs"),
    ],
)
def test_what_is_no_life_is_refused(records, says):
    with pytest.raises(BadInput, match=says):
        life(records)


def test_roles_are_told_and_a_final_run_alone_says_so():
    final = a_run(100.0, role="final")
    assert life([final]).final_run_only
    assert any(note.startswith("final run only") for note in life([final]).notes)
    failed = a_run(30.0, outcome=Outcome(exit_code=1))
    whole = life([final, failed, a_run(70.0, role="search")])
    assert {portion.name: portion.energy_j.value for portion in whole.roles} == {
        "final": 100.0,
        "failed": 30.0,
        "search": 70.0,
    }
    assert not whole.final_run_only
    assert not any(note.startswith("final run only") for note in whole.notes)


def test_a_request_carries_its_part_of_the_training():
    found = life([a_run(1000.0), a_run(500.0, "inference", work={"request": 100})], requests=1000)
    assert found.use.energy_j.value == 5.0
    assert found.use.amortised_j.value == 1.0
    assert found.use.whole_j.value == 6.0
    with pytest.raises(BadInput, match="must be a number of requests above 0"):
        life([a_run(1.0)], requests=0)


def test_places_that_are_not_told_leave_the_carbon_out():
    there = a_run(KWH, place=Place(zone="FRA"))
    assert life([there]).carbon_g.value == pytest.approx(56.039)
    assert life([there, a_run(KWH)]).carbon_g is None
    assert any(note.startswith("no carbon") for note in life([there, a_run(KWH)]).notes)
    assert life([there, a_run(KWH)], zone="FRA").carbon_g.value == pytest.approx(2 * 56.039)


# ------------------------------------------------------------------------------------------------------- break-even


def two(train_a=1e6, each_a=20.0, train_b=2e6, each_b=10.0, **more):
    return tuple(
        life([a_run(train, model=name, **more), a_run(1000 * each, "inference", name, **more)])
        for name, train, each in (("org/a", train_a, each_a), ("org/b", train_b, each_b))
    )


def test_a_costlier_training_pays_back_after_what_it_cost_more_over_what_each_request_saves():
    found = break_even(*two())
    assert (found.costlier, found.cheaper) == ("org/b", "org/a")
    assert found.requests == pytest.approx(100_000)
    low, high = found.interval_95
    assert low < 100_000 < high
    assert break_even(*reversed(two())).requests == pytest.approx(100_000)


def test_a_gain_that_all_four_energies_share_cancels():
    wide = break_even(*two(systematic=0.10, noise=1e-6))
    assert wide.interval_95[1] - wide.interval_95[0] < 10
    different = life(
        [a_run(2e6, model="org/b", card="other"), a_run(10_000.0, "inference", "org/b", card="other")]
    )
    apart = break_even(two()[0], different)
    assert apart.interval_95[1] - apart.interval_95[0] > 10_000


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32))
def test_the_interval_holds_the_truth_as_often_as_it_says(seed):
    """Of 60 games with noise of 2 %, at most a dozen may miss at 95 %."""
    draw = random.Random(seed)
    missed = 0
    for _ in range(60):
        made = [truth * draw.gauss(1, 0.02) for truth in (1e6, 20.0, 2e6, 10.0)]
        found = break_even(*two(*made, noise=0.02, systematic=0.0))
        low, high = found.interval_95
        missed += not low <= 100_000 <= high
    assert missed <= 12


def test_never_where_the_saving_may_be_none():
    more = break_even(*two(each_b=25.0))
    assert more.never
    assert "needs no less" in more.why
    close = break_even(*two(each_b=19.99, noise=0.05))
    assert close.never
    assert "reaches 0" in close.why
    assert "never pays back" in shown.break_even_told(close)
    assert (close.requests, close.interval_95) == (None, None)


def test_only_what_is_told_alike_is_held_against_each_other():
    without = life([a_run(1.0, model="org/c")])
    with pytest.raises(BadInput, match="no inference of org/c"):
        break_even(two()[0], without)
    cpu = life([a_run(1.0, "inference", "org/d", work={"image": 3})], unit="image")
    with pytest.raises(BadInput, match="one unit of work"):
        break_even(two()[0], cpu)


# --------------------------------------------------------------------------------------------------------- a service


def test_a_service_is_planned_from_requests_of_its_own_length():
    one, _ = two()
    found = planned(one, requests=1e6, tokens=10, months=12)
    assert found.requests == 12e6
    assert found.use_j.value == pytest.approx(12e6 * 20.0)
    assert found.whole_j.value == pytest.approx(12e6 * 20.0 + 1e6)
    assert found.basis == "per request"
    longer = planned(one, requests=1.0, tokens=40)
    assert (longer.basis, longer.use_j.value) == ("per token", pytest.approx(80.0))


def test_ten_token_figures_are_refused_for_long_answers():
    one, _ = two()
    with pytest.raises(
        BadInput, match="a request had 10 tokens where org/a was measured, and yours have 300"
    ):
        planned(one, requests=1.0, tokens=300)
    uncounted = life([a_run(1.0, "inference", work={"request": 10})])
    with pytest.raises(BadInput, match="was not counted"):
        planned(uncounted, requests=1.0, tokens=300)
    with pytest.raises(BadInput, match="must be above 0"):
        planned(one, requests=0.0)


# ------------------------------------------------------------------------------------- what a choice costs over a life


def test_a_choice_over_a_life_is_what_both_took_before_use_and_all_their_requests():
    a, b = two()  # 1 MJ and 20 J a request; 2 MJ and 10 J a request
    few = choice(a, b, requests=10_000, tokens=10)
    assert few.difference_j.value == pytest.approx(1e6 - 10 * 10_000)
    assert few.verdict == "a-better"
    many = choice(a, b, requests=1e6 / 12, tokens=10, months=12)
    assert many.ratio == pytest.approx((2e6 + 10e6) / (1e6 + 20e6))
    assert many.verdict == "b-better"
    assert many.interval_95[0] < many.ratio < many.interval_95[1]
    assert choice(a, b, requests=100_000).verdict == "undecided", "where it pays back, neither is better"
    assert many.break_even.requests == pytest.approx(100_000)
    assert (many.break_even.costlier, many.break_even.cheaper) == ("B (org/b)", "A (org/a)")
    back = choice(b, a, requests=1e6, tokens=10)
    assert back.verdict == "a-better"
    assert back.difference_j.value == pytest.approx(-many.difference_j.value)


def test_two_precisions_of_one_model_are_a_choice_without_a_training_of_their_own():
    fp16 = life([a_run(1000 * 20.0, "inference")])
    int4 = life([a_run(1000 * 12.0, "inference")])
    found = choice(fp16, int4, requests=10e6, months=12)
    assert found.verdict == "b-better"
    assert found.break_even is None, "neither cost anything before use"
    assert found.ratio == pytest.approx(0.6)
    assert any("no training of A" in note for note in found.notes)


def test_what_the_sensors_of_one_kind_share_cancels_in_a_choice():
    narrow = choice(*two(systematic=0.10, noise=1e-6), requests=1e6)
    other = life(
        [
            a_run(2e6, model="org/b", card="other", systematic=0.1),
            a_run(10_000.0, "inference", "org/b", card="other", systematic=0.1),
        ]
    )
    wide = choice(two(systematic=0.10, noise=1e-6)[0], other, requests=1e6)
    widths = [one.interval_95[1] - one.interval_95[0] for one in (narrow, wide)]
    assert widths[0] < widths[1] / 4
    assert widths[0] > 0.04, "cards of one name differ by 1.6 % each, and these are not the same ones"
    assert "cards are not the same" in " ".join(narrow.notes)


def test_an_estimate_or_an_invalid_run_decides_nothing():
    a, b = two()
    assert choice(replace(a, estimated=True), b, requests=1e6).verdict == "undecided"
    invalid = choice(a, replace(b, invalid=True), requests=1e6)
    assert invalid.verdict == "undecided"
    assert not invalid.worse_by(0.0)
    assert any("no verdict" in note for note in invalid.notes)


def test_of_what_others_measured_nothing_cancels():
    a, b = two(systematic=0.10, noise=1e-6)
    own = choice(a, b, requests=1e6)
    taken_over = choice(replace(a, imported=True), b, requests=1e6)
    widths = [one.interval_95[1] - one.interval_95[0] for one in (own, taken_over)]
    assert widths[1] > 2 * widths[0]
    assert any("nothing cancels" in note for note in taken_over.notes)
    imported = life([replace(a_run(1.0, "inference"), origin="imported")])
    assert imported.imported


@settings(deadline=None, max_examples=20)
@given(st.floats(1.0, 1e9))
def test_a_choice_between_a_life_and_itself_is_none(requests):
    one, _ = two()
    found = choice(one, one, requests=requests)
    assert found.ratio == pytest.approx(1.0)
    assert found.difference_j.value == pytest.approx(0.0, abs=1e-6 * found.a.whole_j.value)
    assert found.verdict == "undecided"


def test_the_command_compares_folders_of_runs_over_a_life(folder):
    for name, numbers in (("a", (0, 1, 2)), ("b", (3, 4))):
        (folder / name).mkdir()
        for number in numbers:
            (folder / f"run-{number}").rename(folder / name / f"run-{number}")
    asked = ["compare", str(folder / "a"), str(folder / "b"), "--requests", "1M/month", "--months", "12"]
    result = CliRunner().invoke(cli, [*asked, "--tokens", "10"])
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert told.startswith("over this life B takes less energy than A")
    assert "pays back after 100,000" in told
    assert "12.0 million requests of 10 tokens in 12 months, energy of gpu" in told
    assert re.search(r"B takes 49\.6 ± [\d.]+ kWh less than A", told)
    (whole,) = [line for line in result.stdout.splitlines() if line.startswith("  all ")]
    assert re.fullmatch(r"  all +67\.1 ± [\d.]+ kWh +17\.5 ± [\d.]+ kWh", whole), whole
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    entry = json.loads(CliRunner().invoke(cli, [*asked, "--json", "--zone", "POL"]).stdout)
    assert entry["verdict"] == "b-better"
    assert entry["a"]["use_carbon_g"]["value"] > entry["b"]["use_carbon_g"]["value"]
    assert entry["a"]["zone"] == "POL"
    turned = ["compare", asked[2], asked[1], *asked[3:], "--fail-if-worse", "5%"]
    assert CliRunner().invoke(cli, turned).exit_code == 1
    for wrong, code, why in (
        ([*asked, "--tokens", "300"], 1, "a request had 10 tokens where"),
        ([*asked[:3], "--tokens", "10"], 2, "name '--requests' too"),
        ([*asked[:3], "--zone", "FRA"], 2, "goes with '--requests'"),
        (["compare", asked[1], asked[1], "--requests", "10M"], 1, "A and B are the same runs"),
        (["compare", asked[1], str(folder / "a" / "run-0"), "--requests", "10M"], 1, "B has no inference"),
    ):
        refused = CliRunner().invoke(cli, wrong)
        assert (refused.exit_code, why in str(refused.exception) + refused.output) == (code, True), (
            refused.output
        )


# ---------------------------------------------------------------------------------------------------------- shown


@pytest.fixture
def folder(tmp_path):
    for number, record in enumerate(
        [
            a_run(1e6, role="final", place=Place(zone="FRA")),
            a_run(5e5, role="failed", place=Place(zone="FRA")),
            a_run(20_000.0, "inference", place=Place(zone="FRA")),
            a_run(3e6, model="org/small", place=Place(zone="FRA")),
            a_run(5_000.0, "inference", "org/small", place=Place(zone="FRA")),
        ]
    ):
        (tmp_path / f"run-{number}").mkdir()
        write_record(record, tmp_path / f"run-{number}" / "record.json")
    return tmp_path


def test_a_folder_of_runs_is_told_with_its_break_even_and_drawn(folder):
    asked = [
        "life",
        str(folder),
        "--requests",
        "1M/month",
        "--months",
        "12",
        "--tokens",
        "10",
        "--plot",
        str(folder / "life.svg"),
    ]
    result = CliRunner().invoke(cli, asked)
    assert result.exit_code == 0, result.output
    told = " ".join(result.output.split())
    assert "org/small costs" in told
    assert "pays back after 100,000" in told
    assert "failed" in told
    assert "12.0 million requests of 10 tokens in 12 months" in told
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    picture = (folder / "life.svg").read_bytes()
    assert ElementTree.fromstring(picture).tag.endswith("svg")
    CliRunner().invoke(cli, asked)
    assert (folder / "life.svg").read_bytes() == picture


def test_a_service_that_is_planned_elsewhere_has_that_places_carbon_and_its_training_keeps_its_own():
    """The figure was measured in France; the service is planned in Poland."""
    runs = [
        a_run(KWH, role="final", place=Place(zone="FRA")),
        a_run(KWH, "inference", place=Place(zone="FRA"), work={"request": 1000, "token": 10_000}),
    ]
    here = life(runs)
    poland = life(runs, zone="POL")
    factor = poland.carbon_g.value / here.carbon_g.value
    assert factor > 5
    at_home, elsewhere = (
        planned(here, requests=2000, tokens=10, there=there, zone=zone)
        for there, zone in ((None, None), (poland, "POL"))
    )
    assert at_home.use_carbon_g.value == pytest.approx(2 * 56.039)
    assert at_home.carbon_g.value == pytest.approx(3 * 56.039)
    assert (at_home.zone, at_home.elsewhere) == (None, False)
    assert elsewhere.use_carbon_g.value == pytest.approx(2 * 56.039 * factor)
    assert elsewhere.before_carbon_g.value == pytest.approx(56.039), "what was trained, was trained in France"
    assert elsewhere.elsewhere
    assert elsewhere.use_water_l.value != at_home.use_water_l.value
    assert elsewhere.use_j == at_home.use_j
    assert "planned elsewhere than it was measured, in POL" in shown.service_told(elsewhere)
    assert "before it, where that ran" in shown.service_told(elsewhere)
    assert not planned(here, requests=1, there=life(runs, zone="FRA"), zone="FRA").elsewhere


def test_the_command_plans_elsewhere_and_leaves_the_runs_where_they_ran(folder):
    asked = ["life", str(folder), "--requests", "1M/month", "--months", "12", "--json"]
    told = json.loads(CliRunner().invoke(cli, [*asked, "--zone", "POL"]).stdout)
    assert [one["zones"] for one in told["lives"]] == [["FRA"], ["FRA"]]
    assert {one["zone"] for one in told["service"]} == {"POL"}
    assert all(one["elsewhere"] for one in told["service"])
    at_home = json.loads(CliRunner().invoke(cli, asked).stdout)
    assert at_home["service"][0]["use_carbon_g"]["value"] < told["service"][0]["use_carbon_g"]["value"]
    assert at_home["service"][0]["before_carbon_g"] == told["service"][0]["before_carbon_g"]
    refused = CliRunner().invoke(cli, [*asked, "--zone", "Atlantis"])
    assert refused.exit_code == 1


def test_json_holds_lives_break_even_and_service(folder):
    result = CliRunner().invoke(cli, ["life", str(folder), "--json"])
    told = json.loads(result.output)
    assert [one["model"] for one in told["lives"]] == ["org/name", "org/small"]
    (meeting,) = told["break_even"]
    assert meeting["requests"] == pytest.approx(100_000)
    assert {portion["name"] for portion in told["lives"][0]["stages"]} == {"pre-training", "inference"}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (["--requests", "many"], 2),
        (["--requests", "10M/year"], 2),
        (["--requests", "10M/month"], 2),
        (["--tokens", "300"], 2),
        (["--requests", "10M", "--tokens", "300"], 1),
        (["--zone", "mars"], 1),
        (["--component", "wall"], 1),
    ],
)
def test_wrong_questions_are_one_line(folder, asked, code):
    from energy_rating.cli import main

    with pytest.raises(SystemExit) as ended:
        main(["life", str(folder), *asked])
    assert ended.value.code == code


def test_a_picture_without_use_or_meeting_is_still_one():
    for lives_shown in (lives([a_run(1.0)]), two(), two(each_b=25.0)):
        breaks = [break_even(*lives_shown)] if len(lives_shown) == 2 else []
        text = shown.plot(lives_shown, breaks)
        assert "nan" not in text
        assert ElementTree.fromstring(text.encode()) is not None


def test_large_numbers_are_told_in_words():
    assert [shown.number(one) for one in (0.5, 42.4, 12_345.0, 1.5e6, 2e9, math.pi * 1e12)] == [
        *("0.5", "42.4", "12,345", "1.50 million", "2.00 billion", "3.14 trillion"),
    ]


def test_carbon_of_places_whose_tables_count_differently_says_so():
    """France's figure is of the life cycle, California's of combustion alone."""
    there = a_run(KWH, place=Place(zone="FRA"))
    alike = life([there, a_run(KWH, place=Place(zone="DEU"))])
    assert not any("several tables" in note for note in alike.notes)
    mixed = life([there, a_run(KWH, place=Place(zone="US-CA"))])
    (note,) = (note for note in mixed.notes if "several tables" in note)
    assert "codecarbon-3.3" in note
    assert "egrid-2023 (production of the state, combustion only)" in note


def test_whose_electricity_the_carbon_is_of_is_said_where_it_is_not_the_energy_above():
    alone = a_run(KWH, place=Place(zone="FRA"))
    (line,) = (line for line in shown.told(life([alone])) if line.startswith("carbon"))
    assert line.startswith("carbon of the electricity: ")
    both = replace(alone["run"], energy_j={"gpu": Estimate(value=KWH), "cpu": Estimate(value=KWH)})
    found = life([replace(alone, measurements=(both,))])
    assert found.carbon_g.value == pytest.approx(2 * 56.039)
    (line,) = (line for line in shown.told(found) if line.startswith("carbon"))
    assert line.startswith("carbon of the electricity of gpu, cpu: ")
    mixed = life([replace(alone, measurements=(both,)), a_run(KWH, place=Place(zone="FRA"))])
    assert any("not all measured the same" in note for note in mixed.notes)
