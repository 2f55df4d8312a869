"""What others measured, taken over: the energies that the files tell, and everything that they do not."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
from pathlib import Path

import pytest

from energy_rating import BadInput, load, normalise, rate, summarise
from energy_rating.files import foreign
from energy_rating.files.foreign import Foreign
from energy_rating.files.imports import format_of, formats, imported, recognised
from energy_rating.files.record import record_from_json, record_to_json
from energy_rating.nouns.records import Record
from energy_rating.publishing.exports.csv import table
from energy_rating.publishing.facts import one_line

DATA = Path(__file__).parents[1] / "data" / "imports"
MADE_UP = DATA / "made-up"
# What belongs to a file and is none that can be read alone.
BESIDE = {
    "profile_export.jsonl",
    "mlperf_log_detail.txt",
    "mlperf_log_summary.txt",
    "power_validation_run.json",
}
BESIDE |= {"benchmark_config.json"}
ALL = [
    *sorted(
        path
        for path in DATA.rglob("*")
        if path.is_file() and path != DATA / "README.md" and path.name not in BESIDE and path.suffix != ".txt"
    ),
    MADE_UP / "mlperf-4.1" / "spl.txt",
]
KWH = 3.6e6


def codes(record: Record) -> list[str]:
    return [finding.code for finding in record.findings]


def message(record: Record, code: str) -> str:
    return " ".join(finding.message for finding in record.findings if finding.code == code)


def gpu_j(record: Record, name: str = "run") -> float:
    return record[name].energy_j["gpu"].value


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


# ------------------------------------------------------------------------------------------------------ of all formats


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(DATA).as_posix())
def test_no_two_formats_claim_one_file(path: Path) -> None:
    mine = [name for name in formats() if format_of(name).is_mine(Foreign(path))]
    assert len(mine) == 1


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(DATA).as_posix())
def test_what_is_imported_is_marked_written_read_again_and_never_rated_or_normalised(path: Path) -> None:
    for record in imported(path):
        assert record.origin == "imported"
        assert record_from_json(record_to_json(record)) == record
        assert codes(record)[0] == "imported"
        assert all(part.validity != "valid" for part in record)
        assert rate(record).stars is None
        assert [reason.code for reason in rate(record).why_not] == ["imported"]
        assert normalise(record).energy_per_unit_j is None
        # What a model told, or what the file does not tell, is wide; and nothing is certain.
        for part in record:
            for energy in part.energy_j.values():
                assert not energy.value or energy.half_width() >= 0.02 * energy.value


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(DATA).as_posix())
def test_what_a_file_is_is_seen_in_it_and_not_in_its_name(path: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "file"
    renamed.write_bytes(path.read_bytes())
    found = recognised(renamed)
    assert found is not None
    assert found == recognised(path)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(DATA).as_posix())
def test_the_same_file_gives_the_same_runs(path: Path) -> None:
    assert [record_to_json(one) for one in imported(path)] == [record_to_json(one) for one in imported(path)]


def test_a_file_that_nobody_knows_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = tmp_path / "emissions.csv"
    path.write_text("a,b\n1,2\n")
    assert recognised(path) is None
    with pytest.raises(
        BadInput, match=r"emissions\.csv: is no file that can be imported\. Known are files of: .*CodeCarbon"
    ):
        imported(path)


CANARY = "hf_CANARYabcdefgh1234"
SECRETS = (CANARY, "sk-CANARY12345678", "CANARYuser", "CANARYhost", "CANARYpassword")


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.relative_to(DATA).as_posix())
def test_no_secret_path_host_or_folder_of_a_file_gets_into_a_record(path: Path, tmp_path: Path) -> None:
    """Wherever a word of a file is taken over, it is one that a stranger may read."""
    folder = copied(path.parent, tmp_path)
    for one in folder.iterdir():
        text = one.read_text()
        for name in ("org/tiny", "org/name", "/home/somebody/tinymodel", "/home/somebody/models/name"):
            text = text.replace(name, f"/home/CANARYuser/{CANARY}/model")
        text = (
            text.replace("localhost", "CANARYhost")
            .replace("node1", "CANARYhost")
            .replace("demo", f"token={CANARY}")
        )
        text = text.replace(
            "NVIDIA H100 80GB HBM3", "H100 sk-CANARY12345678 https://CANARYuser:CANARYpassword@x.org"
        )
        one.write_text(text.replace("PyTorch", f"Bearer {CANARY}"))
    for record in imported(folder / path.name):
        told = record_to_json(record)
        assert not [secret for secret in SECRETS if secret in told]


def test_a_run_cannot_name_a_folder_outside_of_the_one_that_was_asked_for(tmp_path: Path) -> None:
    for evil in ("../../etc", "/etc/passwd", "..", ".", "a/b", "x" * 500, "\u202eevil", "CON\n", "-rf"):
        record = load(emissions(tmp_path, run_id=evil))
        assert re.fullmatch(r"codecarbon-[A-Za-z0-9][A-Za-z0-9._-]{0,90}", record.run_id), record.run_id
    names = {load(emissions(tmp_path, run_id=name)).run_id for name in ("a/b", "a-b", "a b", "a\\b")}
    assert len(names) == 4  # what was replaced leaves a trace, so that no two become one


def test_a_formula_stays_text_and_is_defused_when_it_is_written_again(tmp_path: Path) -> None:
    record = load(emissions(tmp_path, gpu_model='=HYPERLINK("http://x","y")', run_id="=1+1"))
    (row,) = csv.DictReader(io.StringIO(table([record])))
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())


# ---------------------------------------------------------------------------------------------------------- CodeCarbon

PLAIN = [path for path in (DATA / "codecarbon").iterdir() if "-" not in path.name and path.name != "1.2.0"]


@pytest.mark.parametrize("folder", PLAIN, ids=lambda path: path.name)
def test_every_version_of_emissions_csv_gives_its_energies(folder: Path) -> None:
    path = folder / "emissions.csv"
    (row,) = rows(path)
    record = load(path)
    run = record["run"]
    assert record.run_id == f"codecarbon-{row['run_id']}"
    assert run.duration_s == float(row["duration"])
    assert gpu_j(record) == pytest.approx(float(row["gpu_energy"]) * KWH)
    # The truth of the two cards, which the rule must hold: 3.2.0 is 12.5 % above it.
    assert abs(gpu_j(record) - 2 * 300 * 4) < run.energy_j["gpu"].half_width()
    assert run.energy_j["cpu"].value == pytest.approx(float(row["cpu_energy"]) * KWH)
    assert run.energy_j["dram"].value == pytest.approx(float(row["ram_energy"]) * KWH)
    assert run.methods == {"gpu": "power", "cpu": "model", "dram": "model"}
    assert {"cpu-estimated", "dram-estimated"} <= set(codes(record))
    assert not record.created.endswith("Z")  # its zone is not told
    assert record.place is None
    version = record.environment.software["CodeCarbon"]
    assert version == (folder.name if "codecarbon_version" in row else "version not told")


def test_before_2_0_only_a_total_was_told() -> None:
    record = load(DATA / "codecarbon" / "1.2.0" / "emissions.csv")
    (row,) = rows(DATA / "codecarbon" / "1.2.0" / "emissions.csv")
    assert record["run"].energy_j["host"].value == pytest.approx(float(row["energy_consumed"]) * KWH)
    assert "estimated-only" in codes(record)


@pytest.mark.parametrize("version", ["2.8.4", "3.3.2"])
def test_rows_after_a_flush_are_totals_and_only_the_last_counts(version: str) -> None:
    path = DATA / "codecarbon" / f"{version}-flush" / "emissions.csv"
    (record,) = imported(path)
    last = rows(path)[-1]
    assert len(rows(path)) == 3
    assert gpu_j(record) == pytest.approx(float(last["gpu_energy"]) * KWH)
    assert "the last is taken, not their sum" in message(record, "imported-converted")


@pytest.mark.parametrize("version", ["2.8.4", "3.3.2"])
def test_the_pue_is_taken_out_of_run_and_tasks(version: str) -> None:
    pue = load(DATA / "codecarbon" / f"{version}-pue" / "emissions.csv")
    assert gpu_j(pue) == pytest.approx(2 * 300 * 4, rel=0.05)
    tasks = load(DATA / "codecarbon" / f"{version}-puetasks" / "emissions.csv")
    assert gpu_j(tasks, "load") == pytest.approx(2 * 300 * 2, rel=0.05)
    assert gpu_j(tasks, "gen") == pytest.approx(2 * 300 * 4, rel=0.05)
    assert gpu_j(tasks) == pytest.approx(gpu_j(tasks, "load") + gpu_j(tasks, "gen"))


@pytest.mark.parametrize("version", ["2.8.4", "3.3.2"])
def test_with_tasks_time_and_energy_are_of_the_same_seconds(version: str) -> None:
    folder = DATA / "codecarbon" / f"{version}-tasks"
    record = load(folder / "emissions.csv")
    assert record["run"].duration_s == pytest.approx(6, abs=0.2)  # the row says 4
    assert gpu_j(record) / record["run"].duration_s == pytest.approx(600, rel=0.03)
    (base,) = folder.glob("emissions_base_*.csv")
    assert record_to_json(load(base)).replace(
        load(base).provenance.files["imported/codecarbon"], ""
    ) == record_to_json(record).replace(
        record.provenance.files["imported/codecarbon"], ""
    )  # the same run, from whichever file


def test_tasks_without_their_run_say_that_a_pue_may_be_in_them(tmp_path: Path) -> None:
    (base,) = (DATA / "codecarbon" / "3.3.2-tasks").glob("emissions_base_*.csv")
    alone = tmp_path / "tasks.csv"
    alone.write_bytes(base.read_bytes())
    record = load(alone)
    assert "whether the energies hold a PUE is not known" in message(record, "imported-incomplete")


@pytest.mark.parametrize("version", ["2.8.4", "3.3.2"])
def test_a_gpu_that_was_not_seen_is_absent_and_not_zero(version: str) -> None:
    record = load(DATA / "codecarbon" / f"{version}-no-gpu" / "emissions.csv")
    assert "gpu" not in record["run"].energy_j
    assert {"gpu-not-measured", "estimated-only"} <= set(codes(record))


def emissions(tmp_path: Path, **changes: str) -> Path:
    row = rows(DATA / "codecarbon" / "3.3.2" / "emissions.csv")[0] | changes
    path = tmp_path / "emissions.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    return path


def test_a_card_that_is_listed_and_told_zero_degrades_the_run(tmp_path: Path) -> None:
    record = load(emissions(tmp_path, gpu_energy="0.0"))
    assert "gpu" not in record["run"].energy_j
    (finding,) = (one for one in record.findings if one.code == "gpu-not-measured")
    assert finding.severity == "degrades"


def test_the_place_that_no_network_looks_like_is_said_and_no_place_is_taken(tmp_path: Path) -> None:
    record = load(emissions(tmp_path, country_iso_code="CAN", country_name="Canada", region="quebec"))
    assert record.place is None
    assert "Canada, quebec" in message(record, "imported-not-taken")
    assert "reaches no network" in message(record, "imported-place")


def test_an_energy_that_is_none_is_left_out(tmp_path: Path) -> None:
    for wrong in ("nan", "-1", "inf", "1e400", "", "=1+1"):
        record = load(emissions(tmp_path, cpu_energy=wrong))
        assert "cpu" not in record["run"].energy_j


def places(value: object, *, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to everything in a JSON object; of a list its first two."""
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    found = [way] if way else []
    for key, one in inner:
        found += places(one, way=(*way, key))
    return found


