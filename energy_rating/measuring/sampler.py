"""One thread reads the devices: when (around the ticks of their counters), how often, and what of it is kept.

Alone in talking to devices, so a driver that hangs holds up nobody. It knows readings and times, not windows or files; how
readings become energy is ``integration``'s.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from energy_rating.files.packed import WAITS_S, Packer
from energy_rating.measuring.clock import Clock
from energy_rating.measuring.errands import begin
from energy_rating.measuring.pace import Pace
from energy_rating.measuring.quiet import QUIET_LINE_S, Quiet
from energy_rating.measuring.sensors import Detection, Sensor
from energy_rating.nouns import threads
from energy_rating.nouns.entries import Channel, Condition, Device, Finding, Method, Severity, plain
from energy_rating.nouns.errors import SensorFailed, SensorLost

if TYPE_CHECKING:
    from energy_rating.measuring.aside import Aside

# Quiet journals: from a minute after the last edge on, one line a second is kept, of power beside a counter one in ten. So a week
# of 8 GPUs fits in 75 MB, packed (see ``files/packed``).
QUIET_AFTER_S = 60.0

# Sensors that are read one after the other within so long share a line of the journal: its span says how long it took.
TOGETHER_S = 0.001

# For so long after an edge every tick of a counter is bracketed by two readings, else every other one: so it is read ten times a second.
DENSE_S = 2.0

# With more sensors than this, the thread wakes on a grid only, so that it reads several each time: a wake-up costs as much as
# several readings.
MANY_SENSORS = 4
GRAIN_S = 0.01

# With more sensors than can be read so often each, twice around every tick, only every second, third … tick is bracketed. What a
# window of one device loses in sharpness, the sum over many does not.
MOST_READINGS_PER_S = 320

# How hot and how throttled a device is changes slowly, and costs calls.
CONDITION_S = 10.0
CONDITION_TAKES_S = 0.02
LATEST_CONDITION_S = 1.0

# Who uses a device takes milliseconds to ask for.
USERS_S = 60.0

# What sensors are asked beside their readings, and what is not known where that fails.
ASKED_BESIDE = {
    "condition": "how hot, how fast and how throttled it was",
    "users": "who else used it",
    "appeared": "whether other devices appeared beside it",
}

# Loading models takes Python's lock a good deal; first the program may enter its with block.
GIVE_WAY_S = 0.02

# The end of a run waits so long for models that are still being loaded.
MODELS_PATIENCE_S = 0.7

# After a run has closed its thread reads on until each counter has ticked once more, but no longer than this: the slowest counters that are
# known are refreshed every 100 ms, and jitter by 5 % (A100, RTX 3090; SC24 data). It is what the program waits at its end at most.
LAST_TICK_S = 0.12

# Around that last tick a counter is read so often: nobody else needs the time any more.
LAST_STEP_S = 0.003

# A model of power by load needs so much time to know the load (the kernel counts it in hundredths of a second).
SHORTEST_MODEL_S = 0.1

# A laptop that slept, a paused virtual machine.
SUSPENDED_S = 0.5

_ONLY_FLOATS = {float}


class Models(Protocol):
    """What models the rest, once the sensors that measure are being read. ``survey.InTurn`` is one."""

    def modelling(self) -> Detection:
        """The models, and what is to be said of what is not measured. May take long."""

    def unmodelled(self) -> Detection:
        """What is to be said where there was no time for that."""


class _Watched:
    """One sensor with its pace, what is due, what was already said about it, and what quiet times withheld."""

    __slots__ = (
        *("aside", "device", "due_s", "methods", "modelled", "pace", "quiet", "read_s", "sensor", "told"),
    )

    def __init__(self, sensor: Sensor, device: Device | None, pace: Pace, since_s: float) -> None:
        self.sensor = sensor
        self.device = device
        self.pace = pace
        self.due_s = self.read_s = since_s
        self.methods: dict[str, Method] = {channel.id: channel.method for channel in sensor.channels}
        # Its readings are means since the reading before.
        self.modelled = all(method == "model" for method in self.methods.values())
        self.quiet = Quiet(self.methods)
        self.told: set[str] = set()
        # What was read of it while nobody knows yet whether it belongs to the run; None of what does.
        self.aside: Aside | None = None


class Sampler:
    """Reads the sensors when they are due and writes what they say. Steps are made by one thread at a time."""

    def __init__(
        self,
        *,
        detect: Callable[[], Detection],
        write: Callable[..., None],
        clock: Clock,
        period_s: float,
        models: Models | None = None,
        hint: Callable[[Device], float | None] = lambda _: None,
        beside: Callable[[Detection], Detection] | None = None,
        lost: Callable[[], int] = lambda: 0,
    ) -> None:
        """``lost``: how often lines that were written went where no later one may rest upon them."""
        self._detect = detect
        self._beside = beside
        self._models = models
        self._hint = hint
        self._write = write
        self._clock = clock
        self._period_s = period_s
        self._watched: list[_Watched] | None = None
        self._queue: list[tuple[float, int, _Watched]] = []  # a heap: what is due when
        self._number = itertools.count()  # the order of what is due at the same time
        self._grain_s = 0.0
        self._claimed: deque[frozenset[str] | None] = deque()
        self._arrived: deque[tuple[Detection, float]] = deque()  # models, and since when they are of use
        self._loader: threads.AnyThread | None = None
        self._batch: list[dict[str, Any]] = []
        self._packer = Packer()
        self._lost, self._known_lost = lost, 0
        self._writing = False
        self._withholding = False
        self._thinned_s = -math.inf
        self._condition_s = self._users_s = -math.inf
        self._closing = False
        # Since the run has closed: whose counter has not ticked yet, its last value, and when it is read next; None before.
        self._awaited: list[tuple[_Watched, float, float]] | None = None
        self._awaited_until_s = math.inf
        self._abandoned = False
        self._zero: float | None = None
        # What is to be written, its time on the clock, until the journal has its header; None from then on.
        self._held: list[dict[str, Any]] | None = []
        self._lock = threads.rlock()  # a handler that ends the run may come where its own thread holds it
        self._asleep_s = clock.asleep()
        self.last_edge_s = -1.0  # readings around it are kept; set at every edge
        # When the next step is made for certain, unless a device hangs; never while one is being made, and after the last.
        self.comes_s = math.inf
        self._due_s = -math.inf  # when it has something to do
        self.detection: Detection | None = None
        self.latest_s = QUIET_LINE_S  # how long after a step the next one is made at the latest
        self.aside: Detection | None = None  # what is read beside it, once that is known
        self.tick: Callable[[float], None] | None = None
        # What is done before a step, and now and then between them, where one of these holds something.
        self.in_passing: Callable[[], None] = lambda: None
        self.unwritten: tuple[Collection[object], ...] = ()
        # Who else wants to know of a reading: its channels, from when to when, and its values.
        self.heard: Callable[[Sequence[Channel], float, float, Mapping[str, float]], None] | None = None

    def open(self, zero_s: float) -> Detection:
        """The run opens at ``zero_s``. Returns what was found by then; what comes later goes to the journal by itself."""
        with self._lock:
            self._zero = self.last_edge_s = zero_s
            return self.detection or Detection()

    def release(self) -> None:
        """The journal has its header: what came before and meanwhile is written, and all that comes from now on."""
        with self._lock:
            held, self._held = self._held or [], None
            for entry in held:
                self._put(entry)
        if self._models is not None:
            self._loader = loader = threads.thread(self._load_models, name="energy-rating-models")
            begin(lambda: loader)

    def _load_models(self) -> None:
        """Beside the sampler's thread, which must not wait: loading takes long, and nothing here talks to a device."""
        models = self._models
        assert models is not None
        threads.event().wait(GIVE_WAY_S)
        since_s = self._clock.now()
        try:
            self._arrived.append((models.modelling(), since_s))
            belated = getattr(models, "belated", None)
            for late in belated() if belated is not None else ():
                self._arrived.append((late, self._clock.now()))
        except Exception as error:  # the measured program goes on
            reason = f"looking for models failed with {type(error).__name__}"
            failed = Detection(findings=(Finding.of("models-failed", reason),))
            self._arrived.append((failed, since_s))

    def learned(self) -> list[tuple[Device, float]]:
        """The devices whose counters are being followed, and how often those tick, in seconds."""
        return [
            (watched.device, period_s)
            for watched in self._watched or ()
            if watched.device is not None and (period_s := watched.pace.learned_s) is not None
        ]

    @property
    def is_settled(self) -> bool:
        """Whether it is known what is read, and what is read aside."""
        return self.detection is not None and self._beside is None

    def claim(self, devices: Collection[str]) -> None:
        """Devices that were read aside belong to the run: all that was read of them counts, from its start."""
        self._claimed.append(frozenset(devices))

    def let_go(self) -> None:
        """Nobody will claim any more of what is read aside."""
        self._claimed.append(None)

    def close(self) -> None:
        """The next steps are the last: they read around one more tick of each counter."""
        self._closing = True

    def abandon(self) -> None:
        """Nothing that comes from now on is written: the journal has ended."""
        with self._lock:
            self._write_packed()
            self._abandoned = True

    def flush(self) -> None:
        """Writes what waits for others to share a line with."""
        with self._lock:
            self._write_packed()

    def _write_packed(self) -> None:
        if not self._abandoned and self._packer.waits_since is not None:
            self._write_entry(None)

    def step(self, now_s: float) -> float | None:
        """Reads what is due; returns when the next is, or None after the last step."""
        self.comes_s = math.inf
        try:
            if any(self.unwritten):
                self.in_passing()
            if now_s >= self._due_s or self._closing:
                due = self._step(now_s)
                if due is None:
                    return None
                self._due_s = due
        except Exception as error:  # whatever it is, the program that is measured goes on
            self._tell(
                "sampler-failed",
                f"measuring stopped: {type(error).__name__}",
            )
            return None
        # Where edges come others will, and they wait for this thread.
        due = self._due_s
        if due - now_s > WAITS_S and now_s - self.last_edge_s < DENSE_S and not self._closing:
            due = now_s + WAITS_S
        self.comes_s = due
        return due

    def _step(self, now_s: float) -> float | None:
        if self._watched is None:
            self._begin()
        elif self._beside is not None and self.detection is not None:
            try:
                aside = self._beside(self.detection)
            except Exception as error:  # a driver's: what is measured for certain goes on
                self._tell(
                    "ranks-unmet",
                    f"GPUs that other processes may use could not be looked for ({type(error).__name__}): they may be missing",
                )
                aside = Detection()
            self._read_aside(aside)
            self._beside = None
        assert self._watched is not None
        closing = self._closing
        asleep_s = self._clock.asleep()
        if asleep_s - self._asleep_s > SUSPENDED_S:
            self._tell_suspension(asleep_s - self._asleep_s)
        self._asleep_s = asleep_s
        while self._claimed:
            self._settle(self._claimed.popleft())
        if closing:
            due = self._read_last_ticks()
            if due is not None:
                self._write_batch()
                return due
            self._await_models()
        while self._arrived:
            self._add_models(*self._arrived.popleft())
        if closing:
            for watched in tuple(self._watched):
                if watched.modelled and (watched.due_s <= self._clock.now() or self._has_news(watched)):
                    self._read(watched)
        else:
            self._read_due()
        self._write_batch()
        now = self._clock.now()
        if self._withholding and now - self._thinned_s >= QUIET_LINE_S:
            self._thin_out(now)
        if closing or now - self._condition_s >= CONDITION_S:
            self._note_conditions(closing, now)
        if self.tick is not None and not self._abandoned:
            self.tick(now)
        latest = now_s if self._beside is not None else now_s + self.latest_s
        due = min(latest, self._queue[0][0]) if self._queue else latest
        self._write_what_waited(math.inf if closing else due)
        if closing:
            self._write_whole()
            self._look_again([watched for watched in self._watched if watched.aside is None])
            self.flush()
            for watched in self._watched:
                watched.sensor.close()
            self._watched = []
            return None
        return due

    def _write_what_waited(self, due_s: float) -> None:
        """Writes what would wait for too long until the next readings are due, which may share its line."""
        since_s = self._packer.waits_since
        if since_s is not None and (self._withholding or due_s - (self._zero or 0.0) - since_s >= WAITS_S):
            self.flush()

    def _read_due(self) -> None:
        while self._queue and self._queue[0][0] <= self._clock.now():
            watched = heapq.heappop(self._queue)[2]
            if self._read(watched):
                self._enqueue(watched)

    def _read_last_ticks(self) -> float | None:
        """After the run has closed: everything is read once, and then each counter around its next tick, which alone tells what was
        drawn until the end. Returns when to go on; None once all have ticked, or none is going to within one update."""
        assert self._watched is not None
        if self._awaited is None:
            self._awaited = []
            with self._lock:
                self._packer.tell_anew()  # whatever is lost before, a counter's last reading bridges it
            for watched in tuple(self._watched):
                began = self._clock.now()
                if not watched.modelled and self._read(watched) and not self._abandoned:
                    value, due = watched.pace.last_value, watched.pace.tick_after(watched.read_s)
                    # Of a device that takes long to answer no tick is known well anyway, and nobody is to wait for it twice.
                    slow = watched.pace.is_slow or watched.read_s - began > LAST_TICK_S / 2
                    if value is not None and due is not None and not slow:
                        self._awaited.append((watched, value, due))
            self._awaited_until_s = self._clock.now() + LAST_TICK_S
        awaited, self._awaited = self._awaited, []
        for watched, value, due in awaited:
            now = self._clock.now()
            if due <= now <= self._awaited_until_s and not self._abandoned:
                if not self._read(watched) or watched.pace.last_value != value:
                    continue
                due = watched.read_s + LAST_STEP_S
            if max(due, now) <= self._awaited_until_s and not self._abandoned:
                self._awaited.append((watched, value, due))
        return min((due for *_, due in self._awaited), default=None)

    def _enqueue(self, watched: _Watched) -> None:
        due = watched.due_s
        if self._grain_s:
            due = math.ceil(due / self._grain_s) * self._grain_s
        heapq.heappush(self._queue, (due, next(self._number), watched))

    def _begin(self) -> None:
        detection = self._detect()
        now = self._clock.now()
        with self._lock:
            self.detection = detection
            late = self._zero is not None
        self._watched = []
        self._watch(detection, now)
        if late:
            self._announce(detection, now)
            self._tell(
                "sensors-late",
                f"the sensors answered only {now - (now if self._zero is None else self._zero):.1f} s after the run had opened",
                remedy="On NVIDIA machines persistence mode keeps the driver loaded: sudo nvidia-persistenced",
            )

    def _read_aside(self, detection: Detection) -> None:
        """Reads devices of which nobody knows yet whether they belong to the run; what they say is kept, and not written."""
        from energy_rating.measuring.aside import Aside  # only where several processes share a host

        assert self._watched is not None
        known = len(self._watched)
        self._watch(detection, self._clock.now())
        for watched in self._watched[known:]:
            watched.aside = Aside.of(watched.sensor, detection)
        self.aside = detection

    def _settle(self, devices: frozenset[str] | None) -> None:
        """Some of what was read aside belongs to the run; None: nothing more of it does."""
        assert self._watched is not None
        for watched in tuple(self._watched):
            aside = watched.aside
            if aside is None:
                continue
            if devices is None:
                self._forget(watched)
            elif not devices.isdisjoint(aside.devices):
                watched.aside = None
                self._announce(aside.detection, self._clock.now())
                for line in aside.lines:
                    self._put(line)

    def _forget(self, watched: _Watched) -> None:
        if self._watched is not None:
            self._watched = [other for other in self._watched if other is not watched]
        self._queue = [entry for entry in self._queue if entry[2] is not watched]
        heapq.heapify(self._queue)
        with contextlib.suppress(Exception):  # it was never the run's
            watched.sensor.close()

    def _watch(self, detection: Detection, since_s: float) -> None:
        assert self._watched is not None
        if len(detection.sensors) > MANY_SENSORS:
            self._grain_s = GRAIN_S
        period_s = max(self._period_s, 2 * len(detection.sensors) / MOST_READINGS_PER_S)
        devices = {device.id: device for device in detection.devices}
        for sensor in detection.sensors:
            device = devices.get(sensor.channels[0].device) if sensor.channels else None
            hint_s = self._hint(device) if device is not None else None
            watched = _Watched(sensor, device, Pace(sensor.channels, period_s, hint_s), since_s)
            if watched.modelled:
                watched.due_s = since_s + watched.pace.period_s  # its first mean needs some time to be of
            self._watched.append(watched)
            self._enqueue(watched)

    def _announce(self, detection: Detection, now_s: float) -> None:
        """Channels that were not there when the journal got its header, and what is to be said."""
        channels = [plain(channel) for sensor in detection.sensors for channel in sensor.channels]
        if channels or detection.devices:
            self._put({"channels": channels, "devices": plain(detection.devices), "t": now_s})
        for finding in detection.findings:
            self._put({"finding": plain(finding), "t": now_s})

    def _add_models(self, detection: Detection, since_s: float) -> None:
        self._models = None
        self._announce(detection, self._clock.now())
        self._watch(detection, since_s)

    def _await_models(self) -> None:
        if self._loader is not None and self._models is not None:
            self._loader.join(MODELS_PATIENCE_S)
            if self._loader.is_alive():
                self._arrived.append((self._models.unmodelled(), self._clock.now()))

    def _has_news(self, watched: _Watched) -> bool:
        return not watched.modelled or self._clock.now() - watched.read_s >= SHORTEST_MODEL_S

    def _read(self, watched: _Watched) -> bool:
        """Reads a sensor; False if it is lost."""
        start = self._clock.now()
        reading: Mapping[str, float | SensorFailed]
        try:
            reading = watched.sensor.read()
            values: dict[str, float]
            if (
                reading.keys() == watched.methods.keys()
                and set(map(type, reading.values())) == _ONLY_FLOATS
                and math.isfinite(sum(reading.values()))  # type: ignore[arg-type]
            ):
                values = dict(reading)  # type: ignore[arg-type]
            else:
                reading = _clean(reading, watched.methods)
                values = {key: value for key, value in reading.items() if isinstance(value, float)}
        except SensorLost as error:
            self._lose(watched, error)
            return False
        except SensorFailed as error:
            reading, values = dict.fromkeys(watched.methods, error), {}
        except Exception as error:  # a defect in a sensor must not end the others, nor the program
            failed = SensorFailed(f"the sensor failed with {type(error).__name__}")
            reading, values = dict.fromkeys(watched.methods, failed), {}
        end = self._clock.now()
        if len(values) < len(watched.methods):
            for key, value in reading.items():
                if not isinstance(value, float):
                    self._tell_failure(watched, key, value)
        watched.pace.dense = end - self.last_edge_s < DENSE_S
        watched.due_s = watched.pace.next_s(start, end, reading)
        if watched.modelled:
            start = watched.read_s
        watched.read_s = end
        if values and self.heard is not None and watched.aside is None:
            self.heard(watched.sensor.channels, start, end, values)
        if values:
            self._keep(watched, {"t": start, "dt": round(end - start, 6), "r": values}, end)
        elif reading and all(isinstance(value, SensorLost) for value in reading.values()):
            self._lose(watched, next(value for value in reading.values() if isinstance(value, SensorLost)))
            return False
        return True

    def _lose(self, watched: _Watched, error: SensorLost) -> None:
        if watched.aside is not None:
            self._forget(watched)
            return
        for line in watched.quiet.whole():
            self._put(line)
        if self._watched is not None:
            self._watched = [other for other in self._watched if other is not watched]
        for channel in watched.methods:
            self._tell(
                "sensor-lost",
                f"{channel}: {error.message}",
                remedy=error.remedy or None,
                severity="note" if watched.modelled else "degrades",
                channel=channel,
            )
        with contextlib.suppress(Exception):  # it is gone already; there is nothing left to fail
            watched.sensor.close()

    def _tell_failure(self, watched: _Watched, channel: str, error: SensorFailed) -> None:
        if watched.aside is not None:
            return
        reason = f"{channel}: {error.message}"
        if reason not in watched.told and len(watched.told) < 20:
            watched.told.add(reason)
            self._tell("reading-failed", reason, remedy=error.remedy or None, channel=channel)

    # -- what is kept of it

    def _keep(self, watched: _Watched, line: dict[str, Any], now_s: float) -> None:
        """Takes a reading to the journal, or withholds it in quiet times."""
        if watched.aside is not None:
            watched.aside.keep(line)
            return
        if not self._closing and now_s - self.last_edge_s > QUIET_AFTER_S and self._zero is not None:
            watched.quiet.withhold(line)
            self._withholding = True
            return
        if self._withholding:
            self._write_whole()
        if watched.modelled:
            self._put(line)  # its span is its own
            return
        if self._batch and line["t"] + line["dt"] - self._batch[0]["t"] > TOGETHER_S:
            self._write_batch()
        self._batch.append(line)

    def _write_batch(self) -> None:
        """What was read together, as one line."""
        if len(self._batch) == 1:
            self._put(self._batch[0])
        elif self._batch:
            start, last = self._batch[0]["t"], self._batch[-1]
            values = {key: value for line in self._batch for key, value in line["r"].items()}
            self._put({"t": start, "dt": round(last["t"] + last["dt"] - start, 6), "r": values})
        self._batch = []

    def _thin_out(self, now: float) -> None:
        """In quiet times once a second: one line with all counters, one with the mean powers that are due."""
        if self._watched is None:
            return
        self._thinned_s = now
        thinned = [(watched.modelled, *watched.quiet.thinned(now)) for watched in self._watched]
        self._put_together([counters for _, counters, _ in thinned if counters is not None])
        # A model's mean is of a span of its own, which others' would widen.
        for kind in (False, True):
            self._put_together(
                [means for modelled, _, means in thinned if means is not None and modelled is kind]
            )

    def _put_together(self, lines: Sequence[dict[str, Any]]) -> None:
        """Lines that are of about the same time, as one; a mean of ten seconds and one of one second are two."""
        together: list[dict[str, Any]] = []
        for line in sorted(lines, key=lambda one: float(one["t"])):
            if together and line["t"] - together[0]["t"] > QUIET_LINE_S:
                self._put_as_one(together)
                together = []
            together.append(line)
        if together:
            self._put_as_one(together)

    def _put_as_one(self, lines: Sequence[dict[str, Any]]) -> None:
        start = lines[0]["t"]
        end = max(line["t"] + line["dt"] for line in lines)
        values = {key: value for line in lines for key, value in line["r"].items()}
        self._put({"t": start, "dt": round(end - start, 6), "r": values})

    def _write_whole(self) -> None:
        """Quiet times are over: what they withheld is written as it was read."""
        self._withholding = False
        for watched in self._watched or ():
            for line in watched.quiet.whole():
                self._put(line)

    def _note_conditions(self, closing: bool, now: float) -> None:
        """When the run opens, every ten seconds and at its end: what the devices are like, and less often who else uses them."""
        if self._watched is None or self._zero is None:
            return
        since = now - self._condition_s
        # Not in the way of a reading that is due: there is time after it.
        due = self._queue[0][0] if self._queue else math.inf
        if not closing and due - now < CONDITION_TAKES_S and since < CONDITION_S + LATEST_CONDITION_S:
            return
        self._condition_s = now
        ask_users = closing or now - self._users_s >= USERS_S
        if ask_users:
            self._users_s = now
        found: dict[str, Any] = {}
        for watched in self._watched:
            if watched.aside is not None:
                continue
            told: dict[str, Any] = {}
            for name in ("condition", "users") if ask_users else ("condition",):
                ask = getattr(watched.sensor, name, None)
                if ask is not None:
                    try:
                        answer = plain(Condition(**ask()))
                    except Exception as error:  # it is no reading: the energy stands
                        self._tell_unasked(watched, name, error)
                    else:
                        told |= {key: value for key, value in answer.items() if value is not None}
            if told:
                found[watched.sensor.channels[0].device] = told
        if found:
            self._put({"condition": found, "t": now})

    def _look_again(self, watched: Sequence[_Watched]) -> None:
        """All is read: are there devices that were not there in the beginning? A driver that hangs now costs nothing but this."""
        for one in watched:
            appeared = getattr(one.sensor, "appeared", None)
            if appeared is None:
                continue
            try:
                for finding in appeared():
                    self._put({"finding": plain(finding), "t": self._clock.now()})
            except Exception as error:  # it is no reading; but a device that nobody looked for may be missing
                self._tell_unasked(one, "appeared", error)

    def _tell_unasked(self, watched: _Watched, name: str, error: Exception) -> None:
        """Says once that a device's condition, or who else uses it, could not be found out: what would speak against a run is missing."""
        if name in watched.told:
            return
        watched.told.add(name)
        what = ASKED_BESIDE[name]
        self._tell(
            "condition-failed",
            f"{watched.sensor.channels[0].device}: {what} could not be found out ({type(error).__name__})",
            severity="degrades" if name == "users" else "note",
            channel=watched.sensor.channels[0].id,
        )

    def _put(self, entry: dict[str, Any]) -> None:
        """Writes an entry whose ``t`` is a time on the clock."""
        with self._lock:
            if self._held is not None:
                self._held.append(entry)
            elif not self._abandoned:
                self._write_entry(entry | {"t": round(entry["t"] - (self._zero or 0.0), 6)})

    def _write_entry(self, entry: dict[str, Any] | None) -> None:
        """Writes an entry, or only what waits: a reading may wait for others to share a line with."""
        lines: list[Mapping[str, Any]] = []
        lost = self._lost()
        if lost != self._known_lost or self._writing:  # or a call was broken off, and its lines with it
            self._known_lost = lost
            lines += self._packer.restart()
        self._writing = True
        if entry is not None and "r" in entry:
            lines += self._packer.add(entry)
        else:
            lines += self._packer.flush()
            if entry is not None:
                lines.append(entry)
        if lines:
            self._write(*lines)
        self._writing = False

    def _tell(
        self,
        code: str,
        message: str,
        remedy: str | None = None,
        severity: Severity | None = None,
        channel: str | None = None,
    ) -> None:
        finding = Finding.of(code, message, remedy, severity, channel=channel)
        self._put({"finding": plain(finding), "t": self._clock.now()})

    def _tell_suspension(self, slept_s: float) -> None:
        self._tell(
            "suspended",
            f"the machine was suspended for {slept_s:.0f} s; whether what was drawn meanwhile is in the figures cannot be told",
            severity="degrades",  # the judging half says of which windows, and that those are not fit for a rating
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
