"""How the program ended stands in the record: failed, killed, still running; and what is asked of a run that is not open is answered."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from forked import energy_rating
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, NotMeasured, load, measure, summarise, verify
from energy_rating.cli import cli
from energy_rating.files.journal import being_written, encoded
from energy_rating.files.reading import read_journal
from energy_rating.files.record import record_from_json, record_to_json, write_record
from energy_rating.nouns.entries import Lineage, Outcome, Place
from energy_rating.publishing import card
from energy_rating.publishing.facts import one_line

COMMAND = (sys.executable, "-m", "energy_rating")


@pytest.fixture(autouse=True)
def _state(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def clock():
    return VirtualClock()


def a_run(clock, tmp_path, report=None, **more):
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    return measure(
        "fine-tuning", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=report, **more
    )


def finding(record, code):
    found = [one for one in record.findings if one.code == code]
    return found[0] if found else None


def measured(*arguments, folder):
    return energy_rating("measure", "--output-dir", folder, *arguments)


# ------------------------------------------------------------------------------------------------------ a block


@pytest.mark.parametrize(
    ("raised", "outcome", "said"),
    [
        (None, Outcome(), None),
        (GeneratorExit(), Outcome(), None),
        (SystemExit(), Outcome(exit_code=0), None),
        (SystemExit(0), Outcome(exit_code=0), None),
        (SystemExit(1), Outcome(exit_code=1), "ended with exit code 1"),
        (SystemExit(-1), Outcome(exit_code=255), "ended with exit code 255"),
        (SystemExit("a secret text"), Outcome(exit_code=1), "ended with exit code 1"),
        (KeyboardInterrupt(), Outcome(exception="KeyboardInterrupt"), "ended with KeyboardInterrupt"),
        (ValueError("a secret text"), Outcome(exception="ValueError"), "ended with ValueError"),
        (asyncio.CancelledError(), Outcome(exception="CancelledError"), "ended with CancelledError"),
        (type("made\nup", (Exception,), {})(), Outcome(exception="Exception"), "ended with Exception"),
    ],
)
def test_how_a_block_ended_stands_in_the_record(clock, tmp_path, raised, outcome, said):
    run = a_run(clock, tmp_path)
    try:
        with run:
            clock.sleep(5)
            if raised is not None:
                raise raised
    except BaseException as error:
        assert error is raised
    record = load(run.folder)
    assert record.outcome == outcome
    assert "secret" not in (run.folder / "record.json").read_text() + run.journal.read_text()
    assert record["run"].validity == "valid", "what was measured is right, whatever became of the program"
    told = finding(record, "program-failed")
    if said is None:
        assert told is None
        assert "program" not in one_line(record)
        assert "| Program |" not in card.section([(record, None)])
    else:
        assert told.severity == "note"
        assert told.message == f"the measured program {said}"
        assert f"· the program {said} ·" in one_line(record, "folder")
        assert f"| Program | {said} |" in card.section([(record, None)])
    assert verify(run.folder).agrees


def test_of_several_sessions_the_last_outcome_counts_and_each_failure_is_told(clock, tmp_path):
    with pytest.raises(ValueError, match="first"), a_run(clock, tmp_path):
        clock.sleep(3)
        raise ValueError("first")
    with a_run(clock, tmp_path, resume=True) as run:
        clock.sleep(3)
    assert run.record.outcome == Outcome()
    assert finding(run.record, "program-failed").message.endswith("ended with ValueError (session 1 of 2)")


def test_a_killed_run_is_killed_and_a_damaged_journal_says_nothing_of_it(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(5)
        killed = run.journal.read_bytes()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(killed)
    record = summarise(path)
    assert record.outcome == Outcome(state="killed")
    assert finding(record, "interrupted").severity == "degrades"
    assert "the program was killed" in one_line(record)
    broken = bytearray(killed)
    broken[len(broken) // 2] ^= 0x55
    path.write_bytes(broken)
    assert summarise(path).outcome is None


# ---------------------------------------------------------------------------------------------------- a command


@pytest.mark.parametrize(
    ("script", "code", "outcome", "said"),
    [
        ("exit 0", 0, Outcome(exit_code=0), None),
        ("sleep 0.2; exit 3", 3, Outcome(exit_code=3), "the program ended with exit code 3"),
        ("kill -SEGV $$", 139, Outcome(signal="SIGSEGV"), "the program was ended by SIGSEGV"),
    ],
)
def test_how_a_command_ended_stands_in_the_record(tmp_path, script, code, outcome, said):
    done = measured("--", "sh", "-c", script, folder=tmp_path / "run")
    assert done.returncode == code
    record = load(tmp_path / "run")
    assert record.outcome == outcome
    assert (finding(record, "program-failed") is not None) == (said is not None)
    assert (said or "energy-rating: ") in done.stderr
    # The command line itself is nobody's business.
    assert script not in (tmp_path / "run" / "record.json").read_text()


def test_a_command_that_was_asked_to_end_is_told(tmp_path):
    started = tmp_path / "started"
    process = subprocess.Popen(
        [
            *(*COMMAND, "measure", "--output-dir", str(tmp_path / "run"), "--"),
            *("sh", "-c", f"touch {started}; exec sleep 100"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not started.exists() and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert load(tmp_path / "run").outcome == Outcome(signal="SIGTERM")
    assert "the program was ended by SIGTERM" in said


def test_the_zone_of_a_command_stands_in_journal_and_record(tmp_path):
    done = measured("--zone", "FRA", "--", "true", folder=tmp_path / "run")
    assert done.returncode == 0
    assert load(tmp_path / "run").place == Place(zone="FRA")
    assert read_journal(tmp_path / "run").place == Place(zone="FRA")


# ---------------------------------------------------------------------------------------------- while it runs


def test_a_run_that_goes_on_is_called_so_and_its_folder_is_left_alone(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(5)
        with run.window("epoch"):
            clock.sleep(5)
            assert being_written(run.journal)
            said = CliRunner().invoke(cli, ["summarise", str(run.folder)])
            assert said.exit_code == 0, said.output
            assert "still going on" in said.output
            assert "the program is still running" in " ".join(said.output.split())
            assert "interrupted" not in said.output
            assert not (run.folder / "record.json").exists()
            record = summarise(run.folder)
            for command in ("rate", "impact", "export"):
                options = {"impact": ["--zone", "FRA"], "export": ["--format", "csv"]}.get(command, [])
                refused = CliRunner().invoke(cli, [command, str(run.folder), *options])
                assert "still going on" in str(refused.exception or refused.output)
    assert record.outcome == Outcome(state="running")
    assert finding(record, "still-running").severity == "note"
    assert finding(record, "interrupted") is None
    assert record["epoch"].energy_j["gpu"].value == pytest.approx(1500, rel=0.05)
    assert not being_written(run.journal)
    assert summarise(run.folder).outcome == Outcome()


def test_who_looks_does_not_keep_a_run_from_going_on(clock, tmp_path):
    import fcntl
    import threading

    with a_run(clock, tmp_path) as run:
        clock.sleep(1)
    with run.journal.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.02, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with a_run(clock, tmp_path, resume=True) as again:
            clock.sleep(1)
    assert again.folder == run.folder


@pytest.mark.parametrize(
    "command", [["rate"], ["impact", "--zone", "FRA"], ["export", "--format", "csv"], ["card"]]
)
@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_folder_that_holds_only_a_journal_says_how_to_make_its_record(clock, tmp_path, command, named):
    with a_run(clock, tmp_path) as run:
        clock.sleep(2)
    (run.folder / "record.json").unlink()
    readme = tmp_path / "README.md"
    readme.write_text("# Model\n")
    path = run.folder if named == "folder" else run.folder / "record.json"
    name, *options = command
    arguments = [name, *([str(readme)] if name == "card" else []), str(path), *options]
    refused = CliRunner().invoke(cli, arguments)
    assert "holds a journal but no record. Make it with: energy-rating summarise" in str(refused.exception)


# ------------------------------------------------------------------------------------- what is asked of no run


def test_a_run_that_has_ended_says_so_when_it_is_used(clock, tmp_path):
    said = []
    run = a_run(clock, tmp_path, said.append).start()
    run.start()
    assert said == ["this run is going on already; start() does nothing"]
    clock.sleep(1)
    run.stop()
    del said[:]
    for _ in range(2):
        run.start()
        with run.window("late") as window:
            window.count(token=1)
        run.count(token=1)
    assert said == [
        "this run has ended and is not begun again: nothing is measured. Make another with measure()",
        "this run has ended: a window of it is not measured",
        "this run has ended: what is counted is in no figure",
    ]
    assert run.record["run"].work == {}


def test_a_run_that_has_not_begun_says_so_once(clock, tmp_path):
    said = []
    run = a_run(clock, tmp_path, said.append)
    for _ in range(2):
        with run.window("early"):
            run.count(token=1)
    assert [line.partition(":")[0] for line in said] == ["this run has not begun"] * 2


def test_a_cell_that_is_run_twice_says_that_two_runs_go_on(clock, tmp_path):
    said = []
    first = a_run(clock, tmp_path, said.append).start()
    second = a_run(clock, tmp_path, said.append).start()
    assert said == [
        f"another run that was begun with start() goes on beside this one, until its stop(): {first.folder}"
    ]
    second.stop()
    first.stop()
    del said[:]
    with a_run(clock, tmp_path, said.append), a_run(clock, tmp_path, said.append):
        clock.sleep(1)
    assert not [line for line in said if "another run" in line], "runs inside each other end by themselves"


def _counts(run):
    with run.window("in the child") as window:
        window.count(token=1)
    run.count(token=2)
    return os.getpid()


@pytest.mark.parametrize("how", ["run.count", "window.count", "only a window"])
def test_what_a_forked_child_counts_is_told_by_its_parent(clock, tmp_path, how):
    with a_run(clock, tmp_path) as run:
        clock.sleep(1)
        pid = os.fork()
        if pid == 0:
            with run.window("in the child") as window:
                if how == "window.count":
                    window.count(token=1)
            if how == "run.count":
                run.count(token=1)
            os._exit(0)
        os.waitpid(pid, 0)
    told = finding(run.record, "counted-in-a-fork")
    if how == "only a window":
        assert told is None
    else:
        assert (told.severity, told.measurement) == ("degrades", "run")
    assert run.record["run"].work == {}


def test_a_spawned_worker_says_once_that_its_counts_reach_nothing(tmp_path):
    script = (
        "import multiprocessing, sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1] / 'fakes')!r}]\n"
        "from test_outcome import _counts\n"
        "from energy_rating import measure\n"
        "if __name__ == '__main__':\n"
        f"    with measure(output_dir={str(tmp_path / 'run')!r}, sensors=[]) as run:\n"
        "        with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "            pool.map(_counts, [run] * 4)\n"
    )
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("this run is measured in the process in which it began: what is counted") == 1


# ------------------------------------------------------------------------------------------ keys of the files


SAID = {
    "origin": "merged",
    "place": {"zone": "FRA", "region": "europe-west9", "provider": "gcp"},
    "role": "final",
    "lineage": {"base_model": "org/base", "parents": ["20260101T000000Z-aaaa"], "relation": "lora"},
    "ranks": 16,
    "nodes": 2,
    "operating_point": {"concurrency": 8, "rate": 2.5, "cache": False, "engine": "name"},
}


def test_what_a_run_is_for_and_what_its_model_comes_from_is_said_where_it_is_measured(clock, tmp_path):
    lineage = Lineage(base_model="org/base", relation="quantized")
    with measure(
        output_dir=tmp_path / "a", sensors=[], clock=clock, report=None, role="ablation", lineage=lineage
    ) as run:
        clock.sleep(1)
    assert (run.record.role, run.record.lineage) == ("ablation", lineage)
    assert json.loads((tmp_path / "a" / "record.json").read_text())["lineage"] == {
        "base_model": "org/base",
        "relation": "quantized",
    }
    command = ["measure", "--output-dir", str(tmp_path / "b"), "--role", "failed", "--base", "org/base"]
    done = subprocess.run(
        [*(sys.executable, "-m", "energy_rating"), *command, "--relation", "lora", "--", "true"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    record = load(tmp_path / "b")
    assert (record.role, record.lineage) == ("failed", Lineage(base_model="org/base", relation="lora"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"role": ""}, "role: role must be a printable text"),
        ({"role": 3}, "role: int is not what it takes"),
        ({"lineage": "a\nb"}, "lineage: lineage.base_model must be a printable text"),
        ({"lineage": {"base_model": "a"}}, "lineage: dict is not what it takes"),
    ],
)
def test_what_cannot_be_said_of_a_run_is_refused_before_it_begins(asked, says):
    with pytest.raises(BadInput, match=says):
        measure(**asked)


@pytest.fixture
def journal(clock, tmp_path):
    with a_run(clock, tmp_path) as run:
        clock.sleep(3)
    return run.journal.read_bytes().splitlines(keepends=True)


def with_header(journal, **more):
    header = json.loads(journal[0])
    del header["crc"]
    return b"".join([encoded({**header, **more}), *journal[1:]])


def test_what_a_header_says_of_the_run_comes_into_the_record_and_back(journal, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(with_header(journal, **SAID))
    record = summarise(path)
    assert record.lineage == Lineage(
        base_model="org/base", parents=("20260101T000000Z-aaaa",), relation="lora"
    )
    text = record_to_json(record)
    stored = json.loads(text)
    assert {key: stored[key] for key in SAID} == SAID
    assert record_to_json(record_from_json(text)) == text
    write_record(record, tmp_path / "record.json")
    assert load(tmp_path) == record


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("origin", "guessed"),
        ("place", {}),
        ("place", {"zone": ""}),
        ("place", {"zone": "FRA", "town": "Paris"}),
        ("place", "FRA"),
        ("role", "a\nb"),
        ("role", ""),
        ("lineage", {}),
        ("lineage", {"parents": ["a", "a"]}),
        ("lineage", {"base": "org/base"}),
        ("lineage", {"base_model": "org/base", "relation": "cousin"}),
        ("lineage", {"parents": ["a"], "relation": "merge"}),
        ("ranks", 0),
        ("ranks", "8"),
        ("nodes", -1),
        ("nodes", 10**12),
        ("operating_point", {"": 1}),
        ("operating_point", {"a": None}),
        ("operating_point", {"a": [1]}),
        ("operating_point", {str(number): number for number in range(101)}),
        ("operating_points", {}),
    ],
)
def test_what_cannot_be_said_of_a_run_is_refused_with_its_place(journal, tmp_path, key, value):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(with_header(journal, **{key: value}))
    with pytest.raises(BadInput, match=f"line 1: {key}"):
        read_journal(path)
    path.write_bytes(b"".join(journal))
    entry = json.loads(record_to_json(summarise(path)))
    with pytest.raises(BadInput, match=f"record.json.*{key}"):
        record_from_json(json.dumps({**entry, key: value}), place="record.json")


@pytest.mark.parametrize(
    "outcome",
    [
        {"state": "gone"},
        {"state": "running"},
        {"state": "killed", "exit_code": 1},
        {"exit_code": "1"},
        {"exit_code": 10**20},
        {"signal": ""},
        {"exception": "a\nb"},
        {"text": "secret"},
        "ended",
    ],
)
def test_an_end_that_cannot_be_is_damage(journal, tmp_path, outcome):
    path = tmp_path / "journal.jsonl"
    end = json.loads(journal[-1])["end"]
    path.write_bytes(b"".join(journal[:-1]) + encoded({"end": end, "outcome": outcome}))
    assert (read_journal(path).damage or "").startswith(f"line {len(journal)}: ")


def test_an_end_that_says_nothing_has_ended(journal, tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(journal[:-1]) + encoded({"end": json.loads(journal[-1])["end"]}))
    assert summarise(path).outcome == Outcome()


@pytest.mark.parametrize("place", ["", " FRA", "a\nb", 3])
def test_a_place_that_is_none_is_refused_before_anything_runs(place):
    with pytest.raises(BadInput, match="place"):
        measure(place=place)


def test_where_it_ran_is_what_the_user_said(clock, tmp_path):
    place = Place(zone="FRA", region="europe-west9", provider="gcp")
    with a_run(clock, tmp_path, place=place) as run:
        clock.sleep(1)
    assert load(run.folder).place == place


def test_a_program_that_is_not_there_leaves_no_run(tmp_path):
    not_executable = tmp_path / "script"
    not_executable.write_text("echo hello\n")
    for program in ("no-such-program-at-all", str(not_executable)):
        done = energy_rating("measure", "--output-dir", "run", "--", program, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr.count("\n") <= 2
        assert "BadInput" not in done.stderr
        assert not (tmp_path / "run").exists()


def test_a_script_that_does_not_say_what_runs_it_is_run_by_a_shell_as_everywhere(tmp_path):
    script = tmp_path / "script"
    script.write_text('echo "$1 $0"; exit 5\n')
    script.chmod(0o755)
    for program in (str(script), "script"):
        done = energy_rating(
            *("measure", "--output-dir", "run", "--", program, "hello"),
            cwd=tmp_path,
            env=os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        )
        assert done.returncode == 5, done.stderr
        assert done.stdout == f"hello {script}\n"


KILLED = """
import os, signal
from energy_rating import measure
run = measure(output_dir='run', sensors=[], report=None).start()
for step in range(4):
    with run.window('step') as window:
        {counting}
