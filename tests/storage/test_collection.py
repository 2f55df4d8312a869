"""Many runs: each is added once and as what it is; what is told of them follows from their journals; and an index is always the old one or the new one."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from many_runs import a_record, inference, measured, written

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Load, Outcome
from energy_rating.publishing import collected
from energy_rating.storage import collection
from energy_rating.storage.folders import content_of
from energy_rating.storage.index import Index
from energy_rating.storage.sums import added_up, outliers

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu"
KWH = 3.6e6


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """An index of its own for each test."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


def brought(folder: Path, **more) -> Index:
    index = collection.collection([folder])
    collection.bring_up_to_date(index, [folder], collected.read, **more)
    return index


def whole_of(index: Index):
    return added_up(index.runs())[0]


# ------------------------------------------------------------------------------------------------------------ the sums


def test_a_sum_over_many_runs_is_that_of_the_runs_and_not_of_their_windows(runs):
    joules = [1000.0 * number for number in range(1, 35)]
    for number, amount in enumerate(joules):
        record = a_record(number, amount)
        inner = replace(record["run"], name="epoch")
        written(runs, replace(record, measurements=(record["run"], inner)))
    found = whole_of(brought(runs)).parts["measured"]
    assert found.runs == 34
    assert found.energy_j.value == pytest.approx(sum(joules))
    # One kind of card: what its sensor is off is the same in all.
    assert found.energy_j.systematic == pytest.approx(0.04 * sum(joules))


def test_measured_estimated_imported_and_incomplete_are_never_added_to_each_other(runs, run_cli):
    written(runs, a_record(1, 3.6e5, beside={"cpu": 3.6e4}))
    written(runs, a_record(2, 7.2e5, coverage=0.4))
    written(runs, a_record(3, 1.08e6, method="model"))
    written(runs, a_record(4, 1.44e6, origin="imported"))
    broken = Finding(code="shared-gpu", message="others computed on it", severity="disqualifies")
    written(runs, a_record(5, 1.8e6, findings=(broken,)))
    whole = whole_of(brought(runs))
    told = {kind: amount.energy_j.value for kind, amount in whole.parts.items()}
    assert told == pytest.approx(
        {"measured": 3.6e5, "incomplete": 7.2e5, "estimated": 1.08e6, "imported": 1.44e6, "invalid": 1.8e6}
    )
    assert whole.beside.energy_j.value == pytest.approx(3.6e4)
    code, out, _ = run_cli("collect", runs)
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("In all"))
    for said in (
        "1 measured, 100.0 ±",
        "1 with gaps, at least 200 Wh",
        "1 estimated",
        "1 imported",
        "1 invalid and in no sum",
    ):
        assert said in line


def test_a_run_that_lies_there_twice_counts_once(runs, run_cli):
    first = written(runs, a_record(1, 3.6e5))
    shutil.copytree(first, runs / "a-copy")
    longer = replace(a_record(1, 7.2e5), run_id=a_record(1).run_id)
    written(runs, replace(longer, measurements=(replace(longer["run"], duration_s=1200.0),)), "gone-on")
    assert whole_of(brought(runs)).parts["measured"].energy_j.value == pytest.approx(7.2e5)
    _, out, _ = run_cli("collect", runs)
    assert "There twice, and counted once:" in out
    assert "a-copy" in out


def test_a_run_inside_another_on_the_same_devices_is_not_added_again(runs, run_cli):
    written(runs, a_record(1, 3.6e5, at_s=0.0, seconds=1000.0, devices=("GPU-0", "GPU-1")))
    inner = a_record(2, 1.0e5, at_s=100.0, seconds=500.0, devices=("GPU-1",))
    written(runs, inner)
    written(runs, a_record(3, 2.0e5, at_s=900.0, seconds=500.0, devices=("GPU-0",)))
    written(runs, a_record(4, 5.0e5, at_s=100.0, seconds=500.0, devices=("GPU-0",), host="another host"))
    index = brought(runs)
    assert whole_of(index).parts["measured"].energy_j.value == pytest.approx(3.6e5 + 2.0e5 + 5.0e5)
    assert [one.run.run_id for one in index.runs("r.inside_of IS NOT NULL")] == [inner.run_id]
    _, out, _ = run_cli("collect", runs)
    assert "may hold its energy twice" in out


