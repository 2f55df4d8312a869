"""gevent and eventlet put tasks in the place of threads, which run only while the program waits: no reading may hang on that."""

from __future__ import annotations

import _thread
import threading
import time
from pathlib import Path

import pytest
from in_full import in_full

from energy_rating import measure
from energy_rating.measuring.sensors import SensorFailed
from energy_rating.nouns import threads
from energy_rating.nouns.records import Channel

PERIOD_S = 0.02


class Gpu:
    """A register of 300 W."""

    channels = (
        Channel(
            id="gpu0.power", component="gpu", device="GPU-0", method="power", accuracy=0.04, period_s=0.1
        ),
    )

    def __init__(self, takes_s: float = 0.0) -> None:
        self.read_by: set[int] = set()
        self.takes_s = takes_s

    def read(self) -> dict[str, float | SensorFailed]:
        self.read_by.add(_system_thread())
        _sleep(self.takes_s)
        return {"gpu0.power": 300.0}

    def close(self) -> None:
        pass


_system_thread = _thread.get_ident
_sleep = time.sleep


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What ``monkey.patch_all`` does to a program that never waits: whatever is started does not run."""
    tasks: list[object] = []

    def later(function: object, *_: object, **__: object) -> int:
        tasks.append(function)
        return len(tasks)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nobody is to wait for a task that runs once this one waits")

    monkeypatch.setattr(_thread, "start_new_thread", later)
    monkeypatch.setattr(threading.Thread, "start", later)
    monkeypatch.setattr(threading.Thread, "join", never)
    monkeypatch.setattr(threading.Event, "wait", never)
    return tasks


def busy(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_program_whose_threads_are_tasks_is_read_while_it_computes(
    tmp_path: Path, replaced: list[object]
) -> None:
    gpu = Gpu()
    with measure("other", output_dir=tmp_path / "run", sensors=[gpu], period_s=PERIOD_S, report=None) as run:
        with run.window("work") as window:
            busy(0.5)
            run.count(step=1)
        assert window.work == {"step": 1}
    assert run.record["work"].work == {"step": 1}
    assert _system_thread() not in gpu.read_by, "a driver that hangs would hang the program"
    assert gpu.read_by
    lines = in_full((tmp_path / "run" / "journal.jsonl").read_bytes().splitlines(keepends=True))
    during = [line for line in lines if "r" in line]
    assert len(during) > 5
    assert replaced == []


# Threads of others that other tests left behind (the monitor of tqdm) meet what stands in here too; ours do not.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_driver_that_hangs_does_not_hang_a_program_whose_threads_are_tasks(
    tmp_path: Path, replaced: list[object]
) -> None:
    gpu = Gpu(takes_s=30.0)
    before = time.monotonic()
    with measure("other", output_dir=tmp_path / "run", sensors=[gpu], period_s=PERIOD_S, report=None) as run:
        pass
    assert time.monotonic() - before < 25.0
    assert any(finding.code == "driver-hangs" for finding in run.record.findings)


def test_what_waits_for_a_thread_of_the_system_is_told_when_it_ends(replaced: list[object]) -> None:
    assert threads.are_replaced()
    go, seen = threads.event(), threads.event()
    thread = threads.thread(lambda: (go.wait(), seen.set()), name="x")
    assert not thread.is_alive()
    thread.start()
    assert thread.is_alive()
    thread.join(0.01)
    assert thread.is_alive()
    assert not seen.wait(0.0)
    go.set()
    go.set()
    assert seen.wait(20.0)
    assert seen.wait()
    thread.join()
    assert not thread.is_alive()
    lock = threads.rlock()
    with lock, lock:
        pass


def test_where_threads_are_threads_they_are_those_of_python() -> None:
    assert not threads.are_replaced()
    assert isinstance(threads.thread(print, name="x"), threading.Thread)
    assert isinstance(threads.event(), threading.Event)
