"""What it costs to forge a run: played with the honest example that ships, and what is caught of it. ``docs/trust.md`` names the price."""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path

import pytest

from energy_rating import rate, summarise
from energy_rating.benchmarking.tasks import (
    items_sha256,
    load_task,
    name_of_shipped,
    read_items,
    shipped_items,
    tasks,
)
from energy_rating.cli import main
from energy_rating.files.journal import encoded
from energy_rating.files.record import write_record
from energy_rating.judging.comparison import compare
from energy_rating.judging.items import known_items
from energy_rating.publishing.verification import verify

EXAMPLE = Path(__file__).parents[2] / "reports" / "example-gpu" / "journal.jsonl.gz"


def _forged(folder, change):
    """The example with each of its lines changed, and the checksums of the lines made right again."""
    folder.mkdir()
    lines = [json.loads(line) for line in gzip.decompress(EXAMPLE.read_bytes()).splitlines()]
    for line in lines:
        del line["crc"]
    changed = [change(copy.deepcopy(line)) for line in lines]
    (folder / "journal.jsonl").write_bytes(b"".join(map(encoded, changed)))
    record = summarise(folder)
    write_record(record, folder / "record.json")
    return record, verify(folder, strict=True)


def _times(factor, *kinds):
    def change(line):
        if any(kind in line for kind in kinds):
            line["work"] = {unit: amount * factor for unit, amount in line["work"].items()}
        return line

    return change


def _named(device=None, model=None, **of_device):
    def change(line):
        for one in line.get("environment", {}).get("devices", ()) if device else ():
            one.update(name=device, **of_device)
        if model and line.get("model"):
            line["model"]["id"] = model
        return line

    return change


def test_work_that_is_multiplied_where_windows_end_is_held_against_what_they_had_counted(tmp_path):
    record, checked = _forged(tmp_path / "run", _times(7, "close"))
    assert "work-all-at-once" in {finding.code for finding in record.findings}
    assert rate(record).stars is None
    assert not checked.plausible


@pytest.mark.parametrize("factor", [2, 7])
def test_the_cheapest_forgery_that_is_left_multiplies_every_count(tmp_path, factor):
    # Not a wish but the price, as docs/trust.md tells it: whoever makes this dearer changes both.
    honest, _ = _forged(tmp_path / "honest", lambda line: line)
    record, checked = _forged(tmp_path / "run", _times(factor, "close", "count"))
    assert rate(record).stars > rate(honest).stars
    assert checked.agrees
    assert checked.plausible


# --------------------------------------------------------------------------------------------- repeats that were not all


def _forged_all(folder, change):
    """As above, of all lines at once."""
    folder.mkdir()
    lines = [json.loads(line) for line in gzip.decompress(EXAMPLE.read_bytes()).splitlines()]
    for line in lines:
        del line["crc"]
    (folder / "journal.jsonl").write_bytes(b"".join(map(encoded, change(lines))))
    record = summarise(folder)
    write_record(record, folder / "record.json")
    return record, verify(folder, strict=True)


def _numbers(lines):
    return [line["open"] for line in lines if line.get("name") == "measured"]


def _leaving_out(which):
    """Some of the repeats were never there."""

    def change(lines):
        gone = set(which(_numbers(lines)))
        return [
            line
            for line in lines
            if gone.isdisjoint({line.get("open"), line.get("close"), line.get("count")})
        ]

    return change


def _cut_to(share):
    """Each repeat ends sooner, with all its work, and what it counted on the way came sooner too."""

    def change(lines):
        opened = {line["open"]: line["t"] for line in lines if "open" in line}
        repeats = set(_numbers(lines))
        for line in lines:
            number = line.get("close", line.get("count"))
            if number in repeats:
                line["t"] = round(opened[number] + (line["t"] - opened[number]) * share, 6)
        return [lines[0], *sorted(lines[1:], key=lambda line: line.get("t", line.get("end")))]

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(_cut_to(share) for share in (0.2, 0.5, 0.8)),
        _leaving_out(lambda numbers: numbers[1::2]),
        _leaving_out(lambda numbers: numbers[:1]),
        _leaving_out(lambda numbers: numbers[-1:]),
    ],
)
def test_work_that_is_left_out_of_the_repeats_is_seen_in_what_was_drawn_between_them(tmp_path, change):
    record, checked = _forged_all(tmp_path / "run", change)
    assert "work-between-repeats" in {finding.code for finding in record.findings}
    assert rate(record).stars is None
    assert not checked.plausible


