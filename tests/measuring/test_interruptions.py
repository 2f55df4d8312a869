"""What the program raises in our frames goes on to it, and leaves the journal whole; what we fail with stays with us."""

from __future__ import annotations

import ctypes
import gc
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref

import pydantic.type_adapter
import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.files import reading, record, strict
from energy_rating.files.journal import JournalFile, being_written
from energy_rating.files.reading import read_journal
from energy_rating.measuring import queues
from energy_rating.nouns import entries
from energy_rating.nouns.errors import NotMeasured
from energy_rating.nouns.interruptions import interruption_in, is_interruption

TIMEOUTS = 300
LATE_S = 60.0  # what has not come out by then was lost


@pytest.fixture(autouse=True)
def _no_garbage_of_others():
    """What a handler raises while Python runs a finaliser, or a callback of the collection of garbage, is lost to anybody.

    Other tests leave such objects, and hypothesis has such a callback.
    """
    gc.collect()
    gc.freeze()
    callbacks, gc.callbacks[:] = gc.callbacks[:], []
    yield
    gc.callbacks[:] = callbacks
    gc.unfreeze()


def going_on():
    late = time.monotonic() + LATE_S
    while time.monotonic() < late:
        yield


class Timeout(Exception):
    pass


class Hub(BaseException):
    """As gevent's Timeout, which is no Exception."""


class Still:
    """A sensor that has nothing to tell."""

    channels = ()

    def read(self):
        return {}

    def close(self):
        pass


def a_sound_journal(folder):
    """Every line is whole, what was opened was closed, and nothing is said to have failed."""
    journal = read_journal(folder)
    assert journal.damage is None
    assert journal.sessions[0].ended
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_bytes().splitlines()]
    opened = [line["open"] for line in lines if "open" in line]
    closed = [line["close"] for line in lines if "close" in line]
    assert len(opened) == len(set(opened))
    assert sorted(opened) == sorted(closed)
    told = [line["finding"]["code"] for line in lines if "finding" in line]
    assert not {"window-failed", "window-left-open", "sampler-failed", "counts-disagree"} & set(told), told
    return lines


def alarms(kind, times, body):
    """Has ``kind`` raised by a signal's handler at ``times`` random moments of the body, which goes on and on; how often it came out."""
    dice = random.Random(7)
    sent = came = 0

    def handler(number, frame):
        raise kind()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        while sent < times:
            sent += 1
            try:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(20e-6, 900e-6))
                for _ in going_on():
                    body()
            except kind:
                came += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return came


@pytest.mark.parametrize("kind", [Timeout, TimeoutError, ValueError, AssertionError, KeyboardInterrupt, Hub])
def test_every_timeout_in_a_loop_of_windows_reaches_the_program(tmp_path, kind):
    with measure(output_dir=tmp_path / "run", sensors=[Still()], report=None) as run:

        def body():
            with run.window("step") as window:
                window.count(token=1)

        assert alarms(kind, TIMEOUTS, body) == TIMEOUTS
    lines = a_sound_journal(tmp_path / "run")
    of_windows = sum(line["work"].get("token", 0) for line in lines if line.get("close"))
    of_run = next(line["work"] for line in lines if line.get("close") == 0)
    assert of_run == {"token": of_windows}


def test_windows_in_windows_and_those_that_were_timed_elsewhere_are_whole_as_well(tmp_path):
    with measure(output_dir=tmp_path / "run", sensors=[Still()], report=None) as run:
        kept = run.window("kept")

        def body():
            with run.window("epoch"), run.window("step") as window, kept:
                window.count(token=1)
            now = time.monotonic()
            run.note("served", now - 0.001, now, {"request": 1})

        assert alarms(Timeout, TIMEOUTS, body) == TIMEOUTS
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_bytes().splitlines()]
    told = [line["finding"]["code"] for line in lines if "finding" in line]
    assert "window-failed" not in told
    assert read_journal(tmp_path / "run").damage is None


