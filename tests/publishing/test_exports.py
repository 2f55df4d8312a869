"""What other people's processes take: valid by their own schemas, the same numbers when it is read back, and silent on nothing."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_card import as_html, measurement, record

from energy_rating import load
from energy_rating.cli import cli
from energy_rating.files.record import record_to_json
from energy_rating.judging.footprint.carbon import Choices
from energy_rating.nouns.entries import Lineage
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Model,
    Place,
    Quality,
    Record,
    Task,
)
from energy_rating.publishing import exports
from energy_rating.publishing.exports import cyclonedx
from energy_rating.publishing.exports.eval_results import export as eval_results
from energy_rating.publishing.subject import Subject, digits, subject_of

jsonschema = pytest.importorskip("jsonschema", reason="the forms' schemas need it: pip install jsonschema")

FORMS = Path(__file__).parents[1] / "data" / "forms"
EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"
MADE_OF_SUBJECTS = [name for name in exports.names() if name != "csv"]
J_PER_KWH = 3.6e6


def estimate(value: float, share: float = 0.03) -> Estimate:
    return Estimate(value=value, random=value * share / 10, systematic=value * share)


def trained_on_many_nodes() -> Record:
    """Four nodes of eight cards, by hand."""
    devices = tuple(
        Device(id=f"GPU-{node}-{card}", name="NVIDIA H100 80GB HBM3", power_limit_w=700.0, memory_gb=80.0)
        for node in range(4)
        for card in range(8)
    )
    channels = tuple(
        Channel(id=f"{device.id}.energy", component="gpu", device=device.id, method="counter", accuracy=0.04)
        for device in devices
    )
    run = measurement(
        "run",
        duration_s=2.6e6,
        work={"token": 15_000_000_000_000},
        energy_by_channel_j={channel.id: estimate(1.6e9) for channel in channels},
        energy_j={"gpu": estimate(5.12e10), "cpu": estimate(4.1e9, 0.2), "dram": estimate(1.0e9, 0.2)},
        coverage={"gpu": 1.0, "cpu": 1.0, "dram": 1.0},
        methods={"gpu": "counter", "cpu": "counter", "dram": "counter"},
    )
    return record(
        run_id="many-nodes",
        stage="pre-training",
        role="final",
        model=Model(id="org/base", parameters=8_030_000_000),
        task=Task(name="text-generation"),
        load=None,
        environment=Environment(
            devices=devices, software={"torch": "2.13", "python": "3.12", "linux": "6.8"}
        ),
        channels=channels,
        measurements=(run,),
        findings=(),
        place=Place(zone="FRA", region="europe-west9", provider="gcp"),
        nodes=4,
        ranks=32,
    )


def inference_measured() -> Record:
    return record(run_id="inference", findings=(), place=Place(zone="NOR"))


def estimated_only() -> Record:
    cpu = estimate(37.25, 0.5)
    run = measurement(
        "run",
        duration_s=12.0,
        work={"request": 3},
        energy_by_channel_j={"cpu.model": cpu},
        energy_j={"cpu": cpu},
        coverage={"cpu": 1.0},
        methods={"cpu": "model"},
    )
    return record(run_id="estimated", model=None, task=None, load=None, quality=(), measurements=(run,))


def imported() -> Record:
    run = measurement(
        "run",
        duration_s=3600.0,
        work={},
        energy_by_channel_j={},
        energy_j={"gpu": estimate(1.8e6), "dram": estimate(7.2e4)},
        coverage={},
        methods={"dram": "model", "gpu": "counter"},
    )
    told = Finding(code="imported", message="taken over", data={"tool": "CodeCarbon", "version": "3.3.2"})
    return record(
        run_id="imported",
        stage="fine-tuning",
        origin="imported",
        channels=(),
        environment=Environment(),
        measurements=(run,),
        findings=(told,),
        lineage=Lineage(base_model="org/base", relation="adapter"),
    )


def five() -> dict[str, Record]:
    return {
        "training on many nodes": trained_on_many_nodes(),
        "inference measured": inference_measured(),
        "estimated only": estimated_only(),
        "imported": imported(),
        "example": load(EXAMPLE),
    }


FIVE = five()


# ---------------------------------------------------------------------------------------------------- the forms' schemas


def schema(name: str) -> dict[str, Any]:
    return json.loads(gzip.decompress((FORMS / f"{name}.gz").read_bytes()))


def validator(root: dict[str, Any], *others: dict[str, Any]) -> Any:
    """Of that schema, with the others at hand and no network."""
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT4, DRAFT7

    registry = Registry()
    for other in others:
        kind = DRAFT4 if "draft-04" in other["$schema"] else DRAFT7
        registry = registry.with_resource(other.get("$id") or other["id"], Resource(other, kind))
    return jsonschema.validators.validator_for(root)(root, registry=registry)


def of_cyclonedx(version: str) -> Any:
    parts = [schema(f"{name}.schema.json") for name in ("spdx", "jsf-0.82", "cryptography-defs")]
    root = schema(f"bom-{version}.schema.json")
    base = root["$id"].rsplit("/", 1)[0]
    named = [
        {**part, "$id": f"{base}/{name}.SNAPSHOT.schema.json"}
        for part, name in zip(parts, ("spdx", "jsf-0.82", "cryptography-defs"), strict=True)
    ]
    return validator(root, *named)


def of_boamps() -> Any:
    base = "https://raw.githubusercontent.com/Boavizta/BoAmps/main/model"
    parts = [
        {**strict(schema(f"boamps_{name}.json")), "id": f"{base}/{name}_schema.json"}
        for name in ("algorithm", "dataset", "hardware", "measure")
    ]
    return validator(strict(schema("boamps_report.json")), *parts)


def strict(part: Any) -> Any:
    """A schema that takes no key that it does not name: its own takes any, and a misspelt one is lost in silence."""
    if isinstance(part, list):
        return [strict(one) for one in part]
    if not isinstance(part, dict):
        return part
    told = {key: strict(value) for key, value in part.items()}
    return {**told, "additionalProperties": False} if isinstance(part.get("properties"), dict) else told


def of_oscal() -> Any:
    """Its patterns name classes of Unicode, which Python's expressions do not know: letters, and letters or digits."""
    text = gzip.decompress((FORMS / "oscal-ar.json.gz").read_bytes()).decode()
    text = text.replace("(\\\\p{L}|_)(\\\\p{L}|\\\\p{N}|[.\\\\-_])*", "[^\\\\W\\\\d][\\\\w.\\\\-]*")
    assert "\\p{" not in text
    return validator(json.loads(text))


