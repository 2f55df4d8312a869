"""A table of power over time, as ``nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv -l 1`` and ``amd-smi metric -p --csv`` write
it: by itself a run from its first reading to its last, and beside a benchmark's result the energy of that time.

Each device's power is integrated between its readings (trapezes, and by the line between two readings at the ends of a window). A hole
is no energy: it lowers the coverage. Times of nvidia-smi have no zone; beside a result in seconds since 1970 the zone is the only one in
which the window lies within the log, or there is none.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from statistics import median

from energy_rating.files.foreign import Foreign, number_in
from energy_rating.files.imported import ForeignEnergy, ForeignPart, Import, of_import, since_epoch, text
from energy_rating.nouns.entries import RUN, Device, Finding
from energy_rating.nouns.errors import BadInput

NAME = "nvidia-smi or amd-smi (a log of power)"

# nvidia-smi --help-query-gpu: power.draw is instant or a mean of a second, by the board; amd-smi metric -p --csv: socket_power.
_POWER = (
    re.compile(r"power\.draw(?: \[W\])?"),
    re.compile(r"power\.draw\.average(?: \[W\])?"),
    re.compile(r"power\.draw\.instant(?: \[W\])?"),
    re.compile(r"(?:average_)?socket_power"),
    re.compile(r"power_(?:draw|usage|w)(?:_w)?|power(?: \[W\]| \(W\))?"),
)
_TIME = re.compile(r"timestamp|time|time_s|unix_time")
_DEVICE = ("uuid", "gpu_uuid", "index", "gpu", "gpu_id", "gpu_index", "card", "pci.bus_id")
_DATES = ("%Y/%m/%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S")

MOST_W = 1e5  # of one device
# A hole is longer than this, and than four times the usual distance of readings.
LONGEST_GAP_S = 3.0
MOST_LOG_DEVICES = 4096
# All zones of the world lie a quarter of an hour or a multiple apart, up to 14 hours east and 12 west.
QUARTER_S = 900
EAST, WEST = 14 * 4, -12 * 4
# By so much a log may begin after a benchmark, or end before it: one reading.
SLACK_READINGS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerOf:
    """The readings of one device: seconds, of which clock the log says, and watts."""

    device: str
    name: str | None
    times_s: Sequence[float]
    watts: Sequence[float]


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerLog:
    """All devices. ``zoned``: the times are seconds since 1970; else those of a clock whose zone is not told, as if it were UTC."""

    devices: tuple[PowerOf, ...]
    zoned: bool

    @property
    def start_s(self) -> float:
        return min(one.times_s[0] for one in self.devices)

    @property
    def end_s(self) -> float:
        return max(one.times_s[-1] for one in self.devices)

    @property
    def spacing_s(self) -> float:
        """The usual distance between two readings of a device."""
        steps = [
            median(after - before for before, after in pairwise(one.times_s))
            for one in self.devices
            if len(one.times_s) > 1
        ]
        return max(steps, default=0.0)

    def between(self, start_s: float, end_s: float) -> tuple[tuple[ForeignEnergy, ...], float]:
        """What each device drew in a window of the log's own clock, and the least share of the window that was seen."""
        longest = max(LONGEST_GAP_S, 4 * self.spacing_s)
        found, shares = [], []
        for one in self.devices:
            joules, seen_s = _integrated(one, start_s, end_s, longest)
            if seen_s > 0:
                found.append(
                    ForeignEnergy(
                        component="gpu",
                        joules=joules,
                        had="sensor",
                        device=one.device,
                        period_s=self.spacing_s or None,
                    )
                )
                shares.append(min(seen_s / (end_s - start_s), 1.0))
        return tuple(found), min(shares, default=0.0)

    def told(self) -> Iterator[Device]:
        for one in self.devices:
            yield Device(id=one.device, name=one.name or "not told")

    def shifted(self, start_s: float, end_s: float) -> float | None:
        """By what a window since 1970 has to be moved to lie in a log without a zone; None where none or several zones are possible."""
        slack_s = SLACK_READINGS * self.spacing_s + 1
        fits = [
            quarter * QUARTER_S
            for quarter in range(WEST, EAST + 1)
            if self.start_s - slack_s <= start_s + quarter * QUARTER_S
            and end_s + quarter * QUARTER_S <= self.end_s + slack_s
        ]
        return float(fits[0]) if len(fits) == 1 else None


