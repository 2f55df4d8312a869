"""Who answers is known by what it does meanwhile, and never by its name."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import MODEL, serving

from energy_rating.benchmarking.at_work import GPU_DEVICE, Onlooker, effort
from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare

FAKES = Path(__file__).parents[1] / "fakes"

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# Each answer takes four tenths of a second, of which it computes all, or its child does, or nobody here (it waits for another machine).
SERVER = """
import os, sys, time
from chat_server import Fake

how = sys.argv[1]

def computes(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))

if how == "its child computes":
    there, here = os.pipe(), os.pipe()
    if os.fork() == 0:
        while os.read(there[0], 1):
            computes(0.1)
            os.write(here[1], b".")
        os._exit(0)

def work():
    if how == "computes":
        computes(0.1)
    elif how == "its child computes":
        os.write(there[1], b".")
        os.read(here[0], 1)
    else:
        time.sleep(0.1)

def behave(talk):
    talk.start()
    for _ in range(4):
        work()
        talk.pieces(1)
    talk.end()

server = Fake(behave)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextlib.contextmanager
def a_server_that(how: str) -> Iterator[str]:
    environ = os.environ | {"PYTHONPATH": str(FAKES)}
    command = (sys.executable, "-c", SERVER, how)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environ, start_new_session=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, 9)


def said(url: str, **options) -> dict[str, str]:
    """What is to be said of a server that was asked four things."""
    workload, _ = prepare("endpoint", MODEL, Settings(endpoint=url, max_new_tokens=16, options=options))
    workload.load()
    for number in range(4):
        workload.run([Item(text=f"Question {number}?")])
    return {finding.code: finding.severity for finding in workload.conclude()}


@needs_proc
@pytest.mark.parametrize("how", ["computes", "its child computes"])
def test_a_server_that_computes_here_is_seen_to(how):
    with a_server_that(how) as url:
        assert set(said(url)) <= {"server-without-gpu"}


@needs_proc
def test_a_server_that_waits_for_another_machine_degrades_whatever_its_name():
    with a_server_that("waits") as url:
        assert said(url) == {"server-may-be-elsewhere": "degrades"}


@needs_proc
def test_behind_a_router_the_process_that_computes_can_be_named():
    with a_server_that("waits") as url, busy() as pid:
        assert set(said(url, server_pid=pid)) <= {"server-without-gpu"}


@contextlib.contextmanager
def busy() -> Iterator[int]:
    with subprocess.Popen((sys.executable, "-c", "while True: pass")) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_where_nobody_can_be_seen_to_listen_it_is_said_and_degrades():
    with serving() as server:
        workload, _ = prepare("endpoint", MODEL, Settings(endpoint=server.url))
        workload._watch = Onlooker(pids=())
        workload.load()
        workload.run([Item(text="Question?")])
        (found,) = workload.conclude()
    assert (found.code, found.severity) == ("server-process-unknown", "degrades")
    assert "another user's, or a container's" in found.message


# ------------------------------------------------------------------------------------------ as proc(5) tells it


def process(
    proc: Path, pid: int, parent: int, *, ticks: int = 0, holds: str = "", waited_ns: int = 0
) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True, exist_ok=True)
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    numbers = " ".join(["0"] * 9 + [str(ticks)] + ["0"] * 20)
    (folder / "stat").write_text(f"{pid} (a (b) c) S {parent} {numbers}")
    (folder / "task" / str(pid) / "schedstat").write_text(f"5 {waited_ns} 1\n")
    if holds:
        (folder / "fd" / "9").symlink_to(holds)


def test_a_gpu_that_a_grandchild_holds_is_the_servers(tmp_path):
    process(tmp_path, 10, 1)
    process(tmp_path, 11, 10)
    process(tmp_path, 12, 11, holds="/dev/nvidia-uvm")
    process(tmp_path, 20, 1, holds="/dev/null")
    for pid, holds in ((10, True), (12, True), (20, False)):
        found = effort([pid], tmp_path)
        assert found is not None
        assert found.holds_gpu is holds
    assert effort([99], tmp_path) is None
    watch = Onlooker(pids=(10,), proc=tmp_path)
    watch.begin()
    watch.answered(0.01)
    assert watch.doing == "gpu"


@pytest.mark.parametrize("node", ["/dev/nvidia0", "/dev/nvidiactl", "/dev/dri/card0", "/dev/null"])
def test_who_only_reads_a_drivers_numbers_holds_no_gpu(node):
    assert GPU_DEVICE.fullmatch(node) is None


@pytest.mark.parametrize(
    ("ticks_per_s", "waited_per_s", "doing"),
    [(1.0, 0.0, "cpu"), (0.55, 0.0, "cpu"), (0.25, 0.75, "cpu"), (0.03, 0.9, "idle"), (0.3, 0.0, "idle"), (0.0, 0.0, "idle")],
)  # fmt: skip
def test_a_machine_that_others_keep_busy_changes_nothing(tmp_path, ticks_per_s, waited_per_s, doing):
    hz = os.sysconf("SC_CLK_TCK")
    process(tmp_path, 10, 1)
    watch = Onlooker(pids=(10,), proc=tmp_path)
    watch.begin()
    process(tmp_path, 10, 1, ticks=round(4 * ticks_per_s * hz), waited_ns=round(4e9 * waited_per_s))
    watch.answered(4.0)
    assert watch.doing == doing


def test_it_is_looked_ever_more_seldom(tmp_path, monkeypatch):
    """A look reads all of /proc, and what it costs may be a part of what is measured."""
    looks: list[float] = []
    process(tmp_path, 10, 1)

    def counted(pids, proc):
        looks.append(1.0)
        return effort(pids, proc)

    monkeypatch.setattr("energy_rating.benchmarking.at_work.effort", counted)
    watch = Onlooker(pids=(10,), proc=tmp_path)
    watch.begin()
    for _ in range(10_000):
        watch.answered(0.5)
    assert len(looks) <= 18


def test_of_answers_that_were_too_short_nothing_is_said(tmp_path):
    process(tmp_path, 10, 1)
    watch = Onlooker(pids=(10,), proc=tmp_path)
    watch.begin()
    watch.answered(0.05)
    assert watch.doing == "unknown"
