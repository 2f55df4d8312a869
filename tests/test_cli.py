"""The command line: right input is done, wrong input gets one line with place and remedy, exit code 1."""

from __future__ import annotations

import csv
import io
import json

import pytest
from virtual import FakeDevice, VirtualClock, constant

from energy_rating import measure
from energy_rating.cli import main


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


@pytest.fixture
def run_cli(capsys):
    def call(*arguments):
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


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


def test_export_csv_has_a_row_for_each_measurement(run_cli, folder, tmp_path):
    code, out, _ = run_cli("export", folder, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["measurement"] for row in rows] == ["run", "request"]
    assert run_cli("export", folder / "record.json", "--format", "csv", "-o", tmp_path / "out.csv")[0] == 0
    assert (tmp_path / "out.csv").read_text() == out


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
        (("export", "{tmp}", "--format", "csv"), "there is no such file"),
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
            "is not of the form unit=number",
        ),
        (("measure", "--output-dir", "{tmp}/c", "--count", "token=many", "--", "true"), "is not a number"),
        (("measure", "--output-dir", "{tmp}/c", "--count", "token=-1", "--", "true"), "at least 0"),
        (("measure", "--output-dir", "{tmp}/c", "--count", "a b=1", "--", "true"), "is not a unit"),
        (("measure", "--output-dir", "{tmp}/c", "--count", "token=nan", "--", "true"), "at least 0"),
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


def test_a_name_cannot_steer_the_terminal(run_cli, folder, tmp_path):
    text = (folder / "record.json").read_text().replace("org/name", "\\u001b[31mred\\u202e")
    (tmp_path / "record.json").write_text(text)
    (tmp_path / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes())
    code, out, err = run_cli("export", tmp_path / "record.json", "--format", "csv", "-o", tmp_path / "x.csv")
    assert code == 0
    assert "\x1b" not in out + err


def test_help_names_the_first_steps(run_cli):
    code, out, _ = run_cli("--help")
    assert code == 0
    assert "energy-rating sensors" in out
