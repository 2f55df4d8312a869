"""Columns on files hold what arrays would, and a journal that is too long for memory gives the same record."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, sine

from energy_rating import measure, summarise
from energy_rating.files import columns
from energy_rating.files.columns import Column, Room
from energy_rating.files.journal import encoded
from energy_rating.files.record import record_to_json
from energy_rating.judging.integration.ticks import Tick, Ticks
from energy_rating.nouns.errors import NoRoom

numbers = st.floats(allow_nan=False)


@given(st.lists(numbers, max_size=60), st.integers(1, 20), st.integers(0, 60), numbers)
def test_a_column_on_a_file_is_as_good_as_an_array(values, spills_from, cut, last):
    column = Column(spills_from)
    for value in values:
        column.append(value)
    assert list(column) == list(column.values()) == values
    assert len(column) == len(values)
    assert column[1:5] == array("d", values[1:5]) or list(column[1:5]) == values[1:5]
    if values:
        assert (column[-1], column[0]) == (values[-1], values[0])
        column[0] = last
        values[0] = last
    column.cut(cut)
    column.append(last)
    assert list(column.values()) == [*values[:cut], last]
    with pytest.raises(IndexError):
        column[len(column)]


def refuses(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_where_the_disk_is_full_a_column_stays_in_memory():
    files = 0

    def reserve(descriptor, start, size):
        nonlocal files
        files += 1
        if files > 1:
            refuses()
        os.posix_fallocate(descriptor, start, size)

    more = 2 * columns.SEGMENT
    column = Column(10, Room(reserve=reserve))
    column.extend(range(15))
    assert isinstance(column.values(), memoryview)  # on a file
    column.extend(range(15, more))
    assert list(column) == list(range(more))
    assert isinstance(column.values(), array)


def test_where_neither_disk_nor_memory_has_room_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    column = Column(10, Room(reserve=refuses, most_in_memory=8000))
    with pytest.raises(NoRoom) as caught:
        column.extend(range(columns.BLOCK))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert "TMPDIR" in str(caught.value)


def test_a_column_leaves_no_file_and_no_descriptor_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    column = Column(10)
    column.extend(range(2 * columns.BLOCK))
    assert not list(tmp_path.iterdir())
    assert len(os.listdir("/proc/self/fd")) > before  # noqa: PTH208
    del column
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("has_counter", [True, False])
def test_a_journal_on_files_gives_the_same_record_byte_for_byte(tmp_path, monkeypatch, has_counter):
    clock = VirtualClock()
    power, energy = sine(250, 100, 3.3)
    missing = {8, 9, 30}

    def fault(t, kind):
        return ZeroDivisionError() if int(t - 1000) in missing else None

    gpu = FakeDevice(clock=clock, power=power, energy=energy, has_counter=has_counter, fault=fault)
    clock.late_s = 0.004
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        for _ in range(5):
            with run.window("w"):
                clock.sleep(9.7)
    in_memory = record_to_json(summarise(tmp_path / "run"))
    # The default of the whole process, as it is for journals of a few hundred megabytes.
    monkeypatch.setattr(columns, "SPILLS_FROM", 100)
    assert record_to_json(summarise(tmp_path / "run")) == in_memory


@pytest.mark.parametrize("at_once", [50, 333])
def test_ticks_that_were_missed_are_found_however_many_are_looked_at_together(at_once):
    true_s = [0.1 * number for number in range(1000)]
    several, all_of_them = Ticks(at_once), Ticks()
    for ticks in (several, all_of_them):
        for number, time_s in enumerate(true_s):
            since_s = time_s - (0.099 if number % 7 == 3 else 0.001)
            ticks.append(Tick(earliest_s=since_s, latest_s=time_s + 0.001, energy_j=float(number)))
        ticks.sharpen(0.1, False)
        assert list(ticks.times_s()) == pytest.approx(true_s, abs=0.002)
    assert [tick.energy_j for tick in several] == [tick.energy_j for tick in all_of_them]


def test_many_columns_share_a_few_descriptors():
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    several = [Column(4) for _ in range(500)]
    for number, column in enumerate(several):
        column.extend(number + value / 100 for value in range(40))
        assert isinstance(column.values(), memoryview)
    assert len(os.listdir("/proc/self/fd")) < before + 10  # noqa: PTH208
    assert all(column[39] == number + 0.39 for number, column in enumerate(several))


@pytest.mark.parametrize("limit", [[], ["-S", "disk"]])
def test_a_command_without_room_for_a_long_journal_ends_in_one_line(tmp_path, limit):
    """Memory is limited to what the program needs itself, or nothing may be written to a file."""
    script = (
        "import resource, sys\n"
        "from energy_rating.files import columns, reading as formats\n"
        "from energy_rating.cli import main\n"
        "columns.ROOM.most_in_memory = 1 << 16\n"
        "columns.SPILLS_FROM = 1 << 10\n"
        "disk = 'disk' in sys.argv\n"
        "sys.argv[1:] = ['summarise', sys.argv[1], '-o', sys.argv[1] + '.json']\n"
        "import energy_rating.judging.summary, pydantic, numpy\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "what, most = (resource.RLIMIT_FSIZE, 1 << 12) if disk else (resource.RLIMIT_AS, used + (14 << 20))\n"
        "resource.setrlimit(what, (most, most))\n"
        "main()\n"
    )
    clock = VirtualClock()
    power, energy = sine(250, 100, 3.3)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None):
        clock.sleep(60)
    journal = tmp_path / "long.jsonl"
    with journal.open("wb") as file:
        lines = (tmp_path / "run" / "journal.jsonl").read_bytes().splitlines(keepends=True)
        file.writelines(lines[:-2])
        for number in range(400_000 if not limit else 20_000):
            file.write(
                encoded({"t": 100 + number / 20, "dt": 0.001, "r": {gpu.channels[0].id: 1e6 + number}})
            )
    done = subprocess.run(
        [sys.executable, "-c", script, str(journal), *limit], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("energy-rating: error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
