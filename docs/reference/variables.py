"""The variables of a record, a rating and the other results, as a table that others could adopt.

The keys come from the JSON Schemas and the nouns, so that none is missing; what they mean comes from ``variables.toml``.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from energy_rating.files.record import condition_schema, record_schema
from energy_rating.judging.comparison import Comparison
from energy_rating.judging.footprint.carbon import Impact
from energy_rating.judging.normalisation import Normalised
from energy_rating.judging.rating import rating_schema
from energy_rating.nouns.records import RECORD_SCHEMA
from reference.markdown import cell, code, table

SAID = Path(__file__).with_name("variables.toml")

HEAD = """# Measured variables

Every quantity and every descriptor that this project measures, states or works out: what it is called, its symbol and key, its unit, what it is,
what is inside it, and how it is obtained. It is written so that others can adopt it, in whole or in part.

> - **Energy is gross and electrical**, in joules, of whole devices, by component. What was not measured is absent, never zero.
> - **Each quantity carries two uncertainties**, random and systematic, each one standard deviation. What people are shown is the 95 % interval.
> - **Measured, modelled and normalised are never the same variable**: how each was obtained stands beside it, from the sensor to the label.
> - A figure without functional unit, boundary, protocol and operating point says nothing: [the guideline](guideline.md) says what has to stand beside it.
> - The files: [the files of a run](files.md). The terms: [glossary](glossary.md). This table for programs: [variables.toml](reference/variables.toml).

The keys are those of the record ({schema}, [JSON Schema](schemas/record.schema.json)), of the journal's conditions
([JSON Schema](schemas/condition.schema.json)), of a rating ([JSON Schema](schemas/rating.schema.json)), and of what the commands print with
`--json`. `COMPONENT`, `CHANNEL` and `UNIT` stand for keys that differ from record to record; `[]` for every element of a list. Where a key holds a value with
its uncertainties, its own keys are `value`, `random` and `systematic`. A definition without a source is this project's own.

## How a value is obtained

| word | means |
|---|---|
| measured | read from a sensor or a clock; of energies: from an energy counter, or from a power register that is integrated over time |
| modelled | guessed from load and tables; called *estimated* everywhere, never rated |
| counted | by the program that did the work, or by the workload that ran it |
| derived | worked out from the others by a stated formula |
| normalised | converted from another device by a factor; the measured figure stays beside it |
| judged | the outcome of a published rule |
| reported by the device | what a driver or the kernel says, taken as it is |
| identified | read from the software that ran |
| stated | what whoever ran it said; not checked |
"""

# The groups of the page: title, the nouns in it.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Energy, time and work": ("Measurement",),
    "Uncertainty": ("Estimate",),
    "Sensors": ("Channel",),
    "Devices and surroundings": ("Device", "Environment", "Condition"),
    "What ran, and how": ("Model", "Task", "Load", "Quality"),
    "The run": ("Record", "Outcome", "Place", "Lineage", "Job", "Finding", "Provenance"),
    "Rating": ("Rating", "AlsoPer"),
    "Normalisation": ("Normalised",),
    "Carbon": ("Impact",),
    "Comparison": ("Comparison",),
}
# Results of which the table holds the variables, and not what only says how they came about.
RESULTS: Mapping[str, tuple[type, str]] = {
    "Normalised": (Normalised, "normalise --json"),
    "Impact": (Impact, "impact --json"),
    "Comparison": (Comparison, "compare --json"),
}
KEYS = {
    **{f"{noun}.COMPONENT": noun for noun in ("energy_j", "idle_j", "coverage", "doubt_from")},
    "energy_by_channel_j.CHANNEL": "energy_by_channel_j",
    "work.UNIT": "work",
}

TAIL = """## The same in other vocabularies

What stands for the same, or nearly the same, elsewhere. Read on 2026-11-30; none of them has the uncertainty beside the figure.

