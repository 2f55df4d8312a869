"""The pages that are made from the code are those of this code, and nothing is left without a word."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import get_args

import click
import pytest

import energy_rating
from energy_rating.benchmarking import workloads
from energy_rating.benchmarking.tasks import load_task, tasks
from energy_rating.cli import cli
from energy_rating.judging import normalisation
from energy_rating.nouns import entries, records

DOCS = Path(__file__).parents[2] / "docs"
_spec = spec_from_file_location("make_reference", DOCS / "make_reference.py")
assert _spec is not None
assert _spec.loader is not None
make_reference = module_from_spec(_spec)
_spec.loader.exec_module(make_reference)

CONTEXT = click.Context(cli)
COMMANDS = {name: cli.get_command(CONTEXT, name) for name in cli.list_commands(CONTEXT)}
OPTIONS = [
    pytest.param(name, option, id=f"{name} {option.opts[0]}")
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]
REMEDY = "run: python docs/make_reference.py"


@pytest.mark.usefixtures("pydantic_of_the_schemas")
@pytest.mark.parametrize("name", make_reference.PAGES)
def test_a_page_that_is_made_is_what_is_made_now(name):
    assert (DOCS / name).read_text(encoding="utf-8") == make_reference.made(name), REMEDY


@pytest.mark.usefixtures("pydantic_of_the_schemas")
def test_the_pages_do_not_depend_on_terminal_language_or_home(tmp_path):
    places = {name: str(tmp_path) for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run(
        [sys.executable, str(DOCS / "make_reference.py"), "--check"],
        env=os.environ | places | {"COLUMNS": "37", "TERM": "dumb", "LC_ALL": "C", "PYTHONUTF8": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_picture_of_the_architecture_is_that_of_todays_imports():
    spec = spec_from_file_location("draw_house", DOCS / "draw_house.py")
    assert spec is not None
    assert spec.loader is not None
    draw_house = module_from_spec(spec)
    spec.loader.exec_module(draw_house)
    assert draw_house.PICTURE.read_text(encoding="utf-8") == draw_house.drawn(), "run: make docs"


# ------------------------------------------------------------------------------------------------------- the command line


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its rank."""
    rank = heading.split(" ")[0]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert f"\n{heading}\n" in text, f"{page} has no {heading!r}; {REMEDY}"
    return re.split(rf"^#{{1,{len(rank)}}} ", text.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.M)[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_stands_on_its_page(name):
    said = inspect.cleandoc(COMMANDS[name].help or "").split("\n")[0]
    assert said
    assert said.split(",")[0].split(" (")[0] in section("cli.md", f"## energy-rating {name}")


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_every_option_says_what_it_does_and_stands_on_its_page(name, option):
    assert (option.help or "").strip().endswith("."), "an option's help is a sentence"
    shown = section("cli.md", f"## energy-rating {name}")
    for spelt in (*option.opts, *option.secondary_opts):
        assert f"`{spelt}" in shown, spelt


# ------------------------------------------------------------------------------------------------------- the public names


@pytest.mark.parametrize("name", energy_rating.__all__)
def test_every_public_name_says_what_it_is_and_stands_on_its_page_with_its_signature(name):
    thing = getattr(energy_rating, name)
    assert inspect.getdoc(thing)
    shown = section("api.md", f"### {name}")
    if inspect.isfunction(thing):
        for parameter in inspect.signature(thing).parameters.values():
            assert re.search(rf"\b{parameter.name}: ", shown), f"{parameter.name}; {REMEDY}"
    if inspect.isclass(thing) and not issubclass(thing, BaseException):
        for member, value in make_reference.interface.members(thing):
            assert f"#### {name}.{member}" in shown, f"{member}; {REMEDY}"
            assert inspect.getdoc(value), f"{name}.{member} does not say what it is"


@pytest.mark.parametrize(
    "name", [name for name in energy_rating.__all__ if inspect.isfunction(getattr(energy_rating, name))]
)
def test_every_argument_of_a_public_function_is_told(name):
    thing = getattr(energy_rating, name)
    told = inspect.getdoc(thing) or ""
    for parameter in inspect.signature(thing).parameters:
        listed = re.search(rf"^ *{parameter}: |``{parameter}``", told, re.M)
        assert listed, f"{name} does not say what {parameter!r} is"


# ----------------------------------------------------------------------------------------------- variables and guideline


def test_every_variable_of_a_record_a_condition_and_a_rating_is_told():
    """Nor is one told that there is not, or by halves. What each is stands in docs/reference/variables.toml."""
    assert make_reference.variables.missing() == []


def test_a_new_key_of_the_schema_is_missed(monkeypatch):
    schema = make_reference.variables.record_schema()
    schema["properties"]["water_l"] = {"type": "number"}
    monkeypatch.setattr(make_reference.variables, "record_schema", lambda: schema)
    assert make_reference.variables.missing() == ["Record.water_l"]


def test_every_unit_of_work_that_a_task_or_a_workload_names_is_told():
    told = set(make_reference.variables.said()["Unit"])
    named = set(re.findall(r"``([a-z]+(?:_[a-z]+)?)`` \(|, ``([a-z_]+)``", workloads.__doc__ or ""))
    units = {one for pair in named for one in pair if one} & {*told, "request", "token"}
    assert {"request", "token", "input_token"} <= units <= told
    assert {load_task(name).unit for name in tasks()} <= told


def test_every_task_protocol_and_stage_has_its_guideline():
    """What is said of each stands in docs/reference/guideline.toml."""
    assert make_reference.guideline.missing() == []


def test_a_new_task_without_a_guideline_is_missed(monkeypatch):
    monkeypatch.setattr(make_reference.guideline, "tasks", lambda: (*tasks(), "translation"))
    monkeypatch.setattr(
        make_reference.guideline,
        "load_task",
        lambda name: load_task("text-generation" if name == "translation" else name),
    )
    assert make_reference.guideline.missing() == ["tasks.translation"]


# ------------------------------------------------------------------------------------------------------------- the words


def test_the_glossary_tells_every_word_of_the_closed_sets_that_people_are_shown():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    words = [
        *get_args(records.Basis),
        *get_args(records.Status),
        *get_args(records.Validity),
        *get_args(entries.Severity),
        *get_args(entries.Method),
        *get_args(entries.Component),
        *get_args(entries.Stage),
        *get_args(entries.Origin),
        *get_args(normalisation.Tier),
    ]
    missing = [word for word in words if f"`{word}`" not in text and f"*{word}*" not in text]
    assert not missing, f"docs/glossary.md does not tell {missing}"


def test_the_glossary_is_in_order_and_tells_each_word_once():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    terms = re.findall(r"^\*\*([^*]+)\*\*", text, re.M)
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.casefold)
    assert len(set(map(str.casefold, terms))) == len(terms)