def test_what_failed_is_found_as_waste_and_stays_in_the_sum(runs, run_cli):
    written(runs, a_record(1, 3.6e5))
    written(runs, a_record(2, 7.2e5, outcome=Outcome(state="ended", exit_code=3)))
    written(runs, a_record(3, 1.8e5, outcome=Outcome(state="killed")))
    whole = whole_of(brought(runs))
    assert whole.parts["measured"].runs == 3
    assert whole.waste.runs == 2
    assert whole.waste.energy_j.value == pytest.approx(9.0e5)
    _, out, _ = run_cli("collect", runs, "--by", "role")
    assert any(line.startswith("failed") and "for nothing: 2" in line for line in out.splitlines())


def test_a_run_unlike_its_like_is_named_with_what_else_differs(runs, run_cli):
    for number in range(6):
        written(runs, a_record(number, 1e5 * (1 + 0.01 * number)))
    odd = a_record(9, 2.28e5, seconds=1950.0)
    written(runs, odd)
    written(runs, a_record(10, 9e5, model="org/another"))
    found = list(outliers(brought(runs)))
    assert [one.run_id for one in found] == [odd.run_id]
    assert found[0].times == pytest.approx(2.28 / 1.025, rel=0.02)
    assert "it took 3.2 times as long" in found[0].why
    _, out, _ = run_cli("collect", runs)
    assert f"Unlike its like: {odd.run_id}" in out


@pytest.mark.parametrize("by", ["model", "stage", "month", "place", "model,stage", "hardware"])
def test_groups_add_up_to_the_whole(runs, by):
    chance = random.Random(7)
    for number in range(40):
        written(
            runs,
            a_record(
                number,
                1e5 * chance.random(),
                at_s=chance.random() * 1e7,
                model=chance.choice(["org/a", "org/b", None]),
                stage=chance.choice(["pre-training", "fine-tuning"]),
                place=chance.choice(["FRA", "POL", None]),
                devices=(f"GPU-{number}",),
                hardware=chance.choice(["NVIDIA H100", "NVIDIA A100"]),
            ),
        )
    whole, groups = added_up(brought(runs).runs(), tuple(by.split(",")))
    assert len(groups) > 1
    assert sum(one.runs for one in groups) == whole.runs == 40
    total = sum(one.parts["measured"].energy_j.value for one in groups)
    assert total == pytest.approx(whole.parts["measured"].energy_j.value)


# --------------------------------------------------------------------------------------------------- what is found where


def test_a_missing_record_is_made_in_memory_and_nothing_is_written_into_a_collection(runs):
    run = measured(runs / "killed")
    whole = collected.read(run)
    (run / "record.json").unlink()
    before = sorted(path.name for path in run.iterdir())
    (one,) = brought(runs).runs()
    assert one.run == whole
    assert sorted(path.name for path in run.iterdir()) == before
    assert list(runs.iterdir()) == [run]


def test_what_cannot_be_read_is_named_and_left_out_and_the_rest_is_there(runs, run_cli):
    written(runs, a_record(1))
    for name, text in (("torn", "{"), ("other", "[]"), ("strange", '{"schema": "energy-rating/record/9"}')):
        (runs / name).mkdir()
        (runs / name / "record.json").write_text(text)
    os.mkfifo(runs / "torn" / "journal.jsonl")
    code, out, _ = run_cli("collect", runs)
    assert code == 0
    assert "1 measured" in out
    for name in ("torn", "other", "strange"):
        assert f"Left out: {name}: " in out
    code, _, err = run_cli("collect", runs, "--strict")
    assert code == 1
    assert "3 could not be read" in err


def test_links_do_not_lead_out_of_a_collection(runs, tmp_path):
    written(tmp_path / "elsewhere", a_record(1))
    (runs / "link").symlink_to(tmp_path / "elsewhere")
    (runs / "round").symlink_to(runs)
    written(runs, a_record(2))
    assert [one.run.run_id for one in brought(runs).runs()] == [a_record(2).run_id]


def test_nodes_of_a_run_are_no_runs_beside_it(runs):
    run = written(runs, a_record(1))
    written(run / "nodes", a_record(2), "0")
    written(run, a_record(3), "a-trial")
    assert {one.run.run_id for one in brought(runs).runs()} == {a_record(1).run_id, a_record(3).run_id}


