"""A clock under which a minute costs microseconds, and sensors whose power is a function of its time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from energy_rating.nouns.errors import SensorFailed
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Channel, Component

Power = Callable[[float], float]


class VirtualClock:
    """Time that passes only when somebody sleeps; the sampler's steps happen on the way, when they are due."""

    def __init__(self, start: float = 1000.0) -> None:
        self.time = start
        self.slept = 0.0
        self._tickers: list[_Virtual] = []
        self.late_s = 0.0  # how much later than asked the sampler is woken

    def now(self) -> float:
        return self.time

    def asleep(self) -> float:
        return self.slept

    def repeat(self, step: Callable[[float], float | None], patience_s: float) -> _Virtual:
        ticker = _Virtual(self, step)
        self._tickers.append(ticker)
        ticker.due = step(self.time)
        return ticker

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        until = self.time + seconds
        while True:
            due = min((t.due + self.late_s for t in self._tickers if t.due is not None), default=math.inf)
            if due > until:
                break
            self.time = max(self.time, due)
            for ticker in self._tickers:
                if ticker.due is not None and ticker.due + self.late_s <= self.time:
                    ticker.due = ticker.step(self.time)
        self.time = max(self.time, until)


class _Virtual:
    def __init__(self, clock: VirtualClock, step: Callable[[float], float | None]) -> None:
        self.clock = clock
        self.step = step
        self.due: float | None = None

    def finish(self, patience_s: float) -> bool:
        before = self.clock.time
        self.due = self.step(self.clock.time)
        while self.due is not None and self.clock.time - before <= patience_s:
            self.clock.time = max(self.clock.time, self.due + self.clock.late_s)
            self.due = self.step(self.clock.time)
        return self.clock.time - before <= patience_s


@dataclass
class FakeDevice:
    """A GPU-like sensor: a counter that ticks, a register, or both; power is a function of virtual time.

    ``energy(t)`` is the exact integral from any fixed start. ``phase_s`` shifts the ticks, ``cost_s`` is what a read takes.
    """

    clock: VirtualClock
    power: Power
    energy: Callable[[float], float]
    device: str = "GPU-fake"
    component: Component = "gpu"
    number: int = 0
    tick_s: float = 0.1
    phase_s: float = 0.0
    gain: float = 1.0
    offset_j: float = 1e6
    wraps_at_j: float | None = None
    has_counter: bool = True
    has_register: bool = True
    known_period: bool = False
    accuracy: float = 0.04
    cost_s: float = 0.0
    fault: Callable[[float, str], float | Exception | None] = field(default=lambda t, kind: None)
    reads: int = 0
    closed: bool = False

    @property
    def channels(self) -> tuple[Channel, ...]:
        name = f"{self.component}{self.number}"
        found: list[Channel] = []
        if self.has_counter:
            found.append(
                Channel(
                    id=f"{name}.energy",
                    component=self.component,
                    device=self.device,
                    method="counter",
                    accuracy=self.accuracy,
                    period_s=self.tick_s if self.known_period else None,
                    wraps_at_j=self.wraps_at_j,
                )
            )
        if self.has_register:
            found.append(
                Channel(
                    id=f"{name}.power",
                    component=self.component,
                    device=self.device,
                    method="power",
                    accuracy=self.accuracy,
                    period_s=self.tick_s,
                )
            )
        return tuple(found)

    def tick_before(self, now: float) -> float:
        """When the counter was last refreshed."""
        return math.floor((now - self.phase_s) / self.tick_s + 1e-9) * self.tick_s + self.phase_s

    def read(self) -> Mapping[str, float | SensorFailed]:
        self.reads += 1
        if self.cost_s:
            self.clock.time += self.cost_s
        now = self.clock.time
        tick = self.tick_before(now)
        values: dict[str, float | SensorFailed] = {}
        for channel in self.channels:
            kind = "energy" if channel.method == "counter" else "power"
            fault = self.fault(now, kind)
            if isinstance(fault, SensorFailed):
                values[channel.id] = fault
                continue
            if isinstance(fault, Exception):
                raise fault
            if fault is not None:
                values[channel.id] = float(fault)
            elif kind == "energy":
                joules = self.offset_j + self.gain * self.energy(tick)
                values[channel.id] = joules % self.wraps_at_j if self.wraps_at_j else joules
            else:
                values[channel.id] = self.gain * self.power(tick)
        return values

    def close(self) -> None:
        self.closed = True


def constant(watts: float) -> tuple[Power, Callable[[float], float]]:
    return (lambda t: watts), (lambda t: watts * t)


def steps(*changes: tuple[float, float]) -> tuple[Power, Callable[[float], float]]:
    """Power by parts: ``steps((-inf, 50), (1003.0, 400))`` is 50 W until 1003 s, then 400 W."""

    def power(t: float) -> float:
        return next(watts for since, watts in reversed(changes) if t >= since)

    def energy(t: float) -> float:
        # From time 0 on, or back to it: the ticks of a clock that begins at 0 lie before that.
        total = 0.0
        for index, (since, watts) in enumerate(changes):
            until = changes[index + 1][0] if index + 1 < len(changes) else math.inf
            total += watts * (min(max(t, since), until) - min(max(0.0, since), until))
        return total

    return power, energy


def square(
    low: float, high: float, period: float, duty: float = 0.5, phase: float = 0.0
) -> tuple[Power, Callable[[float], float]]:
    def power(t: float) -> float:
        return high if ((t - phase) / period) % 1.0 < duty else low

    def energy(t: float) -> float:
        whole, part = divmod((t - phase) / period, 1.0)
        return period * (
            whole * (duty * high + (1 - duty) * low) + min(part, duty) * high + max(0.0, part - duty) * low
        )

    return power, energy


def sine(
    mean: float, amplitude: float, period: float, phase: float = 0.0
) -> tuple[Power, Callable[[float], float]]:
    w = 2 * math.pi / period
    return (
        lambda t: mean + amplitude * math.sin(w * (t - phase)),
        lambda t: mean * t - amplitude / w * math.cos(w * (t - phase)),
    )


def is_right(energy: Estimate, truth_j: float, share: float) -> bool:
    """Whether an energy measured in real time is the truth: to within this share or, where a busy machine let the sampler wait,
    within four times the random doubt that the record states itself. A doubt of a tenth would be no measurement."""
    return (
        abs(energy.value - truth_j) <= max(share * truth_j, 4 * energy.random)
        and energy.random < 0.1 * truth_j
    )