VALIDATORS = {
    ("cyclonedx", "1.6"): of_cyclonedx("1.6"),
    ("cyclonedx", "1.7"): of_cyclonedx("1.7"),
    ("spdx", "3.0.1"): validator(schema("spdx-3.0.1.json")),
    ("boamps", "json"): of_boamps(),
    ("nist", "oscal"): of_oscal(),
}


def refuse_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def told(content: str | bytes) -> Any:
    assert isinstance(content, str)
    return json.loads(content, parse_constant=refuse_constant)


SPDX = schema("spdx-3.0.1.json")
OF_SPDX = {
    kind: validator(
        {
            "$schema": SPDX["$schema"],
            "$defs": SPDX["$defs"],
            "$ref": f"#/$defs/{kind}",
            "unevaluatedProperties": False,
        }
    )
    for kind in ("CreationInfo", "SoftwareAgent", "SpdxDocument", "ai_AIPackage")
}


def check(name: str, variant: str, content: str | bytes, *, quick: bool = False) -> None:
    """Whether it is valid by the form's own schema, or by the parser of whoever reads it.

    ``quick``: of SPDX each element by the schema of its type alone; the whole schema tries every type for each.
    """
    if quick and name == "spdx":
        entry = told(content)
        assert set(entry) == {"@context", "@graph"}
        for one in entry["@graph"]:
            errors = list(OF_SPDX[one["type"]].iter_errors(one))
            assert not errors, "\n".join(f"{list(one.path)}: {one.message[:300]}" for one in errors[:3])
    elif (name, variant) in VALIDATORS:
        errors = list(VALIDATORS[name, variant].iter_errors(told(content)))
        assert not errors, "\n".join(f"{list(one.path)}: {one.message[:300]}" for one in errors[:3])
    elif name == "openmetrics":
        samples(content)
    elif name == "otlp":
        as_protobuf(content)
    elif name == "xlsx":
        cells(content)
    elif name == "croissant":
        as_dataset(content)
    elif variant == "json":
        told(content)
    elif variant == "markdown":
        tree = as_html(str(content))
        assert tree.find("table") is not None or "No score" in str(content)
        for table in tree.iter("table"):
            assert len({len(row) for row in table.iter("tr")}) == 1
    elif variant == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(str(content)))}) == 1
    else:
        assert name == "eval-results"


