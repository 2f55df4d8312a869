"""Long runs, many runs, many windows, long journals: what they cost in memory, disk and time.

    python benchmarks/soak.py hours --seconds 180 --gpus 64      # in real time: CPU, memory and threads over time
    python benchmarks/soak.py hours --virtual 24 --gpus 64       # hours on the virtual clock
    python benchmarks/soak.py processes --count 100              # that many processes measure at once, into one folder
    python benchmarks/soak.py windows --count 1000000            # windows in one run, and their summary
    python benchmarks/soak.py journal --megabytes 300            # a journal of that size, summarised

Figures are of this machine. Where the truth is known (energies, numbers of lines) it is asserted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path.insert(0, str(TOP / "tests" / "fakes"))

from virtual import FakeDevice, VirtualClock, sine  # noqa: E402

from energy_rating import measure, summarise  # noqa: E402
from energy_rating.files.journal import JOURNAL_SCHEMA, encoded  # noqa: E402
from energy_rating.files.reading import read_journal  # noqa: E402
from energy_rating.nouns.records import Channel, Environment, plain  # noqa: E402

MIB = 1 << 20


def resident_mib() -> float:
    """What this process has in memory now, without what only mirrors files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return math.nan


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Machine:
    """GPUs in real time whose power swings; counter and register refresh every 0.1 s, a read costs what the arithmetic does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.phase_s = 0.0137 * number % 0.1
        self.power, self.energy = sine(300.0, 150.0, 7.3, 0.1 * number)
        self.channels = tuple(
            Channel(
                id=f"gpu{number}.{kind}",
                component="gpu",
                device=f"GPU-{number}",
                method=method,
                accuracy=0.04,
                period_s=None if method == "counter" else 0.1,
            )
            for kind, method in (("energy", "counter"), ("power", "power"))
        )

    def read(self) -> dict[str, float]:
        tick = math.floor((time.monotonic() - self.phase_s) / 0.1) * 0.1 + self.phase_s
        return {self.channels[0].id: 1e6 + self.energy(tick), self.channels[1].id: self.power(tick)}

    def close(self) -> None:
        pass


def hours(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        if options.virtual:
            virtual_hours(options, folder)
        else:
            real_time(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def real_time(options: argparse.Namespace, folder: Path) -> None:
    gpus = [Machine(number) for number in range(options.gpus)]
    before = resident_mib()
    told: list[tuple[float, float, float, float, int, int]] = []
    with measure(output_dir=folder / "run", sensors=gpus, report=None) as run:
        start = time.monotonic()
        step_s = options.seconds / 6
        for number in range(1, 7):
            time.sleep(max(0.0, start + number * step_s - time.monotonic()))
            told.append(
                (
                    time.monotonic() - start,
                    time.process_time(),
                    resident_mib(),
                    (folder / "run" / "journal.jsonl").stat().st_size / MIB,
                    threading.active_count(),
                    len(list(Path("/proc/self/fd").iterdir())),
                )
            )
        end = time.monotonic()
    print(f"{options.gpus} GPUs in real time; before the run {before:.1f} MiB")
    for at_s, cpu_s, memory, size, threads, files in told:
        print(
            f"{at_s:7.0f} s  {memory:7.1f} MiB  journal {size:8.2f} MiB  {threads} threads  {files} files  CPU {cpu_s:.2f} s"
        )
    first, last = told[2], told[-1]  # from half-way on: the dense first minute is over
    per_hour = 3600 / (last[0] - first[0])
    print(
        f"per hour, second half: {(last[2] - first[2]) * per_hour:.2f} MiB of memory, "
        f"{(last[3] - first[3]) * per_hour:.1f} MiB of journal, {(last[1] - first[1]) / (last[0] - first[0]):.2%} of a core"
    )
    energy = summarise(folder / "run")["run"].energy_j["gpu"].value
    truth = sum(gpu.energy(end) - gpu.energy(start) for gpu in gpus)
    print(f"energy: {energy / truth - 1:+.3%} of the truth")
    assert run.folder is not None


def virtual_hours(options: argparse.Namespace, folder: Path) -> None:
    clock = VirtualClock()
    gpus = []
    for number in range(options.gpus):
        power, energy = sine(300.0, 150.0, 7.3, 0.1 * number)
        gpus.append(
            FakeDevice(
                clock=clock,
                power=power,
                energy=energy,
                number=number,
                device=f"GPU-{number}",
                phase_s=0.0137 * number % 0.1,
            )
        )
    began, start = time.process_time(), clock.time
    told = []
    with measure(output_dir=folder / "run", sensors=gpus, clock=clock, report=None) as run:
        for _ in range(8):
            with run.window("epoch"):
                clock.sleep(options.virtual * 3600 / 8)
            told.append(((clock.time - start) / 3600, resident_mib(), run.journal.stat().st_size / MIB))
    took = time.process_time() - began
    print(f"{options.gpus} GPUs, {options.virtual:g} hours on the virtual clock, a window an eighth of it")
    for at_h, memory, size in told:
        print(f"{at_h:7.2f} h  {memory:7.1f} MiB  journal {size:8.2f} MiB")
    span = told[-1][0] - told[1][0]
    print(
        f"per hour: {(told[-1][1] - told[1][1]) / span:.2f} MiB of memory, {(told[-1][2] - told[1][2]) / span:.1f} MiB of journal "
        f"({took / options.virtual:.1f} s of CPU, the fake GPUs included)"
    )
    began = time.process_time()
    record = run.record
    truth = sum(gpu.energy(start + options.virtual * 3600) - gpu.energy(start) for gpu in gpus)
    found = record["run"].energy_j["gpu"].value
    print(f"energy: {found / truth - 1:+.4%} of the truth, {record['run'].validity}")
    assert abs(found / truth - 1) < 0.001


CHILD = """
import sys, time
sys.path[:0] = [{tests!r}, {here!r}]
from living import Gpu
from energy_rating import measure
with measure(output_dir={folder!r}, sensors=[Gpu()], report=None) as run:
    for number in range(20):
        with run.window("step") as window:
            time.sleep({seconds} / 20)
            window.count(token=10)
