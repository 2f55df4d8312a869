"""A pull request is told what it changes, with table and plot; names of strangers are text, and no command line holds any."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from test_card import as_html, measurement, record

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.records import Device, Environment, Model, Task
from energy_rating.publishing.comment import MARKER, comment

WORKFLOWS = Path(__file__).parents[2] / "examples" / "github"


def drew(joules, run_id="now", **changes):
    energy = Estimate(value=joules, random=joules / 1000, systematic=joules / 50)
    measured = measurement(
        "measured",
        energy_by_channel_j={"gpu0.energy": energy},
        energy_j={"gpu": energy},
        coverage={"gpu": 1.0},
        methods={"gpu": "counter"},
    )
    fields = {
        "run_id": run_id,
        "measurements": (replace(measured, name="run"), measured),
        "findings": (),
        **changes,
    }
    return record(**fields)


def chart(text):
    """What Mermaid reads: title, names of the bars, top, values."""
    inside = re.search(r"```mermaid\nxychart-beta\n(.*?)\n```", text, re.S)[1]
    title, names, top, bars = (line.strip() for line in inside.splitlines())
    assert re.fullmatch(r'title "[A-Za-z0-9 ,=]+"', title)
    assert re.fullmatch(r'x-axis \["[0-9a-z ]+"(, "[0-9a-z ]+")*\]', names)
    return (
        title,
        json.loads(names.removeprefix("x-axis ")),
        float(top.split(" --> ")[1]),
        json.loads(bars[4:]),
    )


def test_a_change_that_needs_more_says_so_first():
    text = comment([drew(13000)], [drew(10000, "before")])
    assert text.startswith(
        f"{MARKER}\n\n### Energy of this change\n\n**This change needs 30 % more energy (95 % interval: 24 to 36 % more).**"
    )
    row = [["".join(cell.itertext()) for cell in row] for row in as_html(text).find("table/tbody")]
    assert row == [
        [
            *("1", "org/name, inference, text-generation", "10.00 ± 0.39 J per request, GPU"),
            *(
                "13.00 ± 0.51 J per request, GPU",
                "30 % more energy (95 % interval: 24 to 36 % more)",
                "more energy",
            ),
        ]
    ]
    assert chart(text) == (
        'title "Energy for the same work, before = 100"',
        ["1 before", "1 now"],
        150.0,
        [100, 130],
    )
    assert "ab" * 32 in text


def test_a_change_within_the_doubt_is_none():
    text = comment([drew(10010)], [drew(10000, "before")])
    assert "**No clear difference: it is smaller than the uncertainty.**" in text


def test_several_are_counted_and_what_cannot_be_compared_says_why():
    other = drew(1, task=Task(name="image-classification", unit="image"))
    text = comment(
        [drew(9000), drew(12000, "x"), other], [drew(10000, "b"), drew(10000, "c"), drew(10000, "d")]
    )
    assert "**Of 3 runs 1 need more energy, 1 need less, and of 1 nothing can be said.**" in text
    assert "cannot be compared: " in text
    assert chart(text)[1:] == (["1 before", "1 now", "2 before", "2 now"], 140.0, [100, 90, 100, 120])
    assert len(as_html(text).findall("details")) == 2


def test_without_anything_before_the_figures_are_told_and_drawn():
    text = comment([drew(10000), drew(12000, "x")])
    assert chart(text) == ('title "Energy of the GPU, J per request"', ["1", "2"], 14.0, [10, 12])
    assert len(as_html(text).find("table/tbody")) == 2
    assert "mermaid" not in comment([drew(1)])


@pytest.mark.parametrize(
    "bad",
    [
        "]\n```\n<script>alert(1)</script>",
        "@everyone #1 GH-2 o/r#3 [a](https://e.example)",
        "</summary>|`x`|**y**",
        MARKER,
    ],
)
def test_names_of_strangers_are_text(bad):
    hostile = {
        "model": Model(id=bad),
        "task": Task(name=bad, unit="request"),
        "role": " ".join(bad.split()),
        "environment": Environment(devices=(Device(id="GPU-1", name=bad),), software={"torch": bad}),
    }
    text = comment(
        [drew(9000, bad[:60], **hostile)], [drew(10000, "b", **{**hostile, "environment": Environment()})]
    )
    assert text.count(MARKER) == 1
    tree = as_html(text)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("a"))
    assert len(tree.findall("details")) == 1
    assert {len(row) for row in tree.find("table/tbody")} == {6}
    assert chart(text)[3] == [100, 90]
    rendered = "".join(tree.itertext())
    assert not re.search(
        r"@\w|#\d|gh-\d", rendered, re.IGNORECASE
    )  # nobody is called, no other thread is told of


def test_as_many_before_as_now():
    with pytest.raises(BadInput, match="1 records before for 2 now"):
        comment([drew(1), drew(2)], [drew(1)])


# ---------------------------------------------------------------------------------------------------------- the workflow


def steps(name):
    (job,) = yaml.safe_load((WORKFLOWS / name).read_text())["jobs"].values()
    return job["steps"]


def test_what_strangers_choose_stands_in_no_command_line():
    for path in WORKFLOWS.glob("*.yml"):
        workflow = yaml.safe_load(path.read_text())
        for job in workflow["jobs"].values():
            assert "permissions" not in job
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), path
                for value in step.get("env", {}).values():
                    assert not re.search(r"title|body|head\.ref|label|login|head_branch|display_title", value)
        # Who runs the pull request's code may not write, and who may write runs none.
        writes = "write" in workflow["permissions"].values()
        assert writes == (path.name == "energy-comment.yml")
        assert ("workflow_run" in str(workflow)) == writes
        assert ("checkout" in path.read_text().split("steps:")[1]) == (not writes)


GH = """#!/bin/sh
# The hub's command, which says what it was asked and answers from files.
printf '%s\\n' "$*" >> "$ASKED"
case "$*" in
  *pulls/*) printf '%s\\n' "$HEAD_THERE" ;;
  *--paginate*) cat "$COMMENTS" ;;
  *body=@*) cp said/comment.md "$SENT" ;;
esac
"""


def said(tmp_path, *, number="7", text=f"{MARKER}\n\nfigures\n", head="abc", comments=""):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "number").write_text(number)
    (tmp_path / "said" / "comment.md").write_text(text)
    (tmp_path / "comments").write_text(comments)
    (run,) = (step["run"] for step in steps("energy-comment.yml") if "run" in step)
    done = subprocess.run(
        ["bash", "-e", "-c", run],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "ASKED": str(tmp_path / "asked"),
            "SENT": str(tmp_path / "sent"),
            "COMMENTS": str(tmp_path / "comments"),
            "HEAD_THERE": head,
            "HEAD_SHA": "abc",
            "REPOSITORY": "org/code",
            "GH_TOKEN": "none",
        },
    )
    asked = (tmp_path / "asked").read_text().splitlines() if (tmp_path / "asked").exists() else []
    return done, asked


def test_the_workflow_writes_one_comment_and_changes_it_later(tmp_path):
    for number, (comments, last) in enumerate(
        [
            ("", "--method POST repos/org/code/issues/7/comments --silent --field body=@said/comment.md"),
            (
                "12\n13\n",
                "--method PATCH repos/org/code/issues/comments/12 --silent --field body=@said/comment.md",
            ),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        done, asked = said(folder, comments=comments)
        assert done.returncode == 0, done.stderr
        assert asked[-1].endswith(last)
        assert (folder / "sent").read_text() == f"{MARKER}\n\nfigures\n"


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "7; touch x"},
        {"number": ""},
        {"number": "$(touch x)"},
        {"text": "whatever\n"},
        {"text": f"{MARKER}\n" + "x" * 70000},
        {"head": "another"},
    ],
)
def test_the_workflow_writes_nothing_else(tmp_path, wrong):
    done, asked = said(tmp_path, **wrong)
    assert not [line for line in asked if "--method" in line]
    assert not (tmp_path / "x").exists()
    assert (done.returncode == 0) == ("head" in wrong)