def samples(content: str | bytes) -> list[Any]:
    """As Prometheus' own library reads OpenMetrics."""
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    families = list(parser.text_string_to_metric_families(str(content)))
    return [sample for family in families for sample in family.samples]


def as_protobuf(content: str | bytes) -> Any:
    """As a collector reads it: unknown keys are refused."""
    service = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")
    from google.protobuf import json_format

    return json_format.Parse(str(content), service.ExportMetricsServiceRequest())


def cells(content: str | bytes) -> list[dict[str, Any]]:
    openpyxl = pytest.importorskip("openpyxl")
    assert isinstance(content, bytes)
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == ["Runs", "About"]
    head, *rows = book["Runs"].iter_rows(values_only=True)
    assert len(set(head)) == len(head)
    assert [row[0] for row in book["About"].iter_rows(values_only=True)][1:-1] == list(head)
    for row in book["Runs"].iter_rows():
        assert all(cell.data_type in ("s", "inlineStr", "n") for cell in row)  # no formula
    return [dict(zip(head, row, strict=True)) for row in rows]


def as_dataset(content: str | bytes) -> dict[str, Any]:
    """By the rules of schema.org for what is used: a data set, its files, its values."""
    entry = told(content)
    assert set(entry) <= {
        *("@context", "@type", "conformsTo", "name", "description", "version", "datePublished"),
        *("distribution", "variableMeasured", "sdPublisher"),
    }
    for file in entry["distribution"]:
        assert re.fullmatch("[0-9a-f]{64}", file["sha256"]) or entry["version"] != "0.1.0"
    for one in entry["variableMeasured"]:
        assert one["@type"] == "PropertyValue"
        assert isinstance(one["value"], int | float)
    return entry


# ------------------------------------------------------------------------------------------------- what is read back


def joules_told(name: str, variant: str, content: str | bytes) -> list[float]:
    """The energies in all that a form tells, in joules."""
    if name == "cyclonedx":
        entries = [
            one
            for component in told(content)["components"]
            for one in component["modelCard"]["considerations"]["environmentalConsiderations"][
                "energyConsumptions"
            ]
        ]
        assert all(one["activityEnergyCost"]["unit"] == "kWh" for one in entries)
        return [one["activityEnergyCost"]["value"] * J_PER_KWH for one in entries]
    if name == "spdx":
        packages = [one for one in told(content)["@graph"] if one["type"] == "ai_AIPackage"]
        found = [
            entry
            for package in packages
            for key, entries in package.get("ai_energyConsumption", {}).items()
            if key != "type"
            for entry in entries
        ]
        return [float(one["ai_energyQuantity"]) * J_PER_KWH for one in found]
    if name == "boamps":
        return [one["powerConsumption"] * J_PER_KWH for one in told(content)["measures"]]
    if name == "xlsx":
        return [row["Energy (kWh)"] * J_PER_KWH for row in cells(content) if row["Energy (kWh)"] is not None]
    if name == "sci" and variant == "json":
        return [one["energy_kwh"] * J_PER_KWH for one in told(content) if one["score"] is not None]
    if name == "eu" and variant == "json":
        items = [one for one in told(content)["items"] if one["unit"] == "MWh" and one["value"] is not None]
        for one in items:  # what is told with two digits is what was meant
            assert float(one["value"]) == pytest.approx(one["exact"], rel=0.051)
        return [one["exact"] * 1000 * J_PER_KWH for one in items]
    if name == "openmetrics":
        return [one.value for one in samples(content) if one.name.endswith("energy_joules_total")]
    if name == "otlp":
        return [
            point.as_double
            for resource in as_protobuf(content).resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name in ("hw.energy", "hw.host.energy")
            for point in metric.sum.data_points
        ]
    if name == "croissant":
        return [one["value"] for one in as_dataset(content)["variableMeasured"] if one["unitText"] == "J"]
    raise KeyError(name)


def joules_meant(name: str, subject: Subject) -> list[float]:
    drawn, one = subject.energy, subject.measurement
    if name in ("openmetrics", "otlp"):
        return [energy.value for each in subject.record for energy in each.energy_j.values()]
    if name == "croissant":
        return [energy.value for energy in one.energy_j.values()] if one is not None else []
    if drawn is None or (name == "sci" and (subject.impact is None or subject.impact.per_unit is None)):
        return []
    if name == "spdx" and subject.record.stage == "other":
        return []
    if name == "eu" and subject.record.stage == "other":
        return []
    return [drawn.joules.value]


