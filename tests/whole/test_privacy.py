"""Nothing leaves the machine, and nothing of whoever measured is in what they publish."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

TOP = Path(__file__).parents[2]

# What a user would do in an afternoon, with every file that comes of it. ``CANARY`` words are planted all around.
AFTERNOON = """
import contextlib, io, sys
from pathlib import Path

sys.path[:0] = [{tests!r}]
from virtual import FakeDevice, VirtualClock, constant
from energy_rating import load, measure, rate
from energy_rating.cli import main
from energy_rating.benchmarking.function import benchmark
from energy_rating.nouns.records import Device
from energy_rating.measuring.sensors import Detection

out = Path("out")
clock = VirtualClock()
power, energy = constant(300)
gpu = FakeDevice(clock=clock, power=power, energy=energy)
gpus = Detection(sensors=(gpu,), devices=(Device(id="GPU-fake", name="Example GPU"),))
with measure("fine-tuning", model="org/name", output_dir=out / "python", sensors=[gpus], clock=clock) as run:
    with run.window("epoch") as window:
        clock.sleep(20)
        window.count(token=1000)

def cli(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as told:
        try:
            main(arguments)
        except SystemExit as end:
            assert not end.code, (arguments, told.getvalue())

cli("measure", "--output-dir", "out/command", "--count", "token=5", "--", sys.executable, sys.argv[0], "CANARYargument", "--quick")
gpu = FakeDevice(clock=clock, power=power, energy=energy)
benchmark(
    lambda item: clock.sleep(1), ["CANARYitem is somebody's text"] * 3, repeats=3, min_duration_s=0, warm_up_s=1, idle_s=10,
    output_dir=out / "benchmark", sensors=[gpu], clock=clock, sleep=clock.sleep,
)
from energy_rating.publishing.folder import publish
for name in ("python", "command", "benchmark"):
    record = load(out / name)
    publish(out / name, record, rate(record))
    cli("summarise", f"out/{{name}}")
    cli("export", f"out/{{name}}", "--format", "csv", "-o", f"out/{{name}}/record.csv")
    cli("label", f"out/{{name}}", "-o", f"out/{{name}}/again.svg")
    cli("rate", f"out/{{name}}", "--json")
Path("out/README.md").write_text("# a model\\n")
cli("card", "out/README.md", "out/python", "--zone", "FRA")
cli("impact", "out/python", "--zone", "FRA")
for command in ("sensors", "tasks", "profiles", "schemes"):
    cli(command)
cli("verify", "out/python")
print("done")
"""

CANARIES = {
    "user name": "CANARYuser",
    "home folder": "CANARYhome",
    "working folder": "CANARYcwd",
    "token in the environment": "hf_CANARYtoken",
    "another token": "sk-CANARYkey",
    "argument of the command": "CANARYargument",
    "address on the network": "203.0.113.77",
    "name of the script": "CANARYscript",
    "remote of the repository": "CANARYremote",
    "mail address": "CANARYmail@example.org",
    "project of the cluster": "CANARYaccount",
    "text of an item": "CANARYitem",
    "host name": "CANARYhost",
}


def _of_this_machine() -> dict[str, str]:
    """What cannot be planted: the machine's own marks, as far as they can be read."""
    found = {}
    for name, pattern in (
        ("machine id", "/etc/machine-id"),
        ("serial", "/sys/class/dmi/id/*_serial"),
        ("MAC", "/sys/class/net/*/address"),
    ):
        for number, path in enumerate(sorted(Path("/").glob(pattern[1:]))):
            try:
                text = path.read_text().strip()
            except OSError:
                continue
            if len(text) >= 8 and text.strip("0:. "):
                found[f"{name} {number}"] = text
    return found


def _unshare(*flags: str) -> list[str]:
    """The command's beginning that gives it namespaces of its own; empty where that is not allowed."""
    tool = shutil.which("unshare")
    prefix = [tool or "", *flags]
    return prefix if tool and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


# All that is asked of it is asked in one process, so that it is spent once.
ONE_AFTERNOON = pytest.mark.xdist_group("afternoon")


@pytest.fixture(scope="module")
def afternoon(tmp_path_factory):
    """The folder of all that was left, after the work was done without any network."""
    home = tmp_path_factory.mktemp("CANARYhome")
    here = home / "CANARYcwd"
    (here / ".git").mkdir(parents=True)
    (here / ".git" / "config").write_text('[remote "origin"]\n\turl = git@example.org:CANARYremote/x.git\n')
    script = here / "CANARYscript.py"
    text = AFTERNOON.format(tests=str(TOP / "tests" / "fakes"))
    script.write_text(
        f"import sys\nif '--quick' in sys.argv:\n    import time; time.sleep(0.3); sys.exit()\n{text}"
    )
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CUDA_", "SLURM_", "LOCAL_"))
        },
        "HOME": str(home),
        "USER": "CANARYuser",
        "LOGNAME": "CANARYuser",
        "HOSTNAME": "CANARYhost",
        "PWD": str(here),
        "HF_TOKEN": "hf_CANARYtoken",
        "OPENAI_API_KEY": "sk-CANARYkey",
        "SSH_CLIENT": "203.0.113.77 5 22",
        "GIT_AUTHOR_EMAIL": "CANARYmail@example.org",
        "EMAIL": "CANARYmail@example.org",
        "SLURM_JOB_ACCOUNT": "CANARYaccount",
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(TOP),
        "MPLCONFIGDIR": str(home / "mpl"),
    }
    alone = _unshare("-rnu")
    renamed = 'hostname CANARYhost 2>/dev/null; exec "$@"'
    command = [*alone, "sh", "-c", renamed if alone else 'exec "$@"', "sh", sys.executable, str(script)]
    done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr + done.stdout
    return here / "out", bool(alone)