def test_every_timeout_in_a_loop_of_steps_reaches_the_program(tmp_path):
    with measure(output_dir=tmp_path / "run", sensors=[Still()], report=None) as run:

        def body():
            for _ in run.steps(range(1000), token=1):
                pass

        assert alarms(Timeout, TIMEOUTS, body) == TIMEOUTS
    lines = a_sound_journal(tmp_path / "run")
    of_windows = sum(line["work"].get("token", 0) for line in lines if line.get("close"))
    of_run = next(line["work"] for line in lines if line.get("close") == 0)
    assert of_run == {"token": of_windows}


def test_what_another_thread_has_raised_here_reaches_the_program(tmp_path):
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc
    came = 0
    with measure(output_dir=tmp_path / "run", sensors=[Still()], report=None) as run:
        for kind in itertools.islice(itertools.cycle([Timeout, TimeoutError, ValueError]), TIMEOUTS // 3):
            here = ctypes.c_ulong(threading.get_ident())
            sender = threading.Timer(0.002, raised, [here, ctypes.py_object(kind)])
            try:
                sender.start()
                for _ in going_on():
                    with run.window("step") as window:
                        window.count(token=1)
            except kind:
                came += 1
            sender.join()
        assert came == TIMEOUTS // 3
    a_sound_journal(tmp_path / "run")


def test_a_timeout_while_the_run_ends_reaches_the_program_and_the_record_is_made(tmp_path):
    dice = random.Random(3)

    def handler(number, frame):
        raise Timeout

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for n in range(20):
            run = measure(output_dir=tmp_path / f"run-{n}", sensors=[Still()], report=None).start()
            with pytest.raises(Timeout):
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(100e-6, 20e-3))
                run.stop()
                for _ in going_on():
                    pass
            run.stop()  # it may have come even before this did anything
            assert run.record["run"].n == 1
            assert (tmp_path / f"run-{n}" / "record.json").exists()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_timeout_while_the_run_starts_reaches_the_program(tmp_path):
    def handler(number, frame):
        raise TimeoutError("too long")

    dice = random.Random(4)
    before = signal.signal(signal.SIGALRM, handler)
    came = 0
    try:
        for n in range(40):
            run = measure(output_dir=tmp_path / f"run-{n}", sensors=[Still()], report=None)
            try:
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(50e-6, 10e-3))
                run.start()
                for _ in going_on():
                    pass
            except TimeoutError:
                came += 1
            run.stop()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert came == 40


def test_a_timeout_that_meets_pythons_own_functions_at_the_start_is_not_taken_for_the_systems(
    tmp_path, monkeypatch
):
    """``Path.mkdir`` and ``Path.resolve`` take an OSError as it comes, and a timeout of the program may be one."""

    def handler(number, frame):
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGALRM, handler)
    made = os.mkdir

    def comes_then(path, *mode):
        made(path, *mode)
        os.kill(os.getpid(), signal.SIGALRM)
        time.sleep(0.01)

    try:
        run = measure(output_dir=tmp_path / "run", sensors=[Still()], report=None)
        monkeypatch.setattr(os, "mkdir", comes_then)
        with pytest.raises(TimeoutError, match="too long"):
            run.start()
            for _ in going_on():
                pass
    finally:
        signal.signal(signal.SIGALRM, before)
    with pytest.raises(NotMeasured, match=r"did not begin: its start was interrupted \(TimeoutError\)"):
        run.record  # noqa: B018
    # What was being prepared meanwhile is let go: nobody holds the folder any more.
    journal = tmp_path / "run" / "journal.jsonl"
    for _ in going_on():
        if run._prepared and not being_written(journal):
            break
    assert not being_written(journal)


def test_where_a_run_is_dropped_no_function_of_pythons_runs_that_a_handler_could_raise_in(tmp_path):
    run = measure(output_dir=tmp_path / "run", sensors=[Still()], report=None).start()
    with run.window("step"):
        pass
    run.stop()
    called = []
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        del run
        gc.collect()
    finally:
        sys.setprofile(None)
    assert called == []


