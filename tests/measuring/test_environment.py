"""The environment: what decides the figures is in it, who and where it was is not."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy
import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import energy_rating
from energy_rating.measuring.environment import LIBRARIES, describe
from energy_rating.nouns.records import Device

MACHINE_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def machine_id(tmp_path: Path) -> Path:
    path = tmp_path / "machine-id"
    path.write_text(f"{MACHINE_ID}\n")
    return path


def host(path: Path) -> str | None:
    return describe(machine_ids=[path]).host


# The host


def test_a_machine_keeps_its_mark_and_it_is_no_part_of_its_id(machine_id):
    mark = host(machine_id)
    assert mark == host(machine_id)
    assert re.fullmatch("[0-9a-f]{12}", mark)
    assert mark not in MACHINE_ID


@settings(deadline=None)
@given(
    ids=st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), min_size=2, max_size=5, unique=True)
)
def test_different_machines_have_different_marks(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("etc") / "machine-id"
    marks = set()
    for text in ids:
        path.write_text(text)
        marks.add(host(path))
    assert len(marks) == len(ids)


def test_the_mark_is_not_that_of_a_host_name_that_could_be_guessed(machine_id, monkeypatch):
    before = host(machine_id)
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert host(machine_id) == before


@pytest.mark.parametrize("text", ["", "\n", "uninitialized\n", "0" * 32, "x" * 32, MACHINE_ID[:31], "\udcff"])
def test_a_machine_without_an_id_has_no_mark(tmp_path, text):
    path = tmp_path / "machine-id"
    path.write_text(text, errors="surrogateescape")
    assert host(path) is None
    assert host(tmp_path / "none") is None


def test_the_older_place_is_looked_at_second(tmp_path, machine_id):
    other = tmp_path / "older"
    other.write_text("f" * 32)
    assert describe(machine_ids=[tmp_path / "none", machine_id]).host == host(machine_id)
    assert describe(machine_ids=[machine_id, other]).host == host(machine_id)


def test_the_name_is_given_only_when_asked_for():
    assert describe(show_host=True).host == socket.gethostname()
    assert describe().host != socket.gethostname()


# The software


def test_python_this_package_and_the_kernel_are_always_named():
    software = describe().software
    assert software["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert software["energy-rating"] == energy_rating.__version__
    kernel = software[os.uname().sysname.lower()]
    assert os.uname().release.startswith(kernel)
    assert kernel.replace(".", "").isdigit(), "the version, and not who built it"


def test_loaded_libraries_have_the_version_that_was_installed():
    software = describe().software
    assert numpy.__name__ in software
    assert software["numpy"] == version("numpy")
    assert not hasattr(pynvml, "__version__")  # the case that needs a look beside it
    assert software["pynvml"] == version("nvidia-ml-py")


def test_a_library_that_is_not_loaded_is_neither_named_nor_loaded():
    code = (
        "import sys\n"
        "from energy_rating.measuring.environment import LIBRARIES, describe\n"
        "assert not set(describe().software) & set(LIBRARIES)\n"
        "assert not set(LIBRARIES) & set(sys.modules), set(LIBRARIES) & set(sys.modules)\n"
        "assert 'importlib.metadata' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[2])


class Lazy(ModuleType):
    def __getattr__(self, name):
        raise AssertionError(f"{name} was asked for")


def test_a_lazy_module_is_not_woken(monkeypatch, tmp_path):
    (tmp_path / "transformers").mkdir()
    (tmp_path / "transformers-5.1.0.dist-info").mkdir()
    lazy = Lazy("transformers")
    vars(lazy).update(
        __file__=str(tmp_path / "transformers" / "__init__.py"), __path__=[str(tmp_path / "transformers")]
    )
    monkeypatch.setitem(sys.modules, "transformers", lazy)
    assert describe().software["transformers"] == "5.1.0"


def test_a_version_of_a_class_of_its_own_is_written_as_plain_text(monkeypatch):
    class TorchVersion(str):
        pass

    torch = ModuleType("torch")
    vars(torch).update(__version__=TorchVersion("2.9.0+cu130"))
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert type(describe().software["torch"]) is str
    assert describe().software["torch"] == "2.9.0+cu130"


@pytest.mark.parametrize(
    "said", [{}, {"__version__": 7}, {"__file__": None}, {"__file__": "/nowhere/jax.py"}]
)
def test_a_library_that_tells_nothing_is_loaded_all_the_same(monkeypatch, said):
    jax = ModuleType("jax")
    vars(jax).update(said)
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert describe().software["jax"] == "unknown"


def test_a_module_that_was_blocked_is_not_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    assert "vllm" not in describe().software


def test_the_keys_are_in_one_order(monkeypatch):
    for name in reversed(LIBRARIES):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert list(describe().software) == sorted(describe().software)


def test_devices_are_passed_on_in_their_order():
    devices = [Device(id="GPU-2", name="B"), Device(id="GPU-1", name="A")]
    assert describe(devices).devices == tuple(devices)


# What must not be in it


def test_no_name_path_token_or_command_line_is_in_it():
    planted = "canary7531"
    code = (
        "import sys, json, dataclasses, numpy\n"
        "from energy_rating.measuring.environment import describe\n"
        "print(json.dumps(dataclasses.asdict(describe())))\n"
    )
    environment = {
        **os.environ,
        **dict.fromkeys(("USER", "LOGNAME", "HOME", "HOSTNAME", "HF_TOKEN", "PWD", "VIRTUAL_ENV"), planted),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, planted],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert '"numpy"' in done.stdout
    for secret in (planted, str(Path(__file__).parents[2]), sys.prefix):
        assert secret not in done.stdout
    assert f'"{socket.gethostname()}"' not in done.stdout


def test_it_is_the_same_every_time():
    assert asdict(describe()) == asdict(describe())
