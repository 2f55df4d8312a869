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
from energy_rating.files.columns import Column
from energy_rating.files.journal import encoded
from energy_rating.files.record import record_to_json
from energy_rating.judging.integration import ticks
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


def test_where_the_disk_is_full_a_column_stays_in_memory(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    column = Column(10)
    column.extend(range(15))
    assert isinstance(column.values(), memoryview)  # on a file
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    monkeypatch.setattr(columns, "_latest", None)
    column.extend(range(15, 100))
    assert list(column) == list(range(100))
    assert isinstance(column.values(), array)


def test_where_neither_disk_nor_memory_has_room_one_line_says_what_to_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", refuse)
    monkeypatch.setattr(columns, "_latest", None)
    monkeypatch.setattr(columns, "MOST_IN_MEMORY", 8000)
    column = Column(10)
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
    monkeypatch.setattr(columns, "SPILLS_FROM", 100)
    assert record_to_json(summarise(tmp_path / "run")) == in_memory
    monkeypatch.setattr(ticks.Ticks, "BLOCK", 50)
    assert summarise(tmp_path / "run")["w"].energy_j["gpu"].value == pytest.approx(
        run.record["w"].energy_j["gpu"].value, rel=1e-3
    )


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
        "columns.MOST_IN_MEMORY = 1 << 16\n"
        "columns.SPILLS_FROM = 1 << 10\n"
        "disk = 'disk' in sys.argv\n"
        "sys.argv[1:] = ['summarise', sys.argv[1], '-o', sys.argv[1] + '.json']\n"
        "import energy_rating.judging.summary, pydantic\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "what, most = (resource.RLIMIT_FSIZE, 1 << 12) if disk else (resource.RLIMIT_AS, used + (6 << 20))\n"
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
