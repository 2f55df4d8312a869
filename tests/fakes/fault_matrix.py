"""The fault matrix: what must come of every fault that can be made here, by where and when it strikes. Data, and the page made of it.

``test_faults.py`` plays every cell. The page docs/faults.md is written by ``python tests/fakes/fault_matrix.py``; a test compares.

An expectation is a word and the findings that must be there. *right*: the figure holds the truth within its own interval, and is
valid. *marked*: the same, and a finding degrades or disqualifies it. *partial*: the figure is that of the time that was seen, to
within its own interval, and says so. *absent*: no figure, and a reason. *right/marked*: marked where the doubt is large. A minus before the word: what the device drew while the
fault was there could not be known, and must not be in the figure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"

WHENS = ("before", "in a window", "between windows", "at an edge", "at the end")

# When a fault strikes that stays, in seconds of a run of 20 s with windows from 4 to 9 and from 11 to 16 s.
SINCE_S = {
    "before": -10.0,
    "in a window": 6.0,
    "between windows": 10.0,
    "at an edge": 9.0,
    "at the end": 19.95,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One fault at one time: where it strikes, and what must come of it."""

    group: str
    where: str
    fault: str
    when: str
    word: str
    codes: tuple[str, ...]
    unseen: bool = False  # what was drawn while the fault was there cannot be known

    @property
    def name(self) -> str:
        return f"{self.where}, {self.fault}, {self.when}"


def _cell(group: str, where: str, fault: str, when: str, told: str) -> Cell:
    word, *codes = told.split()
    return Cell(
        group=group,
        where=where,
        fault=fault,
        when=when,
        word=word.removeprefix("-"),
        codes=tuple(codes),
        unseen=word.startswith("-"),
    )


def _table(group: str, text: str, whens: tuple[str, ...]) -> Iterator[Cell]:
    """Rows of: where | fault | one expectation for each time, empty where the fault means nothing then."""
    for line in text.strip().splitlines():
        where, fault, *told = (part.strip() for part in line.split("|"))
        for when, expected in zip(whens, told, strict=False):
            if expected:
                yield _cell(group, where, fault, when, expected)