@pytest.mark.parametrize("linked", ["", "0", "nodes"], ids=["in-the-folder", "a-linked-node", "linked-nodes"])
def test_a_change_in_a_node_is_a_change_of_its_run(runs, tmp_path, linked):
    run = written(runs, a_record(1))
    nodes = tmp_path / "elsewhere" if linked else run / "nodes"
    node = written(nodes, a_record(2), "0")
    if linked == "nodes":
        (run / "nodes").symlink_to(nodes)
    elif linked:
        (run / "nodes").mkdir()
        (run / "nodes" / linked).symlink_to(node)
    index = brought(runs)
    before = content_of(str(run))
    (node / "record.json").write_text((node / "record.json").read_text() + "\n")
    told = collection.bring_up_to_date(index, [runs], collected.read)
    assert told.read == 1
    assert content_of(str(run)) != before


def test_only_what_has_changed_is_read_again(runs):
    for number in range(5):
        written(runs, a_record(number))
    brought(runs)
    read = []

    def reading(folder):
        read.append(folder.name)
        return collected.read(folder)

    index = collection.collection([runs])
    assert collection.bring_up_to_date(index, [runs], reading).read == 0
    written(runs, replace(a_record(3, 9e5)))
    shutil.rmtree(runs / a_record(4).run_id)
    told = collection.bring_up_to_date(index, [runs], reading)
    assert (read, told.runs, told.gone, told.changes) == ([a_record(3).run_id], 4, 1, 2)


def test_an_index_brought_up_to_date_says_what_one_made_anew_says(runs):
    """Whatever comes, goes and changes, in any order: twice, inside of another, at one time."""
    chance = random.Random(22)
    index = collection.collection([runs])
    for _ in range(12):
        for _ in range(chance.randrange(1, 8)):
            number = chance.randrange(40)
            name = f"run-{chance.randrange(60)}"
            if chance.random() < 0.25:
                shutil.rmtree(runs / name, ignore_errors=True)
                continue
            record = a_record(
                number,
                1e5 * chance.random(),
                at_s=float(chance.randrange(4000)),
                seconds=float(chance.choice([50, 300, 2000])),
                devices=tuple(chance.sample(["GPU-0", "GPU-1", "GPU-2"], chance.choice([1, 1, 2]))),
                run_id=f"run-id-{number}",
            )
            written(runs, record, name)
        collection.bring_up_to_date(index, [runs], collected.read)
        as_it_is = {one.folder: (one.run, bool(one.twice_of), bool(one.inside_of)) for one in index.runs()}
        kept = index.version
        told = collection.bring_up_to_date(index, [runs], collected.read, anew=True)
        anew = {one.folder: (one.run, bool(one.twice_of), bool(one.inside_of)) for one in index.runs()}
        assert anew == as_it_is
        assert (told.changes, index.version) == (0, kept)
    assert any(inside for _, _, inside in anew.values())


# --------------------------------------------------------------------------------------------------------- verification


def test_verification_is_done_once_and_again_for_what_has_changed(runs, run_cli):
    measured(runs / "a")
    measured(runs / "b")
    _, _, err = run_cli("collect", runs, "--verify")
    assert "2 of 2 match" in err
    _, out, err = run_cli("collect", runs, "--verify")
    assert "match" not in err
    assert "Verified: all" in out
    (runs / "a" / "note.txt").write_text("a word\n")
    _, _, err = run_cli("collect", runs, "--verify")
    assert "1 of 1 match" in err
    # The index is thrown away; what was verified is not.
    _, out, err = run_cli("collect", runs, "--anew")
    assert "Verified: all" in out


def test_a_forged_record_is_found_and_the_producers_verdict_is_not_asked(runs, run_cli):
    shutil.copytree(EXAMPLE, runs / "forged")
    path = runs / "forged" / "record.json"
    record = json.loads(path.read_text())
    for measurement in record["measurements"]:
        for energies in (measurement["energy_by_channel_j"], measurement["energy_j"]):
            for energy in energies.values():
                energy["value"] /= 2
    path.write_text(json.dumps(record))
    # What a producer says of it: a verdict beside it, an index in the collection.
    (runs / "checks.jsonl").write_text(
        '{"content":"","verdict":"matches","version":"0.2.0","plausible":true}\n'
    )
    (runs / "index.sqlite").write_bytes(b"SQLite format 3\0")
    code, out, _ = run_cli("collect", runs, "--verify", "--strict")
    assert code == 1
    assert "Does not match its journal: 20261122T063955Z-22b6 (forged)" in out
    (one,) = collection.collection([runs]).runs()
    assert (one.verdict, one.good) == ("differs", False)