def all_forms() -> Iterator[tuple[str, str]]:
    for name in MADE_OF_SUBJECTS:
        for variant in exports.export_form(name).variants:
            yield name, variant


@pytest.mark.parametrize(("name", "variant"), list(all_forms()))
@pytest.mark.parametrize("kind", FIVE)
def test_five_unlike_records_are_valid_and_read_back_to_the_same_numbers(name, variant, kind):
    subject = subject_of(FIVE[kind])
    done = exports.export_form(name).export([subject], variant)
    check(name, variant, done.content)
    again = exports.export_form(name).export([subject_of(FIVE[kind])], variant)
    assert again == done, "the same record gives the same bytes"
    try:
        found = joules_told(name, variant, done.content)
    except KeyError:
        return
    assert sorted(found) == pytest.approx(sorted(joules_meant(name, subject)), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name, variant in all_forms() if exports.export_form(name).many]
)
def test_all_five_together_are_valid_too(name, variant):
    subjects = [subject_of(one) for one in FIVE.values()]
    done = exports.export_form(name).export(subjects, variant)
    check(name, variant, done.content)
    if (name, variant) not in (("eu", "json"),):  # which adds up the trainings
        try:
            found = joules_told(name, variant, done.content)
        except KeyError:
            return
        meant = [value for subject in subjects for value in joules_meant(name, subject)]
        assert sorted(found) == pytest.approx(sorted(meant), rel=1e-12)


# ------------------------------------------------------------------------------------------------------- 200 at random

TEXTS = st.text(min_size=1, max_size=30) | st.sampled_from(
    [
        "=cmd|' /C calc'!A0",
        "</script><b>",
        "a|b`c`",
        "org/name",
        "_x0041_",
        '"\\',
        "\ud800",
        "x\x00y",
        "\u2028",
    ]
)
AMOUNTS = st.floats(min_value=1e-9, max_value=1e15) | st.sampled_from([0.0, 1.0, 5e-5, 360.0, 1e12])


@st.composite
def records(draw: Any) -> Record:
    methods = draw(
        st.dictionaries(
            st.sampled_from(["gpu", "cpu", "dram", "module", "host", "wall"]),
            st.sampled_from(["counter", "power", "model"]),
            max_size=4,
        )
    )
    energies = {component: estimate(draw(AMOUNTS), draw(st.floats(0, 0.6))) for component in methods}
    channels = tuple(
        Channel(
            id=f"{component}.x", component=component, device=f"dev-{component}", method=method, accuracy=0.05
        )
        for component, method in methods.items()
    )
    units = draw(
        st.dictionaries(
            st.sampled_from(["token", "request", "image", "input_token", "flop"]),
            st.integers(0, 10**15),
            max_size=3,
        )
    )
    stage = draw(st.sampled_from(["pre-training", "fine-tuning", "inference", "other"]))
    run = measurement(
        "run",
        duration_s=draw(st.floats(1, 1e7)),
        work=units,
        energy_by_channel_j={f"{component}.x": energy for component, energy in energies.items()},
        energy_j=energies,
        coverage={component: draw(st.floats(0, 1)) for component in energies},
        methods=methods,
        idle_j=dict(energies) if draw(st.booleans()) and energies else None,
    )
    others = (replace(run, name="measured", start_s=1.0),) if draw(st.booleans()) else ()
    created = draw(
        st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
            lambda time: time.isoformat()
        )
        | st.sampled_from(["2026-11-21T09:14:03Z", "2026-11-21T09:14:03", "yesterday", ""])
    )
    name, text = draw(TEXTS), draw(TEXTS)
    return record(
        run_id=draw(TEXTS),
        created=created,
        stage=stage,
        origin=draw(st.sampled_from(["measured", "imported", "merged"])),
        model=draw(
            st.none()
            | st.builds(
                Model,
                id=st.just(name),
                revision=st.none() | st.just(text),
                parameters=st.none() | st.integers(1, 10**13),
            )
        ),
        task=draw(st.none() | st.just(Task(name=text, unit=next(iter(units), None)))),
        load=None,
        environment=Environment(
            devices=tuple(
                Device(id=f"dev-{component}", name=text, memory_gb=draw(st.none() | st.just(80.0)))
                for component in methods
            ),
            software={"torch": text, "python": "3.12"},
        ),
        channels=channels,
        measurements=(run, *others),
        findings=draw(st.sampled_from([(), (Finding(code="x", message=text, severity="disqualifies"),)])),
        quality=draw(st.sampled_from([(), (Quality(metric="accuracy", value=0.5, source=text),)])),
        place=draw(
            st.none()
            | st.builds(
                Place, zone=st.sampled_from(["FRA", "NOR", "ZZZ"]), provider=st.none() | st.just("gcp")
            )
        ),
    )


