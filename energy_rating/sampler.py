"""One thread reads the devices: when (around the ticks of their counters), how often, and what of it is kept.

Alone in talking to devices, so a driver that hangs holds up nobody. It knows readings and times, not windows or files; how
readings become energy is ``integration``'s.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from energy_rating.errors import SensorFailed, SensorLost
from energy_rating.formats import plain
from energy_rating.records import Channel, Finding, Severity
from energy_rating.sensors import Detection, Sensor

# Quiet journals: from a minute after the last edge on, one line a second is kept.
QUIET_AFTER_S = 60.0
QUIET_LINE_S = 1.0

# A model of power by load needs so much time to know the load (the kernel counts it in hundredths of a second).
SHORTEST_MODEL_S = 0.1

# A laptop that slept, a paused virtual machine.
SUSPENDED_S = 0.5


class Ticker(Protocol):
    """A step that a clock repeats. ``step(now)`` returns when it wants to be called next, or None to end."""

    def finish(self, patience_s: float) -> bool:
        """Calls the step once more, now, and waits until it has ended; False if it did not within the patience."""


class Clock(Protocol):
    """Time as a run sees it; tests put a virtual one in its place."""

    def now(self) -> float:
        """Monotonic seconds."""

    def asleep(self) -> float:
        """Seconds that this machine has been suspended since it was started."""

    def repeat(self, step: Callable[[float], float | None], patience_s: float) -> Ticker:
        """Calls ``step`` at once and then whenever it asks for; returns after the first call or the patience."""


class _Thread:
    """A ticker on a daemon thread of its own."""

    def __init__(self, step: Callable[[float], float | None], patience_s: float) -> None:
        self._step = step
        self._wake = threading.Event()
        self._stepped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="energy-rating", daemon=True)
        self._thread.start()
        self._stepped.wait(patience_s)

    def _loop(self) -> None:
        while True:
            due = self._step(time.monotonic())
            self._stepped.set()
            if due is None:
                return
            self._wake.wait(max(0.0, due - time.monotonic()))

    def finish(self, patience_s: float) -> bool:
        self._wake.set()
        self._thread.join(patience_s)
        return not self._thread.is_alive()


class MonotonicClock:
    """The machine's own clock. It does not run while the machine is suspended and is never set."""

    def now(self) -> float:
        return time.monotonic()

    def asleep(self) -> float:
        return (
            time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
            if hasattr(time, "CLOCK_BOOTTIME")
            else 0.0
        )

    def repeat(self, step: Callable[[float], float | None], patience_s: float) -> Ticker:
        return _Thread(step, patience_s)


# ------------------------------------------------------------------------------------------------------------- pacing

# Learning reads so often, for so many ticks or so long, whichever comes first.
LEARN_STEP_S = 0.005
LEARN_TICKS = 8
LEARN_S = 2.5

# Counters slower or faster than this are polled plainly: the fast need no following, the slow are none that are known.
FASTEST_FOLLOWED_S, SLOWEST_FOLLOWED_S = 0.03, 1.0

# The nearest that a thread can be woken to an expected tick, given Python's switch interval of 5 ms.
NARROWEST_GUARD_S = 0.003

# Ticks jitter (on A100 and RTX 3090 95 to 104 ms for 100, 5th to 95th percentile; SC24 data). A tick that was missed widens the
# guard, one that was caught narrows it: these factors balance where eight of nine are caught.
WIDER, NARROWER = 1.5, 0.95

# More lateness than this is an accident, not a habit to be planned for.
MOST_LATE_S = 0.02

# At most this share of the time is spent inside the calls of a slow sensor.
SLOW_S, BUSIEST = 0.02, 0.1