# ------------------------------------------------------------------------------------- a device that is not what it is called


def _drawing(factor):
    """All readings of all sensors, times so much."""

    def change(line):
        if "r" in line:
            line["r"] = {channel: value * factor for channel, value in line["r"].items()}
        return line

    return change


def _all(*changes):
    def change(line):
        for one in changes:
            line = one(line)
        return line

    return change


H100, A100, T4 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "Tesla T4"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        # A card that draws more than the one that it is called after.
        (_named(T4, memory_gb=16.1, power_limit_w=70.0), "power-above-the-limit"),
        # One that draws less than that one does with nothing to do.
        (_all(_named(H100), _drawing(0.15)), "hardly-any-power"),
        # What the driver tells of it, left as it was.
        (_named(H100, memory_gb=16.1), "device-memory-differs"),
        (_named(H100, power_limit_w=70.0), "limit-under-the-data-sheet"),
        (_named(A100, power_limit_w=400.0, clock_mhz=1980.0), "clock-above-the-data-sheet"),
        # Its readings lowered by nine tenths: that work takes power.
        (_all(_named(H100), _times(4, "close", "count"), _drawing(0.28)), "more-work-than-power"),
        (_all(_named(A100, power_limit_w=400.0, memory_gb=85.1), _times(20, "close", "count")), "faster-than-memory"),
    ],
)  # fmt: skip
def test_a_device_is_held_against_the_one_that_it_is_called_after(tmp_path, change, code):
    record, checked = _forged(tmp_path / "run", change)
    found = {finding.code: finding for finding in record.findings}
    assert code in found, sorted(found)
    assert found[code].severity == "note" or not checked.plausible


@pytest.mark.parametrize(
    "change",
    [
        _named(H100),
        _all(_named(A100, power_limit_w=400.0, memory_gb=85.1, clock_mhz=1410.0), _drawing(0.8)),
        _named("NVIDIA H200", memory_gb=150.1),
    ],
)
def test_a_device_that_is_what_it_is_called_is_let_alone(tmp_path, change):
    record, checked = _forged(tmp_path / "run", change)
    assert record.findings == ()
    assert checked.plausible


def test_a_model_that_does_not_fit_into_the_devices_is_told(tmp_path):
    def change(line):
        if line.get("model"):
            line["model"]["parameters"] = 70_000_000_000
        return line

    record, checked = _forged(tmp_path / "run", change)
    assert "model-larger-than-memory" in {finding.code for finding in record.findings}
    assert not checked.plausible


# ---------------------------------------------------------------------------------- items that are not what they are called

OF_DEMO = known_items()["text-generation"]["demo-2026.1"]
OF_SERVING = known_items()["text-generation"]["serving-2026.1"]


def _asking(files, protocol="demo-2026.1", items=10, written_by="0.1.0"):
    def change(line):
        if "schema" in line:
            line["task"]["protocol"] = protocol
            line["load"]["items"] = items
            line["files"] = {
                "tasks/text-generation.toml": line["files"]["tasks/text-generation.toml"],
                **files,
            }
            line["environment"]["software"]["energy-rating"] = written_by
        return line

    return change