@pytest.mark.timeout(600)  # a schema of 449 definitions, 200 times over, on a machine that others use too
@pytest.mark.parametrize("name", MADE_OF_SUBJECTS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(value=records(), number=st.integers(0, 10))
def test_two_hundred_records_at_random_are_valid(name, value, number):
    subject = subject_of(value)
    variants = exports.export_form(name).variants
    variant = variants[number % len(variants)]
    done = exports.export_form(name).export([subject], variant)
    if not done.content:  # of what has no energy some forms have no file at all
        assert done.gaps
        assert name == "eval-results" or subject.energy is None
        return
    check(name, variant, done.content, quick=True)
    for gap in done.gaps:
        assert gap.field
        assert gap.fill
    try:
        found = joules_told(name, variant, done.content)
    except KeyError:
        return
    assert sorted(found) == pytest.approx(sorted(joules_meant(name, subject)), rel=1e-9)


# ------------------------------------------------------------------------------------------------------- form by form


def text_of(name: str, *values: Record, variant: str | None = None, **choices: Any) -> str:
    form = exports.export_form(name)
    done = form.export([subject_of(one, Choices(**choices)) for one in values], variant or form.variants[0])
    return str(done.content)


def gaps_of(name: str, *values: Record) -> list[str]:
    form = exports.export_form(name)
    return [str(gap) for gap in form.export([subject_of(one) for one in values], form.variants[0]).gaps]


def test_nist_says_what_is_open_and_what_is_no_matter_of_energy():
    text = text_of("nist", FIVE["training on many nodes"], FIVE["inference measured"])
    table, evidence = as_html(text).findall("table")
    rows = {row[0].text: ["".join(cell.itertext()) for cell in row] for row in table.find("tbody")}
    assert list(rows) == ["MEASURE 2.12", "MS-2.12-001", "MS-2.12-002", "MS-2.12-003", "MS-2.12-004"]
    assert rows["MS-2.12-001"][2:4] == ["out of scope", "no matter of energy"]
    assert "15.64 ± 0.96 MWh" in rows["MS-2.12-003"][3]
    assert "no record of fine-tuning is among these" in rows["MS-2.12-003"][4]
    assert "MS-2.12-005" in text
    assert "MS-2.11-005 is of synthetic training data" in text
    assert "ab" * 32 in "".join(evidence.itertext())
    assert "no endorsement by NIST" in text
    assert {
        row["state"] for row in csv.DictReader(io.StringIO(text_of("nist", FIVE["imported"], variant="csv")))
    } == {*("partly answered", "open", "out of scope", "")}


def test_the_eu_form_has_two_digits_and_says_whose_runs_they_are():
    training = FIVE["training on many nodes"]
    text = text_of("eu", training)
    rows = {
        row[1].text: ["".join(cell.itertext()) for cell in row] for row in as_html(text).find("table/tbody")
    }
    assert rows["Energy used for training"][2:4] == ["16 MWh", "known"]
    assert rows["Computation used for training"][2] == "7.2e+23 FLOP"
    assert "6 N T" in rows["Computation used for training"][4]
    assert rows["Training time, wall clock"][2] == "30 days"
    assert rows["Training time, hardware"][2] == "960 device-days"
    assert "final run only" in text
    assert "“known or estimated energy consumption of the model”" in text
    search = replace(training, run_id="search", role="search")
    assert "2 runs: 1 final, 1 search; whether these are all is for their owner to say" in text_of(
        "eu", training, search
    )
    both = told(text_of("eu", training, search, variant="json"))["items"]
    assert next(one["value"] for one in both if one["item"] == "Energy used for training") == "31"
    assert "estimated" in text_of("eu", FIVE["imported"])
    assert any("Annex XI 1 (2)(e)" in gap for gap in gaps_of("eu", FIVE["inference measured"]))


@pytest.mark.parametrize(
    ("value", "text"), [(15.6444, "16"), (0.000123, "0.00012"), (340.0, "340"), (1e9, "1000000000"), (0, "0")]
)
def test_two_digits_are_never_powers_of_ten(value, text):
    assert digits(value) == text


def test_cyclonedx_has_tonnes_and_says_that_no_provider_is_known():
    entry = told(text_of("cyclonedx", FIVE["inference measured"]))["components"][0]["modelCard"][
        "considerations"
    ]["environmentalConsiderations"]["energyConsumptions"][0]
    subject = subject_of(FIVE["inference measured"])
    assert entry["activity"] == "inference"
    assert entry["energyProviders"] == []
    assert entry["co2CostEquivalent"]["unit"] == "tCO2eq"
    assert entry["co2CostEquivalent"]["value"] * 1e6 == pytest.approx(subject.impact.carbon_g.value)
    assert {"name": "energy-rating:energyProviders", "value": "unknown"} in entry["properties"]
    (gap,) = [one for one in gaps_of("cyclonedx", FIVE["estimated only"]) if "co2CostEquivalent" in one]
    assert gap == "energyConsumptions[].co2CostEquivalent: nobody says where it ran: name it with --zone"


THEIRS: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
    "version": 7,
    "components": [
        {
            "type": "application",
            "name": "app",
            "components": [
                {
                    "type": "machine-learning-model",
                    "name": "org/name",
                    "bom-ref": "theirs",
                    "licenses": [{"license": {"id": "MIT"}}],
                    "modelCard": {
                        "modelParameters": {"task": "text-generation"},
                        "considerations": {
                            "useCases": ["chat"],
                            "environmentalConsiderations": {
                                "energyConsumptions": [
                                    {
                                        "activity": "design",
                                        "energyProviders": [],
                                        "activityEnergyCost": {"value": 1.5, "unit": "kWh"},
                                    }
                                ],
                                "properties": [{"name": "theirs", "value": "ü"}],
                            },
                        },
                    },
                }
            ],
        },
        {
            "type": "library",
            "name": "torch",
            "version": "2.13",
            "properties": [{"name": "x", "value": "1e-05"}],
        },
    ],
    "dependencies": [{"ref": "theirs", "dependsOn": []}],
}