assert run.journal  # what happened in the last 50 ms is lost with the process; that is tried in test_edges
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("counting", "of_run", "of_steps"),
    [
        ("window.count(token=10)", {"token": 40}, {"token": 40}),
        ("run.count(token=10)", {"token": 40}, {"token": 40}),
        (
            "window.count(token=10); run.count(token=10, step=1)",
            {"token": 80, "step": 4},
            {"token": 80, "step": 4},
        ),
        (
            "with run.window('inner') as inner: inner.count(token=10)\n        window.count(token=10, step=1)",
            {"token": 40, "step": 4},
            {"token": 40, "step": 4},
        ),
    ],
)
def test_a_killed_run_knows_what_its_windows_know(tmp_path, counting, of_run, of_steps):
    script = KILLED.format(counting=counting)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, timeout=60)
    assert done.returncode == -signal.SIGKILL
    record = summarise(tmp_path / "run")
    assert record["step"].work == of_steps
    assert record["run"].work == of_run


def test_a_generator_that_its_reader_leaves_has_not_failed(tmp_path):
    @measure("inference", output_dir=tmp_path / "run", sensors=[], report=None)
    async def stream():
        for token in range(3):
            await asyncio.sleep(0)
            yield token

    async def use():
        async for token in stream():
            if token == 1:
                break

    asyncio.run(use())
    gc.collect()
    assert load(tmp_path / "run").outcome == Outcome()


