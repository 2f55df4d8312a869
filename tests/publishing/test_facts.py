"""What is told of a run is worked out once: every form says the same of whom, how, per what and how much."""

from __future__ import annotations

import ast
import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import energy_rating
from energy_rating import load, rate
from energy_rating.nouns.choices import Method
from energy_rating.nouns.quantities import JOULES_PER_WH, with_doubt
from energy_rating.nouns.records import Channel, Device, Environment, Finding, Rating, Record
from energy_rating.publishing import card, label, words
from energy_rating.publishing.exports.csv import export
from energy_rating.publishing.facts import Facts, facts_of, headline, one_line
from energy_rating.publishing.terminal import records as terminal

TOP = Path(__file__).parents[2]
OLD = TOP / "tests/data/0.1.0"
PUBLISHING = Path(energy_rating.__file__).parent / "publishing"
SVG = "{http://www.w3.org/2000/svg}"


def _cases() -> dict[str, tuple[Record, Rating]]:
    cases = {folder.name: load(folder) for folder in sorted(OLD.iterdir())}
    cases["example"] = load(TOP / "reports/example-gpu")
    example = cases["example"]
    guessed = tuple(replace(channel, method="model") for channel in example.channels)
    modelled = tuple(
        replace(one, methods=dict.fromkeys(one.methods, "model")) for one in example.measurements
    )
    cases["all of it estimated"] = replace(example, channels=guessed, measurements=modelled)
    return {name: (record, rate(record)) for name, record in cases.items()}


CASES = _cases()


def _figure(facts: Facts) -> str:
    """The figure that stands for a run, as every form writes it."""
    assert facts.figure is not None
    if facts.total:
        return with_doubt(facts.figure.energy_j.times(1 / JOULES_PER_WH), "Wh")
    return with_doubt(facts.figure.energy_j, "J")


@pytest.mark.parametrize("name", CASES)
def test_label_card_terminal_and_table_say_the_same(name: str) -> None:
    record, rating = CASES[name]
    facts = facts_of(record, rating)
    figure = facts.figure
    assert figure is not None
    told, unit = _figure(facts), figure.unit

    svg = ET.fromstring(label.svg(record, rating))
    drawn = " ".join(element.text or "" for element in svg.iter(f"{SVG}text"))
    described = svg.findtext(f"{SVG}desc") or ""
    assert told.split()[0] in drawn
    assert f"{told} {f'per {unit}' if unit else 'in all'}" in described
    assert words.HOLDS[figure.component] in described
    assert ("ESTIMATED" in drawn) is (figure.origin == "estimated")

    rows = dict(re.findall(r"^\| (.+?) \| (.*) \|$", card.section([(record, rating)]), re.M))
    assert rows["Energy of"].startswith(words.HOLDS[figure.component])
    row = f"Energy per {unit}, {figure.part.name}" if unit else f"Total energy, {figure.part.name}"
    found = [text for name, text in rows.items() if name.startswith(row)]
    if unit or facts.total:
        assert len(found) == 1
        assert told in found[0]
        assert found[0].startswith("**estimated**") is (figure.origin == "estimated")
    named = rows["**Estimated**" if figure.origin == "estimated" else "Measured"]
    assert figure.part.name in named

    text = " ".join(terminal.record(record).split())
    first = f"{figure.component} " if not figure.part.estimated else f"{figure.component}* "
    assert first in text
    if unit:
        # On the line first, then in the table.
        assert f"({figure.component}{', estimated' if figure.part.estimated else ''}" in text
        assert with_doubt(figure.energy_j, f"J/{unit}") in text

    (table,) = [entry for entry in csv.DictReader(io.StringIO(export(record))) if entry["headline_component"]]
    assert table["headline_component"] == facts_of(record).component
    assert table["headline_origin"] == figure.origin
    assert table["headline_unit"] == (unit or "")
    assert float(table["headline_energy_j"]) == figure.energy_j.value