def _everything(path: Path) -> bytes:
    """The bytes of a file, and what is packed inside them."""
    content = path.read_bytes()
    parts = [content]
    if content[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(content))
    for found in re.finditer(rb"(?:zTXt|iTXt|tEXt|eXIf)(.{0,4096})", content, re.S):
        for start in range(min(200, len(found[1]))):
            try:
                parts.append(zlib.decompressobj().decompress(found[1][start:], 65536))
            except zlib.error:
                continue
    return b"\n".join(parts)


@ONE_AFTERNOON
def test_the_afternoon_leaves_every_kind_of_file(afternoon):
    out, _ = afternoon
    kinds = {path.name for path in out.rglob("*") if path.is_file()}
    assert kinds >= {
        "journal.jsonl",
        "record.json",
        "rating.json",
        "card.md",
        "label.svg",
        "label.png",
        "trace.png",
        "record.csv",
        "README.md",
    }


@ONE_AFTERNOON
@pytest.mark.parametrize("what", CANARIES)
def test_nothing_personal_is_in_any_file_that_is_left(afternoon, what):
    out, alone = afternoon
    canary = CANARIES[what]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 25
    leaked = [
        str(path.relative_to(out)) for path in files if canary.lower().encode() in _everything(path).lower()
    ]
    assert leaked == [], what
    if what == "host name" and not alone:
        pytest.skip("the host could not be renamed here; its name was planted in the environment only")


@ONE_AFTERNOON
def test_no_mark_of_this_machine_is_in_any_file_that_is_left(afternoon):
    out, _ = afternoon
    for what, mark in _of_this_machine().items():
        for path in out.rglob("*"):
            if path.is_file():
                assert mark.lower().encode() not in _everything(path).lower(), f"{what} in {path.name}"


@ONE_AFTERNOON
def test_all_this_works_without_any_interface(afternoon):
    _, alone = afternoon
    if not alone:
        pytest.skip("this machine does not let an unprivileged process have a network namespace of its own")


# The same where namespaces are not allowed: Python tells of every attempt before it is made (PEP 578).
WATCH = """
import os, sys
def watch(event, arguments, target=os.environ["WATCH_TO"]):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.sendto", "socket.bind", "urllib.", "http.client.")):
        with open(target, "a") as file:
            file.write(f"{event} {arguments!r}\\n")
        raise OSError("no network")
sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    tried = tmp_path / "tried"
    tried.touch()

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{TOP}",
            "WATCH_TO": str(tried),
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        return subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run, tried


def test_the_watch_sees_what_tries(watched):
    run, tried = watched
    run("-c", "import socket; socket.create_connection(('127.0.0.1', 9), 1)")
    assert "socket." in tried.read_text()


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import energy_rating, energy_rating.cli, energy_rating.publishing.label, energy_rating.publishing.trace"],
        ["-m", "energy_rating", "measure", "--output-dir", "run", "--zone", "FRA", "--", "true"],
        ["-m", "energy_rating", "sensors"],
        ["-m", "energy_rating", "verify", "--strict", str(TOP / "reports" / "example-gpu")],
        ["-m", "energy_rating", "summarise", str(TOP / "reports" / "example-gpu" / "journal.jsonl.gz"), "-o", "record.json"],
        ["-m", "energy_rating", "impact", str(TOP / "reports" / "example-gpu"), "--zone", "FRA"],
    ],
    ids=["import", "measure", "sensors", "verify", "summarise", "impact"],
)  # fmt: skip
def test_no_command_opens_a_connection_unless_it_is_told_to(watched, command):
    run, tried = watched
    done = run(*command)
    assert done.returncode == 0, done.stderr
    assert tried.read_text() == ""


def test_the_users_own_command_gets_the_users_environment(tmp_path):
    environment = os.environ | {"HF_TOKEN": "hf_mine", "XDG_STATE_HOME": str(tmp_path)}
    code = "import json, os; open('seen', 'w').write(json.dumps(dict(os.environ)))"
    command = [sys.executable, "-m", "energy_rating", "measure", "--", sys.executable, "-c", code]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    assert json.loads((tmp_path / "seen").read_text())["HF_TOKEN"] == "hf_mine"


@given(
    name=st.sampled_from(["KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS"]),
    before=st.sampled_from(["CUDA_", "NVIDIA_", "GGML_", "X_", ""]),
)
def test_no_name_that_speaks_of_a_secret_is_let_through_to_a_model(name, before):
    from energy_rating.benchmarking.child import environment_of_a_model

    assert (
        "s3cret"
        not in environment_of_a_model(
            {f"{before}{name}": "s3cret", f"{before}MY_{name}_2": "s3cret"}
        ).values()
    )