# Sensors as they are (sensors/nvml.py, sensors/rapl.py) over a stand-in for what they ask. "for 1 s": it recovers by itself.
SENSORS = """
GPU | lost | -absent gpu-not-measured nothing-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
GPU | driver reloaded | -absent gpu-not-measured nothing-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
GPU | no permission | -absent gpu-not-measured nothing-measured | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
GPU | counter reset |  | marked counter-reset reading-failed | marked counter-reset reading-failed | marked counter-reset reading-failed | right reading-failed
GPU | counter frozen | marked counter-stuck | marked counter-stuck | marked counter-stuck | marked counter-stuck | right
GPU | power frozen |  | marked counter-disagrees-with-power | marked counter-disagrees-with-power | marked counter-disagrees-with-power | right
GPU | counter jumps by 500 J and stays |  | marked counter-reset | marked counter-reset | marked counter-reset | right/marked
GPU | counter half as fast |  | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | right
GPU | counter a third too fast |  | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | right
GPU | counter in other units | marked counter-not-used | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | marked counter-disagrees-with-power counter-not-used | right
GPU | counter not supported | marked | right reading-failed | right reading-failed | partial partly-measured reading-failed | right reading-failed
GPU | power not supported | right | right reading-failed | right reading-failed | right reading-failed | right reading-failed
GPU | unknown error for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
GPU | unknown error for 5 s |  | right/marked reading-failed | right/marked reading-failed | right/marked reading-failed | partial partly-measured reading-failed
GPU | counter reads zero for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
GPU | counter jumps for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
GPU | power reads zero for 1 s |  | right reading-failed | right reading-failed | right reading-failed | right reading-failed
GPU | power sentinel for 1 s |  | right reading-failed | right reading-failed | right reading-failed | right reading-failed
GPU | power spike for 1 s |  | marked implausible-readings | marked implausible-readings | marked implausible-readings | marked implausible-readings
GPU | no number for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
GPU | slow call for 1 s |  | right/marked | right/marked | right/marked | right/marked
GPU | suspended |  | marked counter-reset suspended | marked counter-reset suspended | marked counter-reset suspended
GPU | suspended and reset |  | marked counter-reset reading-failed suspended | marked counter-reset reading-failed suspended | marked counter-reset reading-failed suspended
GPU, counter only | lost | -absent gpu-not-measured nothing-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
GPU, counter only | counter reset |  | marked counter-reset reading-failed | marked counter-reset reading-failed | marked counter-reset reading-failed | right reading-failed
GPU, counter only | counter frozen | -absent counter-stuck nothing-measured partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | right
GPU, counter only | counter in other units | -absent counter-not-used nothing-measured
GPU, counter only | counter jumps by 500 J and stays |  | marked counter-reset | marked counter-reset | marked counter-reset | right/marked
GPU, counter only | counter reads zero for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
GPU, counter only | unknown error for 5 s |  | right/marked reading-failed | right/marked reading-failed | right/marked reading-failed | partial partly-measured reading-failed
GPU, counter only | slow call for 1 s |  | right/marked | right/marked | right/marked | right/marked
GPU, power only | lost | -absent gpu-not-measured nothing-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
GPU, power only | power not supported | -absent gpu-not-measured nothing-measured | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | marked reading-failed
GPU, power only | power reads zero for 1 s |  | marked reading-failed | marked reading-failed | marked reading-failed | partial partly-measured reading-failed
GPU, power only | power sentinel for 1 s |  | marked reading-failed | marked reading-failed | marked reading-failed | partial partly-measured reading-failed
GPU, power only | power spike for 1 s |  | marked implausible-readings | marked implausible-readings | marked implausible-readings | partial implausible-readings partly-measured
GPU, power only | unknown error for 5 s |  | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | partial partly-measured reading-failed
GPU, power only | slow call for 1 s |  | marked | marked | marked | marked
GPU, power only | suspended |  | marked suspended | marked suspended | marked suspended
one of 4 GPUs | lost | -marked gpu-not-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
one of 4 GPUs | driver reloaded | -marked gpu-not-measured | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | marked sensor-lost
one of 4 GPUs | no permission | -marked gpu-not-measured | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
one of 4 GPUs | counter reset |  | marked counter-reset reading-failed | marked counter-reset reading-failed | marked counter-reset reading-failed | right reading-failed
one of 4 GPUs | counter frozen | marked counter-stuck | marked counter-stuck | marked counter-stuck | marked counter-stuck | right
one of 4 GPUs | counter jumps by 500 J and stays |  | marked counter-reset | marked counter-reset | marked counter-reset | right/marked
one of 4 GPUs | power sentinel for 1 s |  | right reading-failed | right reading-failed | right reading-failed | right reading-failed
one of 4 GPUs | slow call for 1 s |  | right/marked | right/marked | right/marked | right/marked
RAPL package | denied | -absent rapl-zone-unreadable | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL package | vanishes | -absent rapl-zone-unreadable | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL package | comes back empty |  | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL package | frozen | -absent counter-stuck partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | right
RAPL package | wraps |  | right | right | right | right
RAPL package | reading fails for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
RAPL package | reading fails for 5 s |  | right/marked reading-failed | right/marked reading-failed | right/marked reading-failed | partial partly-measured reading-failed
RAPL package | garbage for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
RAPL package | reads zero for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
RAPL package | jumps for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
RAPL package | jumps by 1,500 J and stays |  | marked counter-reset | marked counter-reset | marked counter-reset | right/marked
RAPL package | slow call for 1 s |  | right/marked | right/marked | right/marked | right/marked
RAPL package | suspended |  | marked counter-reset suspended | marked counter-reset suspended | marked counter-reset suspended
RAPL memory | denied | -absent rapl-zone-unreadable | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL memory | vanishes | -absent rapl-zone-unreadable | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL memory | comes back empty |  | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | right reading-failed
RAPL memory | frozen | -absent counter-stuck partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | -partial counter-stuck partly-measured | right
RAPL memory | wraps |  | right | right | right | right
RAPL memory | reading fails for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
RAPL memory | reading fails for 5 s |  | right/marked reading-failed | right/marked reading-failed | right/marked reading-failed | partial partly-measured reading-failed
RAPL memory | garbage for 1 s |  | right reading-failed | right reading-failed | right reading-failed | partial partly-measured reading-failed
RAPL memory | reads zero for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
RAPL memory | jumps for 1 s |  | marked counter-reset | marked counter-reset | marked counter-reset | marked counter-reset
RAPL memory | jumps by 1,500 J and stays |  | marked counter-reset | marked counter-reset | marked counter-reset | right/marked
RAPL memory | slow call for 1 s |  | right/marked | right/marked | right/marked | right/marked
RAPL memory | suspended |  | marked counter-reset suspended | marked counter-reset suspended | marked counter-reset suspended
model | lost | -absent nothing-measured partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | -partial partly-measured sensor-lost | partial partly-measured sensor-lost
model | reading fails | -absent nothing-measured partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | partial partly-measured reading-failed
model | defect | -absent nothing-measured partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | -partial partly-measured reading-failed | partial partly-measured reading-failed
model | reading fails for 1 s |  | marked estimated-only reading-failed | marked estimated-only reading-failed | marked estimated-only reading-failed | partial partly-measured reading-failed
model | no number for 1 s |  | marked estimated-only reading-failed | marked estimated-only reading-failed | marked estimated-only reading-failed | partial partly-measured reading-failed
model | slow call for 1 s |  | marked estimated-only | marked estimated-only | marked estimated-only | marked estimated-only
model | suspended |  | marked suspended | marked suspended | marked suspended
"""

