"""What people wait for again and again: commands, edges, the first ``with``. How they are timed is ``pace_rows``'s.

Where a GPU is needed it is that of the fake NVML, whose calls take 20 µs, about what an awake GPU's driver takes. The driver is
initialised before anything is timed: how long that takes is not ours.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pace_rows import Row, Side

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests" / "fakes"))

LATENCY_US = 20


def a_record(folder: Path, side: Side) -> Mapping[str, Any]:
    """A record by itself, of the schema that both sides read, and a run with its journal."""
    run = folder / "example"
    if not run.exists():
        shutil.copytree(TOP / "reports" / "example-gpu", run)
        (folder / "alone").mkdir()
        shutil.copy(run / "record.json", folder / "alone" / "record.json")
    return {
        "record": str(folder / "alone" / "record.json"),
        "run": str(run),
        "to": str(folder / f"{side}.out"),
    }


def a_gpu(folder: Path, _side: Side) -> Mapping[str, Any]:
    """A GPU, as the driver's library and its settings."""
    from fake_nvml import Device, FakeNvml, build

    config = FakeNvml(devices=[Device(latency_us=LATENCY_US)]).write(folder)
    return {"library": str(build()), "config": str(config), "place": str(folder)}


# The library is found by its name once it is loaded.
DRIVER = """
import ctypes, os
os.environ["FAKE_NVML_CONFIG"] = config
ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL).nvmlInitWithFlags(0)
place = os.path.join(place, f"run-{os.getpid()}")
from energy_rating import measure
"""

STARTED = DRIVER + "run = measure(output_dir=place, sensors=['nvml']).start()\nimport statistics\n"

# An edge of either kind, by the clock of the thread that pauses before it.
EDGES = """
took = []
for _ in range(1500):
    window = run.window("step")
    time.sleep(0.002)
    a = time.perf_counter()
    window.__enter__()
    b = time.perf_counter()
    time.sleep(0.002)
    c = time.perf_counter()
    window.__exit__(None, None, None)
    took += [b - a, time.perf_counter() - c]
says = 1e6 * statistics.median(took)
"""

SAMPLER = """
time.sleep(6)
cpu, clock = time.process_time(), time.monotonic()
time.sleep(30)
says = 100 * (time.process_time() - cpu) / (time.monotonic() - clock)
"""

# As in ``steps``: a step without work, less a loop without us; of steps of 20 ms that is 1 % in 200 µs.
STEPS = """
count = 5000
for _ in run.steps(range(count), token=512):
    pass
"""

RATE = """
count = 200
for _ in range(count):
    rating = rate(record)
says = [rating.stars, rating.index.value if rating.index else None]
"""

ROWS: tuple[Row, ...] = (
    Row(
        name="rate",
        what="`rate` in one process, after the first",
        before="from energy_rating import load, rate\nrecord = load(record)\nrate(record)",
        code=RATE,
        prepare=a_record,
        unit="ms",
        most=2,
        turns=5,
    ),
    Row(
        name="label",
        what="`label` of a record, the whole command",
        command=("label", "{record}", "-o", "{to}.svg"),
        prepare=a_record,
        most=0.35,
        turns=5,
    ),
    Row(
        name="impact",
        what="`impact` of a record, the whole command",
        command=("impact", "{record}", "--zone", "FRA"),
        prepare=a_record,
        most=0.30,
        turns=5,
    ),
    Row(
        name="trace",
        what="`trace` of a run of six minutes, the whole command",
        command=("trace", "{run}", "-o", "{to}.png"),
        prepare=a_record,
        most=0.70,
        turns=5,
    ),
    Row(
        name="help",
        what="`--help`, the whole command",
        command=("--help",),
        prepare=a_record,
        times_less=1,
        turns=5,
    ),
    Row(
        name="first-with",
        what="the first `with`, one GPU, `nvmlInit` not counted",
        before=DRIVER,
        code="run = measure(output_dir=place).start()",
        prepare=a_gpu,
        unit="ms",
        most=15,
        turns=7,
    ),
    Row(
        name="first-with-nvml",
        what='the same with `sensors=["nvml"]`',
        before=DRIVER,
        code="run = measure(output_dir=place, sensors=['nvml']).start()",
        prepare=a_gpu,
        unit="ms",
        most=15,
        turns=7,
    ),
    Row(
        name="edge",
        what="an edge after a pause of 2 ms, by the clock",
        before=STARTED,
        code=EDGES,
        prepare=a_gpu,
        unit="µs by the clock",
        most=30,
    ),
    Row(
        name="sampler",
        what="the sampler, one GPU at 10 Hz",
        before=STARTED,
        code=SAMPLER,
        prepare=a_gpu,
        unit="% of a core",
        most=0.25,
    ),
    Row(
        name="step",
        what="a step of `run.steps` (0.3 % of one of 20 ms are 60 µs)",
        before=STARTED,
        code=STEPS,
        prepare=a_gpu,
        unit="µs",
        most=60,
        is_new=True,
    ),
)
