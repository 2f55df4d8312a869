"""A card's ``dia_report``: what it says of a model's own runs, by the schema of those who read it, and what a base's card tells of the base."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from test_splice import CARDS
from test_trainings import trained

from energy_rating import BadInput, load, verify
from energy_rating.cli import cli
from energy_rating.files.imports import dia as dia_import
from energy_rating.judging.footprint.carbon import footprint
from energy_rating.nouns.entries import Lineage, Model
from energy_rating.nouns.quantities import JOULES_PER_KWH
from energy_rating.publishing import dia, splice
from energy_rating.publishing.base_cards import share_in
from energy_rating.publishing.card import put_back, remove_card, update_card

SCHEMA = json.loads((Path(__file__).parent.parent / "data/dia/dia_schema-0.1.json").read_text())
CARD = "---\nlicense: mit\nlanguage: no\n---\n\n# A model\n"
LORA = Lineage(base_model="org/base", relation="lora")


def wrong_with(value, schema, place="dia_report"):
    """What is wrong by the part of JSON Schema (draft 7) that their schema uses."""
    if "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        fits = [one for one in schema["oneOf"] if not wrong_with(value, one, place)]
        return [] if len(fits) == 1 else [f"{place}: fits {len(fits)} of {len(schema['oneOf'])}"]
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int}
    if not isinstance(value, kinds[schema["type"]]) or isinstance(value, bool):
        return [f"{place}: no {schema['type']}"]
    if value not in schema.get("enum", [value]):
        return [f"{place}: {value!r} is none of {schema['enum']}"]
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        return [f"{place}: {value} is too small"]
    found = [f"{place}: no {name}" for name in schema.get("required", ()) if name not in value]
    if isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{place}: {len(value)} items")
        for number, one in enumerate(value):
            found += wrong_with(one, schema.get("items", {"type": "string"}), f"{place}/{number}")
    if isinstance(value, dict):
        for name, part in schema.get("properties", {}).items():
            if name in value:
                found += wrong_with(value[name], part, f"{place}/{name}")
    return found


@pytest.fixture
def runs(tmp_path):
    return {
        "final": trained(tmp_path / "final", 300, role="final", place="FRA", lineage=LORA),
        "try": trained(tmp_path / "try", 100, role="search", place="FRA", lineage=LORA),
    }


def reported(text):
    return yaml.safe_load(text.split("---\n")[1])["dia_report"]


def test_what_is_written_is_what_their_schema_asks_for_and_holds_all_runs_with_their_doubt(runs):
    impacts = [footprint(one, wue="0.2@the site") for one in runs.values()]
    text = update_card(CARD, list(runs.values()), impact=impacts, dia_report=True)
    told = reported(text)
    assert wrong_with(told, SCHEMA) == []
    assert told["scope"] == "incremental"
    assert told["lineage"] == [{"model": "org/base", "relation": "lora"}]
    low, high = told["footprint"]["energy_kwh"]["value"]
    whole = sum(one["run"].energy_j["gpu"].value for one in runs.values()) / JOULES_PER_KWH
    assert whole == pytest.approx(40_000 / JOULES_PER_KWH, rel=1e-3), "300 W and 100 W of 100 s each"
    assert low < whole < high
    assert (low + high) / 2 == pytest.approx(whole, rel=1e-3)
    assert told["footprint"]["energy_kwh"]["quality"] == "measured"
    assert told["footprint"]["carbon_kgco2eq"]["quality"] == "estimated-from-region"
    ends = told["footprint"]["carbon_kgco2eq"]["value"]
    assert sum(ends) / 2 == pytest.approx(sum(one.carbon_g.value for one in impacts) / 1000, rel=0.01)
    water = told["footprint"]["water_liters"]["value"]
    assert sum(water) / 2 == pytest.approx(sum(one.water_l.value for one in impacts), rel=0.01)
    assert told["compute"]["duration_gpu_hours"] == pytest.approx(200 / 3600, rel=1e-3)
    assert told["compute"]["hardware"]["count"] == 1
    assert told["context"]["region"] == "FRA"
    assert remove_card(text) == CARD
    assert update_card(text, list(runs.values()), impact=impacts, dia_report=True) == text


def test_without_a_place_there_is_energy_and_no_zero_for_what_is_not_known(runs):
    told = reported(update_card(CARD, [runs["final"]], dia_report=True))
    assert list(told["footprint"]) == ["energy_kwh"]
    assert "region" not in told["context"]
    assert wrong_with(told, SCHEMA) == []
    assert wrong_with({"scope": "cumulative", "footprint": {"energy_kwh": {"value": [1]}}}, SCHEMA)


def test_an_estimate_is_not_called_measured(runs):
    run = runs["final"]["run"]
    modelled = replace(
        runs["final"],
        channels=tuple(replace(one, method="model") for one in runs["final"].channels),
        measurements=(replace(run, methods={"gpu": "model"}),),
    )
    assert dia.report([modelled])["footprint"]["energy_kwh"]["quality"] == "estimated-from-hardware"
    imported = replace(runs["final"], origin="imported")
    assert dia.report([imported])["footprint"]["energy_kwh"]["quality"] == "estimated-from-hardware"


def test_what_is_no_report_of_one_model_is_refused_in_one_line(runs, tmp_path):
    final = runs["final"]
    inference = trained(tmp_path / "inference", 10, stage="inference")
    other = replace(runs["try"], model=Model(id="org/other"))
    elsewhere = replace(runs["try"], lineage=Lineage(base_model="org/third", relation="lora"))
    invalid = replace(final, measurements=(replace(final["run"], validity="invalid"),))
    for records, why in (
        ([inference], "no training is among the runs"),
        ([final, other], "is of one model; the trainings are of 'org/name', 'org/other'"),
        ([final, elsewhere], "of one model with one base; the trainings name 'org/base', 'org/third'"),
        ([final, final], "is there twice"),
        ([invalid], "is invalid"),
    ):
        with pytest.raises(BadInput, match=why) as told:
            dia.report(records)
        assert "\n" not in str(told.value)
    inference_beside = dia.report([final, inference])
    assert inference_beside["runs"] == 1, "use is no part of what making it took"


def test_a_report_of_somebody_else_is_not_replaced_unasked_and_comes_back(runs):
    theirs = CARD.replace("language: no", "dia_report:\n  scope: incremental\n  footprint: {}  # mine")
    with pytest.raises(BadInput, match="dia_report stands there already"):
        update_card(theirs, [runs["final"]], dia_report=True)
    put = update_card(theirs, [runs["final"]], dia_report=True, overwrite=True)
    assert reported(put)["tool"].startswith("energy-rating ")
    assert remove_card(put) == theirs
    assert "dia_report" in update_card(theirs, [runs["final"]]), "nobody asked for it"


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS.keys())
def test_every_card_is_as_it_was_when_the_report_is_taken_out(card):
    value = {
        "scope": "incremental",
        "lineage": [{"model": "org/a: b", "relation": "lora"}],
        "footprint": {"energy_kwh": {"value": [0.00001, 0.00002], "quality": "measured"}},
        "tool": "energy-rating 0.2.0, run r1",
    }
    put = splice.put_key(card, "dia_report", value)
    assert splice.value_of(put, "dia_report") == splice.as_told(value)
    assert splice.remove_key(put, "dia_report") == card


def test_a_card_that_cannot_be_read_is_never_replaced(runs, tmp_path):
    record = str(tmp_path / "final")
    for content in (b"---\na: [\n---\nmine", b"\xff\xfe mine", b"x" * ((16 << 20) + 1)):
        readme = tmp_path / "README.md"
        readme.write_bytes(content)
        refused = CliRunner().invoke(cli, ["card", str(readme), record, "--dia-report"])
        assert refused.exit_code != 0
        assert readme.read_bytes() == content
    missing = CliRunner().invoke(cli, ["card", str(tmp_path / "none.md"), record, "--dia-report"])
    assert missing.exit_code != 0
    assert not (tmp_path / "none.md").exists()


def test_verify_makes_the_report_of_one_training_again_and_finds_another_figure(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(CARD)
    made = CliRunner().invoke(cli, ["card", str(readme), str(tmp_path / "final"), "--dia-report"])
    assert made.exit_code == 0, made.output
    assert verify(tmp_path / "final", card=readme).agrees
    text = readme.read_text()
    low = reported(text)["footprint"]["energy_kwh"]["value"][0]
    readme.write_text(text.replace(f"[{splice.decimal(low)}, ", f"[{splice.decimal(low / 10)}, "))
    assert [one.path for one in verify(tmp_path / "final", card=readme).differences] == ["dia_report"]
    both = [str(tmp_path / one) for one in runs]
    readme.write_text(CARD)
    CliRunner().invoke(cli, ["card", str(readme), *both, "--dia-report"])
    for folder in both:
        found = verify(folder, card=readme)
        assert found.agrees, found.differences
        assert any("dia_report" in one for one in found.not_checked)


def test_what_we_write_is_read_again_as_others_reports_are(runs, tmp_path):
    readme = tmp_path / "card" / "README.md"
    readme.parent.mkdir()
    readme.write_text(update_card(CARD, [runs["final"]], dia_report=True))
    record = load(readme)
    assert record.origin == "imported"
    assert (record.lineage.base_model, record.lineage.relation) == ("org/base", "lora")
    energy = record["run"].energy_j["host"]
    assert energy.value == pytest.approx(runs["final"]["run"].energy_j["gpu"].value, rel=1e-3)
    qlora = readme.read_text().replace('"lora"', '"qlora"')
    readme.write_text(qlora)
    assert load(readme).lineage.relation == "lora"
    assert dia_import.report_in("# no metadata") is None


def test_what_the_base_took_is_shown_beside_and_added_to_nothing(runs, tmp_path):
    base = trained(tmp_path / "base", 1000, stage="pre-training", model="org/base", role="final", place="FRA")
    for by, options in (("its card's section", []), ("its card's dia_report", ["--dia-report"])):
        card = tmp_path / "BASE.md"
        card.write_text(CARD)
        CliRunner().invoke(cli, ["card", str(card), str(tmp_path / "base"), *options])
        if options:
            card.write_text(splice.remove_section(card.read_text()))
        share = share_in(card, "org/base")
        low, high = share.energy_kwh
        assert (low + high) / 2 == pytest.approx(base["run"].energy_j["gpu"].value / 3.6e6, rel=1e-3)
        readme = tmp_path / "README.md"
        readme.write_text(CARD)
        made = CliRunner().invoke(
            cli, ["card", str(readme), str(tmp_path / "final"), "--dia-report", "--base-card", str(card)]
        )
        assert made.exit_code == 0, made.output
        text = readme.read_text()
        (row,) = [line for line in text.splitlines() if line.startswith("| Its base took |")]
        assert "org/base: " in row
        assert by in row
        assert "in no other figure" in row
        assert "| Made from | lora of org/base (scope: incremental, this model's own runs alone) |" in text
        own = sum(reported(text)["footprint"]["energy_kwh"]["value"]) / 2
        assert own == pytest.approx(30_000 / 3.6e6, rel=1e-3), "never its ancestors'"
        found = verify(tmp_path / "final", card=readme)
        assert found.agrees, found.differences
        assert "what making org/base took, as its own card says" in found.not_checked
        life = CliRunner().invoke(cli, ["life", str(tmp_path / "final"), "--base-card", str(card)])
        assert life.exit_code == 0, life.output
        assert "org/base: " in " ".join(life.output.split())
        told = json.loads(
            CliRunner()
            .invoke(cli, ["life", str(tmp_path / "final"), "--base-card", str(card), "--json"])
            .stdout
        )
        assert told["lives"][0]["energy_j"]["value"] == pytest.approx(30_000, rel=1e-3)
        assert told["bases"][0]["energy_kwh"] == list(share.energy_kwh)


def test_a_base_card_that_says_nothing_is_refused_in_one_line(runs, tmp_path):
    card = tmp_path / "BASE.md"
    readme = tmp_path / "README.md"
    readme.write_text(CARD)
    plain = trained(tmp_path / "plain", 10)
    assert plain.lineage is None
    os.mkfifo(tmp_path / "pipe.md")
    for content, record, told in (
        ("# Trained with 12 MWh\n", "final", "says nothing of what making the model took"),
        ("---\ndia_report:\n  scope: cumulative\n---\n", "final", "the scope must be 'incremental'"),
        ("---\ndia_report:\n  scope: incremental\n  footprint: {}\n---\n", "final", "says nothing"),
        ("---\ndia_report: &a\n  b: *a\n---\n", "final", "no anchors and aliases"),
        (CARD, "plain", "no training says what it was made from"),
    ):
        card.write_text(content)
        for command in (["card", str(readme), str(tmp_path / record)], ["life", str(tmp_path / record)]):
            refused = CliRunner().invoke(cli, [*command, "--base-card", str(card)])
            assert refused.exit_code != 0, (content, command)
            assert told in str(refused.exception or refused.output), (content, command)
    refused = CliRunner().invoke(
        cli, ["life", str(tmp_path / "final"), "--base-card", str(tmp_path / "pipe.md")]
    )
    assert refused.exit_code != 0
    assert readme.read_text() == CARD


def test_a_report_of_ours_is_put_back_with_the_section_after_a_framework_has_written_the_card_anew(runs):
    put = update_card(CARD, [runs["final"]], dia_report=True)
    assert put_back(CARD, put) == put
    theirs = CARD.replace("language: no", "dia_report: {scope: incremental, tool: other}")
    assert reported(put_back(theirs, put))["tool"] == "other"