@pytest.mark.parametrize(
    "change",
    [
        # One's own items under the name of those that ship; their name under another hash; more of them than there are.
        _asking({"tasks/questions.jsonl": "0" * 64}),
        _asking({"tasks/easy.jsonl": OF_DEMO.sha256[-1]}),
        _asking({"tasks/questions.jsonl": OF_DEMO.sha256[-1]}, items=1000),
        # The items of another protocol, another data set, and two at once.
        _asking({OF_SERVING.file: OF_SERVING.sha256[-1]}),
        _asking({"datasets/somebody/else": "0" * 64}, protocol="aes-2025-02", items=1000),
        _asking({"items": "0" * 64, "tasks/questions.jsonl": OF_DEMO.sha256[-1]}),
    ],
)
def test_items_that_are_not_what_they_are_called_are_told(tmp_path, change):
    record, checked = _forged(tmp_path / "run", change)
    assert "items-differ" in {finding.code for finding in record.findings}
    assert record["measured"].validity == "invalid"
    assert "items-differ" in {finding.code for finding in checked.findings}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_asking({"tasks/questions.jsonl": OF_DEMO.sha256[-1]}), ""),
        (_asking({"items": "0" * 64}), "the publisher's own"),
        (_asking({"datasets/EnergyStarAI/text_generation": "0" * 64}, protocol="aes-2025-02"), "which a hub has"),
        # What came after this version may have items of its own.
        (_asking({"tasks/questions.jsonl": "0" * 64}, written_by="999.0.0"), "does not know"),
    ],
)  # fmt: skip
def test_items_that_cannot_be_recomputed_are_said_to_be_not_checked(tmp_path, change, told):
    record, checked = _forged(tmp_path / "run", change)
    assert "items-differ" not in {finding.code for finding in record.findings}
    assert checked.plausible
    assert [one for one in checked.not_checked if "items" in one] == (
        [one for one in checked.not_checked if told in one] if told else []
    )


def test_whoever_has_the_items_can_hold_them_against_a_run(tmp_path, capsys):
    items = tmp_path / "items.jsonl"
    items.write_text("".join(f'{{"text": "question {number}"}}\n' for number in range(12)))
    own = items_sha256(read_items(items)[:10])
    _forged(
        tmp_path / "run",
        _asking({"datasets/EnergyStarAI/text_generation": own}, protocol="aes-2025-02", items=10),
    )
    for content, code, said in (
        (items.read_text(), 0, "Matches its journal: record.json, items"),
        (
            items.read_text().replace("question 3", "question 4"),
            1,
            "items: files.datasets/EnergyStarAI/text_generation",
        ),
    ):
        items.write_text(content)
        with pytest.raises(SystemExit) as end:
            main(["verify", str(tmp_path / "run"), "--items", str(items)])
        assert end.value.code == code
        told = " ".join(capsys.readouterr().out.split())
        assert said in told
        assert "give them with --items" not in told


def test_the_table_of_items_is_of_the_items_that_ship():
    for task in map(load_task, tasks()):
        known = known_items()[task.name]
        assert set(known) == set(task.protocols)
        for name, protocol in task.protocols.items():
            entry = known[name]
            assert entry.dataset == (protocol.dataset.id if protocol.dataset else None)
            assert entry.file == name_of_shipped(task, name)
            if protocol.ships:
                items = shipped_items(protocol)
                # A hash that was published stays in the table; a new one is put behind it.
                assert (entry.sha256[-1], entry.count) == (items_sha256(items), len(items)), (task.name, name)
    assert set(known_items()) == set(tasks())


def test_another_name_for_the_model_is_not_found_out(tmp_path):
    record, checked = _forged(tmp_path / "run", _named(model="org/other"))
    assert record.model.id == "org/other"
    assert checked.agrees
    assert checked.plausible


def test_a_signature_says_nothing_of_whether_a_run_is_true(tmp_path):
    _forged(tmp_path / "run", _times(2, "close", "count"))
    (tmp_path / "run" / "record.json.sigstore.json").write_text("{}")
    checked = verify(tmp_path / "run", strict=True)
    assert checked.agrees
    assert checked.plausible
    assert "record.json.sigstore.json" in checked.not_checked


def _on_another_card(line):
    return json.loads(json.dumps(line).replace("GPU-00000000", "GPU-11111111"))


def test_somebody_elses_repeat_shows_what_no_file_does(tmp_path):
    honest, _ = _forged(tmp_path / "honest", lambda line: line)
    again, _ = _forged(tmp_path / "again", _all(_drawing(1.03), _on_another_card))
    forged, _ = _forged(tmp_path / "forged", _all(_times(2, "close", "count"), _on_another_card))
    assert compare(honest, again).verdict == "undecided"
    assert compare(honest, forged).verdict != "undecided"
