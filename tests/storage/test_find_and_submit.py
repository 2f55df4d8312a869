"""What was measured already is found before it is measured again, and what is given to a collection is verified by whoever takes it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from many_runs import a_record, inference, measured, written

from energy_rating.files.record import load
from energy_rating.judging.rating import rate
from energy_rating.publishing import submission
from energy_rating.publishing.found import nearness
from energy_rating.publishing.verification import verify

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def found(run_cli, *arguments):
    code, out, err = run_cli("find", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


# ---------------------------------------------------------------------------------------------------------------- find


@pytest.mark.parametrize("asked", ["org/model-7b", "ORG/Model-7B", "model-7b", "model 7b", "mod"])
def test_a_model_is_found_by_its_id_its_name_or_words_of_it(runs, run_cli, asked):
    written(runs, inference(1, 20.0))
    written(runs, inference(2, 20.0, model="org/another"))
    assert [one["model"] for one in found(run_cli, asked, runs)["runs"]] == ["org/model-7b"]


def test_what_is_asked_for_is_no_language_of_searches(runs, run_cli):
    written(runs, inference(1, 20.0, model='a"b OR c'))
    for asked in (
        '"',
        "a OR *",
        "NEAR(a b)",
        "model:x",
        "'; DROP TABLE runs; --",
        "a*",
        "^",
        "-",
        "%",
        "a\x00b",
    ):
        assert run_cli("find", asked, runs)[0] == 0, asked
    assert found(run_cli, 'a"b OR c', runs)["runs"]


def test_only_what_is_asked_for_is_told(runs, run_cli):
    written(runs, inference(1, 20.0, at_s=0.0))
    written(runs, inference(2, 20.0, at_s=1e7, task="summarization"))
    for asked, numbers in (
        ((), {1, 2}),
        (("--task", "summarization"), {2}),
        (("--since", "2027"), {2}),
        (("--since", "2028"), set()),
        (("--since", "2026-12"), {2}),
        (("--protocol", "aes-2025-02"), {1, 2}),
        (("--protocol", "another"), set()),
    ):
        told = found(run_cli, "model-7b", runs, *asked)["runs"]
        assert {int(one["run_id"][-4:], 16) for one in told} == numbers, asked
    assert "must be a day" in run_cli("find", "x", "--since", "yesterday")[2]


def test_the_nearest_hardware_stands_first(runs, run_cli):
    names = [
        "AMD Instinct MI300X",
        "NVIDIA A100-SXM4-80GB",
        "NVIDIA H200",
        "NVIDIA H100 80GB HBM3",
        "a card that nobody knows",
    ]
    for number, name in enumerate(names):
        written(runs, inference(number, 20.0, hardware=name))
    told = [one["hardware"] for one in found(run_cli, "model-7b", runs, "--hardware", "H100")["runs"]]
    assert told == list(reversed(names[:4])) + names[4:]
    near = nearness("nvidia-h100-sxm-80gb")
    assert near("NVIDIA H100 80GB HBM3") < near("NVIDIA H200") < near("NVIDIA A100-SXM4-80GB")


def test_why_it_is_not_rated_is_told(runs, run_cli):
    written(runs, inference(1, 20.0))
    shutil.copytree(EXAMPLE, runs / "example")
    _, out, _ = run_cli("find", "model-7b", runs)
    assert "not rated, because" in out
    assert "1 repeat was measured; 5 are needed" in out
    _, out, _ = run_cli("find", "example-model", runs)
    rating = rate(load(EXAMPLE))
    low, high = rating.could_be
    assert f"{'★' * rating.stars} (scheme {rating.scheme}" in out
    assert f"could be {low}–{high}, indicative)" in out


def test_figures_of_others_are_marked_so_and_have_no_stars(run_cli):
    _, out, _ = run_cli("find", "meta-llama/Llama-3.1-8B-Instruct", "--hardware", "H100")
    assert "published by others, not verified here; no stars of ours" in out
    assert "★" not in out
    told = found(run_cli, "meta-llama/Llama-3.1-8B-Instruct")
    assert told["runs"] == []
    assert len(told["published"]) > 10


def test_what_nobody_measured_is_said_to_be_that(run_cli):
    code, out, _ = run_cli("find", "org/no-such-model-at-all")
    assert (code, "nobody has measured it, as far as this machine knows" in out) == (0, True)


def test_runs_of_the_state_folder_and_of_earlier_collections_are_known_without_being_named(
    runs, run_cli, state
):
    measured(state / "energy-rating" / "20261130T120000Z-aaaa", model="org/mine")
    written(runs, inference(1, 20.0, model="org/collected"))
    run_cli("collect", runs)
    assert len(found(run_cli, "org/mine")["runs"]) == 1
    assert len(found(run_cli, "org/collected")["runs"]) == 1


def test_a_run_in_two_collections_is_told_once(runs, run_cli, tmp_path):
    written(runs, inference(1, 20.0))
    shutil.copytree(runs, tmp_path / "copy")
    run_cli("collect", runs)
    run_cli("collect", tmp_path / "copy")
    assert len(found(run_cli, "model-7b")["runs"]) == 1


def test_a_benchmark_says_before_it_starts_what_was_measured_already(runs, run_cli, tmp_path):
    written(runs, inference(1, 20.0, model="acme/chat"))
    run_cli("collect", runs)
    _, _, err = run_cli(
        *("benchmark", "acme/chat", "--task", "text-generation", "--workload", "command"),
        *("--command", "no-such-program", "--output-dir", tmp_path / "run"),
    )
    assert "measured already: 1 run of this model and task" in err
    assert "energy-rating find acme/chat" in err


# -------------------------------------------------------------------------------------------------------------- submit


def test_a_contribution_holds_what_anybody_can_verify_and_says_what_becomes_public(run_cli, tmp_path):
    code, out, err = run_cli("submit", EXAMPLE, "-o", tmp_path / "given")
    assert code == 0, err
    (folder,) = (tmp_path / "given" / "reports").iterdir()
    found_ = verify(folder, strict=True)
    assert found_.agrees
    assert {path.name for path in folder.iterdir()} == {
        *("journal.jsonl.gz", "record.json", "rating.json", "label.svg", "label.png", "card.md", "trace.png")
    }
    text = (tmp_path / "given" / "PULL_REQUEST.md").read_text()
    for path in folder.iterdir():
        assert f"reports/{folder.name}/{path.name}" in text
    rating = rate(load(EXAMPLE))
    low, high = rating.could_be
    assert f"{rating.stars} of 5 stars under scheme {rating.scheme}, could be {low} to {high}" in text
    assert "Add example/example-model" in out
    assert str(tmp_path) not in text


def test_what_would_not_be_taken_is_not_prepared(run_cli, tmp_path):
    forged = tmp_path / "forged"
    shutil.copytree(EXAMPLE, forged)
    path = forged / "record.json"
    path.write_text(
        path.read_text().replace("20357.2007", "10357.2007").replace('"items": 1000', '"items": 2000')
    )
    alone = written(tmp_path, a_record(1), "alone")
    imported = written(tmp_path, replace(a_record(1), origin="imported"), "imported")
    for run in (forged, alone, imported, tmp_path / "none"):
        code, _, err = run_cli("submit", run, "-o", tmp_path / "given")
        assert (code, err.count("\n")) == (1, 1), run
        assert not (tmp_path / "given" / "PULL_REQUEST.md").exists()


def test_nothing_that_lies_there_is_written_over(run_cli, tmp_path):
    assert run_cli("submit", EXAMPLE, "-o", tmp_path / "given")[0] == 0
    code, _, err = run_cli("submit", EXAMPLE, "-o", tmp_path / "given")
    assert (code, "there is something already" in err) == (1, True)


def test_a_name_of_a_stranger_is_no_path_and_no_markdown(tmp_path, run_cli):
    run = measured(tmp_path / "run", model="../../etc/<img src=x>`|[a](http://b)")
    code, _, err = run_cli("submit", run, "-o", tmp_path / "given")
    assert code == 0, err
    (folder,) = (tmp_path / "given" / "reports").iterdir()
    assert folder.name.startswith("etc-img-src-x-a-http-b")
    assert "<img" not in (tmp_path / "given" / "PULL_REQUEST.md").read_text()
    for name in ("../up", "/etc", "a b", "", "-x", "a/../b"):
        assert run_cli("submit", run, "-o", tmp_path / "other", "--collection", name)[0] == 1, name


def git(folder: Path, *words: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    named = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *named, *words], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_workflow_takes_what_matches_and_refuses_what_does_not(tmp_path, run_cli):
    """Its own steps, run by a shell as the service runs them, on pull requests that add a run and that forge one."""
    text = submission.workflow("reports")
    flow = yaml.safe_load(text)
    assert flow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in text
    steps = flow["jobs"]["verify"]["steps"]
    script = next(step["run"] for step in steps if step.get("if") == "github.event_name == 'pull_request'")
    home = tmp_path / "repository"
    shutil.copytree(EXAMPLE, home / "reports" / "first")
    git(tmp_path, "init", "-q", str(home))
    git(home, "add", ".")
    git(home, "commit", "-qm", "first")
    base = git(home, "rev-parse", "HEAD")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = shlex.join([sys.executable, "-m", "energy_rating"])
    (programs / "energy-rating").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (programs / "energy-rating").chmod(0o755)
    environment = {**os.environ, "BASE": base, "PATH": f"{programs}:{os.environ['PATH']}"}

    def contributed(change) -> int:
        git(home, "checkout", "-qf", base)
        git(home, "clean", "-fdxq")
        change()
        git(home, "add", "-A")
        git(home, "commit", "-qm", "a change")
        return subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script], cwd=home, env=environment, capture_output=True
        ).returncode

    def adds():
        measured(home / "reports" / "second\nrun; touch x")

    def forges():
        record = home / "reports" / "first" / "record.json"
        record.write_text(record.read_text().replace('"items": 1000', '"items": 2000'))

    def removes_what_is_not_its():
        (home / "README.md").write_text("a word\n")

    assert contributed(adds) == 0
    assert contributed(forges) != 0
    assert contributed(removes_what_is_not_its) == 0
    assert not (home / "x").exists()


@pytest.mark.parametrize(
    ("model", "is_told"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", True),
        ("Llama-3.1-8B-Instruct", True),
        ("Llama-3.1", False),
        ("m", False),
    ],
)
def test_a_benchmark_is_told_of_this_very_model_alone(model, is_told):
    from energy_rating.publishing.found import before_a_benchmark
    from energy_rating.storage.search import Wanted, find

    found = find(Wanted(model=model), ())
    told = [before_a_benchmark(found, model, task) for task in {one.task for one in found.published}]
    assert any(told) is is_told
