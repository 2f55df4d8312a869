"""A model in a process of its own: what it sees, what is believed of it, and what is left when it ends badly."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating import BadInput, EnergyRatingError
from energy_rating.benchmarking.child import Child, _done, prepared
from energy_rating.benchmarking.hub import HUB_SILENCE_S
from energy_rating.benchmarking.work import Item, Settings, Stretch
from energy_rating.benchmarking.workloads import ELSEWHERE, prepare, workloads
from energy_rating.nouns.errors import EngineFailed, ModelFailed
from energy_rating.nouns.records import Model

# A model that does what the text of its item says.
STRANGER = """
import json, os, signal, subprocess, sys, time
from energy_rating.nouns.errors import BadInput, EnergyRatingError, EngineFailed
from energy_rating.nouns.records import Finding, Model
from energy_rating.benchmarking.work import Done, Stretch

def class_of(name, base):
    return type(name, (base,), {})

def prepared(model, settings):
    if model == "none":
        raise BadInput("there is no such model", "Name another", place="MODEL")
    return Stranger(settings), Model(id=model, parameters=settings.seed or None, dtype=settings.dtype)

class Stranger:
    def __init__(self, settings):
        self.settings = settings
        self.items = 0
    def load(self):
        print("noise on standard output")
        assert sys.stdin.read() == ""
        self.device = "cpu"
    def run(self, items):
        self.items += len(items)
        start = time.monotonic()
        for item in items:
            getattr(self, item.text)(item)
        work = {"request": len(items), "token": 3 * len(items)}
        span = Stretch(name="prefill", start_s=start, end_s=time.monotonic(), work={"token": 1})
        return self.said or Done(work=work, spans=(span,), steady=span, findings=(
            Finding(code="a-finding", message="m", remedy="r", severity="degrades", measurement="measured"),))
    said = None
    tell = None
    def close(self): pass
    def steps(self, item):
        for n in range(40):
            time.sleep(0.02)
            if self.tell is not None:
                self.tell(n)
    def shy(self, item): assert self.tell is None
    def nothing(self, item): pass
    def environment(self, item):
        with open(item.second, "w") as file:
            json.dump([dict(os.environ), os.getpid(), self.settings.task, str(self.settings.random_weights)], file)
    def look(self, item):
        assert item.image_bytes() == b"picture" and item.audio_bytes() == b"sound" and item.max_new_tokens == 7
    def refuse(self, item): raise BadInput("it is too long", "Shorten it", place="item 1")
    def fail(self, item): raise EnergyRatingError("it broke", "Mend it")
    def full(self, item): raise EngineFailed("no room for the cache", "Lower it")
    def derived(self, item): raise class_of("Odd", EngineFailed)("its own", "Mend it")
    def namesake(self, item): raise class_of("BadInput", Exception)("not ours")
    def explode(self, item): raise RuntimeError("a tensor is odd\\nand more lines")
    def memory(self, item): raise MemoryError("of 7 GB")
    def crash(self, item):
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    def killed(self, item): os.kill(os.getpid(), signal.SIGKILL)
    def leave(self, item):
        print("I leave", file=sys.stderr, flush=True)
        os._exit(3)
    def negative(self, item): self.said = {"token": -1}
    def endless(self, item): self.said = {"token": float("inf")}
    def ours(self, item): self.said = Done(work={}, spans=(Stretch(name="measured", start_s=1, end_s=2),))
    def backwards(self, item): self.said = Done(work={}, spans=(Stretch(name="x", start_s=2, end_s=1),))
    def children(self, item):
        started = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid for _ in range(2)]
        with open(item.second, "w") as file:
            json.dump([os.getpid(), *started], file)
    def dawdle(self, item):
        self.children(item)
        time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "a_stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def child(folder):
    workload, _ = prepared("stranger", "org/name", Settings(dtype="float16", seed=5), module="a_stranger")
    yield workload
    workload.close()


