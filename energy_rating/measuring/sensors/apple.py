"""Apple silicon: the energy model of the chip, through zeus-apple-silicon (IOReport, without root). Modelled, and named so.

``AppleEnergyMonitor().get_cumulative_energy()`` gives millijoules since some fixed time, or None for what a chip does not tell (README
of zeus-apple-silicon 1.1.0, 2026-11-22): ``cpu_total_mj``, ``gpu_mj``, ``gpu_sram_mj``, ``dram_mj``, ``ane_mj``. By the same page these are
"believed to be model-based estimates", and Apple calls them possibly inaccurate; so the channels are models: mean watts since the last
reading, never rated. The Neural Engine belongs to no component but the module, which is the sum of all.

Linux is where this package measures; on a Mac it imports and judges, and this kind is the exception.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from energy_rating.measuring.sensors import Detection, Reading
from energy_rating.nouns.entries import Channel, Component, Device, Finding
from energy_rating.nouns.errors import HardwareAbsent, SensorFailed, SensorLost, SensorUnavailable
from energy_rating.nouns.findings import ESTIMATED

COMPONENTS: tuple[Component, ...] = ("gpu", "cpu", "dram", "module")
WHAT = "Apple silicon"
MODELLED = True
UNTRIED = True

# Nobody states how far the chip's model strays. An assumption, 1 σ: a model by load, half of what CodeCarbon's TDP model strays.
ACCURACY = 0.25

# The counters move by whole millijoules; over a second at a watt that is a tenth of a percent.
PERIOD_S = 1.0

PARTS: Mapping[Component, tuple[str, ...]] = {
    "gpu": ("gpu_mj", "gpu_sram_mj"),
    "cpu": ("cpu_total_mj",),
    "dram": ("dram_mj",),
    "module": ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "dram_mj", "ane_mj"),
}
# Without these a part is not what its name says; SRAM and Neural Engine are missing on some chips.
NEEDED = ("cpu_total_mj", "gpu_mj", "dram_mj")

REMEDY = "Run: pip install zeus-apple-silicon"


def load_monitor() -> Any:
    """The monitor of zeus-apple-silicon.

    Raises:
        SensorUnavailable: it is not installed.
    """
    try:
        from zeus_apple_silicon import AppleEnergyMonitor
    except ImportError as error:
        raise SensorUnavailable("zeus-apple-silicon is not installed", REMEDY) from error
    return AppleEnergyMonitor()


def detect(
    platform: str = sys.platform,
    *,
    load: Callable[[], Any] = load_monitor,
    now: Callable[[], float] = time.monotonic,
) -> Detection:
    """One sensor for each component that the chip's model tells of.

    Raises:
        HardwareAbsent: this is no Mac.
        SensorUnavailable: the library is missing, or does not work on this chip.
    """
    if platform != "darwin":
        raise HardwareAbsent("this is no Mac")
    try:
        monitor = load()
        told = _millijoules(monitor)
    except SensorUnavailable:
        raise
    except Exception as error:  # a new chip, or a Mac with an Intel CPU
        raise SensorUnavailable(
            f"zeus-apple-silicon does not work here ({type(error).__name__})", REMEDY
        ) from error
    sensors = [
        AppleModel(component, monitor, now)
        for component, keys in PARTS.items()
        if all(key in told for key in keys if key in NEEDED)
    ]
    if not sensors:
        raise SensorUnavailable("the chip tells no energy that is known here", "Update zeus-apple-silicon")
    return Detection(
        sensors=tuple(sensors),
        devices=tuple(
            Device(id=f"apple-{sensor.component}", name=f"Apple silicon {sensor.component}")
            for sensor in sensors
        ),
        findings=tuple(
            Finding.of(
                ESTIMATED[sensor.component],
                f"the power of the {sensor.component} is the chip's own model (IOReport), not a measurement",
                remedy="A wall meter measures",
                channel=sensor.channels[0].id,
            )
            for sensor in sensors
        ),
    )


class AppleModel:
    """Mean watts of one component since the last reading, the first time since the sensor was made."""

    def __init__(self, component: Component, monitor: Any, now: Callable[[], float]) -> None:
        self.component = component
        self._monitor: Any | None = monitor
        self._now = now
        self._last = self._reading()

    @property
    def channels(self) -> tuple[Channel, ...]:
        return (
            Channel(
                id=f"apple.{self.component}.model",
                component=self.component,
                device=f"apple-{self.component}",
                method="model",
                accuracy=ACCURACY,
                period_s=PERIOD_S,
            ),
        )

    def read(self) -> Reading:
        """Watts by channel.

        Raises:
            SensorLost: the sensor was closed.
            SensorFailed: the chip did not tell, or its counter went back.
        """
        since, last = self._last, self._reading()
        spent_s, spent_mj = last[0] - since[0], last[1] - since[1]
        if spent_s <= 0:
            raise SensorFailed("no time has passed since the last reading")
        self._last = last
        if spent_mj < 0:
            raise SensorFailed("the chip's energy counter started again")
        return {f"apple.{self.component}.model": spent_mj / 1000 / spent_s}

    def close(self) -> None:
        self._monitor = None

    def _reading(self) -> tuple[float, float]:
        if self._monitor is None:
            raise SensorLost("the sensor is closed")
        try:
            told = _millijoules(self._monitor)
        except Exception as error:  # what IOReport raises is not documented
            raise SensorFailed(f"the chip tells no energy ({type(error).__name__})") from error
        keys = PARTS[self.component]
        if any(key not in told for key in keys if key in NEEDED):
            raise SensorFailed(f"the chip tells no energy of its {self.component} this time")
        return self._now(), sum(told.get(key, 0.0) for key in keys)


def _millijoules(monitor: Any) -> dict[str, float]:
    """The millijoules that the chip tells, by field."""
    metrics = monitor.get_cumulative_energy()
    values = {key: getattr(metrics, key, None) for key in PARTS["module"]}
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    }