class Pace:
    """When one sensor is to be read next: around the ticks of its counter once those are known, else every period.

    A counter tells its energy only at its ticks, so what matters is to know *when* it ticked. Readings just before and just
    after the expected time bracket each tick closely at two readings a tick, instead of the hundreds that polling would need.
    """

    def __init__(self, channels: Sequence[Channel], period_s: float) -> None:
        counters = [channel for channel in channels if channel.method == "counter"]
        slowest = max(
            (channel.period_s or 0.0 for channel in channels if channel.method == "model"), default=0.0
        )
        self.period_s = max(period_s, slowest)
        self._counter = next((channel.id for channel in counters if channel.period_s is None), None)
        self._following = False
        self._learning = self._counter is not None
        self._learn_until = -1.0
        self._ticks: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None  # start of the last reading, and its value
        self._expected = 0.0  # when the next tick is expected
        self._tick_s = self._learned_s = 0.0
        self._due_s: float | None = None
        self._late_s = 0.0  # how much later than due this thread gets to read
        self._cost_s = 0.0  # how long reading takes
        self._guard_s = NARROWEST_GUARD_S
        self._relearnt = 0

    def next_s(self, start_s: float, end_s: float, reading: Mapping[str, float | SensorFailed]) -> float:
        """Takes in one reading and says when the next is due."""
        if self._due_s is not None:
            self._late_s = max(0.9 * self._late_s, min(start_s - self._due_s, MOST_LATE_S))
        self._due_s = self._next_s(start_s, end_s, reading)
        return self._due_s

    def _next_s(self, start_s: float, end_s: float, reading: Mapping[str, float | SensorFailed]) -> float:
        cost = end_s - start_s
        self._cost_s = max(0.9 * self._cost_s, min(cost, MOST_LATE_S))
        # A thread beside a busy main thread waits for Python's lock for 5 ms; that is no slow device.
        earliest = end_s + (cost if cost < SLOW_S else min(cost / BUSIEST, 2.0))
        value = reading.get(self._counter) if self._counter is not None else None
        if not isinstance(value, float):
            self._last = None
            return max(earliest, start_s + self.period_s)
        ticked = self._last is not None and value != self._last[1]
        low = self._last[0] if self._last is not None else start_s
        self._last = (start_s, value)
        if self._learning:
            return max(earliest, self._learn(low, end_s, ticked))
        if self._following:
            return max(earliest, self._follow(low, end_s, ticked))
        return max(earliest, start_s + self.period_s)

    def _learn(self, low: float, end_s: float, ticked: bool) -> float:
        if self._learn_until < 0:
            self._learn_until = end_s + LEARN_S
        if ticked:
            self._ticks.append((low, end_s))
        if len(self._ticks) < LEARN_TICKS and end_s < self._learn_until:
            return end_s + LEARN_STEP_S
        self._learning = False
        times = [(low + high) / 2 for low, high in self._ticks]
        spacings = [b - a for a, b in itertools.pairwise(times)]
        self._ticks = []
        if len(spacings) >= 3:
            period = median(spacings)
            steady = sum(abs(spacing - period) < 0.2 * period + LEARN_STEP_S for spacing in spacings)
            if steady >= 0.7 * len(spacings) and FASTEST_FOLLOWED_S <= period <= SLOWEST_FOLLOWED_S:
                # Over all ticks the brackets' errors divide by their number.
                count = max(1, round((times[-1] - times[0]) / period))
                self._tick_s = self._learned_s = (times[-1] - times[0]) / count
                self._following = True
                self._guard_s = 2 * NARROWEST_GUARD_S
                return self._expect_after(times[-1], end_s)
        return end_s + self.period_s

    @property
    def _stride_s(self) -> float:
        return self._tick_s * max(1, round(self.period_s / self._tick_s))

    def _expect_after(self, tick: float, now_s: float) -> float:
        """A tick came at about ``tick``: when the next is expected, and when to read before it."""
        ahead = self._stride_s
        lead = self._guard_s + self._late_s + self._cost_s
        behind = now_s - (tick + ahead - lead)
        if behind >= 0:
            ahead += (behind // self._tick_s + 1) * self._tick_s
        self._expected = tick + ahead
        return self._expected - lead

    def _follow(self, low: float, end_s: float, ticked: bool) -> float:
        expected, guard = self._expected, self._guard_s
        # With a stride of several ticks the value has always changed since the last stride: only a reading within one tick of
        # the expected one tells when that came.
        close = low > expected - 1.5 * self._tick_s
        if end_s < expected and not (ticked and close):
            return expected + guard
        if not ticked:
            if end_s < expected + self._tick_s:
                return end_s + max(guard, LEARN_STEP_S)
            # It ticks no more, or not as it did: learn again, but not for ever.
            self._following = False
            self._relearnt += 1
            if self._relearnt <= 3:
                self._learning, self._learn_until = True, -1.0
            return end_s + self.period_s
        missed_s = 0.0
        if close and not (low <= expected <= end_s):
            # It came before the reading that should have been before it, or after the one that should have been after.
            missed_s = -0.5 * guard if end_s < expected else (low + end_s) / 2 - expected
            missed_s -= self._tick_s * round(missed_s / self._tick_s)
        if missed_s or end_s - low > 3 * (guard + self._late_s + self._cost_s):
            self._guard_s = min(WIDER * guard, self._tick_s / 4)
        else:
            self._guard_s = max(NARROWEST_GUARD_S, NARROWER * guard)
        period = self._tick_s + 0.02 * missed_s
        self._tick_s = min(max(period, 0.8 * self._learned_s), 1.2 * self._learned_s)
        return self._expect_after(expected + missed_s, end_s)


@dataclass(slots=True)
class _Watched:
    """One sensor with its pace, what is due, and what was already said about it."""

    sensor: Sensor
    pace: Pace
    due_s: float
    methods: dict[str, str]
    told: set[str]
    withheld: list[dict[str, Any]]
    kept_s: float
    read_s: float

    @property
    def modelled(self) -> bool:
        """Whether its readings are means since the reading before, as those of models are."""
        return all(method == "model" for method in self.methods.values())


class Sampler:
    """Reads the sensors when they are due and writes what they say. Steps are made by one thread at a time."""

    def __init__(
        self,
        *,
        detect: Callable[[], Detection],
        write: Callable[..., None],
        clock: Clock,
        period_s: float,
    ) -> None:
        self._detect = detect
        self._write = write
        self._clock = clock
        self._period_s = period_s
        self._watched: list[_Watched] | None = None
        self._closing = False
        self._abandoned = False
        self._zero: float | None = None
        # What is to be written, its time on the clock, until the journal has its header; None from then on.
        self._held: list[dict[str, Any]] | None = []
        self._lock = threading.Lock()
        self._asleep_s = clock.asleep()
        self._last_edge_s = -1.0
        self.detection: Detection | None = None
        self.tick: Callable[[float], None] | None = None

    def open(self, zero_s: float) -> Detection:
        """The run opens at ``zero_s``. Returns what was found by then; what comes later goes to the journal by itself."""
        with self._lock:
            self._zero = self._last_edge_s = zero_s
            return self.detection or Detection()

    def release(self) -> None:
        """The journal has its header: what came before and meanwhile is written, and all that comes from now on."""
        with self._lock:
            held, self._held = self._held or [], None
            if held and not self._abandoned:
                self._write(*map(self._since_zero, held))

    def edge(self, now_s: float) -> None:
        """There was an edge: readings around it are kept."""
        self._last_edge_s = now_s

    def close(self) -> None:
        """The next step is the last."""
        self._closing = True

    def abandon(self) -> None:
        """Nothing that comes from now on is written: the journal has ended."""
        with self._lock:
            self._abandoned = True

    def step(self, now_s: float) -> float | None:
        """Reads what is due; returns when the next is, or None after the last step."""
        try:
            return self._step(now_s)
        except Exception as error:  # whatever it is, the program that is measured goes on
            self._tell(
                "sampler-failed",
                f"measuring stopped: {type(error).__name__}",
                "Please report this",
                "disqualifies",
            )
            return None

    def _step(self, now_s: float) -> float | None:
        if self._watched is None:
            self._begin()
        assert self._watched is not None
        closing = self._closing
        self._note_suspension()
        for watched in tuple(self._watched):
            if watched.due_s <= self._clock.now() or (closing and self._has_news(watched)):
                self._read(watched)
        if self.tick is not None and not self._abandoned:
            self.tick(self._clock.now())
        if closing:
            for watched in self._watched:
                self._flush(watched)
                watched.sensor.close()
            self._watched = []
            return None
        return min([now_s + QUIET_LINE_S, *(watched.due_s for watched in self._watched)])

    def _begin(self) -> None:
        detection = self._detect()
        now = self._clock.now()
        watched = [
            _Watched(
                sensor=sensor,
                pace=Pace(sensor.channels, self._period_s),
                due_s=now,
                methods={channel.id: channel.method for channel in sensor.channels},
                told=set(),
                withheld=[],
                kept_s=now,
                read_s=now,
            )
            for sensor in detection.sensors
        ]
        for one in watched:
            if one.modelled:
                one.due_s = now + one.pace.period_s  # its first mean needs some time to be of
        with self._lock:
            self.detection = detection
            late = self._zero is not None
        self._watched = watched
        if late:
            channels = [plain(channel) for sensor in detection.sensors for channel in sensor.channels]
            self._put({"channels": channels, "devices": plain(detection.devices), "t": now})
            for finding in detection.findings:
                self._put({"finding": plain(finding), "t": now})
            self._tell(
                "sensors-late",
                f"the sensors answered only {now - (self._zero or now):.1f} s after the run had opened",
                "On NVIDIA machines persistence mode keeps the driver loaded: sudo nvidia-persistenced",
            )

    def _has_news(self, watched: _Watched) -> bool:
        return not watched.modelled or self._clock.now() - watched.read_s >= SHORTEST_MODEL_S

    def _read(self, watched: _Watched) -> None:
        start = self._clock.now()
        try:
            reading = _clean(watched.sensor.read(), watched.methods)
        except SensorLost as error:
            self._lose(watched, error)
            return
        except SensorFailed as error:
            reading = dict.fromkeys(watched.methods, error)
        except Exception as error:  # a defect in a sensor must not end the others, nor the program
            reading = dict.fromkeys(
                watched.methods, SensorFailed(f"the sensor failed with {type(error).__name__}")
            )
        end = self._clock.now()
        watched.due_s = watched.pace.next_s(start, end, reading)
        if watched.modelled:
            start = watched.read_s
        watched.read_s = end
        values = {key: round(value, 6) for key, value in reading.items() if isinstance(value, float)}
        for key, value in reading.items():
            if not isinstance(value, float):
                self._tell_failure(watched, key, value)
        if values:
            self._keep(watched, {"t": start, "dt": round(end - start, 6), "r": values}, end)
        if reading and all(isinstance(value, SensorLost) for value in reading.values()):
            self._lose(watched, next(value for value in reading.values() if isinstance(value, SensorLost)))

    def _lose(self, watched: _Watched, error: SensorLost) -> None:
        self._flush(watched)
        if self._watched is not None:
            self._watched = [other for other in self._watched if other is not watched]
        for channel in watched.methods:
            self._tell("sensor-lost", f"{channel}: {error.message}", error.remedy, "degrades", channel)
        with contextlib.suppress(Exception):  # it is gone already; there is nothing left to fail
            watched.sensor.close()

    def _tell_failure(self, watched: _Watched, channel: str, error: SensorFailed) -> None:
        reason = f"{channel}: {error.message}"
        if reason not in watched.told and len(watched.told) < 20:
            watched.told.add(reason)
            self._tell("reading-failed", reason, error.remedy, "note", channel)

    def _keep(self, watched: _Watched, line: dict[str, Any], now_s: float) -> None:
        """Writes a reading; in quiet times only one a second, with the mean of the registers in between."""
        quiet = now_s - self._last_edge_s > QUIET_AFTER_S and self._zero is not None
        if not quiet or self._closing:
            self._flush(watched)
            self._put(line)
            watched.kept_s = now_s
            return
        watched.withheld.append(line)
        if now_s - watched.kept_s >= QUIET_LINE_S:
            for summed in _summed(watched.withheld, watched.methods):
                self._put(summed)
            watched.withheld = []
            watched.kept_s = now_s

    def _flush(self, watched: _Watched) -> None:
        for line in watched.withheld:
            self._put(line)
        watched.withheld = []

    def _put(self, entry: dict[str, Any]) -> None:
        """Writes an entry whose ``t`` is a time on the clock."""
        with self._lock:
            if self._held is not None:
                self._held.append(entry)
            elif not self._abandoned:
                self._write(self._since_zero(entry))

    def _since_zero(self, entry: dict[str, Any]) -> dict[str, Any]:
        return entry | {"t": round(entry["t"] - (self._zero or 0.0), 6)}

    def _tell(
        self, code: str, message: str, remedy: str, severity: Severity = "note", channel: str | None = None
    ) -> None:
        finding = Finding(code=code, message=message, remedy=remedy, severity=severity, channel=channel)
        self._put({"finding": plain(finding), "t": self._clock.now()})

    def _note_suspension(self) -> None:
        asleep = self._clock.asleep()
        slept, self._asleep_s = asleep - self._asleep_s, asleep
        if slept > SUSPENDED_S:
            self._tell(
                "suspended",
                f"the machine was suspended for {slept:.0f} s; what was drawn meanwhile is not in the figures",
                "Keep the machine awake while it measures",
                "degrades",
            )


def _clean(reading: Mapping[str, object], known: Mapping[str, str]) -> dict[str, float | SensorFailed]:
    """A reading with nothing in it but what was promised: the channels that are known, finite numbers, or why not."""
    clean: dict[str, float | SensorFailed] = {}
    for channel in known:
        value = reading.get(channel, SensorFailed("the sensor left it out"))
        if isinstance(value, SensorFailed):
            clean[channel] = value
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            clean[channel] = float(value)
        else:
            clean[channel] = SensorFailed("the sensor gave no finite number")
    return clean


def _summed(lines: Sequence[dict[str, Any]], methods: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Several readings as one: counters as last read, registers as their mean over the time between."""
    last = lines[-1]
    counters = {key: value for key, value in last["r"].items() if methods[key] == "counter"}
    if counters:
        yield {"t": last["t"], "dt": last["dt"], "r": counters}
    start, end = lines[0]["t"], last["t"] + last["dt"]
    means: dict[str, float] = {}
    for key in {key for line in lines for key in line["r"] if methods[key] != "counter"}:
        times = [line["t"] for line in lines if key in line["r"]]
        watts = [line["r"][key] for line in lines if key in line["r"]]
        area = sum(
            (b - a) * (p + q) / 2 for a, b, p, q in zip(times, times[1:], watts, watts[1:], strict=False)
        )
        means[key] = round(area / (times[-1] - times[0]) if times[-1] > times[0] else watts[0], 6)
    if means:
        yield {"t": start, "dt": round(end - start, 6), "r": dict(sorted(means.items()))}
