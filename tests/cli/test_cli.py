"""The command line: right input is done, wrong input gets one line with place and remedy, exit code 1."""

from __future__ import annotations

import ast
import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from forked import energy_rating
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure

REPORTS = Path(__file__).parents[2] / "reports"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    where = tmp_path_factory.mktemp("run")
    with measure(
        "inference", model="org/name", output_dir=where, sensors=[gpu], clock=clock, report=None
    ) as run:
        clock.sleep(3)
        with run.window("request") as window:
            clock.sleep(1)
            window.count(token=20)
    return where


def test_summarise_shows_every_window_in_80_columns(run_cli, folder):
    code, out, _ = run_cli("summarise", folder)
    assert code == 0
    assert "request" in out
    assert "15.0 J/token" in out
    assert all(len(line) <= 80 or line.startswith("Record: ") for line in out.splitlines())


def test_summarise_prints_the_record_for_programs(run_cli, folder):
    code, out, _ = run_cli("summarise", folder / "journal.jsonl", "--json")
    assert code == 0
    assert out == (folder / "record.json").read_text()


def test_export_csv_has_a_row_for_each_run_and_with_windows_for_each_measurement(run_cli, folder, tmp_path):
    code, out, _ = run_cli("export", folder, "--format", "csv", "--windows")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["measurement"] for row in rows] == ["run", "request"]
    other = tmp_path / "other.json"
    other.write_text(
        json.dumps(json.loads((folder / "record.json").read_text()) | {"run_id": "20261130T120000Z-beef"})
    )
    code, out, _ = run_cli("export", folder, other, "--format", "csv")
    assert [row["measurement"] for row in csv.DictReader(io.StringIO(out))] == ["run", "run"]
    bare = "".join(run_cli("export", one, "--format", "csv", "--no-header")[1] for one in (folder, other))
    assert out == out.splitlines()[0] + "\n" + bare
    code, out, _ = run_cli("export", folder, "--format", "csv")
    assert run_cli("export", folder / "record.json", "--format", "csv", "-o", tmp_path / "out.csv")[0] == 0
    assert (tmp_path / "out.csv").read_text() == out


def test_export_csv_has_no_run_twice(run_cli, folder, tmp_path):
    code, out, err = run_cli(
        "export", folder, folder / "record.json", "--format", "csv", "-o", tmp_path / "out.csv"
    )
    assert (code, out) == (1, "")
    assert "is there twice. Name each run once" in err
    assert not (tmp_path / "out.csv").exists()


def test_trace_draws_a_picture(run_cli, folder, tmp_path):
    code, _, _ = run_cli("trace", folder, "-o", tmp_path / "trace.png")
    assert code == 0
    assert (tmp_path / "trace.png").read_bytes().startswith(b"\x89PNG")