# Every function of NVML that is called, refused with every error that a driver gives for it in the field.
CALLS = """
nvmlInit | NOT_SUPPORTED | absent gpu-not-measured nothing-measured
nvmlInit | NO_PERMISSION | absent gpu-not-measured nothing-measured
nvmlDeviceGetCount | NOT_SUPPORTED | absent gpu-not-measured nothing-measured
nvmlDeviceGetCount | NO_PERMISSION | absent gpu-not-measured nothing-measured
nvmlDeviceGetHandleByIndex | NOT_SUPPORTED | absent gpu-not-measured nothing-measured
nvmlDeviceGetHandleByIndex | NO_PERMISSION | absent gpu-not-measured nothing-measured
nvmlDeviceGetHandleByUUID | NOT_SUPPORTED | absent gpu-not-measured nothing-measured
nvmlDeviceGetHandleByUUID | NO_PERMISSION | absent gpu-not-measured nothing-measured
nvmlDeviceGetUUID | NOT_SUPPORTED | absent gpu-not-measured nothing-measured
nvmlDeviceGetUUID | NO_PERMISSION | absent gpu-not-measured nothing-measured
nvmlDeviceGetName | NOT_SUPPORTED | right
nvmlDeviceGetName | NO_PERMISSION | right
nvmlDeviceGetMigMode | NOT_SUPPORTED | right
nvmlDeviceGetMigMode | NO_PERMISSION | marked mig-unknown
nvmlDeviceGetMaxClockInfo | NOT_SUPPORTED | right
nvmlDeviceGetMaxClockInfo | NO_PERMISSION | right
nvmlDeviceGetMemoryInfo | NOT_SUPPORTED | right
nvmlDeviceGetMemoryInfo | NO_PERMISSION | right
nvmlSystemGetDriverVersion | NOT_SUPPORTED | right
nvmlSystemGetDriverVersion | NO_PERMISSION | right
nvmlDeviceGetTotalEnergyConsumption | NOT_SUPPORTED | right
nvmlDeviceGetTotalEnergyConsumption | NO_PERMISSION | right
nvmlDeviceGetPowerUsage | NOT_SUPPORTED | right
nvmlDeviceGetPowerUsage | NO_PERMISSION | right
nvmlDeviceGetFieldValues | NOT_SUPPORTED | right averaged-power | partial partly-measured reading-failed
nvmlDeviceGetFieldValues | NO_PERMISSION | right averaged-power | partial partly-measured reading-failed
nvmlDeviceGetEnforcedPowerLimit | NOT_SUPPORTED | right | right
nvmlDeviceGetEnforcedPowerLimit | NO_PERMISSION | right | right
nvmlDeviceGetPersistenceMode | NOT_SUPPORTED | right | right
nvmlDeviceGetPersistenceMode | NO_PERMISSION | right | right
nvmlDeviceGetTemperature | NOT_SUPPORTED | right | right
nvmlDeviceGetTemperature | NO_PERMISSION | right | right
nvmlDeviceGetClockInfo | NOT_SUPPORTED | right | right
nvmlDeviceGetClockInfo | NO_PERMISSION | right | right
nvmlDeviceGetCurrentClocksEventReasons | NOT_SUPPORTED | right | right
nvmlDeviceGetCurrentClocksEventReasons | NO_PERMISSION | right | right
nvmlDeviceGetComputeRunningProcesses | NOT_SUPPORTED | right | right
nvmlDeviceGetComputeRunningProcesses | NO_PERMISSION | right | right
nvmlShutdown | NOT_SUPPORTED | right
nvmlShutdown | NO_PERMISSION | right
"""

