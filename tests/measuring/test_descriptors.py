"""A descriptor is a number, which a program may close by mistake and get again: what stands there now is the program's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_powercap import Constant, FakePowercap

from energy_rating import load
from energy_rating.files.journal import JournalFile
from energy_rating.files.reading import read_journal
from energy_rating.measuring.hwmon import Attribute
from energy_rating.measuring.sensors import rapl
from energy_rating.measuring.sensors.codecarbon import CpuLoad
from energy_rating.measuring.sensors.perf import PerfRapl
from energy_rating.nouns.errors import SensorLost
from energy_rating.nouns.records import Channel

PROGRAM = """
import os, sys, time
from pathlib import Path
from energy_rating import measure

class Still:
    channels = ()
    def read(self): return {}
    def close(self): pass

def number_of(path):
    return next(int(fd.name) for fd in Path('/proc/self/fd').iterdir() if fd.is_symlink() and os.readlink(fd) == str(path))

with measure(output_dir='run', sensors=[Still()], report=None) as run:
    with run.window('before'): pass
    journal = number_of(run.journal.resolve())
    MISTAKE
    files = [open(f'model-{n}.bin', 'wb', buffering=0) for n in range(8)]
    ours = [file for file in files if file.fileno() == journal]
    for n in range(5):
        with run.window('during') as window: window.count(token=1)
        for file in files: file.write(b'x' * 100)
    END