def test_sensors_lists_something_or_says_that_there_is_nothing(run_cli):
    code, out, _ = run_cli("sensors", "--json")
    assert code == 0
    found = json.loads(out)
    assert set(found) == {"channels", "devices", "unavailable", "findings"}
    assert run_cli("sensors")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("summarise", "{tmp}/missing.jsonl"), "there is no such file"),
        (("summarise", "{tmp}"), "holds no journal"),
        (("summarise", "{folder}/record.json"), "line 1"),
        (("summarise", "{tmp}/broken.jsonl"), "no checksum"),
        (("export", "{folder}/journal.jsonl", "--format", "csv"), "not JSON"),
        (("export", "{tmp}", "--format", "csv"), "holds neither a record nor a journal"),
        (("export", "{tmp}/no-such-run", "--format", "csv"), "there is no such file"),
        (("card", "{tmp}", "{folder}"), "README.md"),
        (("card", "{folder}"), "Name the card first"),
        (("impact", "{folder}", "--zone", "USA-QQ"), "did you mean USA (United States)?"),
        (("profiles", "h100"), "The nearest are: nvidia-h100"),
        (("profiles", "qqqq"), "See all with: energy-rating profiles"),
        (
            ("export", "{tmp}/misspelt.json", "--format", "csv"),
            "'stagge' is not a known key; did you mean 'stage'",
        ),
        (("trace", "{folder}", "-o", "{tmp}/no/such/folder.png"), "cannot be written"),
        (("trace", "{folder}", "-o", "{tmp}"), "cannot be written"),
        (("measure", "--output-dir", "{tmp}/broken.jsonl", "--", "true"), "is a file, not a folder"),
        (("measure", "--output-dir", "{tmp}/a", "--", "no-such-program-here"), "there is no such program"),
        (("measure", "--output-dir", "{tmp}/b", "--", "{tmp}"), "may not be executed"),
        (
            ("measure", "--output-dir", "{tmp}/c", "--count", "token", "--", "true"),
            "must be of the form unit=number; got 'token'",
        ),
        (
            ("measure", "--output-dir", "{tmp}/c", "--count", "token=many", "--", "true"),
            "token must be a number; got 'many'",
        ),
        (
            ("measure", "--output-dir", "{tmp}/c", "--count", "token=-1", "--", "true"),
            "token must be 0, or a number",
        ),
        (
            ("measure", "--output-dir", "{tmp}/c", "--count", "a b=1", "--", "true"),
            "a unit must be a word such as token",
        ),
        (
            ("measure", "--output-dir", "{tmp}/c", "--count", "token=nan", "--", "true"),
            "token must be 0, or a number",
        ),
    ],
)
def test_wrong_input_gets_one_line_and_exit_code_1(run_cli, folder, tmp_path, arguments, says):
    (tmp_path / "broken.jsonl").write_text("this is no journal\n")
    (tmp_path / "misspelt.json").write_text(
        (folder / "record.json").read_text().replace('"stage"', '"stagge"')
    )
    code, out, err = run_cli(*(argument.format(tmp=tmp_path, folder=folder) for argument in arguments))
    lines = [line for line in err.splitlines() if line.startswith("energy-rating: error:")]
    assert code == 1, err
    assert out == ""
    assert len(lines) == 1
    assert says in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("measure",),
        ("measure", "--stage", "x", "--", "true"),
        ("export", "x", "--format", "pdf"),
        ("no-such-command",),
        ("measure", "--period", "0", "--", "true"),
    ],
)
def test_wrong_usage_is_exit_code_2(run_cli, arguments):
    assert run_cli(*arguments)[0] == 2


@pytest.mark.parametrize("command", ["rate", "summarise", "verify", "trace"])
def test_a_folder_that_only_holds_runs_names_them(run_cli, folder, tmp_path, command):
    for name in ("first", "second", "third", "fourth"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes())
    code, _, err = run_cli(command, tmp_path)
    assert code == 1
    assert f"Name one of the runs in it: {tmp_path / 'first'}, " in err
    assert "(and 1 more)" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("rat", "x"), "there is no command 'rat'. Did you mean: rate"),
        (("summarize", "x"), "Did you mean: summarise"),
        (("zzz",), "See all with: energy-rating --help"),
        (("export", "x", "--format", "pdf"), "spdx or xlsx; got 'pdf'"),
        (("rate", "x", "--schem", "1"), "--scheme"),
    ],
)
def test_a_slip_gets_the_name_that_was_meant(run_cli, arguments, says):
    code, _, err = run_cli(*arguments)
    assert code == 2
    assert says in err


def test_the_list_of_schemes_fits_a_terminal(run_cli):
    code, out, _ = run_cli("schemes")
    assert code == 0
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "firm" not in out
    assert "n=24\n" in out
    assert "n=8, few\n" in out


def test_a_name_cannot_steer_the_terminal(run_cli, folder, tmp_path):
    text = (folder / "record.json").read_text().replace("org/name", "\\u001b[31mred\\u202e")
    (tmp_path / "record.json").write_text(text)
    code, out, err = run_cli("export", tmp_path / "record.json", "--format", "csv", "-o", tmp_path / "x.csv")
    assert code == 0
    assert "\x1b" not in out + err
    (tmp_path / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes())
    code, out, err = run_cli("export", tmp_path / "record.json", "--format", "csv", "-o", tmp_path / "x.csv")
    assert code == 1
    assert "does not follow from journal.jsonl" in err
    assert "\x1b" not in out + err, "not even where it is quoted"


def test_help_names_the_first_steps(run_cli):
    code, out, _ = run_cli("--help")
    assert code == 0
    assert "energy-rating sensors" in out


