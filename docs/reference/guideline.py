"""What has to be stated of each task, protocol and stage: from the tasks, the newest scheme and ``guideline.toml``.

Numbers come from where they are in force (tasks, schemes), so that this page cannot say others; the sentences come from the TOML file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from energy_rating import load, rate
from energy_rating.benchmarking.tasks import Protocol, TaskFile, load_task, tasks
from energy_rating.judging.schemes import RatingClass, Scheme, load_scheme
from energy_rating.nouns.quantities import scaled, with_doubt
from energy_rating.nouns.records import STAGES
from reference.markdown import cell, code, table

SAID = Path(__file__).with_name("guideline.toml")

HEAD = """# Guideline: stating and comparing the energy of AI models

For each stage and each task: the functional unit, what is inside the figure, what has to be stated beside it, and what must not be compared with what.
It is written so that a standards body, a buyer or a regulator can adopt it, in whole or in part.

> - **Rules for every figure** are [G1 to G{last}](#for-every-figure); then come [the stages](#by-stage), and [the modalities with
>   their tasks](#by-modality-and-task).
> - *Shall* is a requirement, *should* a recommendation. Each rule says why, with its source.
> - The variables and their units: [measured variables](variables.md). The terms: [glossary](glossary.md).
> - How this project follows it: [how it is measured](how-it-is-measured.md), [how it is rated](how-it-is-rated.md). Where it does not reach: the
>   end of this page.
> - Numbers are those of the scheme **{scheme}** and of the protocols that ship; `energy-rating tasks NAME` and `energy-rating schemes` show the same.

Evidence without a link of its own is from the public figures that the project was built on: ML.ENERGY (versions 1 to 3, 2023 to 2026-02) and
AI Energy Score (February 2025); [how it is rated](how-it-is-rated.md) and [normalisation](normalisation.md) work with them.
"""

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"

STATEMENT = """One row for each item; what is not known is said, and no row is left out. The example is filled in from a
[published folder](../reports/example-gpu/card.md); its device does not exist.
"""

TAIL = """## What this guideline does not cover

- **The whole life of the machine.** The making of the hardware, water and cooling are not in any figure here. ITU-T L.1801 (2026-02) is about the life cycle;
  SCI (ISO/IEC 21031:2024) counts the making of the hardware.
- **Agents, retrieval, and chains of models.** A functional unit for a whole task of an agent is not settled: one published trace had 143 requests, 12.30 million tokens
  in, 0.171 million out, and 44.5 kJ a request (InferenceX #2934). State the requests and their tokens, and do not compare with single answers.
- **Shares of a machine.** What is measured is the device as a whole. Of one process among several, or of a part of a divided GPU, nothing is said.
- **Indirect effects** of the use of a model.

## How it relates to other documents

| document | what it asks for | here |
|---|---|---|
| EU AI Act (Regulation 2024/1689), Annex XI, section 1, point 2 (d), (e) | computational resources; known or estimated energy consumption of the model | stages: pre-training, fine-tuning |
| NIST AI 600-1 (July 2024), MS-2.12-003 | measure or estimate environmental impacts of training, fine-tuning and deploying | all stages; G11 and G13 |
| SCI for AI (Green Software Foundation, ratified 2025-11-20) | a stated unit with its rationale, gross or effective values, all runs | G1, G6, G11 |
| MLPerf Inference Power (rules of 2026-07-23) | power at the plug, of the whole system, 600 s at least, one run for speed and power | another boundary: `wall`; G7 is less strict |
| AI Energy Score (February 2025) | GPU energy of 1,000 requests on one H100, batch 1 | the protocol `aes-2025-02` |
| GHG Protocol, Scope 2 | location-based and market-based, each labelled | G13 |
| ITU-T L.1801 (2026-02), ETSI ES 204 135 (2026) | four phases, a functional unit, training and inference apart | stages; known from summaries, not read in full |
"""


def said() -> Mapping[str, Any]:
    """The sentences: in general, by stage, by protocol, by task."""
    return tomllib.loads(SAID.read_text(encoding="utf-8"))


def statement() -> str:
    """A statement that follows the rules, filled in from the published example."""
    record = load(EXAMPLE)
    rating = rate(record)
    measured, model, load_, device = (
        record["measured"],
        record.model,
        record.load,
        record.environment.devices[0],
    )
    task = record.task
    assert task is not None
    assert model is not None
    assert load_ is not None
    assert rating.energy_per_unit_j is not None
    per_token = measured.energy_per("token")
    idle = (measured.idle_j or {})["gpu"]
    channels = record.channels_of(measured, "gpu")
    methods = {"counter": "energy counter", "power": "power register", "model": "a model"}
    rows = (
        ("Model", "–", f"{model.id}, {model.parameters:,} parameters, {model.dtype}; revision not recorded"),
        ("Task, protocol, functional unit", "G1, G14", f"{task.name}, {task.protocol}, {rating.unit}"),
        (
            "Energy per functional unit",
            "G1, G4",
            f"{with_doubt(rating.energy_per_unit_j, 'J')} (95 % interval)",
        ),
        ("Beside it", "G1", f"{with_doubt(per_token, 'J')} per token"),
        ("Boundary", "G2, G5", "GPU alone; not measured: CPU, memory; without cooling"),
        (
            "How it was obtained",
            "G3",
            f"measured, by the {methods[channels[0].method]}; gain known to {100 * channels[0].accuracy:g} % (1 σ), not calibrated",
        ),
        (
            "Gross or net",
            "G6",
            f"gross; idling would have cost {with_doubt(idle.times(1 / measured.work['request']), 'J')} per request",
        ),
        (
            "Time, repeats, coverage",
            "G7",
            f"{measured.duration_s:g} s, {measured.n} repeats, {100 * measured.coverage['gpu']:g} % seen; {measured.validity}",
        ),
        (
            "Operating point",
            "G8",
            f"{load_.items:,} items, one request at a time, {measured.work['input_token'] / measured.work['request']:g} tokens in and "
            f"{measured.work['token'] / measured.work['request']:g} out per request, {model.dtype}",
        ),
        ("Device", "G9", f"1 × {device.name}, power limit {device.power_limit_w:g} W, undivided"),
        ("Quality", "G10", "not stated"),
        ("Runs", "G11", "one was made, says who published it; this one"),
        (
            "Evidence",
            "G12",
            f"journal with SHA-256 {record.provenance.journal_sha256[:12]}…, beside the record",
        ),
        ("Carbon", "G13", "not stated: no zone was named"),
        (
            "Who and when",
            "–",
            f"self-declared, {record.created[:10]}; energy-rating {record.provenance.version}",
        ),
    )
    return table(("item", "rule", "example"), ((name, rule, cell(text)) for name, rule, text in rows))


def missing() -> list[str]:
    """The tasks, protocols and stages of which nothing is said, and what is said of none that there is."""
    told = said()
    there = {
        "stages": set(STAGES),
        "tasks": set(tasks()),
        "protocols": {protocol for name in tasks() for protocol in load_task(name).protocols},
        "modalities": {one.get("modality", "") for one in told["tasks"].values()},
    }
    asked = {
        "stages": ("unit", "boundary", "state", "never"),
        "tasks": ("modality", "gives", "state", "never"),
        "modalities": ("title", "decides", "unit"),
        "protocols": ("use", "weak"),
    }
    found = []
    for kind, names in there.items():
        found += [f"{kind}.{name}" for name in sorted(names ^ set(told[kind]))]
        found += [
            f"{kind}.{name}.{key}"
            for name, one in told[kind].items()
            for key in asked[kind]
            if not one.get(key)
        ]
    return found


def page() -> str:
    """The whole page."""
    told, scheme = said(), load_scheme()
    rules = told["general"]
    parts = [HEAD.format(last=len(rules), scheme=scheme.name), "## For every figure\n"]
    for number, rule in enumerate(rules, start=1):
        parts.append(f"### G{number} {rule['title']}\n")
        parts.append(f"{_filled(rule['rule'], scheme)}\n\n*Why:* {_filled(rule['why'], scheme)}\n")
    parts.append("## By stage\n")
    for stage in STAGES:
        parts.append(f"### Stage: {stage}\n")
        parts += _stage(told["stages"].get(stage, {}), scheme, stage)
    parts.append("## By modality and task\n")
    parts.append(_overview())
    for modality, one in told["modalities"].items():
        parts.append(f"### {one['title']}\n")
        parts.append(
            f"- **What decides the energy:** {one['decides']}\n- **Functional unit:** {one['unit']}\n"
        )
        for name in of_modality(modality):
            parts += _task(load_task(name), told["tasks"][name], scheme)
    parts.append("## The protocols\n")
    rows = [
        (code(name), cell(one["use"]), cell(one["weak"])) for name, one in sorted(told["protocols"].items())
    ]
    parts.append(table(("protocol", "what to use it for", "what is weak in it"), rows))
    parts.append("## A statement that follows it\n")
    parts.append(STATEMENT)
    parts.append(statement())
    parts.append(TAIL)
    return "\n".join(parts)


def _filled(text: str, scheme: Scheme) -> str:
    rules = scheme.rules
    return text.format(
        scheme=scheme.name,
        shortest_s=f"{rules.shortest_s:g} s",
        fewest_samples=rules.fewest_samples,
        fewest_repeats=rules.fewest_repeats,
        least_coverage=f"{100 * rules.least_coverage:g} %",
    )


def _stage(one: Mapping[str, Any], scheme: Scheme, stage: str) -> Iterator[str]:
    rated = [found for found in scheme.training if found.stage == stage]
    reference = "; ".join(
        f"reference of the scheme {scheme.name}: {scaled(found.e_ref_j, 'J', 2)} per {found.unit}, {found.status} (n = {found.n})"
        for found in rated
    )
    yield f"- **Functional unit:** {one.get('unit', '')}" + (f" ({reference})" if reference else "")
    yield f"- **Boundary:** {one.get('boundary', '')}"
    yield from _lists(one)
    if one.get("sources"):
        yield f"- **Sources:** {one['sources']}"
    yield ""


def _lists(one: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield "- **Shall be stated**, beside what every figure states:"
    yield from (f"  - {text}" for text in one.get("state", ()))
    yield "- **Shall not be compared:**"
    yield from (f"  - {text}" for text in one.get("never", ()))


def of_modality(modality: str) -> list[str]:
    """The tasks of a modality that there are, as the file lists them."""
    return [
        name for name, one in said()["tasks"].items() if one.get("modality") == modality and name in tasks()
    ]


def _overview() -> str:
    rows = []
    for name in (name for modality in said()["modalities"] for name in of_modality(modality)):
        task = load_task(name)
        rows.append(
            (
                said()["modalities"][said()["tasks"][name]["modality"]]["title"],
                f"[{task.title or name}](#{_anchor(name)})",
                code(name),
                cell(said()["tasks"].get(name, {}).get("gives", "")),
                task.unit,
                ", ".join(code(protocol) for protocol in task.protocols),
            )
        )
    return table(("modality", "task", "name", "what it does", "functional unit", "protocols"), rows)


def _anchor(name: str) -> str:
    return f"task-{name}"


def _task(task: TaskFile, one: Mapping[str, Any], scheme: Scheme) -> Iterator[str]:
    yield f"#### Task: {task.name}\n"
    yield f"{task.title}: {one.get('gives', '')}.\n"
    beside = ", ".join(code(unit) for unit in one.get("beside", ()))
    yield f"- **Functional unit:** {code(task.unit)}" + (f"; beside it {beside}" if beside else "")
    yield "- **Boundary:** as in the stage *inference*; what is rated is the component that the scheme names"
    yield from _lists(one)
    yield ""
    # Protocols that nobody is to compare by are only in the list of protocols.
    never = {one.protocol for one in scheme.unrated if one.task is None}
    shown = {name: protocol for name, protocol in task.protocols.items() if name not in never}
    rows = [
        (
            code(name),
            cell(_work(protocol)),
            cell(_length(protocol)),
            cell(_repeats(protocol)),
            cell(_rated(task.name, name, scheme)),
            cell(protocol.source),
        )
        for name, protocol in shown.items()
    ]
    yield table(("protocol", "items and load", "lengths", "repeats", "rated", "source"), rows)
    yield from (f"`{name}` differs from its source: {p.differs}.\n" for name, p in shown.items() if p.differs)


def _work(protocol: Protocol) -> str:
    items = f"{protocol.items:,} items" if protocol.items else "the items that ship"
    if protocol.dataset is not None:
        items += f" of {protocol.dataset.id}"
    load = [items]
    if protocol.request_rate is not None:
        load.append(f"{protocol.request_rate:g} requests a second")
    if protocol.batch_size > 1:
        load.append(f"in batches of {protocol.batch_size}")
    if protocol.concurrency > 1:
        load.append(f"{protocol.concurrency} requests at once")
    if protocol.batch_size == protocol.concurrency == 1 and protocol.request_rate is None:
        load.append("one at a time")
    return ", ".join([*load, *([protocol.dtype] if protocol.dtype else [])])


def _length(protocol: Protocol) -> str:
    told = []
    if protocol.max_input_tokens is not None:
        told.append(f"inputs up to {protocol.max_input_tokens:,} tokens")
    if protocol.max_new_tokens is not None:
        fixed = protocol.min_new_tokens == protocol.max_new_tokens
        told.append(f"answers of {'' if fixed else 'up to '}{protocol.max_new_tokens:,} tokens")
    if protocol.reasoning is not None:
        told.append(f"reasoning {'on' if protocol.reasoning else 'off'}")
    return ", ".join(told) or "as the items are"


def _repeats(protocol: Protocol) -> str:
    least = f" of {protocol.shortest_s:g} s at least" if protocol.shortest_s else ""
    return f"{protocol.repeats}{least}"


def _rated(task: str, protocol: str, scheme: Scheme) -> str:
    """The classes that it is rated in, with their references; or why it is not."""
    classes: list[RatingClass] = [
        one for one in scheme.classes if (one.task, one.protocol) == (task, protocol)
    ]
    told = [
        f"{f'class {one.name}: ' if one.name else ''}{one.e_ref_j:g} J per {one.unit}, {one.status} (n = {one.n})"
        for one in classes
    ]
    told += [one.reason for one in scheme.unrated if one.protocol == protocol and one.task == task]
    return "; ".join(dict.fromkeys(told)) or f"not by the scheme {scheme.name}"