def _integrated(one: PowerOf, start_s: float, end_s: float, longest_s: float) -> tuple[float, float]:
    """Joules and seconds seen, between two times."""
    joules = seen_s = 0.0
    first = max(bisect.bisect_right(one.times_s, start_s) - 1, 0)
    for number in range(first, len(one.times_s) - 1):
        left, right = one.times_s[number], one.times_s[number + 1]
        if left >= end_s:
            break
        begin, end = max(left, start_s), min(right, end_s)
        if end <= begin or right - left > longest_s:
            continue
        slope = (one.watts[number + 1] - one.watts[number]) / (right - left)
        middle = one.watts[number] + slope * ((begin + end) / 2 - left)
        joules += middle * (end - begin)
        seen_s += end - begin
    return joules, seen_s


# ---------------------------------------------------------------------------------------------------------- the table


@dataclass(frozen=True, kw_only=True, slots=True)
class _LogColumns:
    time: str
    power: str
    device: str | None
    name: str | None


def is_mine(file: Foreign) -> bool:
    return _columns(file) is not None


def _columns(file: Foreign) -> _LogColumns | None:
    head = file.columns
    time = next((one for one in head if _TIME.fullmatch(one)), None)
    power = next((one for kind in _POWER for one in head if kind.fullmatch(one)), None)
    if time is None or power is None or len(head) > 200:
        return None
    return _LogColumns(
        time=time,
        power=power,
        device=next((one for name in _DEVICE for one in head if one.lower() == name), None),
        name=next((one for one in head if one.lower() in ("name", "gpu_name")), None),
    )


def read_log(file: Foreign) -> PowerLog:
    """The readings in a table.

    Raises:
        BadInput: it holds no two readings of any device.
    """
    columns = _columns(file)
    if columns is None:
        raise BadInput(
            "is no log of power",
            "Write one with: nvidia-smi --query-gpu=timestamp,uuid,power.draw --format=csv -l 1",
        )
    series: dict[str, tuple[list[float], list[float]]] = {}
    names: dict[str, str] = {}
    zoned: bool | None = None
    for _, row in file.rows():
        clock = _seconds(row.get(columns.time))
        watts = number_in(row.get(columns.power))
        if clock is None or watts is None or not 0 <= watts <= MOST_W:
            continue  # [N/A], a line that was cut short, a head in the middle
        if zoned is not None and zoned != clock[1]:
            raise BadInput(
                "tells some times with a zone and some without", "Name a log that one program wrote"
            )
        zoned = clock[1]
        device = (text(row.get(columns.device), 80) if columns.device else None) or "gpu"
        if device not in series and len(series) >= MOST_LOG_DEVICES:
            raise BadInput(f"tells of more than {MOST_LOG_DEVICES:,} devices", "Look at the file")
        times, powers = series.setdefault(device, ([], []))
        if times and clock[0] <= times[-1]:
            continue  # the clock was set back, or one reading twice
        times.append(clock[0])
        powers.append(watts)
        if columns.name and device not in names and (name := text(row.get(columns.name), 120)):
            names[device] = name
    devices = tuple(
        PowerOf(device=device, name=names.get(device), times_s=times, watts=watts)
        for device, (times, watts) in series.items()
        if len(times) > 1
    )
    if not devices or zoned is None:
        raise BadInput("holds no two readings of any device", "Name the log of a run that lasted longer")
    return PowerLog(devices=devices, zoned=zoned)


def _seconds(cell: str | None) -> tuple[float, bool] | None:
    """A time in seconds, and whether its zone is told."""
    word = (cell or "").strip()
    if not word or len(word) > 40:
        return None
    if re.fullmatch(r"\d{9,19}(\.\d{1,9})?", word):
        number = float(word)
        while number > 1e11:  # milli-, micro- or nanoseconds
            number /= 1000
        return number, True
    time = None
    for form in _DATES:
        try:
            time = datetime.strptime(word, form)
            break
        except ValueError:
            continue
    try:
        time = time or datetime.fromisoformat(word)
        zoned = time.tzinfo is not None
        return (time if zoned else time.replace(tzinfo=UTC)).timestamp(), zoned
    except (ValueError, OverflowError):
        return None


