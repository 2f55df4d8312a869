"""An agent under ``measure``: its log is read when it has ended, and says what a solved task took."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from energy_rating import load
from energy_rating.cli import main
from energy_rating.publishing.facts import facts_of

AGENT = "import sys, time; time.sleep(0.3); open(sys.argv[1], 'w').write(sys.argv[2])"


def measured(tmp_path: Path, log: str, *more: str) -> int:
    options = ["--output-dir", str(tmp_path / "run"), "--quality-from", str(tmp_path / "log.jsonl"), *more]
    try:
        return main(
            ["measure", *options, "--", sys.executable, "-c", AGENT, str(tmp_path / "log.jsonl"), log]
        )
    except SystemExit as end:
        return int(end.code or 0)


def test_an_agents_log_gives_joules_per_solved_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = "\n".join(json.dumps({"task": number, "solved": number == 0}) for number in range(4))
    assert measured(tmp_path, log) == 0
    record = load(tmp_path / "run")
    assert record["run"].work == {"task": 4}
    assert [(one.metric, one.value) for one in record.quality] == [("solved", 0.25)]
    told = facts_of(record).by_right_answer
    assert [energy.unit for _, energy in told] in (["solved task"], [])  # none where no component is measured
    for _, energy in told:
        whole = record["run"].energy_j[energy.component]
        assert energy.value == pytest.approx(whole.value)  # all of it went for the one that was solved


def test_tasks_that_were_counted_are_not_counted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measured(tmp_path, '{"solved": true}', "--count", "task=7") == 0
    assert load(tmp_path / "run")["run"].work == {"task": 7}


def test_a_log_that_cannot_be_read_is_a_finding_and_the_command_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measured(tmp_path, '{"task": 1}\n') == 0
    record = load(tmp_path / "run")
    assert [one.severity for one in record.findings if one.code == "quality-refused"] == ["note"]
    assert record.quality == ()