def test_columns_never_run_into_each_other(run_cli, tmp_path):
    clock = VirtualClock()
    power, energy = constant(300)
    gpu = FakeDevice(clock=clock, power=power, energy=energy)
    with measure("inference", output_dir=tmp_path / "run", sensors=[gpu], clock=clock, report=None) as run:
        with run.window("a-name-that-is-longer-than-its-column") as window:
            clock.sleep(10.000118)
            window.count(input_token=90, a_unit_with_a_very_long_name_that_fills_a_line=2)
        for _ in range(120):
            with run.window("short"):
                clock.sleep(0.0005)
        clock.sleep(4000)
    code, out, _ = run_cli("summarise", tmp_path / "run" / "journal.jsonl")
    assert code == 0
    assert "1 h 6 min  gpu" in out
    (line,) = (line for line in out.splitlines() if line.startswith("a-name"))
    assert line.split()[1:4] == ["1", "10.0", "s"]
    assert " 60.0 ms " in out
    assert "input_token" not in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_widest_table_fits_a_terminal():
    """Every column as wide as it can be: what does not fit stands below, with its name."""
    from energy_rating import load
    from energy_rating.nouns.quantities import Estimate
    from energy_rating.publishing.terminal import records

    record = load(REPORTS / "example-gpu")
    wide = replace(
        record["measured"],
        name="a-name-that-is-longer-than-its-column",
        n=1_234_567,
        duration_s=400_000 * 3600.0,
        energy_j={"module": Estimate(value=1.234e9, systematic=1.2e8)},
        energy_by_channel_j={},
        coverage={},
        methods={"module": "model"},
        doubt_from={"module": "part-time sampling"},
        validity="degraded",
    )
    told = records.record(replace(record, measurements=(record["run"], wide)))
    assert all(len(line) <= 80 for line in told.splitlines()), told
    for part in (
        "mostly from part-time sampling",
        "mostly from sensor gain",
        "1234567",
        "(degraded)",
        "kJ/request",
    ):
        assert part in told, told


def test_a_run_is_told_in_one_line_by_what_counts_and_never_by_its_warm_up():
    from energy_rating import load
    from energy_rating.publishing.facts import headline, one_line

    record = load(REPORTS / "example-gpu")
    assert headline(record).name == "measured"
    assert "20.4 ± 1.6 J/request (gpu, in 'measured')" in one_line(record)
    assert "20.6" not in one_line(record)
    assert "input_token" not in one_line(record)


def test_an_invalid_trainings_emissions_are_refused_in_one_line(run_cli, folder, tmp_path):
    entry = json.loads((folder / "record.json").read_text())
    entry["stage"] = "pre-training"
    (tmp_path / "README.md").write_text("# Hi\n")
    (tmp_path / "good.json").write_text(json.dumps(entry))
    assert run_cli("card", tmp_path / "README.md", tmp_path / "good.json", "--zone", "FRA")[0] == 0
    put = (tmp_path / "README.md").read_text()
    assert "g CO2e (GPU only; France, " in put
    entry["findings"].append({"code": "x", "message": "y", "severity": "disqualifies", "measurement": "run"})
    entry["measurements"][0]["validity"] = "invalid"
    (tmp_path / "bad.json").write_text(json.dumps(entry))
    code, _, err = run_cli("card", tmp_path / "README.md", tmp_path / "bad.json", "--zone", "FRA")
    assert code == 1
    assert "is invalid, and its emissions are not written" in err
    assert len(err.splitlines()) == 1
    assert (tmp_path / "README.md").read_text() == put
    code, out, _ = run_cli("impact", tmp_path / "bad.json", "--zone", "FRA")
    assert code == 0
    assert "is invalid" in " ".join(out.split())