def test_a_handler_may_use_the_run_and_end_it_wherever_it_comes(tmp_path):
    script = (
        "import signal, sys, time\n"
        "from energy_rating import measure\n"
        "class Still:\n"
        "    channels = ()\n"
        "    def read(self): return {}\n"
        "    def close(self): pass\n"
        "run = measure(output_dir=sys.argv[1], sensors=[Still()], report=None).start()\n"
        "left, depth = 400, 0\n"
        "def again(): signal.setitimer(signal.ITIMER_REAL, 0.0013)\n"
        "def handler(number, frame):\n"
        "    global left, depth\n"
        "    left, depth = left - 1, depth + 1\n"
        # One may come into another, but not without end: on a busy machine they would come faster than they are done.
        "    if depth < 4: again()\n"
        "    with run.window('inside') as window: window.count(token=1)\n"
        "    if left <= 0:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "        run.stop()\n"
        "        sys.exit(7)\n"
        "    depth -= 1\n"
        "    again()\n"
        "signal.signal(signal.SIGALRM, handler)\n"
        "again()\n"
        "while True:\n"
        "    with run.window('step') as window: window.count(token=1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 7, done.stderr
    journal = read_journal(tmp_path / "run")
    assert journal.damage is None
    assert journal.sessions[0].ended


class Halted:
    """A thread that stands still inside one of our functions, as one does into which a long handler has come."""

    def __init__(self, work, where):
        self._where = where
        self._there, self._go_on = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._do, args=(work,))

    def _do(self, work):
        sys.settrace(lambda frame, *_: self._line if frame.f_code is self._where.__code__ else None)
        try:
            work()
        finally:
            sys.settrace(None)

    def _line(self, frame, event, _):
        # The last line but the returning one: what is read has been read.
        if event == "line" and not self._there.is_set() and frame.f_lineno > frame.f_code.co_firstlineno + 6:
            self._there.set()
            self._go_on.wait(30)
        return self._line

    def __enter__(self):
        self._thread.start()
        assert self._there.wait(30)

    def __exit__(self, *_):
        self._go_on.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def in_time(work):
    """What the work returns, in a thread that may hang."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(20)
    assert results, "it waits for a thread that a handler has called away"
    return results[0]


def test_nobody_waits_for_a_thread_that_was_called_away_while_it_counted():
    window = entries.Window("step")
    window.count(token=1)
    with Halted(lambda: window.count(token=10), entries.Window._added):
        assert in_time(window.rises) == {"token": 1}
        in_time(lambda: window.count(token=100))
        assert in_time(window.figure) == {"token": 101}
    assert window.work == {"token": 111}


def test_nobody_waits_for_a_thread_that_was_called_away_while_it_wrote(tmp_path):
    path = tmp_path / "journal.jsonl"
    journal = JournalFile(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND))
    journal.write({"line": 0})
    with Halted(lambda: journal.write({"line": 1}), JournalFile._write_next):
        in_time(lambda: journal.write({"line": 2}))
    journal.write({"line": 3})
    journal.close()
    assert [json.loads(line)["line"] for line in path.read_text().splitlines()] == [0, 1, 2, 3]


@pytest.mark.parametrize("where", ["_clock", "_open_window"])
def test_what_our_own_code_fails_with_is_a_finding_and_reaches_nobody(tmp_path, monkeypatch, where):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        for error in (TypeError("a defect"), KeyError("key"), RuntimeError("no"), AssertionError()):

            def fails(*_, error=error):
                raise error

            # A defect of ours is raised by a frame of ours.
            fails.__code__ = fails.__code__.replace(co_filename=entries.__file__)
            monkeypatch.setattr(run, where, fails)
            with run.window("step"):
                pass
            assert run.journal  # with all its lines
            monkeypatch.undo()
            clock.sleep(1)
    told = [finding.code for finding in run.record.findings]
    assert told.count("window-failed") == 4


def test_what_the_journal_did_not_take_when_a_window_failed_is_told_at_the_end(tmp_path, monkeypatch):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)

    def fails(*_):
        raise RuntimeError("a defect")

    fails.__code__ = fails.__code__.replace(co_filename=entries.__file__)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        clock.sleep(1)
        with monkeypatch.context() as for_now:
            for making_a_line in ("block", "opening", "closing"):
                for_now.setattr(run._journal_file, making_a_line, fails)
            with run.window("step"):
                pass
            run._write_edges()  # as the sampler's thread does in passing
        clock.sleep(1)
    assert [finding.code for finding in run.record.findings].count("window-failed") == 1
    assert run.record["run"].validity == "degraded"


def test_a_window_whose_edges_could_not_wait_for_the_device_is_marked(tmp_path, monkeypatch):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)

    def fails():
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    fails.__code__ = fails.__code__.replace(co_filename=entries.__file__)
    monkeypatch.setattr(queues, "drain_queues", fails)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        with run.window("synced", sync=True):
            clock.sleep(5)
        with run.window("plain"):
            clock.sleep(5)
    assert "sync-failed" in {finding.code for finding in run.record.findings}
    assert (run.record["synced"].validity, run.record["plain"].validity) == ("degraded", "valid")


def test_a_window_that_nobody_will_leave_is_left(tmp_path):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure(output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        window = run.window("deserted")
        assert (
            window.__exit__
        )  # as a with statement does before it enters, and is then called away before it can leave
        window.__enter__()
        clock.sleep(2)
        del window
        with run.window("next"):
            clock.sleep(5)
    assert run.record["deserted"].duration_s == pytest.approx(2)


# ------------------------------------------------------------------------------------------------------ whose an error is


def caught(function, *arguments):
    """What comes out of a frame of ours that calls the function."""
    held = {}
    source = "def ours(function, arguments):\n try: function(*arguments)\n except BaseException as error: return error\n"
    exec(compile(source, entries.__file__, "exec"), held)
    return held["ours"](function, arguments)


class Scalar:
    def item(self):
        raise Timeout


def test_an_error_is_the_programs_where_the_programs_code_raised_it():
    def raises(kind):
        raise kind

    for kind in (Timeout("x"), ValueError("x"), OSError("x"), Hub(), KeyboardInterrupt()):
        assert is_interruption(caught(raises, kind))
    assert not is_interruption(caught(int, "x"))
    assert not is_interruption(caught(os.read, -1, 1))
    # What the system refuses, by a function that a library has put in the place of the system's.
    assert not is_interruption(caught(raises, OSError(28, "No space left on device")))
    assert not is_interruption(caught(json.loads, "{"))
    assert not is_interruption(caught(weakref.ref, 1))


def test_an_error_of_a_function_that_was_handed_in_is_its_own():
    assert not is_interruption(caught(Scalar().item), called=None)
    assert is_interruption(caught(Scalar().item))


def test_what_the_program_was_handling_when_it_called_us_is_not_raised_again():
    def fails():
        raise TypeError("a defect")

    fails.__code__ = fails.__code__.replace(co_filename=entries.__file__)
    try:
        raise Timeout
    except Timeout:
        error = caught(fails)
    assert error.__context__ is not None
    assert interruption_in(error) is None


@pytest.mark.parametrize("error", [MemoryError(), ImportError("failed to map segment"), RuntimeError("no")])
@pytest.mark.parametrize("ask", ["record", "so_far", "trace"])
def test_what_a_library_of_ours_fails_with_is_not_the_programs(tmp_path, monkeypatch, error, ask):
    code = "def fails(*_): raise error"
    library = {"__name__": "pydantic.type_adapter", "error": error}
    exec(compile(code, pydantic.type_adapter.__file__, "exec"), library)
    clock = VirtualClock()
    power, energy = constant(100.0)
    device = FakeDevice(clock=clock, power=power, energy=energy)
    run = measure(sensors=[device], clock=clock, output_dir=tmp_path / "run", report=None).start()
    clock.sleep(2.0)
    if ask == "record":
        monkeypatch.setattr(run, "_is_large", lambda: True)
        run.stop()
    monkeypatch.setattr(record, "validated", library["fails"])
    monkeypatch.setattr(strict, "validated", library["fails"])
    monkeypatch.setattr(reading, "validated", library["fails"])
    with pytest.raises(NotMeasured):
        run.record if ask == "record" else getattr(run, ask)()
    run.stop()