"""


def processes(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    script = CHILD.format(
        tests=str(TOP / "tests" / "fakes"),
        here=str(TOP),
        folder=str(folder / "run"),
        seconds=options.seconds,
    )
    try:
        began = time.monotonic()
        children = [
            subprocess.Popen(
                [sys.executable, "-c", script],
                env=os.environ | {"XDG_STATE_HOME": str(folder / "state")},
                stderr=subprocess.PIPE,
            )
            for _ in range(options.count)
        ]
        failed = sum(child.wait(timeout=600) != 0 for child in children)
        took = time.monotonic() - began
        runs = sorted(folder.glob("run*"))
        errors, wrong, lines, ids = [], 0, 0, set()
        for one in runs:
            journal = read_journal(one)
            assert journal.damage is None
            assert journal.sessions[0].ended
            record = summarise(one)
            ids.add(record.run_id)
            assert record["step"].n == 20
            assert record["step"].work == {"token": 200}
            energy = record["run"].energy_j["gpu"]
            truth = 300 * record["run"].duration_s
            errors.append(energy.value / truth - 1)
            low, high = energy.interval()
            wrong += not low <= truth <= high
            lines += (one / "journal.jsonl").read_bytes().count(b"\n")
        rms = (sum(error * error for error in errors) / len(errors)) ** 0.5
        print(
            f"{options.count} processes at once into one folder: {failed} failed, {len(runs)} folders, {len(ids)} run ids, "
            f"{lines} lines, none damaged; energy {rms:.2%} rms from the truth, {wrong} outside their interval; {took:.0f} s"
        )
        assert (failed, len(runs)) == (0, options.count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def windows(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        before = resident_mib()
        with measure(output_dir=folder / "run", sensors=[Machine(0)], report=None) as run:
            began = time.perf_counter()
            for _ in range(options.count):
                with run.window("step") as window:
                    window.count(token=1)
            took = time.perf_counter() - began
        size = run.journal.stat().st_size
        print(
            f"{options.count} windows: {took / options.count * 1e6:.1f} µs each, {resident_mib() - before:+.1f} MiB, "
            f"journal {size / MIB:.0f} MiB ({size / options.count:.0f} bytes each)"
        )
        _summarised(folder / "run", options.count)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summarised(folder: Path, n: int = 0, truth_j: float = 0.0) -> None:
    code = f"""
import json, sys, threading, time
from pathlib import Path
sys.path[:0] = [{str(TOP / "benchmarks")!r}]
from soak import peak_mib, resident_mib
from energy_rating.files.reading import read_journal
from energy_rating.judging.summary import summarise_journal
import energy_rating.judging.footprint.carbon
base, most = resident_mib(), [0.0]
def watch():
    while True:
        most[0] = max(most[0], resident_mib())
        time.sleep(0.05)
