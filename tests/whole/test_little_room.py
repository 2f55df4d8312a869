"""Under a limit of address space, whatever it leaves, nothing of ours ends the program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from energy_rating.files.libraries import has_room
from energy_rating.files.reading import read_journal

PROGRAM = """
import resource, sys, threading, time
from energy_rating import measure
left = int(sys.argv[1]) << 20
pages = int(open('/proc/self/statm').read().split()[0])
limit = pages * resource.getpagesize() + left
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
with measure(output_dir='run') as run:
    with run.window('step') as window:
        time.sleep(0.7)
        window.count(token=1)
print('done', flush=True)
"""


@pytest.mark.parametrize("left_mib", [4, 8, 16, 32, 50, 60, 64, 70, 100, 150, 200, 300, 500])
def test_the_program_comes_to_its_end(tmp_path, left_mib):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(left_mib)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    if "could not start" in done.stderr:  # where not even a thread fits
        assert "goes on without being measured" in done.stderr
    else:
        assert read_journal(tmp_path / "run").damage is None


ASKS = """
import resource, sys, time
from energy_rating import measure
from energy_rating.nouns.errors import NotMeasured
run = measure(output_dir='run').start()
time.sleep(0.3)
left = int(sys.argv[1]) << 20
pages = int(open('/proc/self/statm').read().split()[0])
limit = pages * resource.getpagesize() + left
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for ask in (run.so_far, run.trace):
    try:
        ask()
    except NotMeasured as error:
        assert error.remedy, error
run.stop()
try:
    print('record', run.record.run_id == run.run_id)
except NotMeasured as error:
    assert 'summarise' in error.remedy, error
    print('not here')
"""


@pytest.mark.parametrize("left_mib", [24, 30, 50, 75, 100, 130, 400])
def test_who_asks_for_a_record_gets_it_or_is_told_how_to_make_it(tmp_path, left_mib):
    done = subprocess.run(
        [sys.executable, "-c", ASKS, str(left_mib)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("record True\n", "not here\n")


def test_without_a_limit_there_is_room():
    assert has_room()
