"""Any program as a workload: counts are those it tells, every failure is one line, and nothing of it is left running."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.command import Command
from energy_rating.measuring.counts import parse_counts
from energy_rating.nouns.errors import BadInput, CommandFailed
from energy_rating.nouns.records import Model

PATIENCE_S = 20.0


def python(code: str, *, timeout_s: float = PATIENCE_S) -> Command:
    """This program in Python, found."""
    workload = Command([sys.executable, "-I", "-S", "-c", textwrap.dedent(code)], timeout_s=timeout_s)
    workload.load()
    return workload


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def ends(pid: int) -> bool:
    """Whether the process ends; one that nobody has buried yet has ended too."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        if status.rpartition(")")[2].split()[0] in "ZX":
            return True
        time.sleep(0.02)
    return False


def written(path: Path) -> int:
    until = time.monotonic() + PATIENCE_S
    while not (path.exists() and path.read_text(encoding="utf-8").endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.02)
    return int(path.read_text(encoding="utf-8"))


# ----------------------------------------------------------------------------------------------- items and counts


def test_every_item_is_a_line_of_json_and_comes_as_it_was(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    workload = python(f"import sys; open({str(heard)!r}, 'wb').write(sys.stdin.buffer.read())")
    assert workload.run(["Straße, 雨 \n\u2028 two", {"question": "Why?", "n": 3}]) == {"request": 2}
    assert heard.read_bytes().decode("utf-8") == (
        '"Straße, 雨 \\n\u2028 two"\n{"question": "Why?", "n": 3}\n'
    )


@pytest.mark.parametrize(
    ("printed", "work"),
    [
        ('{"token": 512, "request": 8}', {"token": 512, "request": 8}),
        ("token=512 request=8", {"token": 512, "request": 8}),
        ("token=99\nloading 50 %\rloading 100 %\r\ntoken=512\n\n  \n", {"token": 512, "request": 2}),
        ("audio_second=1.5", {"audio_second": 1.5, "request": 2}),
        ("token=0", {"token": 0, "request": 2}),
        ("", {"request": 2}),
        ("Done.", {"request": 2}),
        ("the loss is=0.3", {"request": 2}),
        ("==========", {"request": 2}),
    ],
)
def test_what_was_done_is_what_the_last_line_says(printed: str, work: Mapping[str, float]) -> None:
    assert python(f"print({printed!r}, end='')").run(["One?", "Two?"]) == work


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("token=-1", "token must be 0, or a number from 1e-09 to 1e+45; got -1"),
        ("token=nan", "token must be 0, or a number from 1e-09 to 1e+45; got nan"),
        ("token=", "token must be a number; got ''"),
        ("tok-en=5", "a unit must be a word such as token or image; got 'tok-en'"),
        ("=5", "a unit must be a word such as token or image; got ''"),
        ('{"token": true}', "token must be 0, or a number from 1e-09 to 1e+45; got True"),
        ('{"token": "5"}', "token must be 0, or a number from 1e-09 to 1e+45; got '5'"),
        ('{"token": NaN}', "to 1e+45; got nan"),
        ('{"token": 1e999}', "to 1e+45; got inf"),
        (f'{{"token": 1{"0" * 400}}}', "token must be 0, or a number"),
        ('{"token": 5', "is not JSON"),
        ('{"a": ' * 5000, "is not JSON"),
        ('{"token": {"in": 5}}', "token must be 0, or a number"),
    ],
)
def test_a_count_that_is_none_is_an_error_and_not_left_out(line: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_counts(line, place="generate, last line")
    text = one_line(caught.value)
    assert text.startswith("generate, last line: ")
    assert says in text
    assert len(text) < 160


@given(st.text())
def test_whatever_a_program_says_is_counts_or_one_clear_error(line: str) -> None:
    try:
        work = parse_counts(line.strip(), place="generate")
    except BadInput as error:
        one_line(error)
    else:
        assert all(unit.isidentifier() and amount >= 0 for unit, amount in work.items())


def test_the_program_may_leave_its_items_unread_and_print_without_end() -> None:
    workload = python("""
        import sys
        for _ in range(300):
            sys.stdout.write("x" * 100_000)
        print()
        print("token=7", "\\n" * 200_000)
    """)
    assert workload.run(["word " * 1_000_000] * 2) == {"token": 7, "request": 2}


def test_a_last_line_in_no_encoding_is_no_count() -> None:
    assert python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe done')").run([]) == {"request": 0}


def test_each_run_starts_the_program_anew(tmp_path: Path) -> None:
    workload = python(f"import os; open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}}\\n')")
    workload.run(["One?"])
    workload.run(["Two?"])
    assert len(set((tmp_path / "pids").read_text(encoding="utf-8").split())) == 2


@pytest.mark.parametrize("item", [3, b"bytes", {"x": float("nan")}, {"x": {1, 2}}, "\ud800"])
def test_an_item_that_is_no_json_is_refused_by_its_number(item: str) -> None:
    with pytest.raises(BadInput, match=r"^item 2: ") as caught:
        python("").run(["One?", item])
    one_line(caught.value)


def test_it_is_prepared_from_the_command_of_the_settings(tmp_path: Path) -> None:
    workload, model = prepare("command", "org/name", Settings(command=(sys.executable, "-c", "")))
    assert model == Model(id="org/name")
    workload.load()
    assert workload.run(["One?"]) == {"request": 1}
    assert prepare("command", str(tmp_path), Settings(command=("true",)))[1] == Model(id=tmp_path.name)
    with pytest.raises(BadInput, match=r"^--command: no program is named\. Name it with --command"):
        prepare("command", "org/name", Settings())
    with pytest.raises(BadInput, match=r"^no-such-program: there is no such program"):
        prepare("command", "org/name", Settings(command=("no-such-program",)))


# ------------------------------------------------------------------------------------------------------ failures


def test_what_is_no_program_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^no-such-program: there is no such program\. Check the name"):
        Command(["no-such-program", "--fast"]).load()
    (tmp_path / "plain").write_text("echo", encoding="utf-8")
    with pytest.raises(BadInput, match=r"^plain: may not be executed\. Make it executable: chmod \+x"):
        Command([str(tmp_path / "plain")]).load()
    with pytest.raises(BadInput, match="argv: no program is named"):
        Command([])
    with pytest.raises(BadInput, match="argv: must be a list of arguments; got one text"):
        Command("python generate.py")
    for timeout_s in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BadInput, match="timeout_s"):
            Command(["true"], timeout_s=timeout_s)
    with pytest.raises(BadInput, match=r"Call load\(\) first"):
        Command(["true"]).run([])


