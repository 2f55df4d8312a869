"""What CodeCarbon's arguments are, where else their values come from, and what they would have done there."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.interruptions import pass_on
from energy_rating.publishing import emissions_files

CONFIG = ".codecarbon.config"

NOT_GIVEN: Any = object()


class OutputMethod(StrEnum):
    """Where the figures go."""

    CSV = "csv"
    API = "api"
    LOGGER = "logger"
    PROMETHEUS = "prometheus"
    LOGFIRE = "logfire"
    BOAMPS = "boamps"


# What an argument does there and not here: its value where it is not given, what it would have done, and what is done instead.
DOES_OTHERWISE: Mapping[str, tuple[object, str, str]] = {
    "measure_power_secs": (
        15.0,
        "would have sampled the power so often",
        "energy counters are read at their own ticks here, however short the run",
    ),
    "api_call_interval": (
        8,
        "would have sent figures after so many samples",
        "outputs get them at flush() and at the end",
    ),
    "tracking_mode": (
        "machine",
        "would have estimated this process's share of CPU and memory",
        "the machine is measured",
    ),
    "force_cpu_power": (
        None,
        "would have set the CPU's power, or its maximum, instead of reading it",
        "it is read where that is possible, and else estimated from its model",
    ),
    "force_ram_power": (
        None,
        "would have set the memory's power",
        "it is read where that is possible, and else estimated from its size",
    ),
    "force_mode_cpu_load": (
        False,
        "would have estimated the CPU from its load",
        "its counter is read where that is possible",
    ),
    "allow_multiple_runs": (
        True,
        "would have ended a second tracker at once",
        "each one measures the whole machine",
    ),
    "rapl_include_dram": (
        False,
        "would have added the memory's counter to the CPU's energy",
        "it is in ram_energy",
    ),
    "rapl_prefer_psys": (
        False,
        "would have taken the platform's counter for the CPU's",
        "the packages' counters are read",
    ),
    "electricitymaps_api_token": (
        None,
        "would have asked a service for the grid's figure of the moment",
        "the country's yearly mean is taken, or force_carbon_intensity_g_co2e_kwh",
    ),
    "co2_signal_api_token": (
        None,
        "would have asked a service for the grid's figure of the moment",
        "the country's yearly mean is taken, or force_carbon_intensity_g_co2e_kwh",
    ),
    "country_2letter_iso_code": (
        None,
        "would have named the zone to a service that is asked for the grid's figure of the moment",
        "name the country by three letters, in country_iso_code",
    ),
    "logger_preamble": ("", "would have led each line of its log", "there is one line, at the end"),
}

# Those of which the value is a secret.
SECRET = ("api_key", "electricitymaps_api_token", "co2_signal_api_token")


def given(**arguments: Any) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not NOT_GIVEN}


def configured(say: Callable[[str], None]) -> dict[str, Any]:
    """What CodeCarbon's configuration says: the file at home, the one here, then the environment."""
    found: dict[str, Any] = {}
    homes: list[Path] = []
    try:
        homes.append(Path.home())
    except RuntimeError as error:  # nobody's home is known
        pass_on(error)
    for folder in (*homes, Path()):
        try:
            found |= emissions_files.read_config(folder / CONFIG)
        except BadInput as error:
            pass_on(error)
            say(f"a configuration is left out: {error}")
    for key, value in os.environ.items():
        if key.lower().startswith("codecarbon_"):
            found[key.lower().removeprefix("codecarbon_")] = value
    return found


def as_yes(value: object, default: bool) -> bool:
    if value is None:
        return default
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def as_number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_text(value: object, shaped: Callable[[str], str] = str) -> str | None:
    return shaped(str(value)) if value else None


def is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(is_plain(one) for one in value)
    return value is None or isinstance(value, str | int | float | bool)