@pytest.mark.parametrize(
    "path", [one for one in ALL if one.suffix == ".json"], ids=lambda path: str(path.relative_to(DATA))
)
def test_whatever_stands_where_in_a_file_it_is_read_or_refused_in_one_line(
    path: Path, tmp_path: Path
) -> None:
    ways = places(json.loads(path.read_text()))
    wrong = [None, 5, -1, "x", [], {}, True, 1e308, ["x"], {"x": 5}]
    chosen = random.Random(18).sample(
        [(way, one) for way in ways for one in wrong], k=min(len(ways) * 10, 250)
    )
    # What holds all else is always tried, the outermost first: there are few of these.
    holders = [way[:-1] for way in ways if len(way) > 1]
    chosen += [(way, one) for way in sorted(dict.fromkeys(holders), key=len)[:150] for one in (5, "x")]
    for way, one in chosen:
        content = json.loads(path.read_text())
        at = content
        for key in way[:-1]:
            at = at[key]
        at[way[-1]] = one
        file = tmp_path / path.name
        file.write_text(json.dumps(content))
        try:
            imported(file)
        except BadInput as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_tables_of_several_versions_one_below_the_other_are_read_by_their_own_heads(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    versions = ("1.2.0", "2.8.4", "3.3.2")
    alone = {
        record.run_id: record["run"].energy_j
        for version in versions
        for record in imported(DATA / "codecarbon" / version / "emissions.csv")
    }
    path = tmp_path / "all.csv"
    path.write_bytes(
        b"".join((DATA / "codecarbon" / versions[one] / "emissions.csv").read_bytes() for one in order)
    )
    assert {record.run_id: record["run"].energy_j for record in imported(path)} == alone


def test_tables_that_were_joined_without_a_line_break_are_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    parts = [
        (DATA / "codecarbon" / one / "emissions.csv").read_bytes().rstrip() for one in ("2.8.4", "3.3.2")
    ]
    path.write_bytes(b"".join(parts))
    with pytest.raises(BadInput, match="line 2: holds the head of a table and something else in one line"):
        imported(path)


def test_logs_of_zeus_of_different_gpus_are_not_read_as_one(tmp_path: Path) -> None:
    text = (DATA / "zeus" / "0.16.0" / "zeus.csv").read_text()
    path = tmp_path / "zeus.csv"
    path.write_text(text + text.replace("gpu0_energy", "gpu7_energy"))
    with pytest.raises(BadInput, match="different GPUs"):
        imported(path)


@pytest.mark.parametrize("wrong", ["nan", "-1", "0,000666", "1e400"])
def test_an_energy_of_a_gpu_that_is_none_is_not_called_nothing(tmp_path: Path, wrong: str) -> None:
    record = load(emissions(tmp_path, gpu_energy=wrong))
    assert "gpu" not in record["run"].energy_j
    assert "gpu_energy is no energy" in message(record, "imported-incomplete")
    assert "0 kWh" not in message(record, "gpu-not-measured")
    assert record["run"].validity == "degraded"


def test_parts_that_do_not_add_up_to_the_files_total_are_said(tmp_path: Path) -> None:
    record = load(emissions(tmp_path, energy_consumed="5.0"))
    assert "add up" in message(record, "imported-incomplete")


@pytest.mark.parametrize("wrong", ["1,5", "0.5", "", "-1", "nan"])
def test_a_pue_that_is_none_leaves_open_whether_one_is_in_the_energy(tmp_path: Path, wrong: str) -> None:
    record = load(emissions(tmp_path, pue=wrong))
    assert "is no PUE" in message(record, "imported-incomplete")


def test_a_time_that_the_file_does_not_tell_gives_no_power(tmp_path: Path) -> None:
    line = one_line(load(emissions(tmp_path, duration="0")))
    assert "in a time that is not told" in line
    assert " W" not in line


def test_a_row_that_was_cut_short_does_not_take_the_run_with_it(tmp_path: Path) -> None:
    text = (DATA / "codecarbon" / "3.3.2-flush" / "emissions.csv").read_text()
    path = tmp_path / "emissions.csv"
    path.write_text(text.rstrip("\n").rsplit(",", 30)[0])
    (record,) = imported(path)
    assert gpu_j(record) == pytest.approx(2 * 300 * 6, rel=0.05)
    assert "imported-incomplete" in codes(record)


def test_several_runs_in_a_file_are_several_and_load_says_how_to_take_them_apart(tmp_path: Path) -> None:
    header, *lines = (DATA / "codecarbon" / "3.3.2-flush" / "emissions.csv").read_text().splitlines()
    path = tmp_path / "emissions.csv"
    path.write_text(
        "\n".join([header, *lines, header, *(line.replace("72bf876b", "00000000") for line in lines)])
    )
    assert len(imported(path)) == 2
    with pytest.raises(BadInput, match="holds 2 runs.*energy-rating import"):
        load(path)


# ------------------------------------------------------------------------------------------------------- carbontracker


@pytest.mark.parametrize(("version", "seconds"), [("2.4.7", 12), ("2.0.1", 12), ("1.2.5", 12)])
def test_carbontrackers_epochs_are_added_without_pue_and_for_every_card(version: str, seconds: float) -> None:
    (log,) = (DATA / "carbontracker" / version).glob("*Z_carbontracker.log")
    record = load(log)
    assert gpu_j(record) == pytest.approx(2 * 300 * seconds, rel=0.01)
    assert record["epoch"].n == 3
    (output,) = (DATA / "carbontracker" / version).glob("*_output.log")
    assert load(output).run_id == record.run_id
    assert gpu_j(load(output)) == gpu_j(record)


def test_a_prediction_is_never_taken_for_what_was_measured() -> None:
    (output,) = (DATA / "carbontracker" / "2.4.7-one-epoch").glob("*_output.log")
    record = load(output)
    assert gpu_j(record) == pytest.approx(2 * 300 * 4, rel=0.01)
    assert "1 of 4 epochs" in message(record, "imported-incomplete")


def test_a_killed_training_is_what_its_whole_epochs_drew() -> None:
    (log,) = (DATA / "carbontracker" / "2.4.7-killed").glob("*Z_carbontracker.log")
    record = load(log)
    assert gpu_j(record) == pytest.approx(2 * 300 * 8, rel=0.01)
    assert "imported-incomplete" in codes(record)


def test_a_sum_whose_pue_is_not_told_is_refused(tmp_path: Path) -> None:
    (output,) = (DATA / "carbontracker" / "2.4.7").glob("*_output.log")
    alone = tmp_path / output.name
    alone.write_bytes(output.read_bytes())
    with pytest.raises(BadInput, match=r"PUE.*\*_carbontracker\.log"):
        load(alone)


# ---------------------------------------------------------------------------------------------------------------- Zeus


def test_windows_of_zeus_that_hold_each_other_are_not_added_up() -> None:
    record = load(DATA / "zeus" / "0.16.0" / "zeus.csv")
    assert gpu_j(record) == pytest.approx(3600)
    assert gpu_j(record, "epoch") == pytest.approx(3600)
    assert record["epoch"].n == 2
    assert record.created.endswith("Z")
    assert "gpu" not in load(DATA / "zeus" / "0.16.0-no-gpu" / "zeus.csv")["run"].energy_j


def test_windows_of_zeus_that_overlap_have_no_total(tmp_path: Path) -> None:
    path = tmp_path / "zeus.csv"
    path.write_text(
        "start_time,window_name,elapsed_time,gpu0_energy\n1796071553,a,4,400\n1796071555,b,4,400\n"
    )
    record = load(path)
    assert not record["run"].energy_j
    assert "no total" in message(record, "imported-incomplete")
    path.write_text(
        "start_time,window_name,elapsed_time,gpu0_energy\n1796071553,a,4,400\n1796071560,b,4,400\n"
    )
    assert gpu_j(load(path)) == 800
    assert load(path)["run"].duration_s == 8


# ------------------------------------------------------------------------------------------------- benchmarks of servers


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def test_aiperfs_energy_is_worked_out_again_from_the_counters() -> None:
    folder = DATA / "aiperf" / "0.13.0"
    record = load(folder / "profile_export_aiperf.json")
    run = record["run"]
    assert gpu_j(record) == pytest.approx(2 * 300 * run.duration_s, rel=0.02)
    assert set(run.energy_by_channel_j) == {"imported.gpu0", "imported.gpu1"}
    assert (run.work["request"], run.work["token"]) == (60, 2100)
    assert record.run_id == "aiperf-17ec7948b29e"
    assert record.model is not None
    assert record.model.id == "org/tiny"
    assert record.created == "2026-11-30T21:15:07Z"
    # The benchmark's tokenizer and the server's do not agree.
    assert "AIPerf counts 2,100 tokens of the answers, the server 420" in message(
        record, "imported-incomplete"
    )


def test_without_its_telemetry_aiperfs_own_total_stands_as_it_is_told(tmp_path: Path) -> None:
    folder = copied(DATA / "aiperf" / "0.13.0", tmp_path)
    (folder / "gpu_telemetry_export.jsonl").unlink()
    record = load(folder / "profile_export_aiperf.json")
    assert gpu_j(record) == pytest.approx(3420)
    assert "could not be worked out again" in message(record, "imported-scope")


def test_aiperfs_older_names_of_the_counter_are_known(tmp_path: Path) -> None:
    folder = copied(DATA / "aiperf" / "0.13.0", tmp_path)
    path = folder / "gpu_telemetry_export.jsonl"
    path.write_text(
        path.read_text()
        .replace("nvidia_energy_consumption", "energy_consumption")
        .replace("telemetry_source_url", "dcgm_url")
    )
    assert gpu_j(load(folder / "profile_export_aiperf.json")) == gpu_j(
        load(DATA / "aiperf" / "0.13.0" / "profile_export_aiperf.json")
    )


VLLM = MADE_UP / "vllm-0.11.0"
RESULT = "vllm-infqps-concurrency16-name-20261130-120140.json"


def vllm(tmp_path: Path, **changes: object) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(VLLM / "gpu_power.csv", folder)
    (folder / RESULT).write_text(json.dumps(json.loads((VLLM / RESULT).read_text()) | changes))
    return folder / RESULT


def test_a_result_of_vllm_has_the_energy_of_its_own_time_from_the_log_beside_it() -> None:
    record = load(VLLM / RESULT)
    assert gpu_j(record) == pytest.approx(2 * 300 * 60)
    assert record["run"].coverage == {"gpu": 1.0}
    assert record["run"].energy_per("token").value == pytest.approx(36000 / 12800)
    assert "imported-batch" in codes(record)
    assert record.load is not None
    assert (record.load.concurrency, record.load.request_rate) == (16, None)


def test_a_log_that_begins_after_the_benchmark_or_has_holes_says_how_much_it_saw(tmp_path: Path) -> None:
    path = vllm(tmp_path)
    log = path.with_name("gpu_power.csv")
    header, *lines = log.read_text().splitlines()
    log.write_text("\n".join([header, *lines[60:]]))  # thirty seconds late
    record = load(path)
    assert record["run"].coverage["gpu"] == pytest.approx(0.83, abs=0.02)
    assert "imported-incomplete" in codes(record)
    log.write_text("\n".join([header, *lines[:60], *lines[140:]]))  # forty seconds in the middle
    assert load(path)["run"].coverage["gpu"] < 0.4
    assert load(path)["run"].validity != "valid"


def test_a_log_of_another_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tells nothing"):
        load(vllm(tmp_path, date="20261129-120140"))


def test_seconds_since_1970_find_the_one_zone_in_which_they_lie_in_the_log(tmp_path: Path) -> None:
    # 12:00:40 to 12:01:40 of a clock five and a half hours east of UTC.
    start = 1796040040 - 5.5 * 3600
    record = load(vllm(tmp_path, benchmark_start_time_unix=start, benchmark_end_time_unix=start + 60))
    assert gpu_j(record) == pytest.approx(36000)
    assert "UTC+5.5 h" in message(record, "imported-scope")


def test_failed_requests_and_answers_of_one_token_are_said(tmp_path: Path) -> None:
    record = load(vllm(tmp_path, completed=90))
    assert "10 of 100 requests failed" in message(record, "imported-incomplete")
    (tmp_path / "again").mkdir()
    record = load(vllm(tmp_path / "again", total_output_tokens=100))
    assert record["run"].validity == "invalid"
    assert "counts as one token" in message(record, "imported-incomplete")


def test_a_result_without_a_log_has_no_energy_and_one_with_two_is_refused(tmp_path: Path) -> None:
    path = vllm(tmp_path)
    shutil.copy(path.with_name("gpu_power.csv"), path.with_name("other.csv"))
    with pytest.raises(BadInput, match="several logs of power"):
        load(path)
    path.with_name("gpu_power.csv").unlink()
    path.with_name("other.csv").unlink()
    record = load(path)
    assert not record["run"].energy_j
    assert "no log of power is beside it" in message(record, "nothing-measured")


def test_a_result_of_sglang_tells_no_time_and_takes_a_log_of_its_own_length(tmp_path: Path) -> None:
    folder = copied(MADE_UP / "sglang", tmp_path)
    path = folder / "sglang_1130_64.jsonl"
    record = load(path)
    assert gpu_j(record) == pytest.approx(36000)
    assert record.model is not None
    assert record.model.id == "name"  # of a path what it ends with: folders name people
    assert "taken is the whole log" in message(record, "imported-scope")
    log = folder / "gpu_power.csv"
    log.write_text("\n".join(log.read_text().splitlines()[:50]))
    with pytest.raises(BadInput, match="covers 24 s of its 60 s"):
        load(path)
    path.write_text(path.read_text() * 2)
    assert all(not one["run"].energy_j for one in imported(path))


INFERENCEX = MADE_UP / "inferencex-schema-2"


def test_inferencex_is_worked_out_again_and_its_verdict_is_not_trusted(tmp_path: Path) -> None:
    record = load(INFERENCEX / "agg_run.json")
    assert gpu_j(record) == pytest.approx(36000)
    assert record["run"].work == {"request": 100, "token": 12800, "input_token": 51200}
    folder = copied(INFERENCEX, tmp_path)
    log = folder / "gpu_metrics.csv"
    log.write_text(log.read_text().replace(",300\n", ",450\n"))
    record = load(folder / "agg_run.json")  # power_valid is 1 all the same
    assert gpu_j(record) == pytest.approx(54000)
    assert "does not follow from the log" in message(record, "imported-incomplete")


def test_inferencex_alone_stands_as_it_is_told_if_it_agrees_with_itself(tmp_path: Path) -> None:
    path = tmp_path / "agg.json"
    entry = json.loads((INFERENCEX / "agg_run.json").read_text())
    path.write_text(json.dumps(entry))
    record = load(path)
    assert (record["run"].duration_s, record["run"].work["token"]) == (60.0, 12800)
    path.write_text(json.dumps(entry | {"power_valid": 0}))
    assert load(path)["run"].validity == "invalid"
    path.write_text(
        json.dumps({key: value for key, value in entry.items() if key != "power_metric_schema_version"})
    )
    with pytest.raises(BadInput, match="power_metric_schema_version 2"):
        load(path)


def test_totals_that_contradict_their_own_figures_disqualify(tmp_path: Path) -> None:
    folder = copied(INFERENCEX, tmp_path)
    path = folder / "agg_run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"joules_per_output_token": 1.0}))
    assert load(path)["run"].validity == "invalid"


# ------------------------------------------------------------------------------------------------------------- others


def test_a_log_of_power_alone_is_a_run_from_its_first_reading_to_its_last() -> None:
    record = load(MADE_UP / "nvidia-smi" / "power.csv")
    assert gpu_j(record) == pytest.approx(2 * 300 * 30)
    assert not record.created.endswith("Z")


def test_perun_is_taken_by_component_without_its_pue() -> None:
    plain = load(DATA / "perun" / "1.0.0" / "pscript.json")
    pue = load(DATA / "perun" / "1.0.0-pue" / "pscript.json")
    for record in (plain, pue):
        assert gpu_j(record) == pytest.approx(2 * 300 * record["run"].duration_s, rel=0.01)
    assert "a PUE of 1.5" in message(pue, "imported-not-taken")
    assert plain["train"].n == 2
    assert not plain["train"].energy_j


def test_ai_energy_benchmarks_without_a_gpu_has_none_and_tokens_that_were_not_told_are_none() -> None:
    record = load(DATA / "ai_energy_benchmarks" / "0.0.7" / "benchmark_results.csv")
    assert gpu_j(record) == pytest.approx(0.6500005 * 3600)
    assert record["run"].work == {"request": 20}
    assert "it tells no tokens" in message(record, "imported-incomplete")
    again = load(DATA / "ai_energy_benchmarks" / "0.0.7" / "results.json")
    assert (gpu_j(again), again.run_id) == (gpu_j(record), record.run_id)
    none = load(DATA / "ai_energy_benchmarks" / "0.0.7-no-gpu" / "benchmark_results.csv")
    assert "gpu" not in none["run"].energy_j
    assert none.place is None


OPTIMUM = DATA / "optimum_benchmark"


def test_optimum_benchmark_is_one_iteration_and_its_decode_is_a_difference() -> None:
    record = load(OPTIMUM / "0.6.0" / "benchmark_report.json")
    assert record.run_id == load(OPTIMUM / "0.6.0-benchmark" / "benchmark.json").run_id  # two files, one run
    told = json.loads((OPTIMUM / "0.6.0" / "benchmark_report.json").read_text())
    for name in ("generate", "prefill", "decode"):
        assert record[name].energy_j["cpu"].value == pytest.approx(told[name]["energy"]["cpu"] * KWH)
    assert record["run"].energy_j == record["generate"].energy_j
    assert record["generate"].work == {"request": 4, "input_token": 64, "token": 32}
    assert record["decode"].work == {"token": 28}
    decode, generate = record["decode"].energy_j["cpu"], record["generate"].energy_j["cpu"]
    assert decode.systematic > generate.systematic
    assert record.model is not None
    assert record.model.id == "tinymodel"


def test_a_decode_below_zero_is_left_out(tmp_path: Path) -> None:
    entry = json.loads((OPTIMUM / "0.6.0" / "benchmark_report.json").read_text())
    entry["prefill"]["energy"]["cpu"] = entry["generate"]["energy"]["cpu"] * 1.1
    entry["decode"]["energy"]["cpu"] = -entry["generate"]["energy"]["cpu"] * 0.1
    path = tmp_path / "report.json"
    path.write_text(json.dumps(entry))
    record = load(path)
    assert "cpu" not in record["decode"].energy_j
    assert "cpu energy of decode is left out" in message(record, "imported-converted")
    assert "the configuration is not beside it" in message(record, "imported-batch")


def test_lm_eval_gives_metrics_by_their_names_no_groups_and_a_model_only_from_its_arguments(
    tmp_path: Path,
) -> None:
    path = DATA / "lm_eval" / "0.4.13" / "results.json"
    record = load(path)
    assert {quality.metric: quality.value for quality in record.quality} == {
        "tiny_sum: acc": 0.4,
        "tiny_sum: acc_norm": 0.4,
    }
    assert record.model is not None
    assert record.model.id == "org/tiny"
    assert not record["run"].energy_j
    entry = json.loads(path.read_text())
    entry["config"]["model_args"] = {"base_model": "org/other"}
    entry["results"]["tiny_sum"]["acc,none"] = "N/A"
    renamed = tmp_path / "results.json"
    renamed.write_text(json.dumps(entry))
    record = load(renamed)
    assert record.model is None
    assert [quality.metric for quality in record.quality] == ["tiny_sum: acc_norm"]
    assert "makes one up" in message(record, "imported-not-taken")


def test_mlperf_is_the_machine_at_the_wall_between_begin_and_end(tmp_path: Path) -> None:
    record = load(MADE_UP / "mlperf-4.1" / "spl.txt")
    assert record["run"].energy_j["wall"].value == pytest.approx(500 * 600)
    assert record["run"].duration_s == 600
    assert record["run"].work == {"sample": 30000}
    folder = copied(MADE_UP / "mlperf-4.1", tmp_path)
    summary = folder / "mlperf_log_summary.txt"
    summary.write_text(summary.read_text().replace("VALID", "INVALID"))
    assert load(folder / "spl.txt")["run"].validity == "invalid"
    detail = folder / "mlperf_log_detail.txt"
    detail.write_text(detail.read_text().replace(" 12:", " 17:"))  # clocks of one zone, as they stand
    assert load(folder / "spl.txt")["run"].energy_j["wall"].value == pytest.approx(500 * 600)
    detail.unlink()
    assert load(folder / "spl.txt")["run"].duration_s == pytest.approx(699)


def test_a_card_of_dia_tells_one_step_and_what_it_calls_measured_counts_as_estimated(tmp_path: Path) -> None:
    record = load(MADE_UP / "dia-0.1" / "README.md")
    assert record["run"].energy_j["host"].value == pytest.approx(1.25 * KWH)
    assert record["run"].methods["host"] == "model"
    assert record.stage == "fine-tuning"
    assert record.lineage is not None
    assert record.lineage.base_model == "org/base"
    text = (MADE_UP / "dia-0.1" / "README.md").read_text()
    card = tmp_path / "README.md"
    card.write_text(text.replace("value: 1.25", "value: [1.0, 9.0]"))
    wide = load(card)["run"].energy_j["host"]
    assert wide.value == pytest.approx(5 * KWH)
    assert wide.interval()[1] >= 9 * KWH
    card.write_text(text.replace("value: 1.25", "value: 0.0"))
    assert not load(card)["run"].energy_j
    card.write_text(text.replace("scope: incremental", "scope: cumulative"))
    with pytest.raises(BadInput, match="counted twice"):
        load(card)


def test_a_card_whose_metadata_grow_when_they_are_read_is_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))]
    card = tmp_path / "README.md"
    card.write_text("---\ndia_report:\n  scope: incremental\n" + "\n".join(lines) + "\n---\n")
    with pytest.raises(BadInput, match="anchors"):
        load(card)