threading.Thread(target=watch, daemon=True).start()
t = time.process_time(); journal = read_journal({str(folder)!r}); read = time.process_time() - t
memory = resident_mib()
t = time.process_time(); record = summarise_journal(journal); judged = time.process_time() - t
run = record["run"]
print(json.dumps([base, read, judged, peak_mib(), most[0], run.energy_j["gpu"].value, run.duration_s,
    record["step"].n if "step" in record else 0]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOP)
    base, read, judged, peak, most, energy, duration_s, counted = json.loads(done.stdout)
    journal = folder / "journal.jsonl"
    lines = sum(block.count(b"\n") for block in _blocks(journal))
    size = journal.stat().st_size
    print(
        f"summarised: {size / MIB:.0f} MiB, {lines / 1e6:.2f} million lines; "
        f"read {read / lines * 1e6:.1f} s and judged {judged / lines * 1e6:.1f} s a million lines; memory {base:.0f} MiB before, "
        f"{most:.0f} MiB at most (with what mirrors files, which the system takes back: {peak:.0f} MiB); "
        f"{(most - base) * MIB / lines:.0f} bytes a line"
    )
    print(f"energy {energy:.6g} J over {duration_s:.6g} s")
    assert not n or counted == n
    assert not truth_j or abs(energy / truth_j - 1) < 1e-4, truth_j


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(MIB):
            yield block


def journal(options: argparse.Namespace) -> None:
    """A journal as a run of many days writes: two readings a tick of 0.1 s, counter and power of each GPU."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=options.scratch))
    try:
        gpus = [Machine(number) for number in range(options.gpus)]
        watts = 300.0
        header = {
            "schema": JOURNAL_SCHEMA,
            "run_id": "20260101T000000Z-0000",
            "stage": "other",
            "model": None,
            "task": None,
            "load": None,
            "channels": [plain(channel) for gpu in gpus for channel in gpu.channels],
            "environment": plain(Environment()),
            "started": "2026-01-01T00:00:00Z",
        }
        path = folder / "journal.jsonl"
        began = time.perf_counter()
        # The twenty lines of a second, as ``encoded`` writes them (which takes five times as long): where its whole seconds and
        # joules go, whether they are the next second's, and the ticks that the counter has made by then.
        power = {tick: watts + tick % 7 for tick in range(1, 11)}
        moulds = []
        for tick in range(1, 11):
            values = ",".join(
                f'"{gpu.channels[0].id}":%d.0,"{gpu.channels[1].id}":{power[tick]}' for gpu in gpus
            )
            for ms, ticks in ((100 * tick - 4, tick - 1), (100 * tick + 4, tick)):
                mould = f'{{"t":%d.{ms % 1000:03d},"dt":0.0001,"r":{{{values}}}'.encode()
                moulds.append((mould, ms // 1000, ticks))
        second, crc32 = 0, zlib.crc32
        with path.open("wb", buffering=1 << 20) as file:
            file.write(encoded(header))
            file.write(encoded({"open": 0, "name": "run", "t": 0.0}))
            while file.tell() < options.megabytes * MIB:
                lines = []
                for mould, later, ticks in moulds:
                    joules = 1_000_000 + round((10 * second + ticks) * 0.1 * watts)
                    body = mould % (second + later, *[joules] * len(gpus))
                    lines.append(b'%s,"crc":"%08x"}\n' % (body, crc32(b"}", crc32(body))))
                if second < 100:
                    for line in lines:
                        entry = json.loads(line)
                        del entry["crc"]
                        assert encoded(entry) == line
                file.write(b"".join(lines))
                second += 1
            t = json.loads(lines[-1])["t"]
            file.write(encoded({"close": 0, "t": t, "work": {}}))
            file.write(encoded({"end": t}))
        print(
            f"truth: {options.gpus * watts * t:.6g} J over {t:.6g} s "
            f"(written in {time.perf_counter() - began:.0f} s)",
            flush=True,
        )
        _summarised(folder, truth_j=options.gpus * watts * t)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = parser.add_subparsers(required=True)
    kind = kinds.add_parser("hours")
    kind.add_argument("--seconds", type=float, default=180.0)
    kind.add_argument("--virtual", type=float, default=0.0, metavar="HOURS")
    kind.add_argument("--gpus", type=int, default=64)
    kind.set_defaults(does=hours)
    kind = kinds.add_parser("processes")
    kind.add_argument("--count", type=int, default=100)
    kind.add_argument("--seconds", type=float, default=5.0)
    kind.set_defaults(does=processes)
    kind = kinds.add_parser("windows")
    kind.add_argument("--count", type=int, default=1_000_000)
    kind.set_defaults(does=windows)
    kind = kinds.add_parser("journal")
    kind.add_argument("--megabytes", type=int, default=300)
    kind.add_argument("--gpus", type=int, default=1)
    kind.add_argument("--scratch", default=None, help="a folder with room for it")
    kind.set_defaults(does=journal)
    options = parser.parse_args()
    options.does(options)


if __name__ == "__main__":
    main()
