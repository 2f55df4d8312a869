"""One GPU while it is read. Where its figures are to be had was found out before (``probing``)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from energy_rating.measuring import processes
from energy_rating.measuring.sensors import Reading
from energy_rating.measuring.sensors.nvml.binding import (
    MAX_ENERGY_MJ,
    MAX_POWER_W,
    Batch,
    Query,
    explain,
    implausible,
    in_thousandths,
)
from energy_rating.measuring.sensors.nvml.library import SM_CLOCK, Library
from energy_rating.nouns.entries import Channel, Finding, Method
from energy_rating.nouns.errors import SensorFailed, SensorLost

_GPU_TEMPERATURE = 0  # NVML_TEMPERATURE_GPU
_OF_UNSIGNED, _OF_UNSIGNED_64 = 1, 3  # nvmlValueType_t, with NVML_SUCCESS

# nvmlClocksEventReasons (nvml.h): why the clocks are not higher.
_IDLE = 0x1
_REASONS = (
    (0x2, "applications-clocks"),
    (0x4, "sw-power-cap"),
    (0x8, "hw-slowdown"),
    (0x10, "sync-boost"),
    (0x20, "sw-thermal"),
    (0x40, "hw-thermal"),
    (0x80, "hw-power-brake"),
    (0x100, "display-clock"),
)

# After these the handle does not answer again in this process.
_LOST = frozenset({1, 9, 15, 16, 18, 28})


class NvmlGpu:
    """One physical GPU. ``read()`` is one call to the driver, or two where energy and power cannot be had together."""

    def __init__(
        self,
        driver: Library,
        handle: Any,
        label: str,
        channels: tuple[Channel, ...],
        sources: Mapping[str, Query],
        answering: Mapping[str, str],
    ) -> None:
        self._driver = driver
        self._handle = handle
        self._label = label
        self._channels = channels
        self._answering = answering
        self._methods: dict[str, Method] = {channel.id: channel.method for channel in channels}
        self._fields = {name: source for name, source in sources.items() if isinstance(source, tuple)}
        self._calls = {name: source for name, source in sources.items() if not isinstance(source, tuple)}
        self._batch: Batch | None = None
        if self._fields:
            with contextlib.suppress(LookupError):
                self._batch = Batch(driver.nvml, handle, tuple(self._fields.values()))
        # Of each field the channel, and what its number may be (in thousandths): see implausible.
        self._bounds = [
            (name, *((0, MAX_ENERGY_MJ - 1) if self._methods[name] == "counter" else (1, MAX_POWER_W * 1000)))
            for name in self._fields
        ]
        self._closed = False
        driver.users += 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    @property
    def sources(self) -> Mapping[str, str]:
        """What each channel is read from, and what else of this GPU answers."""
        return self._answering

    def read(self) -> Reading:
        """Joules and watts by channel, or the SensorFailed that says why one did not answer.

        Raises:
            SensorLost: the GPU, or this process's access to it, is gone.
        """
        if self._closed:
            raise SensorLost(f"{self._label} was closed")
        # NVML must be initialised by the process that uses it; after a fork the child's handles are its parent's.
        if os.getpid() != self._driver.pid:
            raise SensorLost(
                f"{self._label} belongs to the parent process", "Measure in the process that started"
            )
        readings: dict[str, float | SensorFailed] = {}
        batch = self._batch
        if batch is not None:
            code, answers = batch.ask()
            if code:
                readings = dict.fromkeys(self._fields, self._failure(code))
            else:
                place = 0
                for channel, low, high in self._bounds:
                    of, number = answers[place], answers[place + 1]
                    if of == _OF_UNSIGNED_64 and low <= number <= high:
                        readings[channel] = number / 1000
                    elif of == _OF_UNSIGNED and low <= number & 0xFFFFFFFF <= high:
                        readings[channel] = (number & 0xFFFFFFFF) / 1000
                    elif refusal := batch.refusal(place // 2):
                        readings[channel] = self._failure(refusal)
                    else:  # of another type, or no number that can be
                        readings[channel] = self._number(channel, batch.number(place // 2))
                    place += 2
        elif self._fields:
            self._read_plainly(readings)
        if self._calls:
            self._read_calls(readings)
        return readings

    def _read_plainly(self, readings: dict[str, float | SensorFailed]) -> None:
        """The fields, through the binding's own function."""
        nvml = self._driver.nvml
        try:
            values = nvml.nvmlDeviceGetFieldValues(self._handle, list(self._fields.values()))
        except nvml.NVMLError as error:
            readings.update(dict.fromkeys(self._fields, self._failure(error.value)))
            return
        for channel, value in zip(self._fields, values, strict=True):
            readings[channel] = (
                self._number(channel, in_thousandths(value))
                if value.nvmlReturn == 0
                else self._failure(value.nvmlReturn)
            )

    def _read_calls(self, readings: dict[str, float | SensorFailed]) -> None:
        """What no field tells has a call of its own."""
        for channel, call in self._calls.items():
            try:
                readings[channel] = self._number(channel, call(self._handle))
            except self._driver.nvml.NVMLError as error:
                readings[channel] = self._failure(error.value)

    def condition(self) -> Mapping[str, object]:
        """What the GPU is like now: °C, MHz, W, and what holds its clocks down. What it does not tell is absent."""
        if self._closed or os.getpid() != self._driver.pid:
            return {}
        ask, nvml, handle = self._driver.or_none, self._driver.nvml, self._handle
        limit_mw = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        persistence = ask(nvml.nvmlDeviceGetPersistenceMode, handle)
        # Drivers before 535 know the reasons by their older name.
        reasons = ask(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if reasons is None:
            reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        told = {
            "temperature_c": ask(nvml.nvmlDeviceGetTemperature, handle, _GPU_TEMPERATURE),
            "sm_clock_mhz": ask(nvml.nvmlDeviceGetClockInfo, handle, SM_CLOCK),
            "power_limit_w": limit_mw / 1000 if limit_mw else None,
            "throttled_by": None if reasons is None else [name for bit, name in _REASONS if reasons & bit],
            "idle": None if reasons is None else bool(reasons & _IDLE),
            "persistence": None if persistence is None else bool(persistence),
        }
        return {key: value for key, value in told.items() if value is not None}

    def users(self) -> Mapping[str, object]:
        """How many processes compute on the GPU that are not this run's; nothing where that cannot be told.

        Takes milliseconds (4.5 ms on a laptop's RTX 4090, flightlessmango/MangoHud#2104), so it is not to be asked often.
        """
        if self._closed or os.getpid() != self._driver.pid:
            return {}
        running = self._driver.or_none(self._driver.nvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
        if running is None:
            return {}
        pids = [one.pid for one in running]
        count = processes.foreign(pids, proc=self._driver.proc, environ=self._driver.environ)
        return {} if count is None else {"foreign_processes": count}

    def appeared(self) -> Sequence[Finding]:
        """The GPUs that were not there when this one was found, told once for all GPUs of a detection."""
        if self._closed or os.getpid() != self._driver.pid:
            return ()
        return self._driver.appeared()

    def close(self) -> None:
        """Lets go of the GPU; the last one of a detection shuts NVML down. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._driver.release()

    def _number(self, channel: str, milli: float) -> float | SensorFailed:
        if fault := implausible(self._methods[channel], milli):
            return SensorFailed(f"{self._label}: {fault}")
        return milli / 1000

    def _failure(self, code: int) -> SensorFailed:
        message, remedy = explain(code)
        if code in _LOST:
            raise SensorLost(f"{self._label}: {message}", remedy)
        return SensorFailed(f"{self._label}: {message}", remedy)