# ------------------------------------------------------------------------------------------------- what we exported


REPORTS = Path(__file__).parents[2] / "reports"


def test_what_we_exported_and_took_over_again_has_the_same_energies_and_the_same_doubt(
    tmp_path: Path,
) -> None:
    for folder in (REPORTS / "example-gpu", *(DATA.parent / "0.1.0").iterdir()):
        record = load(folder) if (folder / "record.json").exists() else summarise(folder)
        if "run" not in record:
            continue
        path = tmp_path / "table.csv"
        path.write_text(table([record], windows=True))
        (again,) = imported(path)
        assert again.run_id == record.run_id
        assert again.created == record.created
        for part in record:
            told = again[part.name]
            assert told.energy_j == part.energy_j
            assert (told.work, told.duration_s, told.n) == (part.work, part.duration_s, part.n)
            assert told.coverage == part.coverage
        path.write_text(table([record], only="run", zone="FRA"))
        (again,) = imported(path)
        assert again.run_id == record.run_id
        for component in ("gpu", "cpu", "dram"):
            energy = record["run"].energy_j.get(component)
            if energy is not None and energy.value > 0:
                assert again["run"].energy_j[component].value == pytest.approx(energy.value)


def test_tables_that_were_joined_count_a_run_once(tmp_path: Path) -> None:
    path = tmp_path / "tables.csv"
    one = table([load(REPORTS / "example-gpu")])
    path.write_text(one + one)
    assert len(imported(path)) == 1
    one = table([load(REPORTS / "example-gpu")], only="run")
    path.write_text(one + one)
    (record,) = imported(path)
    assert "totals so far" not in message(record, "imported-converted")


