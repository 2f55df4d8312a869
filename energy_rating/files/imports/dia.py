"""DIA's ``dia_report`` in the metadata of a model card: what one step of a model's making cost, by whoever wrote the card.

Keys from schema/dia_schema.json of ai-impact-accounting 0.1.0. ``scope`` must be ``incremental``: the step alone, never its ancestors. A figure is a
number or a range, with a word for its quality; *measured* there means that CodeCarbon ran, whose total holds a processor and a memory that
may be models', so that here it counts as estimated all the same. Below 0.00005 kWh the tool writes 0.0, as it does for nothing at all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from energy_rating.files.foreign import Foreign, at
from energy_rating.files.imported import (
    RULE,
    ForeignEnergy,
    ForeignPart,
    Import,
    amount,
    count,
    joules,
    not_taken,
    of_import,
    seconds,
    text,
)
from energy_rating.nouns.choices import RELATIONS
from energy_rating.nouns.entries import RUN, Device, Finding, Lineage, Stage
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import JOULES_PER_KWH

NAME = "DIA (dia_report in a model card)"

LARGEST_BLOCK = 256 << 10  # bytes of metadata
# huggingface_hub's rule for where a card's metadata stand.
_BLOCK = re.compile(r"\s*---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_KEY = re.compile(r"^dia_report:", re.MULTILINE)
_STAGES: Mapping[str, Stage] = {
    "finetune": "fine-tuning",
    "lora": "fine-tuning",
    "qlora": "fine-tuning",
    "adapter": "fine-tuning",
    "distill": "fine-tuning",
}


def is_mine(file: Foreign) -> bool:
    return file.beginning.lstrip().startswith("---") and _KEY.search(file.beginning) is not None


def report_in(card: str) -> Mapping[str, Any] | None:
    """The ``dia_report`` of a model card's metadata; None where the card has none.

    Raises:
        BadInput: its metadata are no YAML or too large, or the report is none of one step alone.
    """
    block = _BLOCK.match(card)
    if block is None or _KEY.search(block[1]) is None:
        return None
    if len(block[1]) > LARGEST_BLOCK:
        raise BadInput(f"its metadata must have at most {LARGEST_BLOCK >> 10} KiB")
    report = _loaded(block[1])
    if report.get("scope") != "incremental":
        raise BadInput(
            f"the scope must be 'incremental'; got {str(report.get('scope'))[:40]!r}",
            "What holds its ancestors too would be counted twice",
            place="dia_report.scope",
        )
    return report


def ends_of(report: Mapping[str, Any], figure: str) -> tuple[float, float, str] | None:
    """The ends of one figure of a report's footprint, and the word for its quality; None where it is not told, which their zeros say too."""
    told = at(report, "footprint", figure)
    value, quality = at(told, "value"), text(at(told, "quality"), 40) or "not told"
    ends = [amount(one, 1e18) for one in (value if isinstance(value, list) else [value])[:2]]
    known = sorted(end for end in ends if end is not None)
    if not known or known[-1] == 0 or quality == "unavailable":
        return None
    return known[0], known[-1], quality


def read(file: Foreign) -> Iterator[Import]:
    try:
        report = report_in(file.text)
    except BadInput as error:
        place = f"{file.path}: {error.place}" if error.place else file.path
        raise BadInput(error.message, error.remedy, place=place) from None
    if report is None:
        raise BadInput("must begin with metadata between two lines of ---", "Look at the card's first lines")
    says: list[Finding] = []
    energies = _energy(report, says)
    hours = seconds(at(report, "compute", "duration_gpu_hours"), 3600)
    gpus = count(at(report, "compute", "hardware", "count")) or 1
    gpu = text(at(report, "compute", "hardware", "gpu"), 80)
    relation, base = _lineage(report)
    says += _said(report, base, relation)
    yield Import(
        tool="DIA",
        version=text(at(report, "tool"), 60),
        stage=_STAGES.get(relation or "", "other"),
        lineage=None if base is None else _kept(base, relation),
        # It is told in hours of one card: together they took so long if all of them worked all the time.
        parts=(ForeignPart(name=RUN, duration_s=(hours or 0.0) / gpus, energies=energies),),
        devices=()
        if gpu is None
        else (Device(id="host, as a whole", name=gpu if gpus == 1 else f"{gpu} ({gpus} together)"),),
        says=tuple(says),
    )