def test_a_program_that_the_kernel_refuses_is_told_by_its_reason(tmp_path: Path) -> None:
    script = tmp_path / "generate"
    script.write_bytes(b"\x7fELF and nothing more")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    workload = Command([str(script)])
    workload.load()
    with pytest.raises(BadInput, match=r"^generate: cannot be started \(Exec format error\)$"):
        workload.run([])
    script.unlink()
    with pytest.raises(BadInput, match=r"^generate: cannot be started \(No such file or directory\)$"):
        workload.run([])


def test_a_program_that_fails_is_quoted_by_its_last_words() -> None:
    with pytest.raises(CommandFailed) as caught:
        python("print('token=5'); import sys; sys.exit('Loading\\n\\nCUDA out of memory\\n')").run(["One?"])
    assert one_line(caught.value) == (
        f"{Path(sys.executable).name} exited with status 1, having said 'CUDA out of memory'. "
        "Run it by hand to see the whole of it"
    )


def test_a_program_that_is_killed_says_by_which_signal() -> None:
    with pytest.raises(CommandFailed, match=r"was ended by signal 9 \(Killed\)\. Run it by hand"):
        python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").run([])


def test_counts_of_a_program_that_fails_are_not_believed_even_if_it_complains_without_end() -> None:
    with pytest.raises(CommandFailed, match="status 3, having said 'x{200}'") as caught:
        python(
            "import sys; [sys.stderr.write('x' * 100_000) for _ in range(50)]; print('token=5'); sys.exit(3)"
        ).run([])
    one_line(caught.value)