# ------------------------------------------------------------------------------------------------- tables of spreadsheets


EMISSIONS = DATA / "codecarbon" / "3.3.2" / "emissions.csv"


def spreadsheet(text: str, mark: str = ";", *, first: str = "", decimal: str = ",") -> str:
    """A table of commas as a spreadsheet writes it elsewhere: other marks between cells, a decimal comma in its numbers."""
    written = io.StringIO()
    rows = list(csv.reader(io.StringIO(text)))
    number = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
    told = [
        [cell.replace(".", decimal, 1) if number.fullmatch(cell) else cell for cell in row] for row in rows
    ]
    csv.writer(written, delimiter=mark, lineterminator="\r\n").writerows(told)
    return first + written.getvalue()


@pytest.mark.parametrize(
    ("mark", "first", "decimal"),
    [
        (";", "", ","),
        (";", "sep=;\r\n", ","),
        (";", "\ufeff", ","),
        ("\t", "", ","),
        (";", "", "."),
        ("\t", "", "."),
    ],
    ids=["semicolon", "says so", "byte order mark", "tab", "with points", "tabs and points"],
)
@pytest.mark.parametrize("name", ["codecarbon", "power log"])
def test_a_table_that_a_spreadsheet_wrote_elsewhere_has_the_same_energies(
    name: str, mark: str, first: str, decimal: str, tmp_path: Path
) -> None:
    source = EMISSIONS if name == "codecarbon" else MADE_UP / "nvidia-smi" / "power.csv"
    written = tmp_path / source.name
    written.write_text(spreadsheet(source.read_text(), mark, first=first, decimal=decimal), newline="")
    for wanted, found in zip(imported(source), imported(written), strict=True):
        assert found["run"].energy_j == wanted["run"].energy_j
        assert found["run"].duration_s == wanted["run"].duration_s