def _kept(base: str, relation: str | None) -> Lineage:
    """The lineage in the words of a record: it has no word of its own for a LoRA of a quantised model, and none for a plain copy."""
    named = "lora" if relation == "qlora" else relation
    return Lineage(base_model=base, relation=next((one for one in RELATIONS if one == named), None))


def _loaded(block: str) -> Mapping[str, Any]:
    import yaml

    try:
        # A merge of a merge doubles with every line; what a card says of its energy needs none.
        if any(isinstance(one, yaml.AliasToken | yaml.AnchorToken) for one in yaml.scan(block)):
            raise BadInput(
                "its metadata must have no anchors and aliases", "Write each value where it belongs"
            )
        told = yaml.safe_load(block)
    except BadInput:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(
            f"its metadata are no YAML: {' '.join(str(error).split())[:160]}",
            "Look at the card's first lines",
        ) from None
    report = at(told, "dia_report")
    if not isinstance(report, Mapping):
        raise BadInput(
            "its dia_report is no mapping", "ai-impact-accounting's check tells what is wrong with it"
        )
    return report


def _energy(report: Mapping[str, Any], says: list[Finding]) -> tuple[ForeignEnergy, ...]:
    told = at(report, "footprint", "energy_kwh")
    value, quality = at(told, "value"), text(at(told, "quality"), 40) or "not told"
    ends = [joules(one, JOULES_PER_KWH) for one in (value if isinstance(value, list) else [value])[:2]]
    known = sorted(end for end in ends if end is not None)
    if not known or known[-1] == 0 or quality == "unavailable":
        if known:
            says.append(
                not_taken(
                    "an energy of 0.0 kWh",
                    "the tool writes it where it knows none, and for anything below 0.00005 kWh",
                )
            )
        return ()
    middle = (known[0] + known[-1]) / 2
    # The ends of a range are taken for those of 95 %.
    doubt = max(RULE["untold"], (known[-1] - known[0]) / 2 / 1.96 / middle)
    says.append(
        of_import(
            "imported-scope",
            f"the card calls it {quality!r}: GPU, processor and memory together, as far as they were seen or assumed"
            + (
                f"; it tells a range, {known[0] / JOULES_PER_KWH:g} to {known[-1] / JOULES_PER_KWH:g} kWh, whose middle is taken"
                if known[0] < known[-1]
                else ""
            ),
        )
    )
    return (
        (ForeignEnergy(component="host", joules=middle, had="untold", doubt=min(doubt, 1.0)),)
        if math.isfinite(middle)
        else ()
    )


def _lineage(report: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """How it was made of which model: the first that is told."""
    told = report.get("lineage")
    first = told[0] if isinstance(told, list) and told else None
    return text(at(first, "relation"), 20), text(at(first, "model"), 120)


def _said(report: Mapping[str, Any], base: str | None, relation: str | None) -> Iterator[Finding]:
    carbon, water = (
        amount(at(report, "footprint", name, "value"), 1e18) for name in ("carbon_kgco2eq", "water_liters")
    )
    told = [name for name, value in (("carbon", carbon), ("water", water)) if value is not None]
    region = text(at(report, "context", "region"), 60)
    if told or region:
        yield not_taken(
            " and ".join([*told, *([f"the region ({region})"] if region else [])]),
            "work the carbon out from the energy and the country where it really ran",
        )
    if base is not None:
        yield of_import(
            "imported-scope",
            f"it is the cost of this step alone ({relation or 'relation not told'} of {base}), without its ancestors",
        )