# Where the journal is written. "for good" is to the end of the run.
DISK_WHENS = (
    "before, for good",
    "in a window for 2 s",
    "between windows for 1 s",
    "at an edge for 1 s",
    "in a window, for good",
    "at the end, for good",
)
DISK = """
journal | ENOSPC | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | EDQUOT | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | EIO | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | ESTALE | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | EROFS | marked folder-refused journal-in-memory | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | short write | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses | right disk-refuses
journal | EACCES | marked folder-refused journal-in-memory
journal | EMFILE | marked folder-refused journal-in-memory
"""

FOLDER_WHENS = ("in a window", "between windows", "at the end")
FOLDER = """
folder | deleted | right folder-gone | right folder-gone | right folder-gone
folder | moved | right folder-gone | right folder-gone | right folder-gone
folder | deleted, and made again by another run | right folder-gone | right folder-gone | right folder-gone
folder | deleted, nowhere to write | right folder-gone | right folder-gone | right folder-gone
folder | made a file | right folder-gone | right folder-gone | right folder-gone
folder | emptied | absent | absent | absent
"""

COUNT_WHENS = ("in a window", "between windows")
COUNTS = """
count | 0 | right | right
count | 10^15 | right | right
count | 10^400 | marked count-refused | marked count-refused
count | NaN | marked count-refused | marked count-refused
count | infinite | marked count-refused | marked count-refused
count | -1 | marked count-refused | marked count-refused
count | 'many' | marked count-refused | marked count-refused
count | None | marked count-refused | marked count-refused
count | True | marked count-refused | marked count-refused
count | a list | marked count-refused | marked count-refused
"""

FORK_WHENS = ("in a window", "between windows", "at an edge")
FORKS = """
forked child | counts and opens windows | marked counted-in-a-fork | marked counted-in-a-fork | marked counted-in-a-fork
forked child | stops the run | right | right | right
forked child | measures by itself | right | right | right
"""

CLOCK_WHENS = ("in a window", "between windows")
CLOCKS = """
wall clock | set forward by an hour | right | right
wall clock | set back by an hour | right | right
"""

MACHINES = """
machine | MIG is on | marked mig-shared
machine | no sensor at all | -absent nothing-measured
machine | RAPL shows one counter twice | right rapl-mirrored
machine | RAPL's range is hidden | right rapl-range-unknown
machine | RAPL's range is hidden, and it wraps | marked rapl-range-unknown counter-reset
machine | RAPL is there twice (MSR and MMIO) | right
machine | the platform's counter holds all others | right
"""

SHARING = """
8 ranks on one GPU | torchrun | right
8 ranks on one GPU | Slurm | right
8 ranks on one GPU | Open MPI | right
8 ranks on one GPU | MPICH | right
two runs into one folder | one after the other | right folder-occupied
two runs into one folder | at the same time | right folder-occupied
two runs into one folder | both resumed, at the same time | right folder-occupied
"""

# In real time, each in processes of its own.
LIFE = """
process | SIGTERM | -partial interrupted
process | SIGINT | right program-failed
process | SIGHUP | -partial interrupted
process | SIGKILL | -partial interrupted
process | os._exit | -partial interrupted
process | SIGUSR1, handled by the program | right
process | SIGALRM every 10 ms | right
process | stopped and continued | right
process | raises | right program-failed
process | sys.exit(3) | right program-failed
process | journal at the limit of file sizes | right disk-refuses
process | pool of workers, forked | marked counted-in-a-fork
process | pool of workers, spawned | right
process | pool of workers, from a fork server | right
process | workers that live on | right
process | a thread that lives on | right
process | stdout and stderr closed | right
driver | hangs before the run | -absent driver-hangs nothing-measured
driver | hangs in a window | -partial driver-hangs partly-measured
driver | hangs for half a second | right
"""

