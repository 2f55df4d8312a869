"""The programme for a real GPU, on a fake one: every part runs, and its judgements are right where the truth is known."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fake_nvml import Device, FakeNvml, NoCompiler, build

from energy_rating import load

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

# What is not there on a bare GPU machine. Python's own ``-c`` puts it in front of everything else.
BARE = """
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("pydantic", "codecarbon", "pandas", "matplotlib", "click", "yaml"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def module(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        sys.modules[name] = made  # dataclasses look their module up
        spec.loader.exec_module(made)
    return sys.modules[name]


@pytest.fixture(scope="module")
def _compiled() -> None:
    try:
        build()
    except NoCompiler as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory, _compiled: None) -> Path:
    """The folder that a quick run writes, on a machine that has nothing but pynvml."""
    folder = tmp_path_factory.mktemp("evidence")
    fake = FakeNvml(devices=(Device(power="sine:300,100,0.7"),))
    done = subprocess.run(
        [
            *(sys.executable, "-c", BARE, str(BENCHMARKS / "gpu_evidence.py")),
            *("--quick", "--device", "none", "--out", str(folder)),
        ],
        env=os.environ | fake.environment(folder),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def parts(evidence: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((evidence / "evidence.json").read_text())["parts"]
    return found


def test_every_part_answers_or_says_why_not(parts: dict[str, Any]) -> None:
    assert {name: part["error"] for name, part in parts.items() if "error" in part} == {}
    skipped = {name for name, part in parts.items() if "skipped" in part}
    assert skipped == {"torch", "matmul", "copy", "training", "generating-1", "generating-32"}


def test_the_card_is_described_as_it_was_found(parts: dict[str, Any]) -> None:
    identity = parts["identity"]["result"]
    assert identity["name"] == Device().name
    assert identity["power_limit_enforced_mw"] == 700_000
    assert [channel["id"] for channel in identity["our_channels"]] == ["gpu0.energy", "gpu0.power"]


def test_the_refresh_of_each_number_is_found(parts: dict[str, Any]) -> None:
    for when in ("idle", "loaded"):
        for name in ("energy", "energy_call", "instant", "averaged"):
            interval = parts[f"periods-{when}"]["result"][name]["interval_ms"]
            assert interval["median"] == pytest.approx(100, abs=10), (when, name)


def test_only_the_scopes_that_answer_have_values(parts: dict[str, Any]) -> None:
    scopes = parts["scopes"]["result"]
    assert scopes["186/0"]["return"] == 0
    assert scopes["186/1"]["return"] == 3
    assert "values" not in scopes["186/1"]


def test_a_time_stamp_of_the_query_is_told_from_one_of_the_sensor(parts: dict[str, Any]) -> None:
    assert parts["field-timestamps"]["result"]["energy"]["meaning"] == "query"
    programme = module("gpu_evidence")
    device = Device(power="sine:300,100,0.7", field_timestamp="sensor")
    with FakeNvml(devices=(device,)).load():
        context = SimpleNamespace(card=programme.Card(), length=lambda full, quick: quick)
        assert programme.field_timestamps(context)["energy"]["meaning"] == "sensor"


def test_the_ring_is_seen_to_live(parts: dict[str, Any]) -> None:
    ring = parts["ring-idle"]["result"]["total"]
    assert (ring["live"], ring["length"]) == (True, 120)
    assert ring["spacing_ms"]["median"] == pytest.approx(20)


def test_the_counter_agrees_with_the_sum_of_the_power(parts: dict[str, Any]) -> None:
    ratio = parts["integral-idle"]["result"]["balance"]["counter_over_integral"]["instant"]
    assert ratio == pytest.approx(1, abs=0.3)  # half a second of a power that swings by a third


def test_a_forked_child_is_told_that_the_sensor_is_not_its_own(parts: dict[str, Any]) -> None:
    child = parts["fork"]["result"]["child"]
    assert child["new_handle"]["works"]
    assert "parent process" in child["our_sensor_of_the_parent"]["error"]
    assert parts["fork"]["result"]["parent_afterwards"]["works"]


def test_nothing_names_the_machine_or_a_folder(evidence: Path) -> None:
    text = (evidence / "evidence.json").read_text()
    for name in (str(evidence), str(BENCHMARKS.parent), f'"{os.uname().nodename}"'):
        assert name not in text


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(
    ("window_s", "verdict"), [(0.0, "full-time"), (0.025, "part-time")], ids=["whole", "a quarter"]
)
def test_a_counter_that_sees_a_quarter_of_the_time_is_found_out(window_s: float, verdict: str) -> None:
    programme = module("gpu_evidence")
    seen, on = [], []
    for period_s in (0.103, 0.15, 0.37):
        device = Device(power=f"square:100,400,{period_s},0.5", counter_window_s=window_s)
        fake = FakeNvml(devices=(device,), epoch=time.monotonic() - 2)
        with fake.load():
            readers = [programme.field_reader(programme.Card(), ["energy"])]
            seen += programme.increments(programme.watch(1.5, readers, pause_s=0.001).changes["energy"])
        starts = [fake.epoch + turn * period_s for turn in range(round(5 / period_s))]
        begun, now = on[-1][1] if on else 0.0, time.monotonic()
        on += [(start, start + period_s / 2) for start in starts if begun < start < now]
    found = programme.window_seen(seen, programme.Schedule(on))
    assert found["verdict"] == verdict, found
    if window_s:
        assert float(found["best_width"].split()[0]) == pytest.approx(25, abs=10)


def test_the_rise_of_a_step_is_timed() -> None:
    programme = module("gpu_evidence")
    seen = [
        programme.Seen(since_s=t / 100 - 0.01, time_s=t / 100, watts=100 + 300 * min(max(t / 100 - 1, 0), 1))
        for t in range(400)
    ]
    edge = programme.edge_of(seen, 1.0, math.inf, rising=True)
    assert edge["after_10_percent_s"] == pytest.approx(0.1, abs=0.011)
    assert edge["rise_s"] == pytest.approx(0.8, abs=0.02)


def test_what_takes_the_time_of_a_more_important_part_is_left_out(tmp_path: Path) -> None:
    programme = module("gpu_evidence")
    answered: list[str] = []

    def part(name: str, priority: int, seconds: float) -> Any:
        return programme.Part(name, priority, seconds, lambda _: answered.append(name) or {})

    quiet = SimpleNamespace(state=dict)
    context = SimpleNamespace(
        quick=False, device="none", notes=[], card=quiet, burden=SimpleNamespace(drain=list, kind="none")
    )
    programme.run_parts(
        context,
        [part("first", 1, 5), part("nice to have", 2, 6), part("a must", 0, 5)],
        programme.Evidence(tmp_path / "evidence.json", {}),
        10.5,
        time.monotonic(),
    )
    assert answered == ["first", "a must"]


def test_the_report_and_the_published_runs_come_of_it(
    evidence: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = module("read_evidence")
    assert reader.main([str(evidence), "--reports", str(tmp_path), "--prefix", "fake-"]) == 0
    text = capsys.readouterr().out
    for heading in ("# What the sensors of one", "## How often", "## What a call costs", "## Workloads"):
        assert heading in text
    record = load(tmp_path / "fake-arithmetic")
    assert record["measured"].energy_per("step").value > 0
    assert reader.report(reader.Evidence(evidence)) == text
