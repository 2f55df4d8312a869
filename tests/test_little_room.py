"""Under a limit of address space, whatever it leaves, nothing of ours ends the program."""

from __future__ import annotations

import subprocess
import sys

import pytest

from energy_rating.formats import read_journal
from energy_rating.libraries import has_room

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


def test_without_a_limit_there_is_room():
    assert has_room()