def test_a_table_of_which_nobody_can_tell_the_numbers_is_refused_with_its_line(tmp_path: Path) -> None:
    head, row = EMISSIONS.read_text().splitlines()[:2]
    columns = head.split(",")
    energy = columns.index("energy_consumed")

    def changed(cell: str) -> str:
        cells = next(csv.reader([row]))
        cells[energy] = cell
        written = io.StringIO()
        csv.writer(written, delimiter=";", lineterminator="").writerow(cells)
        return written.getvalue()

    for lines, told in (
        (
            [head.replace(",", ";"), changed("0,5"), changed("1.234,5")],
            "line 3: must be a number without marks",
        ),
        ([head.replace(",", ";"), changed("0,5"), row], "line 3: must have semicolons between its cells"),
        (
            [head, row, row.replace("0.0", "0,0")],
            "line 3: has .* cells under 38 columns: numbers with decimal",
        ),
    ):
        (tmp_path / "emissions.csv").write_text("\n".join(lines) + "\n")
        with pytest.raises(BadInput, match=told) as refused:
            imported(tmp_path / "emissions.csv")
        assert "\n" not in str(refused.value)


def test_a_result_that_is_too_large_to_look_into_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A benchmark that keeps every latency writes millions of them; what is beyond the bound may be one of those that are known."""
    source = next((MADE_UP / "vllm-0.11.0").glob("*.json"))
    entry = json.loads(source.read_text()) | {"itls": [0.0123456789] * 1_200_000}
    whole = tmp_path / source.name
    whole.write_text(json.dumps(entry))
    shutil.copy(source.parent / "gpu_power.csv", tmp_path)
    (record,) = imported(whole)
    assert record["run"].energy_j == imported(source)[0]["run"].energy_j
    for name, value, told in (
        ("MOST_VALUES_OF_OBJECT", 1_000_000, "must hold at most 1,000,000 values"),
        ("LARGEST_OBJECT", 1 << 20, "must have at most 1 MiB as one JSON object"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(foreign, name, value)
            with pytest.raises(BadInput, match=told):
                imported(whole)