def ends(pids, patience_s=20.0):
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_what_it_is_and_what_it_did_comes_over_as_it_was(child):
    assert child.described == Model(id="org/name", parameters=5, dtype="float16")
    assert child.device == ""
    child.load()
    assert child.device == "cpu"
    before = time.monotonic()
    done = child.run([Item(text="nothing"), Item(text="nothing")])
    after = time.monotonic()
    assert done.work == {"request": 2, "token": 6}
    assert done.steady == done.spans[0]
    assert isinstance(done.steady, Stretch)
    assert before <= done.steady.start_s <= done.steady.end_s <= after
    assert [(one.code, one.severity, one.measurement) for one in done.findings] == [
        ("a-finding", "degrades", "measured")
    ]


def test_how_far_it_is_comes_over_where_somebody_wants_to_know(child):
    child.load()
    child.run([Item(text="shy")])
    told = []
    child.tell = told.append
    assert child.run([Item(text="steps")]).work["request"] == 1
    assert told, "at least once, and then every half a second"
    assert told == sorted(told)
    assert len(told) <= 1 + 40
    child.tell = None
    assert child.run([Item(text="shy")]).work["request"] == 1


def test_it_sees_its_settings_and_no_secret(folder, monkeypatch):
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "https://me:s3cret@host")
    for download in (False, True):
        settings = Settings(task="summarization", random_weights=Path("config.json"), download=download)
        workload, _ = prepared("stranger", "org/name", settings, module="a_stranger")
        try:
            workload.load()
            workload.run([Item(text="environment", second=str(folder / "seen"))])
        finally:
            workload.close()
        environment, pid, task, weights = json.loads((folder / "seen").read_text())
        assert pid != os.getpid()
        assert (task, weights) == ("summarization", "config.json")
        assert not any("s3cret" in value for value in environment.values())
        assert ("HF_HUB_OFFLINE" in environment) is not download, "only what was asked for uses the network"


def test_pictures_and_sounds_are_the_same_there(folder, child):
    (folder / "p.png").write_bytes(b"picture")
    child.load()
    child.run([Item(text="look", image=folder / "p.png", audio=b"sound", max_new_tokens=7)])
    child.run([Item(text="look", image=b"picture", audio=b"sound", max_new_tokens=7)] * 3)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("refuse", BadInput, "item 1: it is too long. Shorten it"),
        ("fail", EnergyRatingError, "it broke. Mend it"),
        ("full", EngineFailed, "no room for the cache. Lower it"),
        ("derived", EngineFailed, "its own. Mend it"),
        ("namesake", ModelFailed, "stranger failed: BadInput: not ours"),
        ("explode", ModelFailed, "stranger failed: RuntimeError: a tensor is odd. "),
        ("memory", ModelFailed, "memory ran out in stranger: of 7 GB. Take a smaller model"),
    ],
)
def test_its_errors_are_errors_here_and_it_goes_on(child, text, kind, says):
    child.load()
    with pytest.raises(kind) as caught:
        child.run([Item(text=text)])
    assert type(caught.value) is kind, "whoever catches it by its kind finds it, wherever the model runs"
    assert says in str(caught.value)
    assert child.run([Item(text="nothing")]).work["request"] == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("crash", "crashed (SIGSEGV), having said 'last words'"),
        ("killed", "was killed (SIGKILL), as the kernel does when memory runs out"),
        ("leave", "exited with status 3, having said 'I leave'"),
        ("negative", "cannot be: work: token must be 0, or a number from"),
        ("ours", "a span must end after it begins and not be one of the benchmark's own"),
        ("backwards", "a span must end after it begins"),
    ],
)
def test_an_end_that_nobody_asked_for_is_one_error_and_it_can_be_loaded_again(child, text, says):
    child.load()
    with pytest.raises(ModelFailed) as caught:
        child.run([Item(text=text)])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput):
        child.run([Item(text="nothing")])
    child.load()
    assert child.run([Item(text="nothing")]).work["request"] == 1


