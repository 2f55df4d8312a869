"""What people wait for with long journals: summarising, drawing, windows by the million. How they are timed is ``pace_rows``'s.

The journals are made here: two readings a tick of 0.1 s, just before and just after it, with the noise of a real card.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pace_rows import Row, Side

MB = 1_000_000


def channels(gpus: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"gpu{gpu}.{kind}",
            "component": "gpu",
            "device": f"GPU-{gpu:08d}",
            "method": method,
            "accuracy": 0.04,
            "period_s": None if method == "counter" else 0.1,
            "wraps_at_j": None,
        }
        for gpu in range(gpus)
        for kind, method in (("energy", "counter"), ("power", "power"))
    ]


def line(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()
    return text[:-1] + b',"crc":"%08x"}\n' % zlib.crc32(text)


def readings(gpus: int, seed: int = 0) -> Iterator[tuple[float, float, list[float]]]:
    """Readings just before and just after each tick of 0.1 s: when, how long they took, joules and watts of each GPU."""
    chance = random.Random(seed)
    joules = [1_000_000.0 + 1000 * gpu for gpu in range(gpus)]
    watts = [300.0] * gpus
    tick = 0
    while True:
        tick += 1
        for late_s in (-0.004, 0.004):
            if late_s > 0:
                for gpu in range(gpus):
                    watts[gpu] = min(max(watts[gpu] + chance.gauss(0, 5), 80.0), 650.0)
                    joules[gpu] = round(joules[gpu] + watts[gpu] * 0.1, 3)
            values = [
                value
                for gpu in range(gpus)
                for value in (joules[gpu], round(watts[gpu] + chance.gauss(0, 2), 3))
            ]
            yield (
                round(0.1 * tick + late_s + chance.random() * 1e-3, 6),
                round(1e-4 + chance.random() * 1e-4, 6),
                values,
            )


def journal(path: Path, *, gpus: int, size: int, schema: str = "energy-rating/journal/1") -> Path:
    """A journal of so many bytes, with a window a minute. Made once."""
    if path.exists():
        return path
    names = [channel["id"] for channel in channels(gpus)]
    header = {
        "schema": schema,
        "run_id": "20260101T000000Z-0000",
        "stage": "other",
        "model": None,
        "task": None,
        "load": None,
        "channels": channels(gpus),
        "environment": {"devices": [], "software": {}, "host": None},
        "started": "2026-01-01T00:00:00Z",
    }
    crc32 = zlib.crc32
    mould = ",".join(f'"{name}":%r' for name in names)
    part = path.with_suffix(".part")
    with part.open("wb", buffering=1 << 20) as file:
        file.write(line(header))
        file.write(line({"open": 0, "name": "run", "t": 0.0}))
        written, number, end_s = 0, 0, 0.0
        for t, took, values in readings(gpus):
            if t > end_s:
                if number:
                    written += file.write(line({"close": number, "t": end_s, "work": {"step": 10}}))
                if written > size:
                    break
                number, end_s = number + 1, end_s + 60.0
                written += file.write(line({"open": number, "name": "step", "t": end_s - 60.0}))
            body = f'{{"t":{t!r},"dt":{took!r},"r":{{{mould % tuple(values)}}}'.encode()
            written += file.write(b'%s,"crc":"%08x"}\n' % (body, crc32(b"}", crc32(body))))
        file.write(line({"close": 0, "t": end_s, "work": {}}))
        file.write(line({"end": end_s}))
    part.rename(path)
    return path


def as_written_now(path: Path, plain: Path) -> Path:
    """A journal as this version writes it, with the readings of one that is plain."""
    from energy_rating.files.journal import JOURNAL_SCHEMA, decoded, encoded
    from energy_rating.files.packed import Packer

    if path.exists():
        return path
    packer, part = Packer(), path.with_suffix(".part")
    with plain.open("rb") as lines, part.open("wb", buffering=1 << 20) as file:
        for text in lines:
            entry = decoded(text, place=plain.name)
            if "schema" in entry:
                entry["schema"] = JOURNAL_SCHEMA
            some = packer.add(entry) if "r" in entry else [*packer.flush(), entry]
            file.write(b"".join(map(encoded, some)))
    part.rename(path)
    return path


def as_each_writes_it(gpus: int, megabytes: int) -> Callable[[Path, Side], Mapping[str, Any]]:
    plain = of_size(gpus, megabytes)

    def prepare(folder: Path, side: Side) -> Mapping[str, Any]:
        given = plain(folder, side)
        if side == "before":
            return given
        path = Path(given["journal"])
        return {"journal": str(as_written_now(path.with_name(f"now-{path.name}"), path))}

    return prepare


def of_size(gpus: int, megabytes: int) -> Callable[[Path, Side], Mapping[str, Any]]:
    def prepare(folder: Path, _side: Side) -> Mapping[str, Any]:
        path = folder / f"{gpus}-gpus-{megabytes}-mb.jsonl"
        return {"journal": str(journal(path, gpus=gpus, size=megabytes * MB))}

    return prepare


SUMMARISE = """
record = energy_rating.summarise(journal)
says = [
    [one.name, one.n, one.start_s, one.duration_s]
    + [[part.value, part.random, part.systematic] for part in one.energy_by_channel_j.values()]
    for one in record.measurements
]
"""

PLOT = {
    "before": "from energy_rating.publishers.trace import plot\nfrom energy_rating.formats import read_journal",
    "now": "from energy_rating.publishing.trace import plot\nfrom energy_rating.files.reading import read_journal",
}

# A window of a training loop on one GPU, and the record of it, in one process.
WINDOWS = """
run = energy_rating.measure(output_dir=folder + "/run", sensors=[Machine(0)], report=None)
with run:
    for _ in range(count):
        with run.window("step") as window:
            window.count(token=1)