def test_a_bill_of_somebody_else_keeps_all_that_is_theirs():
    """CycloneDX's own library would drop the model card."""
    check("cyclonedx", "1.6", json.dumps(THEIRS))
    subjects = [subject_of(FIVE["inference measured"]), subject_of(FIVE["training on many nodes"])]
    done = cyclonedx.into(json.dumps(THEIRS, indent=4).encode(), subjects, "bom.json")
    check("cyclonedx", "1.6", done.content)
    assert str(done.content).splitlines()[1].startswith('    "')
    new = told(done.content)
    inner = new["components"][0]["components"][0]["modelCard"]["considerations"][
        "environmentalConsiderations"
    ]
    added = inner["energyConsumptions"].pop(1)
    assert added["activityEnergyCost"]["value"] * J_PER_KWH == pytest.approx(subjects[0].energy.joules.value)
    assert new["components"].pop()["name"] == "org/base"  # a model that it did not hold
    assert new["version"] == 8
    assert {**new, "version": 7} == THEIRS
    # Told again, it is told once.
    again = cyclonedx.into(str(done.content).encode(), subjects, "bom.json")
    assert again.content == done.content


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"specVersion": "1.5"}, "must be CycloneDX 1.6 or 1.7"),
        ({"bomFormat": "SPDX"}, "must be CycloneDX"),
        ({"signature": {"algorithm": "ES256"}}, "is signed"),
        ({"components": {}}, "must be a list"),
    ],
)
def test_a_bill_that_cannot_hold_it_is_left_alone(change, why):
    with pytest.raises(BadInput, match=why):
        cyclonedx.into(
            json.dumps({**THEIRS, **change}).encode(), [subject_of(FIVE["estimated only"])], "bom.json"
        )


@pytest.mark.parametrize("joules", [1e-6, 0.18, 359.9, 1.0, 3.6e6, 5.63e10, 1e15])
def test_an_spdx_quantity_is_in_fixed_point_whatever_its_size(joules):
    value = replace(
        FIVE["estimated only"],
        measurements=(replace(FIVE["estimated only"]["run"], energy_j={"cpu": estimate(joules)}),),
    )
    text = text_of("spdx", value)
    check("spdx", "3.0.1", text)
    (quantity,) = re.findall(r'"ai_energyQuantity": "([^"]*)"', text)
    assert re.fullmatch(r"\d+(\.\d+)?", quantity)
    assert float(quantity) * J_PER_KWH == pytest.approx(joules, rel=1e-12)