@pytest.mark.parametrize("name", CASES)
def test_the_component_that_was_rated_is_the_one_that_is_told(name: str) -> None:
    record, rating = CASES[name]
    if rating.stars is not None:
        assert facts_of(record, rating).component == rating.component


def test_two_components_of_one_energy_are_not_taken_for_each_other() -> None:
    """Which of them was rated is what the rating says, and no guess from figures that happen to be alike."""
    record, rating = CASES["example"]
    energy = record["measured"].energy_j["gpu"]
    alike = replace(
        record["measured"],
        energy_j={"cpu": energy, "gpu": energy},
        energy_by_channel_j={**record["measured"].energy_by_channel_j, "cpu": energy},
        methods={"cpu": "model", "gpu": "counter"},
    )
    cpu = Channel(id="cpu", component="cpu", device="cpu", method="model", accuracy=0.5)
    record = replace(record, measurements=(alike,), channels=(*record.channels, cpu))
    assert facts_of(record, rating).component == "gpu"
    assert facts_of(record, replace(rating, component="cpu")).component == "cpu"
    assert facts_of(record, replace(rating, component="cpu")).rated_as == "estimated"


def test_a_finding_of_many_devices_is_told_once_with_how_many() -> None:
    gpus = tuple(
        Channel(id=f"gpu{n}", component="gpu", device=f"GPU-{n}", method="power", accuracy=0.05)
        for n in range(200)
    )
    findings = tuple(
        Finding(code="throttled", message=f"{gpu.id} was slowed down", severity="degrades", channel=gpu.id)
        for gpu in gpus
    )
    record = replace(
        CASES["example"][0],
        channels=gpus,
        findings=findings,
        environment=Environment(devices=tuple(Device(id=gpu.device, name="GPU") for gpu in gpus)),
    )
    (remark,) = facts_of(record).findings
    assert remark.said == "gpu0 was slowed down (and the same of 199 others)"
    assert card.section([(record, None)]).count("throttled") == 1


def test_the_line_after_a_run_is_of_the_facts() -> None:
    record, rating = CASES["training"]
    assert one_line(record) == one_line(facts_of(record, rating))
    assert headline(record) is facts_of(record).shown.measurement  # type: ignore[union-attr]


# What only the facts ask of a record: how a figure was had, and which component did the work.
_DERIVED = re.compile(r"\b(worst_method|component_methods|LEADING|is_example|channels_of)\b|\.methods\b")


def test_no_form_works_out_what_the_facts_tell() -> None:
    """First of all whether a figure was measured: it was decided in eight places."""
    # What 0.1.0 published is made as it made it; what names.py says of a way, the facts say of a figure.
    own = {"facts.py", "names.py", "first_release"}
    for path in sorted(PUBLISHING.rglob("*.py")):
        if own & set(path.relative_to(PUBLISHING).parts):
            continue
        found = _DERIVED.findall(path.read_text())
        assert not found, f"{path.relative_to(PUBLISHING)} uses {found}"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                for asked in (node.left, *node.comparators):
                    found = {one.value for one in ast.walk(asked) if isinstance(one, ast.Constant)}
                    of_a_way = "model" in found and found <= {*get_args(Method)}
                    assert not of_a_way, f"{path.name}:{node.lineno} asks for the method itself"


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.62, 0.73, "27 to 38 % less"),
        (0.88, 1.03, "12 % less to 3 % more"),
        (1.22, 1.42, "22 to 42 % more"),
        (0.701, 0.702, "30 % less"),
        (1e-5, 2e-5, "over 99 % less"),
        (-0.5, 0.5, "50 to over 99 % less"),
        (4.0, 23.0, "4.00 to 23.0 times the energy"),
    ],
)
def test_an_interval_is_told_as_a_change_of_the_energy(low: float, high: float, told: str) -> None:
    assert words.change_between(low, high) == told
