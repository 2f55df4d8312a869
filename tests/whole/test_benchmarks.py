"""The scripts that measure ourselves and the peers start, explain themselves, and find the truth where it is known.

None is run in full here: how fast this machine is, is no matter of tests.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize(
    "script",
    [
        "peers",
        "accuracy",
        "ends",
        "steps",
        "overhead",
        "pace",
        "traces",
        "kill",
        "soak",
        "fuzz",
        "verdicts",
        "scheme",
        "normalisation",
        "gpu_evidence",
        "read_evidence",
    ],
)
def test_each_script_says_what_it_does(script):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout


def test_the_worker_needs_nothing_but_the_standard_library():
    code = f"""
import runpy, sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in sys.stdlib_module_names:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
runpy.run_path({str(BENCHMARKS / "peers_worker.py")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_on_the_virtual_clock_the_errors_are_small_and_the_intervals_hold():
    accuracy = importlib.import_module("accuracy")
    found = accuracy.virtual(2, processes=0)
    assert set(found) == {"job", "steps"}
    for by_length in found.values():
        assert set(by_length) == {"0.5", "1", "2", "5"}
        for length, row in by_length.items():
            assert row["n"] == 2
            assert row["rms"] < (0.05 if length == "0.5" else 0.01)
            assert row["held"] == 1.0


def test_the_truth_is_kind_to_the_tool_and_only_within_its_own_call():
    accuracy = importlib.import_module("accuracy")
    fake = accuracy.FakeNvml(devices=[accuracy.Device(power="step:100,400,1,100,2")], epoch=1000.0)
    edges = (1000.9, 1001.0, 1002.0, 1002.2)  # 400 J inside, 430 J with both calls
    assert accuracy.kindest_error(400.0, fake, edges) == 0.0
    assert accuracy.kindest_error(430.0, fake, edges) == 0.0
    assert accuracy.kindest_error(390.0, fake, edges) == pytest.approx(-0.025)
    assert accuracy.kindest_error(473.0, fake, edges) == pytest.approx(0.1)


def test_all_windows_of_a_schedule_fit_into_the_profile_of_the_fake():
    accuracy = importlib.import_module("accuracy")
    from fake_nvml import parse_profile

    rng = accuracy.random.Random(1)
    schedule = accuracy.Schedule("job", accuracy.mixed(7, rng), rng, 10.0)
    profile = parse_profile(schedule.profile())
    for start, length in zip(schedule.starts, schedule.lengths, strict=True):
        assert profile.energy_j(start, start + length) == pytest.approx(400 * length)
        assert profile.energy_j(start - 1, start) == pytest.approx(100)


def test_statistics_tell_bias_from_spread():
    accuracy = importlib.import_module("accuracy")
    found = accuracy.statistics([0.01, 0.03])
    assert found["bias"] == pytest.approx(0.02)
    assert found["rms"] == pytest.approx(0.0005**0.5)
    assert found["bias_error"] == pytest.approx(0.01)
    assert accuracy.statistics([]) == {"n": 0}


def made_up(met: bool) -> tuple[dict, dict]:
    """Figures in the form that the scripts write, all within the goals or all beyond them."""
    size = 1.0 if met else 1000.0
    row = {"n": 40, "bias": 1e-5 * size, "bias_error": 1e-5, "rms": 1e-5 * size, "held": 1.0}
    by_length = dict.fromkeys(("0.5", "1", "2", "5"), row)
    scenario = {"by_length": by_length, "slowest_edge_s": 1e-5, "missing": 0, "late": 0, "held": 1.0}
    real = {label: {"job": scenario, "steps": scenario} for label in ("energy-rating", "zeus")}
    accuracy = {
        "versions": {"energy-rating": "0", "zeus": "0"},
        "machine": {"cores": 2, "python": "3", "system": "Linux", "load": [0.1, 0.1, 0.1]},
        "settings": {"energy-rating": "as it comes", "zeus": "as it comes"},
        "virtual": {"job": by_length, "steps": by_length},
        "real": real,
    }
    start = {"n": 10, "import_ms": 5 * size, "first_ms": 1 * size, "import_mib": size, "first_mib": size}
    calls = {"n": 100, "median": 5 * size, "p99": 9 * size, "max": 10 * size}
    edge = {count: {"calm": calls, "hanging": calls} for count in ("1", "64")}
    slow = {
        "n": 64,
        "median": 1e-4 * size,
        "error": 1e-4,
        "cpu_median": 0.0,
        "cpu_error": 1e-4,
        "ratios": [0.0, 0.001],
    }
    overhead = {
        "latency_us": 20,
        "start_up": {"energy-rating": start, "zeus": start},
        "edges": {"energy-rating": edge, "zeus": edge},
        "cpu": {"nothing": {"1": 1e-3}, "energy-rating": {"1": 1e-4 * size}, "zeus": {"1": 1e-4}},
        "cpu_by_gpus": {"1": 1e-4 * size, "64": 1e-4 * size},
        "slow_down": {"nothing": slow | {"median": 0.0}, "energy-rating": slow, "zeus": slow},
        "week": {
            "hours": 2.0,
            "quiet_bytes_s": 10.0,
            "window_bytes": 1e4,
            "week_mb": 5 * size,
            "resident_mib": [20.0, 20.0, 20.0 + size],
        },
        "memory": {"energy-rating": {"bytes_s": 1.0, "error": 1.0, "seconds": 60}},
    }
    return accuracy, overhead


@pytest.mark.parametrize("met", [True, False])
def test_the_page_says_which_goals_are_met_and_which_are_missed(tmp_path, met):
    peers_page = importlib.import_module("peers_page")
    results = peers_page.Results(*made_up(met))
    goals = peers_page.goals(results).splitlines()[2:]
    assert len(goals) == 14
    for line in goals:
        assert ("**missed**" in line) is not met, line
        assert ("| met |" in line) is met, line


def test_a_slow_down_that_drowns_in_noise_is_neither_met_nor_missed():
    peers_page = importlib.import_module("peers_page")
    accuracy, overhead = made_up(True)
    overhead["slow_down"]["energy-rating"] = overhead["slow_down"]["energy-rating"] | {
        "median": -0.02,
        "error": 0.03,
    }
    (line,) = [
        line
        for line in peers_page.goals(peers_page.Results(accuracy, overhead)).splitlines()
        if "slow-down" in line
    ]
    assert "not to be told" in line


def test_the_page_is_made_from_the_figures_and_is_the_same_each_time(tmp_path):
    peers_page = importlib.import_module("peers_page")
    accuracy, overhead = made_up(True)
    (tmp_path / "accuracy.json").write_text(json.dumps(accuracy))
    (tmp_path / "overhead.json").write_text(json.dumps(overhead))
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        peers_page.write_page(tmp_path, tmp_path / place / "page.md")
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 4
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes(), path


def test_the_committed_page_is_that_of_the_committed_figures(tmp_path):
    peers_page = importlib.import_module("peers_page")
    peers = importlib.import_module("peers")
    peers_page.write_page(peers.RESULTS, tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == peers.PAGE.read_text()


def test_the_pace_of_both_sides_is_told_and_a_goal_that_is_missed_is_named(tmp_path):
    rows, pace = importlib.import_module("pace_rows"), importlib.import_module("pace")
    row = rows.Row(
        name="sum",
        what="a sum",
        before="numbers = range(count)",
        code={"before": "says = sum(list(numbers) * 5)", "now": "says = sum(numbers) * 5"},
        prepare=lambda _folder, _side: {"count": 200_000},
        times_less=1e9,
        turns=1,
    )
    trees = dict.fromkeys(rows.SIDES, BENCHMARKS.parent)
    told = pace.measured(row, trees, tmp_path)
    assert told["same"]
    assert told["before"]["figure"] > 0 < told["now"]["mib"]
    assert pace.line_of(row, told)[-2:] == ["≥ 1e+09 times less", "**no**"]
    assert not pace.is_same([1.0, ["a"]], [1.0 + 1e-9, ["a"]])
    told = pace.measured(
        rows.Row(name="w", what="a word", command=("--version",), unit="ms", turns=1), trees, tmp_path
    )
    assert told["now"]["figure"] > 0


def test_the_journals_of_the_pace_are_read_without_damage(tmp_path):
    made = importlib.import_module("pace_journals").journal(tmp_path / "j.jsonl", gpus=2, size=300_000)
    from energy_rating.files.reading import read_journal

    journal = read_journal(made)
    assert journal.damage is None
    assert journal.sessions[0].ended
    assert len(journal.sessions[0].samples["gpu1.power"]) > 1000
