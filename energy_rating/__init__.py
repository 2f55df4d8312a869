"""What an AI model costs the planet: measured, rated, and open to anyone's check.

The public names; each is loaded when it is first used, so that ``import energy_rating`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from energy_rating.benchmarking import benchmark
    from energy_rating.comparison import compare
    from energy_rating.errors import BadInput, EnergyRatingError, NotMeasured
    from energy_rating.evidence import load
    from energy_rating.impact import footprint
    from energy_rating.meter import Run, measure
    from energy_rating.normalisation import normalise
    from energy_rating.publishers.card import update_card
    from energy_rating.quantities import Estimate
    from energy_rating.rating import rate
    from energy_rating.records import Finding, Measurement, Rating, Record, Window
    from energy_rating.summary import summarise
    from energy_rating.verification import Verification, verify

_HOMES = {
    "BadInput": "errors",
    "EnergyRatingError": "errors",
    "Estimate": "quantities",
    "Finding": "records",
    "Measurement": "records",
    "NotMeasured": "errors",
    "Rating": "records",
    "Record": "records",
    "Run": "meter",
    "Verification": "verification",
    "Window": "records",
    "benchmark": "benchmarking",
    "compare": "comparison",
    "footprint": "impact",
    "load": "evidence",
    "measure": "meter",
    "normalise": "normalisation",
    "rate": "rating",
    "summarise": "summary",
    "update_card": "publishers.card",
    "verify": "verification",
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
    "normalise",
    "rate",
    "summarise",
    "update_card",
    "verify",
]


def hardware_profiles() -> Path:
    """The folder of the hardware profiles: inside an installed package, at the top of a checkout."""
    here = Path(__file__).parent
    installed = here / "hardware_profiles"
    return installed if installed.is_dir() else here.parent / "hardware_profiles"


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"energy_rating.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
