"""Batches and sweeps: what is asked for, one process each, what is done already, what failed, and the tables and curves of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_nvml import Device, FakeNvml

from energy_rating import BadInput, load
from energy_rating.benchmarking import tables as publisher
from energy_rating.benchmarking.batches import BatchEntry, finished, read_batch, run_batch, swept
from energy_rating.files.record import read_record
from energy_rating.files.withheld import secrets_of, shown, without
from energy_rating.judging.quality import parse_quality, read_results

TOP = Path(__file__).parents[2]
OPTIONS = ("task", "max_new_tokens", "concurrency", "batch_size", "dtype", "reasoning", "protocol")

# In place of `energy-rating benchmark`: on a virtual clock, 100 W and 1 s a request, however many at once. "bad" fails.
FAKE = """
import json, sys
assert sys.argv[1:] == []
arguments = json.load(sys.stdin)[1:]
model = arguments[arguments.index("--") + 1]
with open({log!r}, "a") as log:
    print(model, *arguments, file=log)
if model == "bad":
    sys.exit("energy-rating: error: the model is bad. Take another")
if model == "quotes":
    sys.exit("energy-rating: error: cannot be done: " + " ".join(arguments[:-3]))
if model == "dies":
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
sys.path.insert(0, {tests!r})
from pathlib import Path
from virtual import FakeDevice, VirtualClock, constant
from energy_rating.benchmarking.plan import planned
from energy_rating.benchmarking.conduct import run_plan
from energy_rating.nouns.records import Model
from energy_rating.benchmarking.tasks import load_task
size = int(arguments[arguments.index("--batch-size") + 1]) if "--batch-size" in arguments else 1
clock = VirtualClock()
class Fake:
    def load(self): pass
    def run(self, items):
        clock.sleep(0.5)
        return {{"request": len(items), "token": 10 * len(items)}}
    def close(self): pass
gpu = FakeDevice(clock, *constant(100.0))
run_plan(Fake(), planned(load_task("text-generation"), repeats=3, batch_size=size), model=Model(id=model),
         output_dir=Path(arguments[arguments.index("--output-dir") + 1]), sensors=[gpu], clock=clock, sleep=clock.sleep)