def test_a_generator_that_is_cancelled_at_its_work_was_cancelled(tmp_path):
    @measure("inference", output_dir=tmp_path / "run", sensors=[], report=None)
    async def stream():
        yield 1
        await asyncio.sleep(60)
        yield 2

    async def use():
        async for _ in stream():
            pass

    async def main():
        task = asyncio.create_task(use())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert load(tmp_path / "run").outcome == Outcome(exception="CancelledError")


def test_where_a_command_ran_is_written_down_as_it_was_said(tmp_path):
    done = measured(
        "--zone",
        "FRA",
        "--region",
        "europe-west9",
        "--provider",
        "gcp",
        "--",
        "true",
        folder=tmp_path / "run",
    )
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "run").place == Place(zone="FRA", region="europe-west9", provider="gcp")
    refused = measured("--region", "x" * 500, "--", "true", folder=tmp_path / "other")
    assert refused.returncode == 1
    assert "place.region" in refused.stderr


def test_the_record_of_a_run_that_was_never_begun_is_not_said_to_be_to_come():
    with pytest.raises(NotMeasured, match="has not begun"):
        _ = measure().record


@pytest.mark.parametrize("counted_in_steps", [False, True])
def test_a_window_that_was_broken_off_before_its_count_is_told(clock, tmp_path, counted_in_steps):
    run = a_run(clock, tmp_path)
    with pytest.raises(RuntimeError), run:
        for epoch in range(2):
            with run.window("epoch") as window:
                for step in range(4):
                    clock.sleep(1.0)
                    if counted_in_steps:
                        window.count(token=10)
                    if epoch == 1 and step == 2:
                        raise RuntimeError("in the second epoch")
                if not counted_in_steps:
                    window.count(token=40)
    told = [one for one in run.record.findings if one.code == "work-unfinished"]
    if counted_in_steps:
        assert not told
        assert run.record["epoch"].validity == "valid"
    else:
        assert {one.measurement for one in told} == {"epoch", "run"}
        assert run.record["epoch"].validity == run.record["run"].validity == "degraded"


def test_a_run_that_ended_in_order_lacks_no_count_and_a_short_rest_is_none(clock, tmp_path):
    run = a_run(clock, tmp_path)
    with pytest.raises(RuntimeError), run:
        for step in range(200):
            with run.window("step") as window:
                clock.sleep(0.5)
                if step == 199:
                    raise RuntimeError("in the last of many")
                window.count(token=10)
    assert not finding(run.record, "work-unfinished")
