"""Files of other tools as large as the importer takes them, and one step larger: what reading them costs, and that what is beyond is refused.

Each file is made, read in a process of its own, and removed. Told are seconds, the most memory that the process had, and what came of it.
Nothing is asserted of either: they are a machine's. Run: ``python benchmarks/import_bounds.py`` (some minutes, 600 MB of disk).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from energy_rating.files import foreign, imports
from energy_rating.files.imports import dia

EMISSIONS = Path(__file__).parents[1] / "tests/data/imports/codecarbon/3.3.2/emissions.csv"
BENCH = Path(__file__).parents[1] / "tests/data/imports/made-up/vllm-0.11.0"
LONGEST_S = 1800


def emissions(runs: int, rows: int) -> Callable[[Path], None]:
    """CodeCarbon's table of so many runs with so many rows in all."""

    def make(path: Path) -> None:
        head, row = EMISSIONS.read_text().splitlines()[:2]
        cells = row.split(",")
        with path.open("w") as file:
            file.write(head + "\n")
            for number in range(rows):
                cells[2] = f"run-{number % runs:08d}"
                file.write(",".join(cells) + "\n")

    return make


def power(rows: int) -> Callable[[Path], None]:
    """A log of nvidia-smi with so many lines, eight cards at a time."""

    def make(path: Path) -> None:
        with path.open("w") as file:
            file.write("timestamp, index, uuid, power.draw [W]\n")
            for number in range(rows):
                seconds = number // 8
                day, rest = 1 + seconds // 86400, seconds % 86400
                at = f"2026/{1 + day // 28:02d}/{1 + day % 28:02d} {rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}.000"
                file.write(f"{at}, {number % 8}, GPU-{number % 8:08x}-aaaa, {300 + number % 50}.25 W\n")

    return make


def result(size: int) -> Callable[[Path], None]:
    """A result of vLLM's benchmark whose one object, with its latencies, has so many bytes."""

    def make(path: Path) -> None:
        entry = json.loads(next(BENCH.glob("*.json")).read_text())
        one = len(json.dumps([0.0123456789] * 2)) - len(json.dumps([0.0123456789]))
        entry["itls"] = [0.0123456789] * ((size - len(json.dumps(entry)) - 20) // one)
        path.write_text(json.dumps(entry))
        path.with_name("gpu_power.csv").write_bytes((BENCH / "gpu_power.csv").read_bytes())

    return make


def card(size: int) -> Callable[[Path], None]:
    """A model card with so many bytes of metadata before its ``dia_report``."""

    def make(path: Path) -> None:
        report = (
            "dia_report: {scope: incremental, footprint: {energy_kwh: {value: 1.5, quality: measured}}}\n"
        )
        tags = "tags:\n" + "- a-tag-of-a-model\n" * ((size - len(report) - 6) // 19)
        path.write_text(f"---\n{report}{tags}---\n# A model\n")

    return make


CASES = {
    "CodeCarbon, 10,000 runs": ("emissions.csv", emissions(imports.MOST_RUNS, imports.MOST_RUNS)),
    "… one run more": ("emissions.csv", emissions(imports.MOST_RUNS + 1, imports.MOST_RUNS + 1)),
    "CodeCarbon, 256 MiB, one run": ("emissions.csv", emissions(1, foreign.LARGEST // 560)),
    "nvidia-smi, 2,000,000 lines": ("power.csv", power(foreign.MOST_ROWS - 1)),
    "… a line more": ("power.csv", power(foreign.MOST_ROWS)),
    "nvidia-smi, beyond 256 MiB": ("power.csv", power(foreign.LARGEST // 60)),
    "a JSON object of 64 MiB": ("results.json", result(foreign.LARGEST_OBJECT)),
    "… a MiB more": ("results.json", result(foreign.LARGEST_OBJECT + (1 << 20))),
    "metadata of 250 KiB": ("README.md", card(dia.LARGEST_BLOCK - 6000)),
    "metadata beyond 256 KiB": ("README.md", card(dia.LARGEST_BLOCK + 6000)),
}
READ = """
import resource, sys, time
from energy_rating import BadInput
from energy_rating.files.imports import imported
start = time.perf_counter()
try:
    told = f"{len(imported(sys.argv[1])):,} records"
except BadInput as error:
    told = str(error).replace(sys.argv[1], "FILE")[:110]
print(f"{time.perf_counter() - start:.1f}\\t{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f}\\t{told}")
"""


def measured() -> Iterator[str]:
    yield f"{'file':<32} {'MB':>6} {'s':>7} {'peak MB':>8}  what came of it"
    with tempfile.TemporaryDirectory() as folder:
        for name, (called, make) in CASES.items():
            path = Path(folder) / called
            make(path)
            size = path.stat().st_size / 1e6
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", READ, str(path)],
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
            path.unlink()
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no word"])[-1][:90]
                seconds = time.perf_counter() - start
                yield f"{name:<32} {size:>6.1f} {seconds:>7.1f} {'':>8}  ended with {done.returncode}: {last}"
                continue
            seconds_told, memory, told = done.stdout.strip().split("\t")
            yield f"{name:<32} {size:>6.1f} {float(seconds_told):>7.1f} {float(memory):>8.0f}  {told}"


if __name__ == "__main__":
    # Where memory is short, the process that reads ends, and not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    for line in measured():
        print(line, flush=True)