FORKS = """
    import os, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"])
    with open({path!r}, "w") as file:
        print(child.pid, file=file)
    print("token=5", flush=True)
"""


def test_a_program_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    workload = python(FORKS.format(path=str(path)) + "    time.sleep(60)", timeout_s=1.5)
    begin = time.monotonic()
    with pytest.raises(
        CommandFailed, match=r"did not end within 1\.5 s, having said 'token=5' and was stopped"
    ):
        workload.run([])
    assert time.monotonic() - begin < 15
    assert ends(written(path))


def test_what_a_program_leaves_behind_is_neither_waited_for_nor_left_running(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    begin = time.monotonic()
    assert python(FORKS.format(path=str(path))).run([]) == {
        "token": 5,
        "request": 0,
    }  # its stdout is still open
    assert time.monotonic() - begin < 15
    assert ends(written(path))


def test_a_program_that_closes_its_output_early_is_waited_for(tmp_path: Path) -> None:
    done = tmp_path / "done"
    python(
        f"import os, time; os.close(1); time.sleep(0.3); open({str(done)!r}, 'w').close(); os._exit(0)"
    ).run([])
    assert done.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("where", ["main", "another"])
def test_a_parent_that_is_killed_takes_the_program_with_it(tmp_path: Path, where: str, number: int) -> None:
    path = tmp_path / "pid"
    code = f"""
import sys, threading
from energy_rating.nouns.records import Model
from energy_rating.benchmarking.work import Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.command import Command
program = "import os, time; print(os.getpid(), file=open({str(path)!r}, 'w'), flush=True); time.sleep(60)"
workload = Command([sys.executable, "-I", "-S", "-c", program])
workload.load()
if {where!r} == "main":
    workload.run([])
threading.Thread(target=workload.run, args=([],)).start()
"""
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        pid = written(path)
        time.sleep(0.1)  # until the guard stands
        parent.send_signal(number)
    assert ends(pid)


def test_an_interrupted_run_leaves_nothing_running(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    workload = python(
        f"import os, time; print(os.getpid(), file=open({str(path)!r}, 'w'), flush=True); time.sleep(60)"
    )

    def interrupt() -> None:
        written(path)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        workload.run([])
    thread.join()
    assert ends(written(path))


def test_nothing_is_left_open() -> None:
    workload = python("print('token=1')")
    workload.run([])
    before = set(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        workload.run(["One?"])
    assert set(Path("/proc/self/fd").iterdir()) == before
    workload.close()
    workload.close()


def test_where_the_kernel_tells_no_end_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(pid: int) -> int:
        raise PermissionError("seccomp")

    monkeypatch.setattr(os, "pidfd_open", refuses)
    assert python("import time; time.sleep(0.2); print('token=5')").run([]) == {"token": 5, "request": 0}
    with pytest.raises(CommandFailed, match=r"did not end within 0\.3 s"):
        python("import time; time.sleep(60)", timeout_s=0.3).run([])


def test_items_of_a_task_come_as_their_text_or_as_all_that_they_have(tmp_path):
    (tmp_path / "cat.png").write_bytes(b"x")
    items = [
        Item(text="plain"),
        Item(text="Who?", second="Ada.", answer="Ada", max_new_tokens=3),
        Item(image=tmp_path / "cat.png", audio=b"RIFF"),
    ]
    workload = python(
        "import json, sys; print(json.dumps([json.loads(l) for l in sys.stdin]), file=open('/dev/stderr', 'w')); sys.exit(1)"
    )
    with pytest.raises(CommandFailed) as caught:
        workload.run(items)
    said = str(caught.value)
    assert '"plain", {"text": "Who?", "second": "Ada.", "answer": "Ada", "max_new_tokens": 3}' in said
    assert str(tmp_path)[:20] in said
