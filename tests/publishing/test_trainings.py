"""Several trainings in one card: their sum stands in its metadata, and each has its role, its model and its own emissions."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from click.testing import CliRunner
from forked import energy_rating
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, load, measure, verify
from energy_rating.cli import cli as main
from energy_rating.judging.footprint.carbon import footprint
from energy_rating.judging.rating import rate
from energy_rating.nouns.entries import Lineage
from energy_rating.publishing import data
from energy_rating.publishing.card import remove_card, section, update_card
from energy_rating.publishing.checking_shown import tables_of

CARD = "---\nlicense: mit\nlanguage: no\n---\n\n# A model\n"


def trained(folder, watts, *, stage="fine-tuning", model="org/name", **settings):
    clock = VirtualClock()
    power, energy = constant(watts)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(
        stage, model=model, output_dir=folder, sensors=[gpu], clock=clock, report=None, **settings
    ) as run:
        clock.sleep(100)
        run.count(token=1000)
    return load(folder)


@pytest.fixture
def runs(tmp_path):
    """A model, what was tried before it, and an adapter of it."""
    adapter = Lineage(base_model="org/name", relation="adapter")
    return {
        "final": trained(tmp_path / "final", 300, stage="pre-training", role="final", place="FRA"),
        "try-1": trained(tmp_path / "try-1", 100, stage="pre-training", role="search", place="FRA"),
        "try-2": trained(tmp_path / "try-2", 200, stage="pre-training", role="search", place="FRA"),
        "adapter": trained(
            tmp_path / "adapter", 50, model="org/name-lora", role="final", lineage=adapter, place="NOR"
        ),
    }


def written(records):
    records = list(records)
    impacts = [footprint(one) for one in records]
    return update_card(CARD, records, ratings=[rate(one) for one in records], impact=impacts), impacts


def key_of(text):
    return yaml.safe_load(text.split("---\n")[1])["co2_eq_emissions"]


def test_the_metadata_have_the_sum_and_say_of_what(runs):
    text, impacts = written(runs.values())
    value = key_of(text)
    assert value["emissions"] == pytest.approx(sum(one.carbon_g.value for one in impacts), rel=1e-3)
    assert value["training_type"] == "pre-training and fine-tuning"
    assert value["geographical_location"] == "France and Norway"
    first = runs["final"].run_id
    assert f"run {first} and 3 more, gpu measured" in value["source"]
    assert "cpu not measured" in value["source"]
    assert remove_card(text) == CARD
    again, _ = written(runs.values())
    assert again == text


def test_sweeps_and_adapters_are_told_apart_and_each_run_has_its_role(runs):
    text, impacts = written(runs.values())
    table = [line for line in text.splitlines() if re.match(r"\| (final|search|\*\*All)", line)]
    assert [line.split(" | ")[0] for line in table] == ["| final", "| search", "| final", "| **All**"]
    assert "| search | org/name | 2 runs |" in text
    assert "org/name-lora (adapter of org/name)" in text
    told = [re.search(r"([\d.]+) ± [\d.]+ (m?g) CO2e", line) for line in table]
    sums = [float(one[1]) / (1000 if one[2] == "mg" else 1) for one in told]
    assert sums[3] == pytest.approx(sum(sums[:3]), rel=0.02)
    assert sums[1] == pytest.approx(impacts[1].carbon_g.value + impacts[2].carbon_g.value, rel=0.02)
    rows = [rows for rows in tables_of(text) if "Run" in rows]
    assert [one["Role of this run"] for one in rows] == ["final", "search", "search", "final"]
    assert [one.get("Made from") for one in rows] == [
        None,
        None,
        None,
        "adapter of org/name (scope: incremental, this model's own runs alone)",
    ]
    assert all("CO2e" in one["Emissions of the training"] for one in rows)
    assert "<summary>2. org/name, pre-training, search" in text


def test_a_final_run_says_so_until_the_others_stand_in_the_same_card(runs):
    alone, _ = written([runs["final"]])
    assert (
        "| Runs | final run only; searches, ablations and failed runs of the model are not in it |" in alone
    )
    together, _ = written(runs.values())
    assert [one["Runs"] for one in tables_of(together) if "Run" in one] == [
        "the final run; beside it 2 search runs, whose energy is not in this figure",
        "a run of the role search only; searches, ablations and failed runs of the model are not in it",
        "a run of the role search only; searches, ablations and failed runs of the model are not in it",
        "final run only; searches, ablations and failed runs of the model are not in it",
    ], "what was tried for another model is nothing to the adapter"


def test_a_label_tells_of_other_runs_and_can_be_checked_with_its_own_folder(runs, tmp_path):
    cli = CliRunner()
    final = str(tmp_path / "final")
    for kind in ("svg", "png"):
        out = tmp_path / "final" / f"label.{kind}"
        made = cli.invoke(
            main,
            [
                "label",
                final,
                "-o",
                str(out),
                "--beside",
                str(tmp_path / "try-1"),
                "--beside",
                str(tmp_path / "try-2"),
            ],
        )
        assert made.exit_code == 0, made.output
    text = (tmp_path / "final" / "label.svg").read_text()
    assert "beside it 2 search runs" in text
    assert "final run only" not in text
    assert verify(tmp_path / "final").agrees
    (tmp_path / "final" / "label.svg").write_text(text.replace("2 search runs", "9 search runs"))
    assert not verify(tmp_path / "final").agrees
    for others, told in (
        (["adapter"], "must be of the same model as the label; it is of 'org/name-lora'"),
        (["final"], "is there twice"),
        (["try-1", "try-1"], "is there twice"),
    ):
        refused = cli.invoke(
            main, ["label", final, *(part for one in others for part in ("--beside", str(tmp_path / one)))]
        )
        assert told in str(refused.exception or refused.output)


def test_doubt_that_is_common_to_all_does_not_shrink_in_the_sum(runs):
    _, impacts = written(runs.values())
    from energy_rating.publishing.card import training_of
    from energy_rating.publishing.trainings import summed_g

    told = summed_g(
        [training_of(record, impact) for record, impact in zip(runs.values(), impacts, strict=True)]
    )
    assert told.systematic == pytest.approx(sum(one.carbon_g.systematic for one in impacts), rel=1e-4)
    assert told.random <= sum(one.carbon_g.random for one in impacts) * 1.001


def test_a_run_counts_once_and_a_sum_that_lacks_one_is_refused(runs):
    records = list(runs.values())
    impacts = [footprint(one) for one in records]
    with pytest.raises(BadInput, match="more than once"):
        update_card(CARD, [records[0], records[0]], impact=[impacts[0], impacts[0]])
    with pytest.raises(BadInput, match="3 figures of emissions were given for 4 training runs"):
        update_card(CARD, records, impact=impacts[:3])
    with pytest.raises(BadInput, match="one figure of emissions was given for 4 training runs"):
        update_card(CARD, records, impact=impacts[0])


def test_an_inference_beside_them_is_no_part_of_the_sum(runs, tmp_path):
    inference = trained(tmp_path / "inference", 1000, stage="inference", place="POL")
    trainings = [runs["final"], runs["try-1"]]
    impacts = [footprint(one) for one in trainings]
    text = update_card(CARD, [inference, *trainings], impact=impacts)
    assert key_of(text)["emissions"] == pytest.approx(sum(one.carbon_g.value for one in impacts), rel=1e-3)


def test_whoever_has_one_of_the_folders_can_check_its_part_and_the_sum(runs, tmp_path):
    text, _ = written(runs.values())
    readme = tmp_path / "README.md"
    for name in runs:
        readme.write_text(text)
        found = verify(tmp_path / name, card=readme)
        assert found.agrees, found.differences
        # Its own part, the sum of all, and the metadata are each held against the data.
        own = data.section_data(
            text.partition("<!-- energy-rating:start -->\n")[2]
            .partition("<!-- energy-rating:end -->")[0]
            .strip()
        )
        grams = next(one.grams for one in own.trainings if one.run == runs[name].run_id)
        readme.write_text(text.replace(f'"grams": {json.dumps(grams)}', '"grams": 0.001'))
        assert not verify(tmp_path / name, card=readme).agrees
        readme.write_text(
            re.sub(r"\*\*All\*\* \| \| 4 runs \| \*\*[\d.]+", "**All** | | 4 runs | **0.01", text)
        )
        assert not verify(tmp_path / name, card=readme).agrees
        for wrong in (
            re.sub(r"\| GPU \| [\d.]+", "| GPU | 0.1", text),  # the sum of the energy
            text.replace("| all 4 |", "| 3 of 4 |"),
            re.sub(
                rf'("run": "{runs[name].run_id}", "sound": true, "drawn": .*?"joules": )[\d.]+',
                r"\g<1>1.0",
                text,
            ),
            re.sub(rf"(\| {list(runs).index(name) + 1} \| .*?\| )[\d.]+ ±", r"\g<1>0.01 ±", text),  # its row
        ):
            assert wrong != text
            readme.write_text(wrong)
            assert not verify(tmp_path / name, card=readme).agrees
        readme.write_text(re.sub(r"emissions: [\d.]+", "emissions: 0.01", text))
        assert [one.path for one in verify(tmp_path / name, card=readme).differences] == ["co2_eq_emissions"]
        if runs[name].role == "search":  # a sweep that is passed off as the model
            readme.write_text(text.replace('"role": "search"', '"role": "final"'))
            differences = verify(tmp_path / name, card=readme).differences
            assert "data.trainings.role" in [one.path for one in differences]


def test_names_of_strangers_stay_text_in_the_table_of_the_sum(tmp_path):
    odd = Lineage(base_model="[x](https://e.example)|<b>", relation="quantized")
    first = trained(tmp_path / "first", 300, model="a|b <script>", role="search", lineage=odd, place="FRA")
    second = trained(tmp_path / "second", 300, place="FRA")
    text = section([(first, None), (second, None)], impact=[footprint(first), footprint(second)])
    assert "<script>" not in text
    assert "](https://e.example)" not in text
    assert (
        len({line.count("|") for line in text.splitlines() if line.startswith("| search") and "CO2e" in line})
        == 1
    )


def test_the_command_writes_the_sum_and_no_sum_that_is_too_small(runs, tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    done = energy_rating("card", "README.md", *runs, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert key_of(text)["emissions"] == pytest.approx(
        sum(footprint(one).carbon_g.value for one in runs.values()), rel=1e-3
    )
    assert energy_rating("card", "README.md", *runs, cwd=tmp_path).stdout.startswith("Unchanged")
    assert energy_rating("verify", "try-1", "--card", "README.md", cwd=tmp_path).returncode == 0
    trained(tmp_path / "nowhere", 100)
    done = energy_rating("card", "README.md", "final", "nowhere", cwd=tmp_path)
    assert "of 2 training runs only 1 have them" in done.stderr
    assert "co2_eq_emissions" not in (tmp_path / "README.md").read_text()
    done = energy_rating("card", "README.md", "final", "nowhere", "--zone", "FRA", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert key_of((tmp_path / "README.md").read_text())["geographical_location"] == "France"