@pytest.mark.parametrize(
    "error", [OverflowError("too large\nto print"), ZeroDivisionError(), ValueError("\x1b[31m")]
)
def test_an_error_that_nobody_thought_of_is_one_line_and_exit_code_1(run_cli, folder, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("energy_rating.judging.footprint.carbon.footprint", fail)
    code, out, err = run_cli("impact", folder, "--zone", "FRA")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert f"unexpected {type(error).__name__}" in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("profiles", "nvidia-l4-24gb"),
            (
                "300.1 GB/s [epoch]",
                "power limit       72 W [nvidia-bioir]",
                "not known         FP4, highest clock, idle",
                "https://github.com/NVIDIA/TensorRT-LLM/",
            ),
        ),
        (
            ("schemes", "2026.0-draft"),
            (
                "30 J per request",
                "AI Energy Score leaderboard, February 2025",
                "Not rated",
                "4 stars up to 0.707",
            ),
        ),
        (("tasks", "text-generation"), ("aes-2025-02", "batch size        1", "questions.jsonl")),
    ],
)
def test_one_entry_is_shown_in_full(run_cli, arguments, says):
    code, out, _ = run_cli(*arguments)
    assert code == 0
    assert all(part in out for part in says), out
    assert all(len(line) <= 80 or "http" in line for line in out.splitlines())
    code, out, _ = run_cli(*arguments, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize(
    ("command", "says"),
    [("profiles", "nvidia-l4"), ("schemes", "2026.0-draft"), ("tasks", "text-generation")],
)
def test_an_entry_that_is_not_there_is_one_line_with_help(run_cli, command, says):
    code, out, err = run_cli(command, "nvidia-l4-text-generation")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert says in err


def test_a_tiny_index_is_never_said_to_need_no_energy():
    from energy_rating.nouns.quantities import Estimate
    from energy_rating.nouns.records import Rating
    from energy_rating.publishing.terminal import ratings

    told = ratings.rating(
        Rating(
            stars=5,
            could_be=(5, 5),
            index=Estimate(value=1e-5, random=1e-7),
            energy_per_unit_j=Estimate(value=0.0003, random=3e-6),
            unit="request",
            basis="measured",
            status="firm",
            scheme="2026.1",
            class_=None,
            protocol="p",
        )
    )
    assert "over 99 % less energy" in told
    assert "100 %" not in told


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_told_on_a_terminal_and_nowhere_else(monkeypatch, terminal):
    from energy_rating.cli import output

    told = io.StringIO()
    told.isatty = lambda: terminal
    monkeypatch.setattr("sys.stderr", told)
    assert (output.progress_line() is not None) == terminal


COMMANDS = {
    "sensors": ("sensors",),
    "sensors as JSON": ("sensors", "--json"),
    "summarise": ("summarise", "RUN"),
    "summarise as JSON": ("summarise", "RUN/journal.jsonl", "--json"),
    "rate": ("rate", "RUN"),
    "compare": ("compare", "RUN", "RUN"),
    "export": ("export", "RUN", "--format", "csv"),
    "trace": ("trace", "RUN", "-o", "trace.png"),
    "profiles": ("profiles",),
    "schemes": ("schemes",),
    "tasks": ("tasks",),
    "help": ("--help",),
}


@pytest.mark.parametrize("output", ["full", "closed"])
@pytest.mark.parametrize("command", COMMANDS)
def test_where_nothing_can_be_printed_one_line_says_so(folder, tmp_path, command, output):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no file that is always full")
    if (command, output) == ("help", "closed"):
        pytest.skip("click says nothing there")
    words = [word.replace("RUN", str(folder)) for word in COMMANDS[command]]
    if output == "full":
        with Path("/dev/full").open("w") as full:
            done = energy_rating(*words, cwd=tmp_path, stdout=full.fileno())
    else:  # what Python does without the descriptor, it does as it starts
        done = subprocess.run(
            ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "energy_rating", *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1, done.stderr
    assert "error:" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.parametrize("code", [0, 7])
def test_a_record_that_cannot_be_printed_leaves_the_code_of_a_command_that_failed(tmp_path, code):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no file that is always full")
    command = ("sh", "-c", f"exit {code}")
    with Path("/dev/full").open("w") as full:
        done = energy_rating(
            "measure", "--json", "--output-dir", tmp_path / "run", "--", *command, stdout=full.fileno()
        )
    assert done.returncode == (code or 1)
    assert "Traceback" not in done.stderr
    assert "standard output" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_a_full_disk_is_told_to_be_that_of_standard_output(option):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "energy_rating", option], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert "standard output cannot be written to" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_loads_no_more_than_words():
    """Of each command only the file is read: what it needs to work with is loaded when it works."""
    script = (
        "import sys\n"
        "from energy_rating.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('energy_rating.')\n"
        "       and name.split('.')[1] not in ('cli', 'version')], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stderr)) <= {
        *(
            "energy_rating.nouns",
            "energy_rating.nouns.choices",
            "energy_rating.nouns.errors",
            "energy_rating.nouns.notebooks",
        ),
        *(
            "energy_rating.benchmarking",
            "energy_rating.benchmarking.options",
            "energy_rating.benchmarking.settings",
        ),
        *("energy_rating.publishing", "energy_rating.publishing.exports"),
        *("energy_rating.publishing.terminal", "energy_rating.publishing.terminal.layout"),
    }
