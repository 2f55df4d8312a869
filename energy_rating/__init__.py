"""What an AI model costs the planet: measured, rated, and open to anyone's check.

The public names; each is loaded when it is first used, so that ``import energy_rating`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from energy_rating.nouns import notebooks
from energy_rating.version import __version__ as __version__

if TYPE_CHECKING:
    from energy_rating.benchmarking.function import benchmark
    from energy_rating.files.shipped import hardware_profiles
    from energy_rating.integrations.models import model_of
    from energy_rating.judging.comparison import compare
    from energy_rating.judging.evidence import load
    from energy_rating.judging.footprint.carbon import footprint
    from energy_rating.judging.merging.folders import merge
    from energy_rating.judging.normalisation import normalise
    from energy_rating.judging.rating import rate
    from energy_rating.judging.summary import summarise
    from energy_rating.meter import Run, measure
    from energy_rating.nouns.errors import BadInput, EnergyRatingError, NotMeasured
    from energy_rating.nouns.quantities import Estimate
    from energy_rating.nouns.records import Finding, Measurement, Rating, Record, Window
    from energy_rating.publishing.card import update_card
    from energy_rating.publishing.verification import Verification, verify

_HOMES = {
    "BadInput": "nouns.errors",
    "EnergyRatingError": "nouns.errors",
    "Estimate": "nouns.quantities",
    "Finding": "nouns.records",
    "Measurement": "nouns.records",
    "NotMeasured": "nouns.errors",
    "Rating": "nouns.records",
    "Record": "nouns.records",
    "Run": "meter",
    "Verification": "publishing.verification",
    "Window": "nouns.records",
    "benchmark": "benchmarking.function",
    "compare": "judging.comparison",
    "footprint": "judging.footprint.carbon",
    "hardware_profiles": "files.shipped",
    "load": "judging.evidence",
    "measure": "meter",
    "merge": "judging.merging.folders",
    "model_of": "integrations.models",
    "normalise": "judging.normalisation",
    "rate": "judging.rating",
    "summarise": "judging.summary",
    "update_card": "publishing.card",
    "verify": "publishing.verification",
}

__all__ = [
    "BadInput",
    "EnergyRatingError",
    "Estimate",
    "Finding",
    "Measurement",
    "NotMeasured",
    "Rating",
    "Record",
    "Run",
    "Verification",
    "Window",
    "benchmark",
    "compare",
    "footprint",
    "hardware_profiles",
    "load",
    "measure",
    "merge",
    "model_of",
    "normalise",
    "rate",
    "summarise",
    "update_card",
    "verify",
]


def _record_in_a_notebook(record: object) -> str:
    page: str = importlib.import_module("energy_rating.publishing.notebook").of_record(record)
    return page


notebooks.SHOWN_BY["Record"] = _record_in_a_notebook


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"energy_rating.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