| here | there | mind |
|---|---|---|
| energy of a training or fine-tuning, `run` → `energy_j` | EU AI Act (Regulation 2024/1689), Annex XI, section 1, point 2 (e): "known or estimated energy consumption of the model" | the form of the General-Purpose AI Code of Practice (2025-07-10) asks for MWh, to two significant figures, with the method; it fixes no boundary |
| the same, and of inference | SPDX 3.0.1, AI profile: `ai_trainingEnergyConsumption`, `ai_finetuningEnergyConsumption`, `ai_inferenceEnergyConsumption` with `ai_energyQuantity`, `ai_energyUnit` | in kilowatt-hours or megajoules |
| the same | CycloneDX 1.6 and 1.7: `environmentalConsiderations.energyConsumptions[]` with `activity`, `activityEnergyCost` | in kWh only; carbon in tonnes |
| energy by component | OpenTelemetry semantic conventions (2026-08-20, in development): `hw.energy` with `hw.type`; of a host `hw.host.energy` | a counter in joules; a host is never added to its parts |
| energy per functional unit | SCI for AI (ratified 2025-11-20): R is a token, an image, a second of video or sound, an inference, a FLOP, a training token | SCI (ISO/IEC 21031:2024) is carbon and includes the making of the hardware: a figure of energy is none |
| energy per request | AI Energy Score: GPU energy in Wh per 1,000 queries | on one H100, batch 1; its scales of February and of December 2025 differ |
| operational carbon | GHG Protocol, Scope 2: location-based | market-based is another figure and stands apart |
| floating-point operations of a training | EU AI Act, Annex XI, section 1, point 2 (d) | the formula has to be stated |
"""


def said() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """What each variable is: by noun and key."""
    return tomllib.loads(SAID.read_text(encoding="utf-8"))


def keys() -> dict[str, dict[str, str]]:
    """Every variable that there has to be: by noun and key, its type in words."""
    found: dict[str, dict[str, str]] = {}
    for noun, schema in (
        ("Record", record_schema()),
        ("Condition", condition_schema()),
        ("Rating", rating_schema()),
    ):
        found[noun] = {key: typed(entry) for key, entry in schema["properties"].items()}
        for inner, entry in schema.get("$defs", {}).items():
            # What a record that is not rated would be has the variables of a rating.
            if inner != "WouldBe":
                found[inner] = {key: typed(value) for key, value in entry["properties"].items()}
    for noun, (result, _) in RESULTS.items():
        hints = {item.name: str(item.type) for item in dataclasses.fields(result)}
        found[noun] = {key: hints[key] for key in said().get(noun, {}) if key in hints}
    return found


def missing() -> list[str]:
    """The variables of which nothing is said, what is said of none that there is, and what is said by halves."""
    every, told = keys(), {noun: one for noun, one in said().items() if noun != "Unit"}
    asked = ("name", "definition", "how")
    found = [f"{noun}.{key}" for noun in every for key in every[noun] if key not in told.get(noun, {})]
    found += [f"{noun}.{key}" for noun in told for key in told[noun] if key not in every.get(noun, {})]
    for noun, variables in said().items():
        for key, one in variables.items():
            found += [f"{noun}.{key}.{word}" for word in asked if not one.get(word)]
            if "symbol" in one and not one.get("unit"):
                found.append(f"{noun}.{key}.unit")
    return [*found, *sorted(set(every) - {noun for nouns in GROUPS.values() for noun in nouns})]


def typed(schema: Mapping[str, Any]) -> str:
    """The type of a key in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(typed(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return "value with uncertainties" if name == "Estimate" else f"object ({name})"
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        return "list" if "items" not in schema else f"list of {typed(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"{typed(inner)}, by key" if isinstance(inner, dict) else "object"
    return {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        str(schema.get("type")), "any"
    )


def paths() -> dict[str, str]:
    """Where each noun of the record stands in it."""
    schema = record_schema()
    found = {"Record": "", "Condition": "condition.DEVICE.", "Rating": "", "Estimate": ""}
    found["AlsoPer"] = "beside[]."

    def walk(properties: Mapping[str, Any], prefix: str) -> None:
        for key, entry in properties.items():
            for one in (entry, *entry.get("anyOf", ())):
                target, many = (one.get("items", {}), "[]") if one.get("type") == "array" else (one, "")
                name = str(target.get("$ref", "")).rpartition("/")[2]
                if name and name not in found:
                    found[name] = f"{prefix}{key}{many}."
                    walk(schema["$defs"][name]["properties"], found[name])

    walk(schema["properties"], "")
    return found


def page() -> str:
    """The whole page."""
    every, told, where = keys(), said(), paths()
    parts = [HEAD.replace("{schema}", code(RECORD_SCHEMA))]
    for title, nouns in GROUPS.items():
        parts.append(f"## {title}\n")
        for noun in nouns:
            parts.append(_where(noun, where))
            rows = list(_rows(noun, every[noun], told[noun]))
            for quantity, head in ((True, QUANTITIES), (False, DESCRIPTORS)):
                if chosen := [row for is_quantity, row in rows if is_quantity is quantity]:
                    parts.append(table(head, chosen))
    parts.append("## Units of work\n")
    parts.append(
        table(
            ("unit", "key", "definition", "how it is obtained", "source"),
            (
                (cell(one["name"]), code(f"work.{key}"), cell(one["definition"]), one["how"], _source(one))
                for key, one in told["Unit"].items()
            ),
        )
    )
    parts.append(TAIL)
    return "\n".join(parts)


QUANTITIES = ("variable", "symbol", "unit", "definition and boundary", "how it is obtained", "source")
DESCRIPTORS = ("descriptor", "key", "type or values", "definition", "how it is obtained")


def _where(noun: str, where: Mapping[str, str]) -> str:
    """Where the keys of a noun stand."""
    if noun in RESULTS:
        return f"Keys of what {code(RESULTS[noun][1])} prints:\n"
    prefix = where.get(noun, "").rstrip(".")
    told = {
        "Estimate": "Keys of every value that has uncertainties:",
        "Rating": "Keys of a rating:",
        "Record": "Keys of a record:",
        "Condition": f"Keys of {code('condition.DEVICE')} in the journal:",
    }
    return f"{told.get(noun, f'Keys under {code(prefix)} in a record:')}\n"


def _rows(
    noun: str, every: Mapping[str, str], told: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[bool, tuple[str, ...]]]:
    for key in [*(key for key in told if key in every), *(key for key in every if key not in told)]:
        one = told.get(key, {"name": key, "definition": "", "how": ""})
        name, place, obtained = cell(one["name"]), code(_spelt(key)), cell(one["how"])
        meaning = cell(one["definition"])
        if "symbol" in one:
            if one.get("boundary"):
                meaning += f" *Boundary:* {cell(one['boundary'])}."
            row = (
                f"{name}<br>{place}",
                cell(one["symbol"]),
                cell(one["unit"]),
                meaning,
                obtained,
                _source(one),
            )
            yield True, row
        else:
            kind = cell(every[key]) if noun not in RESULTS else _words(RESULTS[noun][0], key)
            yield False, (name, place, kind, meaning, obtained)


def _source(one: Mapping[str, str]) -> str:
    return cell(one.get("source", "")) or "–"


def _spelt(key: str) -> str:
    return next((spelt for spelt, plain in KEYS.items() if plain == key), key)


def _words(result: type, key: str) -> str:
    """The values of a field that is a closed set of words."""
    for one in (hint := get_type_hints(result)[key], *get_args(hint)):
        if get_origin(one) is not None and all(isinstance(value, str) for value in get_args(one)):
            return ", ".join(code(value) for value in get_args(one))
    return "text"
