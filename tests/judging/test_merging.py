"""One record of a job from those of its hosts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hosts import gpu_uuid, run_host, torchrun
from hypothesis import given
from hypothesis import strategies as st

from energy_rating.files.record import record_from_json, record_to_json
from energy_rating.judging.evidence import load
from energy_rating.judging.merging import merge
from energy_rating.judging.merging.folders import merged
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Finding, Job, Lineage, Record
from energy_rating.publishing.verification import verify


@pytest.fixture(scope="module", name="job")
def job_of_three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job") / "run"
    return folder, [run_host(folder, place, 3, tokens=1000 + place) for place in range(3)]


def named(records: list[Record]) -> list[tuple[Record, str]]:
    return [(record, f"record {number}") for number, record in enumerate(records)]


def codes(record: Record) -> list[str]:
    return [finding.code for finding in record.findings]


def test_hosts_on_one_disk_have_a_folder_each_and_their_sum_is_that_of_all(job):
    folder, records = job
    assert sorted(path.name for path in (folder / "nodes").iterdir()) == ["0", "1", "2"]
    whole = merged(folder)
    assert whole.origin == "merged"
    assert whole.nodes == 3
    assert whole.ranks == 3
    for name in ("run", "step"):
        energy = whole[name].energy_j["gpu"]
        assert energy.value == pytest.approx(sum(one[name].energy_j["gpu"].value for one in records))
        assert energy.value == pytest.approx(3 * 2 * 300 * 20, rel=0.001)
        # Six cards of one model share their gain's error, wherever they stand.
        assert energy.systematic == pytest.approx(
            sum(one[name].energy_j["gpu"].systematic for one in records)
        )
        assert whole[name].coverage == {"gpu": 1.0}
    assert whole["step"].work == {"token": 3003}
    assert whole["run"].duration_s == pytest.approx(20, abs=1.1)
    assert whole["step"].n == 1
    assert whole["run"].validity == "valid"
    # Registers that were read beside a counter stand in the records of the hosts.
    assert [one.method for one in whole.channels] == ["counter"] * 6
    assert "hosts-missing" not in codes(whole)


def test_the_job_of_a_host_is_told_without_its_names(job):
    _, records = job
    told = records[1].job
    assert told is not None
    assert (told.node, told.of, told.rank, told.counts) == (1, 3, 1, "each-rank")
    assert told.id == records[0].job.id
    assert "10.1.0.1" not in record_to_json(records[1])
    assert "job-17" not in record_to_json(records[1])


def test_the_order_of_records_changes_nothing(job):
    _, records = job
    texts = {record_to_json(merge(named(list(some)))) for some in itertools.permutations(records)}
    assert len(texts) == 1


def test_a_merged_record_is_read_again_as_it_was_written(job):
    _, records = job
    whole = merge(named(records))
    assert record_from_json(record_to_json(whole)) == whole


def test_a_host_that_is_missing_is_named_and_the_sum_is_not_that_of_the_job(job):
    _, records = job
    whole = merge(named([records[0], records[2]]))
    said = next(one for one in whole.findings if one.code == "hosts-missing")
    assert said.message.startswith("1 of the 3 hosts of the job has no record here (host 1)")
    assert whole["run"].validity == "invalid"
    assert whole["run"].coverage["gpu"] == pytest.approx(2 / 3, abs=1e-4)
    assert whole["run"].energy_j["gpu"].value == pytest.approx(2 * 2 * 300 * 20, rel=0.001)


def test_a_device_that_two_hosts_measured_counts_once(tmp_path):
    both = [gpu_uuid(0, 0), gpu_uuid(0, 1)]
    one = run_host(tmp_path / "a", 0, 2, devices=both)
    other = run_host(tmp_path / "b", 1, 2, devices=both)
    whole = merge(named([one, other]))
    assert whole["run"].energy_j["gpu"].value == pytest.approx(2 * 300 * 20, rel=0.001)
    assert whole["step"].work == {"token": 2000}
    assert "measured-twice" in codes(whole)
    assert whole["run"].coverage == {"gpu": 1.0}
    assert "on-some-hosts" not in codes(whole)


def test_what_all_ranks_did_is_not_counted_once_a_host(tmp_path):
    records = [run_host(tmp_path, place, 2, tokens=5000, counts="all-ranks") for place in range(2)]
    assert records[0].job.counts == "all-ranks"
    # One host's energy for the work of all is no figure by itself; with the other's it is one.
    assert "hosts-missing" in {one.code for one in records[0].findings if one.severity == "disqualifies"}
    assert records[0]["run"].validity == "invalid"
    assert "hosts-missing" in {one.code for one in merge((one, one.run_id) for one in records[:1]).findings}
    assert "hosts-missing" not in {one.code for one in merge((one, one.run_id) for one in records).findings}
    assert merge(named(records))["step"].work == {"token": 5000}


def test_hosts_that_count_what_all_did_and_count_differently_are_told(tmp_path):
    records = [
        run_host(tmp_path, place, 2, tokens=5000 + 500 * place, counts="all-ranks") for place in range(2)
    ]
    whole = merge(named(records))
    assert whole["step"].work == {"token": 5500}
    assert "hosts-differ" in codes(whole)
    assert whole["step"].validity == "degraded"


def test_a_host_that_failed_before_the_others_ended_covers_its_part_of_the_time(tmp_path):
    records = [run_host(tmp_path, 0, 2), run_host(tmp_path, 1, 2, seconds=10, raises=True)]
    whole = merge(named(records))
    assert whole["run"].energy_j["gpu"].value == pytest.approx(2 * 300 * 20 + 2 * 300 * 10, rel=0.001)
    assert whole["run"].coverage["gpu"] == pytest.approx(0.75, abs=0.02)
    assert "host-cut-short" in codes(whole)
    assert whole.outcome is not None
    assert whole.outcome.failed
    assert whole["run"].validity != "valid"


def test_a_host_that_left_a_journal_only_is_in_the_sum(tmp_path):
    for place in range(2):
        run_host(tmp_path / "run", place, 2)
    (tmp_path / "run/nodes/1/record.json").unlink()
    assert merged(tmp_path / "run")["run"].energy_j["gpu"].value == pytest.approx(4 * 300 * 20, rel=0.001)


def test_clocks_that_differ_move_times_and_no_energy(job):
    _, records = job
    before = merge(named(records))
    moved = [records[0], _later(records[1], 120), _later(records[2], -60)]
    whole = merge(named(moved))
    assert whole["run"].energy_j == before["run"].energy_j
    assert whole["run"].duration_s == pytest.approx(20, abs=2.1)
    said = next(one for one in whole.findings if one.code == "clocks-differ")
    assert said.data["apart_s"] == pytest.approx(180, abs=2.1)
    assert "host 1 is ahead, host 2 behind" in said.message
    assert whole.created == records[0].created


def _later(record: Record, seconds: int) -> Record:
    import calendar
    import time

    began_s = calendar.timegm(time.strptime(record.created, "%Y-%m-%dT%H:%M:%SZ")) + seconds
    return replace(record, created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_s)))


def test_what_many_hosts_found_is_said_once(job):
    _, records = job
    hot = Finding.of(
        "throttled", "it was hot", severity="degrades", measurement="step", channel="gpu0.energy"
    )
    whole = merge(named([replace(one, findings=(*one.findings, hot)) for one in records]))
    said = [one for one in whole.findings if one.code == "throttled"]
    assert [one.message for one in said] == ["on 3 of 3 hosts: it was hot"]
    assert said[0].channel == "host0/gpu0.energy"
    assert whole["step"].validity == "degraded"
    assert whole["run"].validity == "valid"
    alone = merge(named([records[0], replace(records[1], findings=(hot,)), records[2]]))
    assert [one.message for one in alone.findings if one.code == "throttled"] == ["host 1: it was hot"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"job": Job(id="another", node=1, of=3, rank=1)}, "another job"),
        ({"stage": "fine-tuning"}, "stage"),
        ({"role": "search"}, "role"),
        ({"lineage": Lineage(relation="finetune", base_model="org/base")}, "base"),
        ({"origin": "imported"}, "imported"),
        ({"origin": "merged"}, "merged already"),
    ],
)
def test_a_record_that_does_not_belong_to_the_others_is_refused_by_its_name(job, changes, told):
    _, records = job
    with pytest.raises(BadInput, match=told) as refused:
        merge(named([records[0], replace(records[1], **changes)]))
    assert str(refused.value.place) == "record 1"


def test_a_host_is_not_counted_twice(job):
    _, records = job
    with pytest.raises(BadInput, match="the same run as record 0"):
        merge(named([records[0], records[0]]))
    again = replace(records[1], run_id="20261201T000000Z-beef")
    with pytest.raises(BadInput, match="is host 1 of the job, and so is"):
        merge(named([*records, again]))


def test_a_host_that_was_started_again_counts_with_both_its_parts(tmp_path):
    first = run_host(tmp_path / "a", 0, 1, environ={**torchrun(0, 2)}, seconds=10)
    again = _later(run_host(tmp_path / "b", 0, 1, environ={**torchrun(0, 2)}, seconds=10), 60)
    other = run_host(tmp_path / "c", 1, 2, seconds=20)
    whole = merge(named([first, again, other]))
    assert whole.nodes == 2
    assert whole["step"].n == 2
    assert whole["run"].energy_j["gpu"].value == pytest.approx(4 * 300 * 20, rel=0.001)


def test_records_that_know_of_no_job_are_merged_if_they_ran_at_one_time(tmp_path):
    records = [
        run_host(
            tmp_path / str(place), place, 1, environ={}, devices=[gpu_uuid(place, 0), gpu_uuid(place, 1)]
        )
        for place in range(2)
    ]
    assert records[0].job is None
    whole = merge(named(records))
    assert whole.nodes == 2
    assert whole["run"].energy_j["gpu"].value == pytest.approx(4 * 300 * 20, rel=0.001)
    with pytest.raises(BadInput, match="another time"):
        merge(named([records[0], _later(records[1], 86_400)]))


def test_devices_whose_ids_mean_something_on_their_host_alone_are_all_counted(tmp_path):
    records = [run_host(tmp_path / str(n), n, 2, devices=["gpu-0", "gpu-1"]) for n in range(2)]
    whole = merge(named(records))
    assert whole["run"].energy_j["gpu"].value == pytest.approx(4 * 300 * 20, rel=0.001)
    assert {device.id for device in whole.environment.devices} == {
        f"host{host}/gpu-{gpu}" for host in range(2) for gpu in range(2)
    }


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=6))
def test_the_doubt_of_a_sum_is_that_of_one_record_of_all_devices(job, energies):
    from energy_rating.nouns.quantities import Estimate, total

    _, records = job
    parts = []
    for number, (value, random, systematic) in enumerate(energies):
        energy = Estimate(value=value, random=random, systematic=systematic)
        one = records[0]["run"]
        run = replace(one, energy_by_channel_j={"gpu0.energy": energy}, energy_j={"gpu": energy})
        device = gpu_uuid(number, 0)
        parts.append(
            replace(
                records[0],
                run_id=f"run-{number}",
                job=Job(id="x", node=number, of=len(energies), rank=number),
                measurements=(run,),
                channels=(replace(records[0].channels[0], device=device),),
                environment=replace(
                    records[0].environment,
                    devices=(replace(records[0].environment.devices[0], id=device),),
                ),
            )
        )
    whole = merge(named(parts))["run"].energy_j["gpu"]
    told = total((Estimate(value=v, random=r, systematic=s) for v, r, s in energies), same_sensor=True)
    assert whole.value == pytest.approx(told.value)
    assert whole.random == pytest.approx(told.random)
    assert whole.systematic == pytest.approx(told.systematic)


# ------------------------------------------------------------------------------------------------------------ its folder


@pytest.fixture(name="folder")
def a_merged_folder(tmp_path):
    from energy_rating.files.record import write_record

    folder = tmp_path / "run"
    for place in range(2):
        run_host(folder, place, 2)
    write_record(merged(folder), folder / "record.json")
    return folder


def test_a_merged_record_is_verified_from_its_hosts_journals(folder):
    found = verify(folder, strict=True)
    assert found.verdict == "matches", found.differences
    assert sum(name.startswith("nodes/") for name in found.checked) == 2
    assert load(folder).checked == "journal"


def test_a_merged_record_that_was_changed_differs(folder):
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"token": 2000', '"token": 9000'))
    assert verify(folder).verdict == "differs"
    with pytest.raises(BadInput, match="does not follow"):
        load(folder)


def test_a_host_whose_record_was_changed_is_found(folder):
    path = folder / "nodes/1/record.json"
    path.write_text(path.read_text().replace('"token": 1000', '"token": 1001'))
    found = verify(folder)
    assert found.verdict == "differs"
    assert found.differences[0].file == "nodes/1/record.json"


def test_a_job_whose_hosts_left_siblings_is_refused_by_name(folder):
    run_host(folder, 1, 2)
    assert (folder / "nodes/1-2").is_dir()
    with pytest.raises(BadInput, match="several runs"):
        merged(folder)


def test_a_device_whose_sensor_gave_nothing_lowers_the_coverage_of_the_whole(job):
    _, records = job
    silent = records[1]["run"]
    name = "gpu1.energy"
    kept = {key: value for key, value in silent.energy_by_channel_j.items() if key != name}
    half = replace(
        silent, energy_by_channel_j=kept, energy_j={"gpu": kept["gpu0.energy"]}, coverage={"gpu": 0.5}
    )
    changed = replace(records[1], measurements=(half,))
    whole = merge(named([records[0], changed, records[2]]))
    assert whole["run"].coverage["gpu"] == pytest.approx(5 / 6, abs=1e-4)


def test_a_card_says_on_how_many_hosts_it_ran(folder):
    from energy_rating import update_card

    record = load(folder)
    card = update_card("# A model\n", [record])
    assert "4 × NVIDIA H100 80GB HBM3 (power limit 700 W), on 2 hosts" in card
    assert "one of each host" in card