def test_spdx_stages_stand_apart_and_what_cannot_be_said_is_told():
    package = next(
        one
        for one in told(
            text_of(
                "spdx",
                replace(FIVE["imported"], model=Model(id="m")),
                replace(FIVE["inference measured"], model=Model(id="m")),
            )
        )["@graph"]
        if one["type"] == "ai_AIPackage"
    )
    assert set(package["ai_energyConsumption"]) == {
        *("type", "ai_finetuningEnergyConsumption", "ai_inferenceEnergyConsumption")
    }
    assert any("per request or token" in gap for gap in gaps_of("spdx", FIVE["inference measured"]))
    other = replace(FIVE["inference measured"], stage="other")
    assert "ai_energyConsumption" not in text_of("spdx", other)
    assert any("SPDX knows training, fine-tuning and inference" in gap for gap in gaps_of("spdx", other))


def test_spdx_is_what_its_own_model_reads():
    """The shapes behind the schema, in SPDX's own Python."""
    model = pytest.importorskip("spdx_python_model")
    for value in FIVE.values():
        objects = model.v3_0_1.SHACLObjectSet()
        model.v3_0_1.JSONLDDeserializer().read(io.BytesIO(text_of("spdx", value).encode()), objects)
        packages = list(objects.foreach_type(model.v3_0_1.ai_AIPackage))
        assert len(packages) == 1
        assert packages[0].creationInfo.specVersion == "3.0.1"


def test_a_key_that_is_misspelt_in_boamps_does_not_pass():
    entry = told(text_of("boamps", FIVE["inference measured"]))
    assert not list(VALIDATORS["boamps", "json"].iter_errors(entry))
    wrong = copy.deepcopy(entry)
    wrong["measures"][0]["powerConsumptions"] = wrong["measures"][0]["powerConsumption"]
    assert list(VALIDATORS["boamps", "json"].iter_errors(wrong))
    assert 0 <= entry["task"]["measuredAccuracy"] <= 1
    assert entry["task"]["algorithms"][0]["parametersNumber"] == pytest.approx(0.134515008)
    assert entry["measures"][0]["cpuTrackingMode"] == "estimated by a model"
    assert entry["quality"] == "low"


def test_sci_bears_its_name_only_where_all_demands_hold():
    value = FIVE["inference measured"]
    text = text_of("sci", value)
    assert "| **operational" in text
    assert "carbon per request**" in text
    assert "**Does not hold**: the functional unit and the reason for it are told" in text
    named = text_of("sci", value, because="what a user asks for", counting="gross", per="token")
    assert "| Rationale | what a user asks for |" in named
    assert "per token" in named
    assert "No score: I, the grid's carbon intensity: nobody says where it ran" in text_of(
        "sci", FIVE["estimated only"]
    )


def test_joules_per_token_are_a_quotient_of_two_counters():
    found = samples(text_of("openmetrics", FIVE["inference measured"]))
    energy = {
        one.labels["component"]: one for one in found if one.name == "energy_rating_energy_joules_total"
    }
    tokens = next(
        one
        for one in found
        if one.name == "energy_rating_functional_units_total" and one.labels["unit"] == "token"
    )
    per = FIVE["inference measured"]["run"].energy_per("token").value
    assert energy["gpu"].value / tokens.value == pytest.approx(per)
    assert (energy["gpu"].labels["had"], energy["cpu"].labels["had"]) == ("measured", "estimated")
    assert not [one for one in found if "per_" in one.name or "kwh" in one.name.lower()]
    wall = replace(
        FIVE["inference measured"],
        measurements=(replace(FIVE["inference measured"]["run"], energy_j={"wall": estimate(9.0)}),),
    )
    assert "energy_rating_machine_energy_joules_total{" in text_of("openmetrics", wall)
    assert "energy_rating_energy_joules_total{" not in text_of("openmetrics", wall)


def test_otlp_has_the_conventions_names_and_the_run_s_time():
    request = as_protobuf(text_of("otlp", FIVE["inference measured"]))
    metrics = {one.name: one for one in request.resource_metrics[0].scope_metrics[0].metrics}
    assert (metrics["hw.energy"].unit, metrics["hw.energy"].sum.is_monotonic) == ("J", True)
    point = metrics["hw.energy"].sum.data_points[0]
    assert {one.key: one.value.string_value for one in point.attributes}["hw.type"] == "gpu"
    assert point.time_unix_nano - point.start_time_unix_nano == 5400 * 10**9
    assert (
        datetime.fromtimestamp(point.start_time_unix_nano / 1e9, UTC).isoformat()
        == "2026-11-21T09:14:03+00:00"
    )