def test_what_is_no_number_never_comes_over(child):
    child.load()
    with pytest.raises(ModelFailed):
        child.run([Item(text="endless")])


def test_a_model_that_is_not_there_is_told_before_anything_runs(folder):
    with pytest.raises(BadInput, match="MODEL: there is no such model"):
        prepared("stranger", "none", Settings(), module="a_stranger")
    with pytest.raises(ModelFailed, match="ModuleNotFoundError"):
        prepared("stranger", "m", Settings(), module="no_such_module")


SILENT_HUB = """
import socket, sys, time
from huggingface_hub import snapshot_download
from energy_rating.benchmarking.hub import limit_silence_of_hubs

limit_silence_of_hubs(0.5)
try:
    snapshot_download("org/name", cache_dir=sys.argv[1])
except Exception as error:
    print(type(error).__name__)
"""


def test_a_hub_that_says_nothing_is_not_waited_for_for_ever(tmp_path):
    pytest.importorskip("huggingface_hub")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections, and that is all
        done = subprocess.run(
            [sys.executable, "-c", SILENT_HUB, str(tmp_path)],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
                "HF_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "HF_HOME": str(tmp_path),
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            timeout=100,
        )
    assert done.stdout, "it ended with an error, and not with a download"
    assert done.returncode == 0, done.stderr


def test_where_a_model_may_be_fetched_each_request_to_the_hub_has_a_time_limit(folder):
    pytest.importorskip("huggingface_hub")
    (folder / "a_fetcher.py").write_text(
        "from energy_rating.nouns.records import Model\n"
        "from huggingface_hub import get_session\n"
        "def prepared(model, settings):\n"
        "    client = get_session()\n"
        "    request = client.build_request('GET', 'http://127.0.0.1:9/', timeout=None)\n"
        "    for hook in client.event_hooks['request']:\n"
        "        hook(request)\n"
        "    return object(), Model(id=repr(sorted(set(request.extensions['timeout'].values()))))\n"
    )
    workload, model = prepared("fetcher", "org/name", Settings(download=True), module="a_fetcher")
    workload.close()
    assert model.id == f"[{HUB_SILENCE_S}]"


def test_closing_leaves_nothing_of_what_it_started(folder, child):
    child.load()
    child.run([Item(text="children", second=str(folder / "pids"))])
    pids = json.loads((folder / "pids").read_text())
    assert all(alive(pid) for pid in pids)
    child.close()
    child.close()
    assert ends(pids)


def test_it_ends_with_the_process_that_started_it_and_so_does_what_it_started(folder):
    program = f"""
import sys
sys.path.insert(0, {str(folder)!r})
from energy_rating.benchmarking.child import prepared
from energy_rating.benchmarking.work import Item, Settings
workload, _ = prepared("stranger", "m", Settings(), module="a_stranger")
workload.load()
workload.run([Item(text="dawdle", second={str(folder / "pids")!r})])
"""
    parent = subprocess.Popen([sys.executable, "-c", program])
    until = time.monotonic() + 60
    while not (folder / "pids").exists() or not (folder / "pids").read_text().endswith("]"):
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.05)
    pids = json.loads((folder / "pids").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert ends(pids)


@pytest.mark.parametrize("name", [name for name in workloads() if name not in ELSEWHERE])
def test_whatever_would_run_in_this_process_runs_in_another(name, monkeypatch):
    monkeypatch.setattr(Child, "_start", lambda self: Model(id="m"))
    workload, _ = prepare(name, "m", Settings())
    assert isinstance(workload, Child)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.fixed_dictionaries(
        {}, optional={"work": anything, "spans": anything, "steady": anything, "findings": anything}
    )
)
def test_whatever_it_says_is_believed_or_refused_and_nothing_else(entry):
    try:
        done = _done(entry)
    except (KeyError, TypeError, ValueError):
        return
    assert all(amount >= 0 for amount in done.work.values())
    assert all(span.start_s <= span.end_s and span.name != "measured" for span in done.spans)
