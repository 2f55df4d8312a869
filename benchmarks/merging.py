"""What it takes to merge the records of many hosts, and how near the sum comes to the truth: ``python benchmarks/merging.py [--hosts 1024 10000]``.

Records of 8 GPUs, a processor and memory each, made from one that a run on the virtual clock left; generated once, in memory. CPU time and
peak memory of a process of its own, from files to file. The truth of 2 to 64 hosts is known: clocks up to 2 s apart, one host lost, one
device measured by two hosts.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

TOP = Path(__file__).parents[1]
sys.path[:0] = [str(TOP), str(TOP / "tests" / "fakes"), str(TOP / "tests")]

SHARED_MEMORY = Path("/dev/shm")
GPUS = 8

MERGE = """
import resource, sys, time
from pathlib import Path
from energy_rating.judging.merging import merge
from energy_rating.judging.merging.folders import record_in
from energy_rating.files.record import write_record
began = time.process_time()
paths = sorted(Path(sys.argv[1]).glob("*.json"))
whole = merge((record_in(path), str(path)) for path in paths)
write_record(whole, Path(sys.argv[1]) / "whole.record")
print(time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, whole["run"].energy_j["gpu"].value)
"""


def template() -> dict[str, object]:
    """A host's record: 8 GPUs, processor and memory, 200 steps and 3 epochs."""
    from hosts import run_host

    from energy_rating.nouns.records import plain

    with tempfile.TemporaryDirectory() as folder:
        record = run_host(Path(folder) / "run", 0, 2, watts=[650.0] * GPUS, windows=200, seconds=60.0)
    entry: dict[str, object] = json.loads(json.dumps(plain(record)))
    return entry


def write_hosts(folder: Path, hosts: int) -> float:
    """So many records, each with devices of its own; the joules of all of them."""
    entry = template()
    text = json.dumps(entry, indent=2)
    devices = [device["id"] for device in entry["environment"]["devices"]]  # type: ignore[index]
    run = entry["measurements"][0]["energy_j"]["gpu"]["value"]  # type: ignore[index]
    for host in range(hosts):
        own = text.replace(entry["run_id"], f"{entry['run_id'][:-4]}{host:x}")  # type: ignore[index]
        for gpu, device in enumerate(devices):
            own = own.replace(device, f"GPU-{uuid.UUID(int=(host + 7) << 64 | gpu)}")
        job = json.loads(own)
        job["job"] = {**job["job"], "node": host, "of": hosts, "rank": host * GPUS}
        (folder / f"{host}.json").write_text(json.dumps(job, indent=2))
    return hosts * float(run)


def pace(hosts: int) -> tuple[float, float]:
    """CPU seconds and MiB."""
    place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        truth_j = write_hosts(Path(folder), hosts)
        done = subprocess.run(
            [sys.executable, "-c", MERGE, folder], capture_output=True, text=True, check=True, cwd=TOP
        )
        seconds, mib, joules = map(float, done.stdout.split())
        size = (Path(folder) / "whole.record").stat().st_size
    assert abs(joules / truth_j - 1) < 1e-9
    print(f"{hosts:>6,} hosts: {seconds:.2f} s, {mib:.0f} MiB, a record of {size / 1e6:.1f} MB")
    return seconds, mib


def accuracy(rounds: int, seed: int) -> None:
    """The largest error of sums whose truth is known."""
    from hosts import gpu_uuid, run_host

    from energy_rating.judging.merging import merge

    chance = random.Random(seed)
    worst = 0.0
    for number in range(rounds):
        hosts = chance.choice((2, 4, 8, 16, 64)) if number else 64
        with tempfile.TemporaryDirectory() as folder:
            records, truth_j = [], 0.0
            lost = chance.randrange(hosts) if hosts > 2 else None
            for host in range(hosts):
                watts = [chance.uniform(100, 700) for _ in range(GPUS)]
                seconds = chance.uniform(10, 30)
                record = run_host(Path(folder), host, hosts + 1, watts=watts, seconds=seconds)
                if host == lost:
                    continue
                records.append(_moved(record, chance.uniform(-2, 2)))
                truth_j += sum(watts) * seconds
            # The first host's GPUs, measured by another process in a container of its own too.
            again = run_host(
                Path(folder) / "twice",
                hosts,
                hosts + 1,
                watts=[0.0] * GPUS,
                devices=[gpu_uuid(0 if lost != 0 else 1, gpu) for gpu in range(GPUS)],
                seconds=5,
            )
            whole = merge((one, one.run_id) for one in [*records, again])
            error = whole["step"].energy_j["gpu"].value / truth_j - 1
            worst = max(worst, abs(error))
            codes = {one.code for one in whole.findings}
            assert lost is None or "hosts-missing" in codes
            assert "measured-twice" in codes
    print(f"{rounds} jobs of 2 to 64 hosts with {GPUS} GPUs: largest error {worst:.4%}")


def _moved(record, seconds):  # type: ignore[no-untyped-def]
    import calendar
    from dataclasses import replace

    began_s = calendar.timegm(time.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ")) + round(seconds)
    return replace(record, created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_s)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--hosts", type=int, nargs="*", default=[128, 1024, 10_000])
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    for hosts in options.hosts:
        pace(hosts)
    accuracy(options.jobs, options.seed)
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