def test_a_spreadsheet_tells_known_and_estimated_apart_and_holds_no_formula():
    hostile = replace(FIVE["inference measured"], run_id="=1+1", model=Model(id="+cmd|' /C calc'!A0"))
    done = exports.export_form("xlsx").export([subject_of(one) for one in (*FIVE.values(), hostile)], "xlsx")
    rows = cells(done.content)
    assert len(rows) == 6
    assert rows[-1]["Run"] == "=1+1"
    inference = rows[1]
    assert inference["GPU, measured (kWh)"] * J_PER_KWH == pytest.approx(15120)
    assert inference["GPU, estimated (kWh)"] is None
    assert inference["CPU, estimated (kWh)"] * J_PER_KWH == pytest.approx(1500)
    assert inference["CPU, measured (kWh)"] is None
    assert inference["Memory, measured (kWh)"] is None
    assert rows[3]["GPU, imported (kWh)"] * J_PER_KWH == pytest.approx(1.8e6)
    assert rows[3]["Journal SHA-256"] is None
    assert rows[4]["Example"] == "yes"


def test_an_entry_of_eval_results_needs_a_benchmark_and_is_what_the_hub_reads():
    subject = subject_of(FIVE["inference measured"])
    assert exports.export_form("eval-results").export([subject], "yaml").content == ""
    done = eval_results([subject], "yaml", "org/energy-bench")
    (entry,) = yaml.safe_load(str(done.content))
    wh = subject.energy.joules.value / 1000 * 1000 / 3600
    assert entry["value"] == pytest.approx(wh)
    assert entry["dataset"] == {"id": "org/energy-bench", "task_id": "text-generation"}
    hub = pytest.importorskip("huggingface_hub")
    if hasattr(hub, "parse_eval_result_entries"):
        (read,) = hub.parse_eval_result_entries([entry])
        assert read.value == entry["value"]


# ------------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(("name", "variant"), [one for one in all_forms() if one[0] != "eval-results"])
def test_the_command_writes_each_form(tmp_path, name, variant):
    (tmp_path / "record.json").write_text(record_to_json(FIVE["inference measured"]))
    arguments = [
        "export",
        str(tmp_path / "record.json"),
        "--format",
        name,
        "--as",
        variant,
        "-o",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    check(
        name, variant, (tmp_path / "out").read_bytes() if name == "xlsx" else (tmp_path / "out").read_text()
    )


def test_the_command_says_what_is_not_filled_in_one_line_each(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(record_to_json(FIVE["estimated only"]))
    done = CliRunner().invoke(cli, ["export", str(path), "--format", "boamps"])
    lines = [line for line in done.stderr.splitlines() if "not filled" in line]
    assert (
        "energy-rating: boamps: not filled: environment.country: nobody says where it ran: name it with --zone"
        in lines
    )
    assert len(lines) == len(set(lines)) > 3
    check("boamps", "json", done.stdout)


def test_options_of_one_form_are_refused_for_another(tmp_path):
    path = tmp_path / "record.json"
    path.write_text(record_to_json(FIVE["inference measured"]))
    (tmp_path / "bom.json").write_text(json.dumps(THEIRS))
    for options, why in (
        (["--format", "spdx", "--as", "1.6"], "spdx is written as 3.0.1"),
        (["--format", "spdx", "--into", str(tmp_path / "bom.json")], "is an option of cyclonedx"),
        (["--format", "csv", "--as", "json"], "is no option of csv"),
        (["--format", "csv", "--pue", "1.2@mine"], "is no option of csv"),
        (["--format", "nist", "--windows"], "is an option of csv"),
        (["--format", "xlsx"], "no text for a terminal"),
        (["--format", "eval-results"], "nothing to write"),
    ):
        done = CliRunner().invoke(cli, ["export", str(path), *options])
        assert done.exit_code == 1, options
        assert why in str(done.exception), done.exception
    done = CliRunner().invoke(
        cli, ["export", str(path), "--format", "cyclonedx", "--into", str(tmp_path / "bom.json")]
    )
    check("cyclonedx", "1.6", done.stdout)


def test_numbers_that_are_none_are_nowhere():
    assert not math.isnan(sum(joules_meant("openmetrics", subject_of(FIVE["example"]))))