"""


@pytest.fixture
def fake(tmp_path):
    script, log = tmp_path / "fake.py", tmp_path / "log"
    script.write_text(FAKE.format(tests=str(TOP / "tests" / "fakes"), log=str(log)))
    log.touch()

    def run(entries, **more):
        return run_batch(entries, tmp_path / "runs", command=(sys.executable, str(script)), **more)

    run.log = log
    return run


def write(path, text):
    path.write_text(text)
    return path


def test_a_file_names_models_times_settings(tmp_path):
    path = write(
        tmp_path / "batch.toml",
        'times = 2\n[defaults]\ntask = "reasoning"\n[[runs]]\nmodel = "a.gguf"\n'
        '[[runs]]\nmodel = "org/b"\nbatch-size = [1, 8]\ndtype = ["float16", "bfloat16"]\nreasoning = false\n',
    )
    entries = read_batch(path, OPTIONS)
    assert len(entries) == 2 * (1 + 4)
    assert entries[0].argv(Path("x")) == ("--task", "reasoning", "--output-dir", "x", "--", "a.gguf")
    assert entries[-1].argv(Path("x"))[:7] == (
        *("--task", "reasoning", "--batch-size", "8", "--dtype", "bfloat16", "--no-reasoning"),
    )
    assert len({entry.name for entry in entries}) == 10


def test_a_table_of_cells_is_a_batch_too(tmp_path):
    path = write(
        tmp_path / "batch.csv",
        "model,batch size,reasoning\na,8,yes\nb,,\n".replace("batch size", "batch-size"),
    )
    assert [(entry.model, dict(entry.options)) for entry in read_batch(path, OPTIONS)] == [
        ("a", {"batch_size": "8", "reasoning": True}),
        ("b", {}),
    ]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("b.toml", "", "holds no runs"),
        ("b.toml", "[[runs]]\ntask = 'x'", "names no model"),
        ("b.toml", "[[runs]]\nmodel = 'x'\ncolour = 'red'", "there is no option 'colour'"),
        ("b.toml", "[[runs]]\nmodel = 'x'\nbatch-sise = 4", r"Did you mean batch_size\?"),
        (
            "b.toml",
            "[[runs]]\nmodel = 'x'\nbatch-size = [1, 0]",
            "run 1: batch_size: batch size must be a whole",
        ),
        (
            "b.csv",
            "model,max-new-tokens\nx,many\n",
            "max new tokens must be a whole number of at least 1; got 'many'",
        ),
        ("b.csv", "model,reasoning\nx,perhaps\n", "reasoning must be true or false; got 'perhaps'"),
        ("b.toml", "[[runs]]\nmodel = 'x'\ntask = []", r"must be a text, a number or a list of them; got"),
        (
            "b.toml",
            "[[runs]]\nmodel = 'x'\n[runs.task]\na = 1",
            r"must be a text, a number or a list of them; got",
        ),
        ("b.toml", "times = 0\n[[runs]]\nmodel = 'x'", "whole number from 1"),
        ("b.toml", "rounds = 2\n[[runs]]\nmodel = 'x'", "there is no key 'rounds'"),
        ("b.toml", "runs = 7", "a list of tables"),
        ("b.csv", "model,task\na\n", "more or fewer cells"),
        ("b.csv", "task\nx\n", "names no model"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused_before_anything_runs(tmp_path, name, text, says):
    with pytest.raises(BadInput, match=says):
        read_batch(write(tmp_path / name, text), OPTIONS)


def test_what_fails_is_told_and_the_rest_goes_on_and_what_is_done_is_not_done_again(fake, tmp_path):
    entries = [BatchEntry(model=model, options={}) for model in ("good", "bad", "org/other", "dies")]
    outcomes = fake(entries)
    assert [outcome.entry.model for outcome in outcomes] == ["good", "bad", "org/other", "dies"]
    assert [outcome.record is not None for outcome in outcomes] == [True, False, True, False]
    assert outcomes[1].failure == "the model is bad. Take another"
    assert outcomes[3].failure == "it was ended by signal 9"
    told = json.loads((outcomes[1].folder / "failure.json").read_text())
    assert told["schema"] == "energy-rating/failure/1"
    assert told["exit_code"] == 1
    assert len(fake.log.read_text().splitlines()) == 4

    again = fake(entries)
    assert [outcome.was_done for outcome in again] == [True, False, True, False]
    assert len(fake.log.read_text().splitlines()) == 6, "only what failed was tried again"
    assert (outcomes[1].folder.parent / f"{outcomes[1].folder.name}.failed-1" / "failure.json").exists()

    _, rows = publisher.rows(again)
    assert "0" not in rows[1]
    assert rows[1][-1] == "failed: the model is bad. Take another"
    assert set(rows[1][1:-1]) == {""}
    text = publisher.as_text(again)
    assert "good" in text
    assert "J/request" in text
    assert publisher.as_csv(again).count("\n") == 5
    assert publisher.as_markdown(again).splitlines()[1].startswith("| --- |")


def test_a_run_that_was_broken_off_is_not_taken_for_done(fake):
    (outcome,) = fake([BatchEntry(model="good", options={})])
    journal = outcome.folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    from energy_rating import summarise
    from energy_rating.files.record import write_record

    write_record(summarise(outcome.folder), outcome.folder / "record.json")
    (again,) = fake([BatchEntry(model="good", options={})])
    assert not again.was_done
    assert again.record is not None


@pytest.mark.parametrize(
    "name",
    [
        "a\x1b[31m\x07b",
        "a\u202eb\u2066c",
        "a|b",
        "[x](javascript:alert)",
        "<script>x",
        "=cmd|' /c'!A1",
        "![i](x)",
    ],
)
def test_a_name_in_a_batch_is_text_in_its_tables(fake, name):
    outcomes = fake([BatchEntry(model=name, options={})])
    for table in (publisher.as_csv(outcomes), publisher.as_markdown(outcomes)):
        assert all(character.isprintable() or character == "\n" for character in table)
    header, _, row = publisher.as_markdown(outcomes).splitlines()
    assert row.count("|") == header.count("|")
    assert not set("<[*`") & set(row)
    assert not publisher.as_csv(outcomes).splitlines()[1].startswith(("=", "+", "-", "@"))


# What somebody may put into a batch, and the words in it that nobody else is to see.
SECRETS = [
    {"command": "TOKEN_FILE=x python run.py --api-key sk-CANARYkey12345 --level 3"},
    {"command": "python run.py --hf-token=hf_CANARYtoken12345"},
    {"command": "PASSWORD=CANARYassigned ./serve CANARYword"},
    {"command": "curl -H 'Authorization: Bearer CANARYbearer123'"},
    {"command": "python run.py --url https://user:CANARYuserinfo@host.example/CANARYpath"},
    {"endpoint": "http://me:CANARYpassword@127.0.0.1:8000/v1"},
    {"endpoint": "http://127.0.0.1:8000/v1?api_key=CANARYquery"},
    {"option": "hf_token=CANARYoption"},
    {"option": "base=https://CANARYuser@127.0.0.1:8000"},
    {"items": "/home/CANARYhome/items.jsonl"},
]


def test_no_secret_of_a_batch_is_in_its_tables_or_its_files(fake, tmp_path):
    entries = [BatchEntry(model="quotes", options=options) for options in SECRETS]
    entries.append(BatchEntry(model="good", options=SECRETS[0]))
    told = []
    outcomes = fake(entries, tell=told.append)
    assert [outcome.record is not None for outcome in outcomes] == [False] * len(SECRETS) + [True]
    again = [finished(outcome.entry, outcome.folder) for outcome in outcomes]
    tables = [
        table(them)
        for them in (outcomes, again)
        for table in (publisher.as_text, publisher.as_csv, publisher.as_markdown)
    ]
    files = {path: path.read_bytes().decode() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    assert sum(path.name == "failure.json" for path in files) == len(SECRETS)
    for place, text in [*enumerate([*tables, *told]), *files.items()]:
        # Where an error names a file that was asked for, that is why it is told.
        assert "CANARY" not in text.replace("/home/CANARYhome", ""), (place, text)
    # Rows can still be told apart.
    header, rows = publisher.rows(outcomes)
    commands = {row[header.index("command")] for row in rows}
    assert commands == {"", "python (1)", "python (2)", "python (3)", "serve", "curl"}
    assert {row[header.index("endpoint")] for row in rows} == {
        "",
        "http://127.0.0.1:8000 (1)",
        "http://127.0.0.1:8000 (2)",
    }


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("max_new_tokens", 512, "512"),
        ("dtype", "bfloat16", "bfloat16"),
        ("option", "tokenizer=org/name", "tokenizer=org/name"),
        ("option", "max_num_batched_tokens=8192", "max_num_batched_tokens=8192"),
        ("option", "api_key_env=NAME", "api_key_env=NAME"),
        ("option", "api_key=x", "api_key=…"),
        ("option", "pad_token=<pad>", "pad_token=<pad>"),
        ("option", "cache_key=prefix", "cache_key=prefix"),
        ("option", "compat=old", "compat=old"),
        (
            "option",
            "system=basic understanding of sk-learned-model",
            "system=basic understanding of sk-learned-model",
        ),
        ("endpoint", "http://localhost:8000", "http://localhost:8000"),
        ("trust_remote_code", "org/name@0123abcd", "org/name@0123abcd"),
        ("command", "'a quote that is not closed", "'a"),
    ],
)
def test_what_is_no_secret_is_shown_as_it_is(name, value, told):
    assert shown(name, value) == told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", "curl -H 'X-Api-Key: CANARY123456'"),
        ("command", "curl -H 'Cookie: session=CANARY123456; b=c'"),
        ("command", "curl -H 'Authorization: Basic CANARYlettersOnly'"),
        ("command", "curl -u user:CANARY123456 host"),
        ("command", "sh -c 'run --api-key CANARY123456'"),
        ("command", """run --config '{"api_key": "CANARY123456"}'"""),
        ("command", "env OPENAI_API_KEY_2=CANARY123456 run"),
        ("command", "run --api-keys CANARY123456 --secret-value CANARY123456"),
        ("command", "run --auth-header 'Bearer CANARY123456'"),
        ("endpoint", "user:CANARY123456@host:8000"),
        ("endpoint", "http://user:p/CANARY123456@host:80/v1"),
        ("endpoint", "http://user:p#CANARY123456@[::1]:80/v1"),
        ("endpoint", "http://[::1]:8000/v1#access_token=CANARY123456"),
        ("endpoint", "localhost:8000/v1?api_key=CANARY123456"),
        ("option", 'extra={"api_key": "CANARY123456"}'),
        ("option", "api_keys=CANARY123456"),
        ("option", ("a=1", "api_key=CANARY123456")),
    ],
)
def test_secrets_are_found_in_whatever_form_they_are_written(name, value):
    told = value[-1] if isinstance(value, tuple) else value
    secrets = secrets_of({name: value})
    assert "CANARY" not in shown(name, value)
    for said in (f"cannot use {told!r}", f"refused: {told}", f"refused: {told[:-2]}"):
        assert "CANARY" not in without(said, secrets)
    # The secret alone, as one says it who has taken the option apart; also where a quote of it was cut short.
    alone = re.search(r"CANARY\w+", told)[0]
    for said in (f"no such thing: {alone}", f"no such thing: '{alone[:9]}"):
        assert "CANARY" not in without(said, secrets)


def test_a_secret_at_the_border_of_a_quote_is_hidden_too(fake):
    (outcome,) = fake(
        [BatchEntry(model="quotes", options={"command": "x" * 350 + " --api-key CANARY" + "7" * 40})]
    )
    assert outcome.failure
    assert "CANARY" not in outcome.failure


def test_the_order_is_drawn_and_the_same_for_a_seed(fake, tmp_path):
    entries = [BatchEntry(model="bad", options={"batch_size": n}) for n in range(1, 7)]

    def order(seed):
        fake.log.write_text("")
        fake(entries, seed=seed)
        return [line.split("--batch-size ")[1].split()[0] for line in fake.log.read_text().splitlines()]

    assert order(1) == order(1) != order(2)
    assert sorted(order(1)) == list("123456")


def test_a_sweep_draws_energy_over_load(fake):
    outcomes = fake(swept("good", {}, "batch_size", ["1", "2", "4", "12"]))
    energies = [publisher.figure(outcome.record).value for outcome in outcomes]
    assert energies == pytest.approx([50.0, 25.0, 12.5, 100 / 24], rel=0.02)
    png, svg = (publisher.load_curve(outcomes, "batch_size", kind=kind) for kind in ("png", "svg"))
    assert png.startswith(b"\x89PNG")
    assert svg == publisher.load_curve(outcomes, "batch_size", kind="svg")
    header, rows = publisher.rows(outcomes)
    assert header[1] == "batch size"
    assert [row[1] for row in rows] == ["1", "2", "4", "12"]
    assert publisher.can_be_drawn(outcomes, "batch_size")
    assert not publisher.can_be_drawn(outcomes, "dtype")
    with pytest.raises(BadInput, match="must be a number to be drawn over"):
        publisher.load_curve(outcomes, "dtype")
    with pytest.raises(BadInput, match="fewer than two runs"):
        publisher.load_curve(outcomes[:1], "batch_size")


def test_a_sweep_may_turn_something_on_and_off():
    on, off = swept("m", {}, "reasoning", ["true", "false"])
    assert "--reasoning" in on.argv(Path("x"))
    assert "--no-reasoning" in off.argv(Path("x"))
    assert not {"true", "false"} & {*on.argv(Path("x")), *off.argv(Path("x"))}


def test_a_sweep_of_one_value_is_none():
    with pytest.raises(BadInput, match="two values at least"):
        swept("good", {}, "concurrency", ["8"])


# ------------------------------------------------------------------------------------------------------------ quality


def test_quality_is_told_with_its_source_or_not_at_all():
    quality = parse_quality("arc_easy acc=0.62@harness 0.4.9, 5-shot", place="--quality")
    assert (quality.metric, quality.value, quality.source) == ("arc_easy acc", 0.62, "harness 0.4.9, 5-shot")
    for wrong in (
        "accuracy=0.6",
        "accuracy@me",
        "=0.6@me",
        "accuracy=good@me",
        "accuracy=nan@me",
        "accuracy=0.6@",
    ):
        with pytest.raises(BadInput, match="metric=value@source"):
            parse_quality(wrong, place="--quality")


def test_a_result_file_of_lm_evaluation_harness_is_read(tmp_path):
    results = {
        "arc_easy": {"alias": "arc_easy", "acc,none": 0.5, "acc_stderr,none": 0.01, "acc_norm,none": 0.4},
        "gsm8k": {"exact_match,strict-match": 0.25},
    }
    path = write(tmp_path / "results.json", json.dumps({"results": results, "config": {}}))
    found = {quality.metric: quality.value for quality in read_results(path)}
    assert found == {"arc_easy acc": 0.5, "arc_easy acc_norm": 0.4, "gsm8k exact_match,strict-match": 0.25}
    for wrong in ("{}", '{"results": {}}', "[]", "no"):
        with pytest.raises(BadInput):
            read_results(write(tmp_path / "wrong.json", wrong))


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400, "null", '"N/A"'])
def test_a_metric_that_could_not_be_worked_out_takes_nothing_from_the_others(tmp_path, bad):
    text = '{"results": {"a": {"acc,none": 0.5, "f1,none": %s}, "b": {"acc,none": %s}, "c": {"acc": %s, "f1": 0.25}}}'
    found = {
        one.metric: one.value for one in read_results(write(tmp_path / "r.json", text % (bad, bad, bad)))
    }
    assert found == {"a acc": 0.5, "c f1": 0.25}


def test_counts_of_questions_are_no_metrics(tmp_path):
    new = {"name": "t", "alias": "t", "sample_len": 100, "acc,none": 0.5, "acc_stderr,none": 0.05}
    old = {"acc": 0.25, "acc_stderr": 0.01, "sample_len": 100, "version": 1}
    many = {f"t{n}": {**new, "acc_norm,none": 0.4} for n in range(14)}
    for results, figures in (({"t": new}, {"t acc": 0.5}), ({"t": old}, {"t acc": 0.25})):
        path = write(tmp_path / "results.json", json.dumps({"results": results}))
        assert {one.metric: one.value for one in read_results(path)} == figures
    assert len(read_results(write(tmp_path / "results.json", json.dumps({"results": many})))) == 28


# ------------------------------------------------------------------------------------------------------ as a user does

GENERATE = "import sys, time\nn = len(sys.stdin.readlines())\ntime.sleep(0.1 * n)\nprint(f'token={7 * n}')\n"
QUICK = (
    "--workload",
    "command",
    "--command",
    "python generate.py",
    "--repeats",
    "2",
    "--min-duration",
    "0",
    "--idle",
    "0",
)


def energy_rating(folder, *arguments):
    machine = FakeNvml(devices=[Device(power="constant:300")])
    (folder / "generate.py").write_text(GENERATE)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        [sys.executable, "-m", "energy_rating", *arguments],
        cwd=folder,
        env=os.environ | machine.environment(folder) | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_a_sweep_on_the_command_line_leaves_a_table_and_a_curve(tmp_path):
    (tmp_path / "items.txt").write_text("one\ntwo\nthree\nfour\n")
    asked = (
        "benchmark",
        "my-model",
        *QUICK,
        "--items",
        "items.txt",
        "--sweep",
        "batch-size=1,4",
        "--output-dir",
        "sweep",
    )
    done = energy_rating(tmp_path, *asked)
    assert done.returncode == 0, done.stderr
    assert "J/request" in done.stdout
    assert {path.name for path in (tmp_path / "sweep").iterdir() if path.is_file()} == {
        *("table.csv", "table.md", "batch_size.png", "batch_size.svg"),
    }
    records = [read_record(path) for path in (tmp_path / "sweep").glob("*/record.json")]
    assert sorted(record.load.batch_size for record in records) == [1, 4]
    for record in records:
        assert record["measured"].work == {"request": 8, "token": 56}
        assert record["measured"].energy_j["gpu"].value > 0
    again = energy_rating(tmp_path, *asked, "--json")
    assert "2 of 2 are done already" in again.stderr
    assert [row["batch size"] for row in json.loads(again.stdout)] == ["1", "4"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--batch", "b.toml"), "a batch needs a folder"),
        (("m", "--batch", "b.toml", "--output-dir", "x"), "names its models and settings itself"),
        (("--batch", "b.toml", "--task", "reasoning", "--output-dir", "x"), "are in its file"),
        (
            ("m", "--sweep", "batch-size=1,0", "--output-dir", "x"),
            "batch size must be a whole number of at least 1",
        ),
        (("m", "--sweep", "colour=1,2", "--output-dir", "x"), "there is no option 'colour'"),
        (
            ("m", "--workload", "command", "--command", "python -c 1/0", "--idle", "0", "--output-dir", "x"),
            "ZeroDivisionError",
        ),
        (
            ("m", "--task", "image-classification", "--items", "generate.py"),
            "needs image, and item 1 has no image",
        ),
        (("missing.gguf",), "Name a GGUF file"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(tmp_path, arguments, says):
    done = energy_rating(tmp_path, "benchmark", *arguments)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    if "ZeroDivisionError" in says:
        record = load(tmp_path / "x")
        assert "workload-failed" in {finding.code for finding in record.findings}
        assert "x" in done.stderr.splitlines()[0], "where what was measured is"


def test_a_batch_that_is_broken_off_leaves_nothing_running(tmp_path):
    (tmp_path / "generate.py").write_text("import time\ntime.sleep(600)\n")
    write(
        tmp_path / "b.toml",
        "[defaults]\nworkload = 'command'\ncommand = 'python generate.py'\nidle = 0\n[[runs]]\nmodel = 'slow'\n",
    )
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    batch = subprocess.Popen(
        [sys.executable, "-m", "energy_rating", "benchmark", "--batch", "b.toml", "--output-dir", "runs"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        stderr=subprocess.DEVNULL,
    )
    try:
        started = wait_for(lambda: [pid for pid in children_in(tmp_path) if pid != batch.pid], 40)
        assert started
        wait_for(lambda: list(tmp_path.glob("runs/*/journal.jsonl")), 30)
        batch.send_signal(signal.SIGINT)
        assert batch.wait(40) == 130
    finally:
        batch.kill()
    assert wait_for(lambda: not children_in(tmp_path), 10)


def children_in(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if path.readlink() == folder:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for(condition, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.1)
    return condition()


TOLD = ("--zone", "FRA", "--region", "europe-west9", "--provider", "gcp", "--role", "evaluation")
ANSWERS = f"{sys.executable} -c \"import sys; [print(line, end='') for line in sys.stdin]\""


def test_what_a_user_says_of_a_benchmark_stands_in_its_record_as_of_any_run(tmp_path):
    quick = ("--budget", "1", "--idle", "0", "--repeats", "1", "--min-duration", "0", "--cooldown", "0")
    mine = ("--workload", "command", "--command", ANSWERS, *quick)
    lineage = ("--base", "org/base", "--relation", "quantized")
    done = energy_rating(tmp_path, "benchmark", "m", *mine, *TOLD, *lineage, "--output-dir", "x")
    assert done.returncode == 0, done.stderr
    record = load(tmp_path / "x")
    assert (record.place.zone, record.place.region, record.place.provider) == ("FRA", "europe-west9", "gcp")
    assert record.role == "evaluation"
    assert (record.lineage.base_model, record.lineage.relation) == ("org/base", "quantized")
    refused = energy_rating(tmp_path, "benchmark", "m", *mine, "--relation", "lora", "--output-dir", "y")
    assert refused.returncode == 1
    assert "Name the base model" in refused.stderr
    assert not (tmp_path / "y").exists()


def test_a_batch_says_it_of_each_of_its_runs(tmp_path):
    (tmp_path / "b.toml").write_text(
        "[defaults]\nworkload = 'command'\ncommand = '''"
        + ANSWERS
        + "'''\nbudget = 1\nidle = 0\nrepeats = 1\n"
        "min-duration = 0\ncooldown = 0\nprovider = 'gcp'\nregion = 'europe-west9'\n"
        "[[runs]]\nmodel = 'a'\nrole = 'evaluation'\n[[runs]]\nmodel = 'b'\nbase = 'org/base'\nrelation = 'lora'\n"
    )
    done = energy_rating(tmp_path, "benchmark", "--batch", "b.toml", "--output-dir", "x")
    assert done.returncode == 0, done.stderr
    told = {one.model.id: one for one in (load(path) for path in (tmp_path / "x").iterdir() if path.is_dir())}
    assert {one.place.provider for one in told.values()} == {"gcp"}
    assert (told["a"].role, told["b"].role) == ("evaluation", None)
    assert told["b"].lineage.relation == "lora"


@pytest.mark.parametrize(
    ("text", "share", "named"),
    [
        ('{"submitted_instances": 20, "resolved_instances": 5, "total_instances": 300}', 0.25, "SWE-bench"),
        ('{"results": [{"task_id": "a", "is_resolved": true}, {"is_resolved": false}]}', 0.5, "Terminal"),
        ('[{"task_id": 1, "reward": 1.0}, {"task_id": 2, "reward": 0.5}]', 0.5, "tau-bench"),
        ('{"task": "a", "solved": true}\n\n{"task": "b", "solved": false}\n', 0.5, "agent's log"),
        ('{"task": "a", "success": true}', 1.0, "agent's log"),
    ],
)
def test_an_agents_log_tells_the_share_of_its_tasks_that_it_solved(tmp_path, text, share, named):
    (found,) = read_results(write(tmp_path / "log.jsonl", text))
    assert (found.metric, found.value) == ("solved", share)
    assert named in found.source


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"solved": true}\n{"task": "b"}\n', "task 2 must say whether it was solved"),
        ('{"solved": "yes"}', "task 1 must say whether it was solved"),
        ('{"submitted_instances": 5, "resolved_instances": 20}', "at most submitted_instances"),
        ('[{"reward": true}]', "task 1 must say"),
    ],
)
def test_a_task_that_does_not_say_whether_it_was_solved_is_no_solved_one(tmp_path, text, told):
    with pytest.raises(BadInput, match=told):
        read_results(write(tmp_path / "log.jsonl", text))
