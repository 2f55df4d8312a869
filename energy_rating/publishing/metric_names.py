"""What energy, work and carbon are called as metrics: one table for OpenMetrics (Prometheus) and for OpenTelemetry.

Base units alone: joules, grams, seconds. A figure per token is a quotient of two counters, never a metric of its own. Parts of a machine
and the whole of it have names apart, so that nobody adds up what holds one another (OpenTelemetry asks for the same: ``hw.host.energy``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from energy_rating.nouns.records import Component

WHOLES: tuple[Component, ...] = ("module", "host", "wall")

# OpenTelemetry, semantic conventions for hardware (0.66b2, 2026; stability: development): the words of ``hw.type``.
HW_TYPES: Mapping[Component, str] = {"gpu": "gpu", "cpu": "cpu", "dram": "memory"}


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricName:
    """A metric's two names, its kind, its unit in either world, and what it is."""

    openmetrics: str
    kind: str
    unit: str
    opentelemetry: str | None
    ucum: str
    help: str


ENERGY = MetricName(
    openmetrics="energy_rating_energy_joules",
    kind="counter",
    unit="joules",
    opentelemetry="hw.energy",
    ucum="J",
    help="Energy that a part of the machine drew in a measurement; the measurement run holds all others.",
)
MACHINE_ENERGY = MetricName(
    openmetrics="energy_rating_machine_energy_joules",
    kind="counter",
    unit="joules",
    opentelemetry="hw.host.energy",
    ucum="J",
    help="Energy of a whole machine or module, which holds its parts: not to be added to them.",
)
ENERGY_DOUBT = MetricName(
    openmetrics="energy_rating_energy_sigma_joules",
    kind="gauge",
    unit="joules",
    opentelemetry="energy_rating.energy.sigma",
    ucum="J",
    help="Doubt of an energy (1 sigma): random shrinks with repetition, systematic does not.",
)
WORK = MetricName(
    openmetrics="energy_rating_functional_units",
    kind="counter",
    unit="",
    opentelemetry="energy_rating.functional_units",
    ucum="1",
    help="Work that was done: joules over this are joules per unit.",
)
DURATION = MetricName(
    openmetrics="energy_rating_duration_seconds",
    kind="counter",
    unit="seconds",
    opentelemetry="energy_rating.duration",
    ucum="s",
    help="Time in which a measurement was open.",
)
CARBON = MetricName(
    openmetrics="energy_rating_emissions_grams",
    kind="counter",
    unit="grams",
    opentelemetry="energy_rating.emissions",
    ucum="g",
    help="CO2-equivalent of the electricity, location-based.",
)
METRICS = (ENERGY, MACHINE_ENERGY, ENERGY_DOUBT, WORK, DURATION, CARBON)