def test_a_run_that_matches_its_journal_and_cannot_be_true_is_not_good(runs):
    """``verify --strict``: a model that takes more memory in a second than its card can read."""
    run = measured(runs / "a", model="org/model-70b")
    index = brought(runs)
    seen = []

    def checking(folder, content):
        seen.append(folder)
        checkup, line = collected.check(folder, content)
        return replace(checkup, plausible=False, why="hard to believe"), line

    collection.verify_all(index, checking)
    assert seen == [run]
    (one,) = index.runs()
    assert (one.verdict, one.good, one.why) == ("matches", False, "hard to believe")


def test_verification_goes_on_where_it_was_broken_off(runs):
    for number in range(40):
        written(runs, a_record(number))
    index = brought(runs)
    asked = []

    class _Enough(Exception):
        pass

    def checking(folder, content):
        if len(asked) == 35:
            raise _Enough
        asked.append(folder)
        return collected.check(folder, content)

    with pytest.raises(_Enough):
        collection.verify_all(index, checking)
    before = len(asked)
    asked.clear()
    collection.verify_all(index, checking)
    assert before - 32 + len(asked) + 32 == 40 + before - 32
    assert len(asked) == 40 - 32


def test_many_are_verified_at_a_time(runs):
    for name in "abc":
        measured(runs / name)
    index = brought(runs)
    told = collection.verify_all(index, collected.check, workers=2)
    assert (told.asked, told.good) == (3, 3)


def _dies(folder: Path, content: str):
    if folder.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return collected.check(folder, content)


def test_a_record_that_kills_whoever_looks_at_it_takes_no_other_with_it(runs):
    for name in "abc":
        measured(runs / name)
    index = brought(runs)
    told = collection.verify_all(index, _dies, workers=2)
    assert (told.asked, told.good) == (3, 2)
    (one,) = index.runs("r.good = 0")
    assert Path(one.folder).name == "b"
    assert "was ended" in one.why


# ---------------------------------------------------------------------------------------------------------- the changes


def test_every_change_of_a_published_figure_has_a_line_and_a_reason(runs, run_cli):
    log = runs / "changes.jsonl"
    written(runs, a_record(1, 1e5))
    written(runs, a_record(2, 2e5))
    run_cli("collect", runs, "--log", log)
    run_cli("collect", runs, "--log", log)
    written(runs, a_record(1, 1.5e5))
    run_cli("collect", runs, "--log", log, "--because", "the meter was read again")
    shutil.rmtree(runs / a_record(2).run_id)
    run_cli("collect", runs, "--log", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["version"], line["what"]) for line in lines] == [
        (1, "added"),
        (1, "added"),
        (2, "changed"),
        (3, "withdrawn"),
    ]
    assert lines[2]["reason"] == "the meter was read again"
    assert lines[2]["before"]["energy_kwh"] == pytest.approx(1e5 / KWH)
    assert lines[2]["after"]["energy_kwh"] == pytest.approx(1.5e5 / KWH)
    assert "its folder is gone" in lines[3]["reason"]


def test_the_log_alone_knows_what_was_published(runs, run_cli, state):
    """A clone elsewhere, without an index: no figure changes in silence, and none has changed."""
    log = runs / "changes.jsonl"
    written(runs, a_record(1, 1e5))
    run_cli("collect", runs, "--log", log)
    shutil.rmtree(state)
    run_cli("collect", runs, "--log", log)
    assert len(log.read_text().splitlines()) == 1
    shutil.rmtree(state)
    written(runs, a_record(1, 2e5))
    run_cli("collect", runs, "--log", log)
    assert json.loads(log.read_text().splitlines()[1])["reason"] == (
        "its record says something else than before, of the same journal"
    )


def test_a_torn_line_of_the_log_is_cut_and_a_strange_one_refused(runs, run_cli):
    log = runs / "changes.jsonl"
    written(runs, a_record(1, 1e5))
    run_cli("collect", runs, "--log", log)
    with log.open("a") as file:
        file.write('{"version":2,"date":"2026-')
    written(runs, a_record(2, 1e5))
    run_cli("collect", runs, "--log", log)
    assert [json.loads(line)["run"] for line in log.read_text().splitlines()] == [
        a_record(1).run_id,
        a_record(2).run_id,
    ]
    log.write_text(log.read_text() + '{"version": 1e400}\n')
    code, _, err = run_cli("collect", runs, "--log", log)
    assert (code, "line 3" in err) == (1, True)