def read(file: Foreign) -> Iterator[Import]:
    log = read_log(file)
    energies, share = log.between(log.start_s, log.end_s)
    says = [*_of_log(), *of_coverage(share)]
    if not log.zoned:
        says.append(
            of_import("imported-scope", "its times have no zone: they are those of the clock of the machine")
        )
    started = since_epoch(log.start_s)
    yield Import(
        tool="nvidia-smi or amd-smi",
        when=started if log.zoned else (started or "").removesuffix("Z"),
        parts=(
            ForeignPart(
                name=RUN, duration_s=log.end_s - log.start_s, energies=energies, coverage={"gpu": share}
            ),
        ),
        devices=tuple(log.told()),
        says=tuple(says),
        data={"devices": len(log.devices)},
    )


def _of_log() -> Iterator[Finding]:
    yield of_import(
        "imported-scope",
        "it is the power of whole boards, whoever used them, as often as it was asked for: what the sensor did not see between two "
        "readings is not in it",
    )


def of_coverage(share: float) -> Iterator[Finding]:
    """What is to be said where the log has holes."""
    if share < 0.9:
        yield of_import(
            "imported-incomplete",
            f"the log of power has readings of {100 * share:.1f} % of the time",
            severity="disqualifies" if share < 0.5 else "degrades",
        )


# ------------------------------------------------------------------------------------------------- beside a benchmark


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """The energy of a benchmark from the log beside it: nothing where there is none, and then ``says`` says why."""

    energies: tuple[ForeignEnergy, ...] = ()
    coverage: Mapping[str, float] | None = None
    devices: tuple[Device, ...] = ()
    says: tuple[Finding, ...] = ()


def beside(
    file: Foreign, start_s: float | None, end_s: float | None, duration_s: float, *, zoned: bool
) -> Beside:
    """The energy between two times from the one log of power beside a file.

    ``zoned``: the times are seconds since 1970; else those of the machine's clock, as logs without a zone are. Without times the log
    must be of the benchmark alone.

    Raises:
        BadInput: there are several logs, or the one does not cover the time.
    """
    logs = [one for one in file.beside() if is_mine(one)]
    if len(logs) > 1:
        names = ", ".join(one.path.name for one in logs[:3])
        raise BadInput(
            f"has several logs of power beside it ({names})", "Keep the one that belongs to it in its folder"
        )
    if not logs:
        return Beside(
            says=(
                of_import(
                    "nothing-measured",
                    "a result of a benchmark tells no energy, and no log of power is beside it",
                    "Name both: energy-rating import RESULT.json POWER.csv -o DIR",
                ),
            )
        )
    log = read_log(logs[0])
    file.taken.append(logs[0].path)
    says = list(_of_log())
    if start_s is None or end_s is None:
        span_s = log.end_s - log.start_s
        if abs(span_s - duration_s) > max(5.0, 0.1 * duration_s):
            raise BadInput(
                f"does not tell when it ran, and the log beside it covers {span_s:.0f} s of its {duration_s:.0f} s",
                "Start and stop the log with the benchmark, or use a tool that tells the time",
            )
        start_s, end_s = log.start_s, log.end_s
        says.append(
            of_import(
                "imported-scope",
                f"the result does not tell when it ran: taken is the whole log, {span_s:.0f} s beside {duration_s:.0f} s",
            )
        )
    elif zoned != log.zoned:
        shift = log.shifted(start_s, end_s) if zoned else None
        if shift is None:
            raise BadInput(
                "ran at a time that no zone brings into the log of power beside it, or several do",
                "Keep the log of its own time in its folder, with times in seconds since 1970",
            )
        start_s, end_s = start_s + shift, end_s + shift
        says.append(
            of_import(
                "imported-scope",
                f"the times of the log have no zone: taken is UTC{shift / 3600:+g} h, the only one in which the benchmark lies in it",
            )
        )
    energies, share = log.between(start_s, end_s)
    if not energies or share < 0.05:
        raise BadInput(
            "ran at a time of which the log of power beside it tells nothing",
            "Keep the log of its own time in its folder",
        )
    return Beside(
        energies=energies,
        coverage={"gpu": share},
        devices=tuple(log.told()),
        says=(*says, *of_coverage(share)),
    )
