"""An option is declared once, and everything that has to know of it does: shown for all that there are, and for one that is added."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import BadInput, benchmark, rate
from energy_rating.benchmarking.batches import DECLARED, BatchEntry
from energy_rating.benchmarking.function import OF_A_FUNCTION
from energy_rating.benchmarking.options import Known, asked_for, from_entry, known, to_entry
from energy_rating.benchmarking.plan import load, planned
from energy_rating.benchmarking.settings import Conduct, OperatingPoint, Settings
from energy_rating.benchmarking.tasks import load_task
from energy_rating.benchmarking.work import refuse
from energy_rating.benchmarking.workloads import prepare, understood_by, workloads
from energy_rating.cli import cli
from energy_rating.files.record import read_record
from energy_rating.measuring.sensors import Detection
from energy_rating.nouns.records import Device, Load, Model

TOP = Path(__file__).parents[2]
OPTIONS = {**known(Conduct), **known(Settings)}
SHOWN = [one for one in OPTIONS.values() if one.option.help]


def another(one: Known) -> object:
    """A value of an option that is not its default."""
    return {
        int: 7,
        float: 2.5,
        str: "something",
        bool: one.default is not True,
        Path: Path("config.json"),
        tuple: ("program", "--fast"),
    }.get(one.kind, {"n_ctx": 4096})


@pytest.fixture(scope="module")
def told() -> str:
    return " ".join(CliRunner().invoke(cli, ["benchmark", "--help"]).output.split())


@pytest.mark.parametrize("one", SHOWN, ids=lambda one: one.name)
def test_the_command_has_each_option_with_its_sentence(told, one):
    assert f" {one.flag} " in told
    assert (f" --no-{one.flag[2:]} " in told) is one.is_switch
    assert " ".join(one.option.help.split()) in told


@pytest.mark.parametrize("one", OPTIONS.values(), ids=lambda one: one.name)
def test_each_option_takes_values_of_its_kind_and_no_others(one):
    assert one.checked(another(one), "place") == another(one)
    wrong = 7 if one.kind not in (int, float) else "seven"
    with pytest.raises(BadInput, match=f"^place: {one.words} must be {one.values}; got {wrong!r}"):
        one.checked(wrong, "place")
    if one.kind in (int, float):
        for impossible in (True, float("nan"), float("inf"), -float("inf")):
            with pytest.raises(BadInput):
                one.checked(impossible, "place")


@pytest.mark.parametrize("one", known(Settings).values(), ids=lambda one: one.name)
def test_what_was_asked_for_is_in_the_record_unless_it_is_declared_not_to_be(one):
    plan = planned(load_task("text-generation"), batch_size=1, max_new_tokens=9, min_new_tokens=1)
    plan = replace(plan, settings=replace(plan.settings, **{one.name: another(one)}))
    told = dict(load(plan).told())
    if one.name == "options":
        assert told["option.n_ctx"] == 4096
    elif one.option.recorded:
        assert told[one.name] == (another(one).name if one.kind is Path else another(one))
    else:
        assert one.name not in told
        assert str(another(one)) not in map(str, told.values())


def test_a_comparison_is_told_all_that_a_record_says_of_the_load():
    full = Load(
        items=1,
        batch_size=2,
        concurrency=3,
        max_new_tokens=4,
        seed=5,
        request_rate=6.0,
        max_num_seqs=7,
        reasoning=True,
        settings={"steps": 8, "attention": "sdpa"},
    )
    assert [name for name, _ in full.told()] == [
        *(
            "items",
            "batch_size",
            "concurrency",
            "max_new_tokens",
            "request_rate",
            "max_num_seqs",
            "reasoning",
        ),
        *("seed", "attention", "steps"),
    ]
    assert not dict(Load().told())


@given(data=st.data())
@settings(derandomize=True)
def test_settings_come_out_of_another_process_as_they_went_in(data):
    chosen = data.draw(st.sets(st.sampled_from(sorted(known(Settings)))))
    asked = {name: another(known(Settings)[name]) for name in chosen}
    made = asked_for(Settings(), asked)
    assert from_entry(Settings, to_entry(made)) == made


def test_what_is_not_asked_for_stays():
    base = Settings(batch_size=4, dtype="float16")
    assert asked_for(base, {"batch_size": None, "dtype": None, "repeats": 3}) == base


@pytest.mark.parametrize("name", workloads())
def test_a_workload_understands_options_that_there_are(name):
    heeded = {one for one in known(Settings) if name in understood_by(one)}
    module = sys.modules[f"energy_rating.benchmarking.workloads.{name}"]
    assert set(module.UNDERSTANDS) == heeded
    assert not [one for one in heeded if known(Settings)[one].option.by_all], "those need not be named"


def test_every_option_has_a_workload_that_understands_it():
    unheard = [
        name for name, one in known(Settings).items() if not one.option.by_all and not understood_by(name)
    ]
    assert not unheard


def test_a_refusal_names_the_workloads_that_would_do_it():
    with pytest.raises(
        BadInput,
        match=r"^--request-rate: the workload vllm does not understand request rate\. "
        r"Leave it out, or name a workload that does: endpoint$",
    ):
        prepare("vllm", "org/name", Settings(request_rate=2.0))
    with pytest.raises(BadInput, match=r"does not understand steps\. Leave it out$"):
        refuse(Settings(steps=2), "mine", understands=())


def test_a_protocol_can_fix_an_operating_point_and_nothing_else(tmp_path):
    task = load_task("text-generation")
    _, protocol = task.protocol("aes-2025-02")
    assert set(known(type(protocol))) == set(known(OperatingPoint))
    (tmp_path / "items.txt").write_text("one\ntwo\n")
    made = planned(task, protocol="aes-2025-02", items=tmp_path / "items.txt").settings
    assert (made.batch_size, made.max_new_tokens, made.min_new_tokens, made.dtype) == (1, 10, 10, "float16")


@pytest.mark.parametrize("name", [name for name, one in DECLARED.items() if one.option.help])
def test_a_batch_asks_for_each_option_as_the_command_takes_it(name):
    one = DECLARED[name]
    value = another(one)
    entry = BatchEntry(model="m", options={name: value if one.kind is bool else str(value)})
    context = cli.get_command(None, "benchmark").make_context("benchmark", list(entry.argv(Path("x"))))
    assert context.params[one.name] == value


# ------------------------------------------------------------------------------------------------ a function of one's own


def answered(clock, folder, **said):
    """A function that answers a thousand texts with ten tokens each, on an H100 of which the truth is known."""
    gpu = FakeDevice(clock, *constant(300.0), tick_s=0.02, known_period=True)
    h100 = Device(id=gpu.device, name="NVIDIA H100 80GB HBM3", power_limit_w=700.0, memory_gb=80.0, mig=False)

    def answer(text):
        clock.sleep(0.1)
        return {"token": 10}

    return benchmark(
        answer,
        [f"text {number}" for number in range(1000)],
        task="text-generation",
        protocol="aes-2025-02",
        model=Model(id="org/name", parameters=7_000_000_000, dtype="float16"),
        repeats=5,
        output_dir=folder,
        sensors=[Detection(sensors=(gpu,), devices=(h100,))],
        clock=clock,
        sleep=clock.sleep,
        **said,
    )


def test_a_function_of_ones_own_is_rated_where_it_says_what_its_protocol_asks_for(tmp_path):
    unsaid = rate(answered(VirtualClock(), tmp_path / "unsaid"))
    assert unsaid.stars is None
    assert any("Use --max-new-tokens 10" in reason for reason in unsaid.reasons)
    record = answered(VirtualClock(), tmp_path / "said", max_new_tokens=10)
    assert (record.load.max_new_tokens, record.load.settings) == (10, {})
    said = rate(record)
    assert not said.reasons
    assert said.energy_per_unit_j.value == pytest.approx(30.0, rel=0.01)
    assert said.stars == 3


def test_what_a_function_says_is_in_its_record_and_what_it_cannot_say_is_refused(tmp_path):
    clock = VirtualClock()
    gpu = FakeDevice(clock, *constant(300.0))
    more = {"clock": clock, "sleep": clock.sleep, "sensors": [gpu], "repeats": 2, "min_duration_s": 1.0}

    def one(**said):
        return benchmark(lambda item: clock.sleep(1.0), [1, 2], output_dir=tmp_path / "run", **more, **said)

    load_ = one(steps=30, attention="sdpa", reasoning=False).load
    assert (load_.reasoning, dict(load_.settings)) == (False, {"attention": "sdpa", "steps": 30})
    with pytest.raises(
        BadInput, match=r"^benchmark\(\): there is no option 'max_new_token'\. Did you mean max_new_tokens\?$"
    ):
        one(max_new_token=10)
    with pytest.raises(BadInput, match=r"^benchmark\(\): there is no option 'endpoint'"):
        one(endpoint="http://127.0.0.1:8000/v1")
    with pytest.raises(
        BadInput, match=r"^max_new_tokens: max new tokens must be a whole number of at least 1; got 0$"
    ):
        one(max_new_tokens=0)
    with pytest.raises(BadInput, match=r"^repeats: repeats must be a whole number of at least 1"):
        benchmark(print, [1], repeats=0)


def test_help_shows_the_keywords_of_a_function_with_their_sentences():
    parameters = inspect.signature(benchmark).parameters
    for name in (*OF_A_FUNCTION, *known(Conduct)):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert f" {name}: {OPTIONS[name].option.help[:20]}" in " ".join(benchmark.__doc__.split())
    assert "{" not in benchmark.__doc__.replace('{"token": 212}', "")


# ------------------------------------------------------------------------------------------------------- one that is added

ADDED = """    drafted_tokens: int | None = field(
        default=None, metadata=option(help="Tokens that a draft model proposes at once.", at_least=1)
    )
    quantisation: str | None"""

PROGRAM = """
import sys
n = len(sys.stdin.read().splitlines())
print(f"request={n} token={int(sys.argv[1]) * n}")
"""


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """The package with one more option, of which two files know: where it is declared, and the workload that heeds it."""
    folder = tmp_path_factory.mktemp("grown")
    package = folder / "energy_rating"
    shutil.copytree(TOP / "energy_rating", package, ignore=shutil.ignore_patterns("__pycache__"))
    if not (package / "hardware_profiles").exists():  # in a checkout they stand beside the package
        (folder / "hardware_profiles").symlink_to(TOP / "hardware_profiles")
    for path, before, after in (
        ("settings.py", "    quantisation: str | None", ADDED),
        ("workloads/command.py", '    "max_num_seqs",\n', '    "max_num_seqs",\n    "drafted_tokens",\n'),
        (
            "workloads/command.py",
            "Command(settings.command)",
            "Command((*settings.command, str(settings.drafted_tokens or 1)))",
        ),
    ):
        file = package / "benchmarking" / path
        assert file.read_text().count(before) == 1, f"{path} is not as the example expects it"
        file.write_text(file.read_text().replace(before, after))
    (folder / "program.py").write_text(PROGRAM)

    def command(*arguments):
        environ = os.environ | {"PYTHONPATH": str(folder), "XDG_STATE_HOME": str(folder / "state")}
        return subprocess.run(
            [sys.executable, "-m", "energy_rating", *arguments],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    command.folder = folder
    return command


QUICK = ("--budget", "1", "--idle", "0", "--repeats", "1", "--min-duration", "0", "--cooldown", "0")
MINE = ("--workload", "command", "--command", f"{sys.executable} program.py")


def test_an_option_is_added_in_two_files_and_the_rest_of_the_house_knows_it(grown):
    told = " ".join(grown("benchmark", "--help").stdout.split())
    assert "--drafted-tokens INTEGER RANGE Tokens that a draft model proposes at once. [x>=1]" in told
    for number in ("4", "8"):
        run = grown(
            "benchmark", "mine", *MINE, *QUICK, "--drafted-tokens", number, "--output-dir", f"run-{number}"
        )
        assert run.returncode == 0, run.stderr
        record = read_record(grown.folder / f"run-{number}" / "record.json")
        assert record.load.settings["drafted_tokens"] == int(number)
        assert record["measured"].work["token"] == int(number) * record["measured"].work["request"], "heeded"
    assert "drafted tokens" in grown("compare", "run-4", "run-8").stdout


def test_an_option_that_is_added_is_refused_where_it_is_not_understood_and_where_it_cannot_be(grown):
    refused = grown("benchmark", "m.gguf", "--drafted-tokens", "4")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "--drafted-tokens: the workload llama_cpp does not understand drafted tokens" in refused.stderr
    assert "name a workload that does: command" in refused.stderr
    assert "0 is not in the range x>=1" in grown("benchmark", "m", *MINE, "--drafted-tokens", "0").stderr
    (grown.folder / "batch.toml").write_text("[[runs]]\nmodel = 'm'\ndrafted-tokens = 'some'\n")
    refused = grown("benchmark", "--batch", "batch.toml", "--output-dir", "batch").stderr
    assert "run 1: drafted_tokens: drafted tokens must be a whole number of at least 1; got 'some'" in refused