# -------------------------------------------------------------------------------------------------- whole, and one's own


def test_a_strangers_index_is_never_opened(runs, run_cli):
    written(runs, a_record(1))
    index = brought(runs)
    for change, undo in (
        (lambda: index.path.chmod(0o666), lambda: index.path.chmod(0o600)),
        (lambda: index.folder.chmod(0o777), lambda: index.folder.chmod(0o700)),
    ):
        change()
        code, _, err = run_cli("collect", runs)
        assert (code, "must be this user's own" in err) == (1, True)
        undo()
    moved = index.path.rename(runs / "elsewhere.sqlite")
    index.path.symlink_to(moved)
    code, _, err = run_cli("collect", runs)
    assert (code, "must be this user's own" in err) == (1, True)


def test_an_index_that_is_damaged_or_of_another_layout_is_made_anew(runs, run_cli):
    written(runs, a_record(1))
    index = brought(runs)
    for content in (b"", b"no database", index.path.read_bytes()[:5000]):
        index.path.write_bytes(content)
        code, out, err = run_cli("collect", runs, "--anew")
        assert (code, "1 measured" in out) == (0, True), err
    with sqlite3.connect(index.path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    assert run_cli("collect", runs)[0] == 0


COLLECT = [sys.executable, "-m", "energy_rating", "collect"]


def test_two_that_write_at_once_leave_one_whole_index(runs):
    for number in range(30):
        written(runs, a_record(number))
    both = [
        subprocess.Popen([*COLLECT, str(runs)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for one in both:
        out, err = one.communicate(timeout=100)
        assert (one.returncode, "30 measured" in out) == (0, True), err
    index = collection.collection([runs])
    assert len(list(index.runs())) == 30
    assert len(index.log.path.read_text().splitlines()) == 30


def test_whoever_is_killed_while_he_writes_leaves_the_index_as_it_was(runs):
    for number in range(300):
        written(runs, a_record(number))
    index = brought(runs)
    before = [one.run for one in index.runs()]
    for number in range(300):
        written(runs, a_record(number, 9e9))
    going = subprocess.Popen([*COLLECT, str(runs), "--anew", "--jobs", "1"], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(index.folder.glob("*.new-*")) and time.monotonic() < until:
        time.sleep(0.01)
    going.kill()
    going.wait()
    assert [one.run for one in index.runs()] == before
    brought(runs)
    assert whole_of(index).parts["measured"].energy_j.value == pytest.approx(300 * 9e9)
    assert not list(index.folder.glob("*.new-*"))


@pytest.mark.parametrize("anew", [True, False])
def test_a_full_disk_is_said_and_the_index_stays_as_it_was(runs, anew):
    for number in range(20):
        written(runs, a_record(number))
    index = brought(runs)
    before = [one.run for one in index.runs()]
    for number in range(20, 400):
        written(runs, a_record(number))
    size = index.path.stat().st_size

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))

    done = subprocess.run(
        [*COLLECT, str(runs), "--jobs", "1", *(["--anew"] if anew else [])],
        capture_output=True,
        text=True,
        preexec_fn=little_room,
        timeout=100,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "room" in done.stderr, done.stderr
    assert [one.run for one in index.runs()] == before
    brought(runs)
    assert whole_of(index).runs == 400


def test_where_no_state_can_be_kept_it_is_said_in_one_line(runs, run_cli, state):
    written(runs, a_record(1))
    state.parent.joinpath("state").write_text("a file")
    code, _, err = run_cli("collect", runs)
    assert (code, err.count("\n"), "XDG_STATE_HOME" in err) == (1, 1, True)


# ------------------------------------------------------------------------------------------------------------ the forms


def test_every_form_says_the_same_of_the_same_runs(runs, run_cli, tmp_path):
    for number in range(5):
        written(runs, inference(number, 20.0 + number))
    _, text, _ = run_cli("collect", runs, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    _, text, _ = run_cli("collect", runs, "--format", "json")
    told = json.loads(text)
    assert [row["run_id"] for row in rows] == [one["run_id"] for one in told["runs"]]
    assert [float(row["figure_j"]) for row in rows] == pytest.approx([20.0 + number for number in range(5)])
    assert sum(float(row["measured_j"]) for row in rows) == pytest.approx(
        told["sums"]["parts"]["measured"]["energy_j"]["value"]
    )
    one, another = (tmp_path / name for name in ("one.xlsx", "another.xlsx"))
    for path in (one, another):
        assert run_cli("collect", runs, "--format", "xlsx", "-o", path)[0] == 0
    assert one.read_bytes() == another.read_bytes()


def test_a_spreadsheet_opens_in_what_others_read_it_with(runs, run_cli, tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    written(runs, a_record(1, model='=HYPERLINK("http://evil")'))
    path = tmp_path / "runs.xlsx"
    run_cli("collect", runs, "--format", "xlsx", "-o", path)
    book = openpyxl.load_workbook(path)
    head, row = ([cell.value for cell in line] for line in book["runs"].iter_rows(max_row=2))
    found = dict(zip(head, row, strict=True))
    assert found["model"] == '=HYPERLINK("http://evil")'
    assert {cell.data_type for cell in book["runs"][2] if cell.value == found["model"]} == {"s"}
    assert found["measured_j"] == pytest.approx(3.6e5)


def test_parquet_is_read_back(runs, run_cli, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    for number in range(3):
        written(runs, inference(number, 20.0))
    path = tmp_path / "runs.parquet"
    assert run_cli("collect", runs, "--format", "parquet", "-o", path)[0] == 0
    table = parquet.read_table(path)
    assert table.num_rows == 3
    assert table.column("figure_j").to_pylist() == pytest.approx([20.0] * 3)


def test_a_form_that_is_missing_its_library_says_how_to_get_it(runs, run_cli, tmp_path, monkeypatch):
    written(runs, a_record(1))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run_cli("collect", runs, "--format", "parquet", "-o", tmp_path / "runs.parquet")
    assert (code, "pip install 'energy-rating[collection]'" in err) == (1, True)


def test_names_of_strangers_do_no_harm(runs, run_cli):
    for number, name in enumerate(
        ["=cmd|'/C calc'!A0", "\x1b[31mred", "<script>alert(1)</script>", "a‮b", "x" * 5000]
    ):
        written(runs, a_record(number, model=name))
    _, out, _ = run_cli("collect", runs)
    assert "\x1b" not in out
    assert "‮" not in out
    _, out, _ = run_cli("collect", runs, "--format", "csv")
    assert {row["model"][0] for row in csv.DictReader(io.StringIO(out))} >= {"'"}
    assert not any(row["model"].startswith("=") for row in csv.DictReader(io.StringIO(out)))


def test_no_path_of_the_machine_is_in_what_is_passed_on(runs, run_cli):
    written(runs, a_record(1))
    (runs / "torn").mkdir()
    (runs / "torn" / "record.json").write_text("{")
    for form in ("csv", "json"):
        _, out, _ = run_cli("collect", runs, "--format", form)
        assert str(runs.parent) not in out


def test_a_wrong_word_and_a_wrong_place_are_said(runs, run_cli, tmp_path):
    assert "must be some of model" in run_cli("collect", runs, "--by", "colour")[2]
    assert "there is no such folder" in run_cli("collect", tmp_path / "none")[2]
    assert "Name it: -o runs.xlsx" in run_cli("collect", runs, "--format", "xlsx")[2]
    with pytest.raises(BadInput):
        collection.collection([tmp_path / "none"])


def test_what_is_rated_stands_there_with_its_doubt(runs):
    shutil.copytree(EXAMPLE, runs / "example")
    (one,) = brought(runs).runs()
    assert (one.run.stars, one.run.could_be_low, one.run.could_be_high) == (4, 3, 4)
    assert one.run.example


def test_a_line_comes_back_from_the_index_as_it_was(runs):
    record = inference(1, 20.0, load=Load(items=1000, batch_size=8, concurrency=64))
    written(runs, record)
    (one,) = brought(runs).runs()
    assert one.run == collected.run_of(record)


def test_of_very_many_runs_the_newest_are_shown_and_all_are_added_up(runs, run_cli):
    for number in range(205):
        written(runs, a_record(number, 1e5))
    _, out, _ = run_cli("collect", runs)
    assert "… 5 older runs are not shown" in out
    assert "205 measured" in out