with run.window('after'): pass
for file in files: assert os.fstat(file.fileno()).st_size == 500 or 'dup2' in sys.argv, file
print(len(ours), run.folder)
"""

MISTAKES = {
    "close": "os.close(journal)",
    "closerange": "os.closerange(3, 256)",
    "dup2": "other = open('other.bin', 'wb'); os.dup2(other.fileno(), journal)",
}


def the_program(tmp_path, mistake, end=""):
    script = PROGRAM.replace("MISTAKE", MISTAKES[mistake]).replace("END", end or "pass")
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_nothing_is_written_into_a_file_of_the_program_and_nothing_is_lost(tmp_path, mistake):
    done = the_program(tmp_path, mistake)
    assert done.returncode == 0, done.stderr
    for n in range(8):
        assert (tmp_path / f"model-{n}.bin").read_bytes() == b"x" * 500
    if mistake == "dup2":
        assert (tmp_path / "other.bin").read_bytes() == b""
    else:
        assert done.stdout.startswith("1 "), "one of the program's files was to have the journal's number"
    journal = read_journal(tmp_path / "run")
    assert journal.damage is None
    assert journal.sessions[0].ended
    record = load(tmp_path / "run")
    assert (record["before"].n, record["during"].n) == (1, 5)
    assert record["during"].work == {"token": 5}
    (told,) = [finding for finding in record.findings if finding.code == "descriptor-closed"]
    assert " 1 times" not in told.message


def test_where_the_file_is_gone_as_well_the_rest_goes_to_another_folder(tmp_path):
    done = the_program(tmp_path, "close", "import shutil; shutil.rmtree('run'); time.sleep(0.1)")
    assert done.returncode == 0, done.stderr
    for n in range(8):
        assert (tmp_path / f"model-{n}.bin").read_bytes() == b"x" * 500
    folder = Path(done.stdout.split()[1])
    assert tmp_path / "state" in folder.parents
    codes = [finding.code for finding in load(folder).findings]
    assert "folder-gone" in codes


def test_a_full_disk_cuts_no_file_of_the_program(tmp_path):
    descriptor = os.open(tmp_path / "journal.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT)
    journal = JournalFile(tmp_path / "journal.jsonl", descriptor)
    journal.write({"a": 1})
    (tmp_path / "model.bin").write_bytes(b"x" * 1000)
    other = os.open(tmp_path / "model.bin", os.O_RDONLY)
    os.dup2(other, descriptor)  # every write to it is refused
    journal.write({"b": 2})
    journal.close()
    assert (tmp_path / "model.bin").read_bytes() == b"x" * 1000
    assert [json.loads(line) for line in (tmp_path / "journal.jsonl").read_bytes().splitlines()][1]["b"] == 2
    os.fstat(descriptor)  # it is the program's, and still open
    os.close(descriptor)
    os.close(other)


def test_a_child_closes_no_file_of_its_own(tmp_path):
    descriptor = os.open(tmp_path / "journal.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT)
    journal = JournalFile(tmp_path / "journal.jsonl", descriptor)
    other = os.open(tmp_path / "model.bin", os.O_WRONLY | os.O_CREAT)
    os.dup2(other, descriptor)
    journal.let_go()
    os.fstat(descriptor)
    os.close(descriptor)
    os.close(other)


# ----------------------------------------------------------------------------------------------------------- sensors


def taken_by(path: Path, number: int) -> None:
    """The program closes that number by mistake, and gets it again for a file of its own."""
    other = os.open(path, os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)
    os.close(other)


def test_an_attribute_is_never_read_from_a_file_of_the_program(tmp_path):
    path, mine = tmp_path / "power1_input", tmp_path / "mine"
    path.write_text("250\n")
    mine.write_text("999\n")
    attribute = Attribute(path)
    number = next(
        int(fd.name) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink() and fd.readlink() == path
    )
    taken_by(mine, number)
    assert attribute.number() == 250
    attribute.close()
    os.fstat(number)
    os.close(number)


def test_the_load_is_never_read_from_a_file_of_the_program(tmp_path):
    stat, mine = tmp_path / "stat", tmp_path / "mine"
    stat.write_text("cpu  100 0 0 100 0 0 0 0\n")
    mine.write_text("cpu  999 0 0 999 0 0 0 0\n")
    load_of_cpu = CpuLoad(stat, 1)
    taken_by(mine, load_of_cpu._fd)
    number = load_of_cpu._fd
    stat.write_text("cpu  110 0 0 190 0 0 0 0\n")
    assert load_of_cpu.share() == pytest.approx(0.1)
    load_of_cpu.close()
    os.fstat(number)
    os.close(number)


def test_a_rapl_counter_is_never_read_from_a_file_of_the_program(tmp_path):
    fake = FakePowercap(tmp_path)
    try:
        zone = fake.package(0, Constant(80))
        (sensor,) = rapl.detect(fake.root, cpuinfo=fake.cpuinfo, sleep=fake.sleep).sensors
        first = sensor.read()["cpu0.energy"]
        number = sensor._counters[0].fd
        (tmp_path / "mine").write_text("999\n")
        taken_by(tmp_path / "mine", number)
        Path(zone.counter).write_text(f"{round((first + 800) * 1e6)}\n")
        assert sensor.read()["cpu0.energy"] == pytest.approx(first + 800)
        sensor.close()
        os.fstat(number)
        os.close(number)
    finally:
        fake.close()


def test_a_perf_event_is_never_read_from_something_of_the_program():
    class Kernel:
        def open(self, pmu, config, cpu):
            return os.eventfd(7)

        def read(self, fd):
            return os.read(fd, 8)

        def close(self, fd):
            os.close(fd)

    kernel = Kernel()
    fd = kernel.open(1, 2, 0)
    channel = Channel(id="perf.cpu0.energy", component="cpu", device="p", method="counter", accuracy=0.05)
    sensor = PerfRapl([(channel, fd, 1.0)], kernel)
    reader, writer = os.pipe()
    os.dup2(reader, fd)
    os.write(writer, b"\1\0\0\0\0\0\0\0")
    assert isinstance(sensor.read()["perf.cpu0.energy"], SensorLost)
    assert len(os.read(reader, 8)) == 8  # nothing of it was taken
    sensor.close()
    os.fstat(fd)
    for number in (fd, reader, writer):
        os.close(number)