says = [run.record["step"].n, run.record["step"].work["token"]]
"""

MACHINE = """
import os, shutil, tempfile, energy_rating
sys.path[:0] = [benchmarks, os.path.join(os.path.dirname(os.path.dirname(energy_rating.__file__)), fakes)]
from pace_machine import Machine
folder, count = tempfile.mkdtemp(prefix="pace-", dir="."), windows
import atexit; atexit.register(shutil.rmtree, folder, ignore_errors=True)
"""


def machines(windows: int) -> Callable[[Path, Side], Mapping[str, Any]]:
    def prepare(_folder: Path, side: Side) -> Mapping[str, Any]:
        return {
            "windows": windows,
            "benchmarks": str(Path(__file__).parent),
            "fakes": "tests" if side == "before" else "tests/fakes",
        }

    return prepare


ROWS: tuple[Row, ...] = (
    Row(
        name="summarise-8",
        what="`summarise`, 100 MB of journal/1, 8 GPUs",
        before="import energy_rating",
        code=SUMMARISE,
        prepare=of_size(8, 100),
        times_less=5,
        most_mib=100,
    ),
    Row(
        name="summarise-1",
        what="the same, one GPU",
        before="import energy_rating",
        code=SUMMARISE,
        prepare=of_size(1, 100),
        times_less=2.5,
        most_mib=100,
    ),
    Row(
        name="summarise-now",
        what="a run of 8 GPUs that is 100 MB of journal/1, as each writes it",
        before="import energy_rating",
        code=SUMMARISE,
        prepare=as_each_writes_it(8, 100),
        times_less=10,
        most_mib=100,
    ),
    Row(
        name="week",
        what="journal of a week, 8 GPUs, one window an hour",
        before=MACHINE + "from pace_machine import week_mb\n",
        code="says = week_mb(folder)",
        prepare=machines(0),
        unit="MB",
        most=75,
        turns=1,
    ),
    Row(
        name="summarise-400",
        what="400 MB of one GPU (10 GB in 350 s are 14 s of these)",
        before="import energy_rating",
        code=SUMMARISE,
        prepare=of_size(1, 400),
        most=350 / 25,
        most_mib=150,
        turns=1,
        is_new=True,
    ),
    Row(
        name="summarise-long",
        what="10 GB of one GPU",
        before="import energy_rating",
        code=SUMMARISE,
        prepare=of_size(1, 10_000),
        most=350,
        most_mib=150,
        turns=1,
        is_long=True,
    ),
    Row(
        name="trace-8",
        what="`trace`, 100 MB, 8 GPUs",
        before=PLOT,
        code="plot(read_journal(journal))",
        prepare=of_size(8, 100),
        times_less=8,
    ),
    Row(
        name="windows",
        what="10⁵ windows, run and record, per window",
        before=MACHINE,
        code=WINDOWS,
        prepare=machines(100_000),
        unit="µs",
        most=40,
        turns=2,
    ),
)