CELLS: tuple[Cell, ...] = (
    *_table("sensors", SENSORS, WHENS),
    *_table("calls", CALLS, ("before", "in a window")),
    *_table("disk", DISK, DISK_WHENS),
    *_table("folder", FOLDER, FOLDER_WHENS),
    *_table("counts", COUNTS, COUNT_WHENS),
    *_table("forks", FORKS, FORK_WHENS),
    *_table("clocks", CLOCKS, CLOCK_WHENS),
    *_table("machines", MACHINES, ("before",)),
    *_table("sharing", SHARING, ("all along",)),
    *_table("life", LIFE, ("in real time",)),
)

_TITLES = {
    "sensors": "Sensors",
    "calls": "Every call to NVIDIA's driver, refused",
    "disk": "The disk",
    "folder": "The folder",
    "counts": "Work that is counted",
    "forks": "Forked children",
    "clocks": "The clock on the wall",
    "machines": "Machines",
    "sharing": "Several runs",
    "life": "The life of the process",
}

_HEAD = """# What goes wrong, and what comes of it

Every row is a fault, every column a time at which it strikes; each of the {count} cells is a test (`tests/whole/test_faults.py`), which plays it and
holds the figures of every window against a known truth. This page is written from the table that the tests read
(`python tests/fakes/fault_matrix.py`).

| word | means |
| --- | --- |
| **right** | the truth is within the figure's own 95 % interval, near its middle; the figure is *valid* |
| **marked** | the same, and a finding marks the figure *degraded* or *invalid* |
| **partial** | the figure is that of the part that was seen, the coverage says how much that is, and the figure is marked |
| **right/marked** | right; marked where the doubt that the fault leaves is large |
| **absent** | there is no figure, and a finding says why |

In every cell the measured program goes on as without us: nothing is raised into it, its exit code is its own, a device that does not answer
holds up its end by a second at most, and nothing is left running. No cell ends in a silent zero or in a number that nobody measured.

The run of a cell is 20 s long, at 100 W, and at 400 W in two windows of 5 s. The faults of sensors are played in runs of 2 and 8 s too and, where they last, of
300 s (`make test-all`), with all times in proportion: no figure that is valid there misses the truth. In *one of 4 GPUs* the figure is that of all four.
*Slow call*: one call to the driver takes 3 s, and then answers.
What the findings mean is said in the record itself.
"""

_TAIL = """## What cannot be told

- A power register that stays at a plausible value looks like a steady load. Where a counter stands beside it the two disagree, and that is
  told (*power frozen*); of a GPU that has only a power register nobody can tell.
- What a machine draws while it is suspended is in some counters and not in others; the figure is marked.
- Several processes on one host that no launcher started as ranks each measure the whole GPU. Their records say `shared-gpu` where the driver tells whose
  processes run on it.
"""


def page() -> str:
    """The text of docs/faults.md."""
    parts = [_HEAD.format(count=len(CELLS))]
    for group, title in _TITLES.items():
        cells = [cell for cell in CELLS if cell.group == group]
        whens = list(dict.fromkeys(cell.when for cell in cells))
        parts.append(f"## {title}\n")
        parts.append(f"| where | fault | {' | '.join(whens)} |")
        parts.append(f"| --- | --- |{' --- |' * len(whens)}")
        rows = dict.fromkeys((cell.where, cell.fault) for cell in cells)
        for where, fault in rows:
            told = {cell.when: _told(cell) for cell in cells if (cell.where, cell.fault) == (where, fault)}
            parts.append(f"| {where} | {fault} | {' | '.join(told.get(when, '') for when in whens)} |")
        parts.append("")
    return "\n".join(parts) + "\n" + _TAIL


def _told(cell: Cell) -> str:
    return " ".join([f"**{cell.word}**", *(f"`{code}`" for code in cell.codes)])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
