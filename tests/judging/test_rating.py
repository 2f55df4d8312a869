"""From a record to stars: the laws of the ladder, and every reason why a record has none."""

from __future__ import annotations

import json
import math
import statistics
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating import hardware_profiles
from energy_rating.files.record import record_from_json, record_to_json
from energy_rating.judging.operating_point import weight_bits
from energy_rating.judging.profiles import is_example, profiles
from energy_rating.judging.rating import judge, next_star_j, rate, rating_to_json
from energy_rating.judging.schemes import load_scheme
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.reasons import REASONS as KNOWN
from energy_rating.nouns.reasons import codes
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Finding,
    Load,
    Measurement,
    Model,
    Provenance,
    Rating,
    Record,
    Task,
)
from energy_rating.publishing import label, words

SCHEME = load_scheme("2026.0-draft")
PROFILES = profiles()
E_REF_J = 30.0  # of text generation, class A
REQUESTS = 5000
H100 = Device(id="GPU-1", name="NVIDIA H100 80GB HBM3", power_limit_w=700.0, memory_gb=85.52)


def measured(energy_j: Estimate, **changes: Any) -> Measurement:
    plain: dict[str, Any] = {
        "name": "measured",
        "n": 5,
        "start_s": 40.0,
        "duration_s": 300.0,
        "work": {"request": REQUESTS, "token": 10 * REQUESTS},
        "energy_by_channel_j": {"gpu0.energy": energy_j},
        "energy_j": {"gpu": energy_j},
        "coverage": {"gpu": 1.0},
        "validity": "valid",
    }
    return Measurement(**(plain | changes))


def provenance(**files: str) -> Provenance:
    return Provenance(version="0.1.0", journal_sha256="0" * 64, files=files)


def a_record(energy_per_request_j: float = E_REF_J, doubt: float = 0.01, **changes: Any) -> Record:
    """A record that can be rated; ``doubt`` is relative, 1 σ."""
    joules = energy_per_request_j * REQUESTS
    energy = Estimate(value=joules, random=0.6 * doubt * joules, systematic=0.8 * doubt * joules)
    plain: dict[str, Any] = {
        "run_id": "20261121T091403Z-6f1c",
        "created": "2026-11-21T09:14:03Z",
        "stage": "inference",
        "environment": Environment(devices=(H100,)),
        "channels": (
            Channel(
                id="gpu0.energy",
                component="gpu",
                device="GPU-1",
                method="counter",
                accuracy=0.04,
                period_s=0.1,
            ),
        ),
        "measurements": (measured(energy),),
        "findings": (),
        "provenance": provenance(**{"tasks/text-generation.toml": "1" * 64, "tasks/texts.jsonl": "2" * 64}),
        "model": Model(id="org/name", parameters=134_515_008, dtype="float16"),
        "task": Task(name="text-generation", protocol="aes-2025-02", unit="request"),
        "load": Load(items=1000, batch_size=1, concurrency=1, max_new_tokens=10, seed=0),
    }
    return Record(**(plain | changes))


def with_measurement(**changes: Any) -> Record:
    record = a_record()
    return replace(record, measurements=(replace(record.measurements[0], **changes),))


def with_channel(**changes: Any) -> Record:
    record = a_record()
    return replace(record, channels=(replace(record.channels[0], **changes),))


def on(*devices: Device) -> Record:
    """The same energy, shared by these devices."""
    record = a_record()
    channel, measurement = record.channels[0], record.measurements[0]
    ids = [f"gpu{number}.energy" for number in range(len(devices))]
    share = measurement.energy_j["gpu"].times(1 / len(devices))
    return replace(
        record,
        environment=Environment(devices=devices),
        channels=tuple(
            replace(channel, id=name, device=device.id) for name, device in zip(ids, devices, strict=True)
        ),
        measurements=(replace(measurement, energy_by_channel_j=dict.fromkeys(ids, share)),),
    )


def served(energy_per_request_j: float, record: Record | None = None) -> Record:
    """A record of the other suite: 1,024 chats, 32 at once, answers of any length; on the devices of another record."""
    record = a_record() if record is None else record
    measurement = record.measurements[0]
    ids = list(measurement.energy_by_channel_j)
    energy = Estimate(value=energy_per_request_j * 5 * 1024)
    measurement = replace(
        measurement,
        work={"request": 5 * 1024, "token": 900_000},
        energy_by_channel_j=dict.fromkeys(ids, energy.times(1 / len(ids))),
        energy_j={"gpu": energy},
    )
    return replace(
        record,
        measurements=(measurement,),
        task=Task(name="lm-arena-chat", protocol="mlenergy-v3", unit="request"),
        load=Load(items=1024, concurrency=32, max_new_tokens=4096),
    )


def rated(record: Record) -> Rating:
    return rate(record, scheme=SCHEME, profiles=PROFILES)


# ------------------------------------------------------------------------------------------------------------- laws

ENERGIES = st.floats(min_value=0.01, max_value=1e5)
DOUBTS = st.floats(min_value=0.0, max_value=0.6)


@given(a=ENERGIES, b=ENERGIES, doubt=DOUBTS)
def test_using_less_energy_never_earns_fewer_stars(a: float, b: float, doubt: float) -> None:
    less, more = (rated(a_record(energy, doubt)) for energy in sorted((a, b)))
    if less.stars is not None and more.stars is not None:
        assert less.stars >= more.stars


@given(energy=ENERGIES, doubt=DOUBTS)
def test_what_could_be_holds_the_stars_and_at_most_two_of_them(energy: float, doubt: float) -> None:
    rating = rated(a_record(energy, doubt))
    if rating.stars is not None:
        assert rating.could_be is not None
        low, high = rating.could_be
        assert 1 <= low <= rating.stars <= high <= 5
        assert high - low <= 1
        assert not rating.reasons
    else:
        assert rating.reasons
        assert rating.could_be is None
        assert rating.basis is None
        assert rating.status is None


@given(energy=ENERGIES, doubt=DOUBTS, more=st.floats(min_value=1.0, max_value=10.0))
def test_a_doubt_over_more_than_two_stars_earns_none_and_more_doubt_never_mends_it(
    energy: float, doubt: float, more: float
) -> None:
    index = energy / E_REF_J
    half = 1.959964 * doubt * index
    stars = {SCHEME.stars(index - half), SCHEME.stars(index), SCHEME.stars(index + half)}
    rating = rated(a_record(energy, doubt))
    if max(stars) - min(stars) >= 2:
        assert rating.stars is None
        assert codes(rating.why_not) == ("too-uncertain",)
        assert rated(a_record(energy, doubt * more)).stars is None
    else:
        assert rating.stars == SCHEME.stars(index)


@given(energy=ENERGIES, doubt=DOUBTS)
def test_estimated_energy_is_never_rated(energy: float, doubt: float) -> None:
    record = a_record(energy, doubt)
    channels = (replace(record.channels[0], method="model"),)
    rating = rated(replace(record, channels=channels))
    assert rating.stars is None
    assert rating.index is None
    assert "estimated" in codes(rating.why_not)


@given(energy=ENERGIES, doubt=st.floats(min_value=0.0, max_value=0.1), times=st.integers(1, 1000))
def test_measuring_the_same_for_longer_changes_no_star(energy: float, doubt: float, times: int) -> None:
    record = a_record(energy, doubt)
    once = record.measurements[0]
    joules = once.energy_j["gpu"].times(times)
    longer = replace(
        once,
        n=once.n * times,
        duration_s=once.duration_s * times,
        work={unit: amount * times for unit, amount in once.work.items()},
        energy_by_channel_j={"gpu0.energy": joules},
        energy_j={"gpu": joules},
    )
    assert rated(replace(record, measurements=(longer,))).stars == rated(record).stars


@given(energy=ENERGIES, scale=st.sampled_from([1e-6, 1e-3, 3600.0, 3.6e6]))
def test_scaling_the_unit_of_energy_changes_nothing(energy: float, scale: float) -> None:
    classes = tuple(
        replace(
            item,
            e_ref_j=item.e_ref_j * scale,
            centre_j=item.centre_j * scale,
            lowest_j=item.lowest_j * scale,
            highest_j=item.highest_j * scale,
        )
        for item in SCHEME.classes
    )
    scaled = rate(a_record(energy * scale, 0.02), scheme=replace(SCHEME, classes=classes), profiles=PROFILES)
    plain = rated(a_record(energy, 0.02))
    assert (scaled.stars, scaled.could_be) == (plain.stars, plain.could_be)


@given(half=st.floats(min_value=0.1, max_value=2.0))
def test_half_the_energy_is_one_more_star(half: float) -> None:
    more, less = rated(a_record(2 * half * E_REF_J, 0.0)), rated(a_record(half * E_REF_J, 0.0))
    assert more.stars is not None
    assert less.stars == min(5, more.stars + 1)


@pytest.mark.parametrize(("stars", "power"), [(5, -1.5), (4, -0.5), (3, 0.5), (2, 1.5)])
def test_the_boundary_itself_belongs_to_the_better_class(stars: int, power: float) -> None:
    boundary = 2**power * E_REF_J
    assert rated(a_record(boundary, 0.0)).stars == stars
    assert rated(a_record(boundary * (1 + 1e-6), 0.0)).stars == stars - 1
    assert rated(a_record(boundary * (1 - 1e-6), 0.0)).stars == stars


def test_no_energy_is_too_high_for_one_star() -> None:
    assert rated(a_record(1e9)).stars == 1


# ---------------------------------------------------------------------------------------------------- a whole rating


def test_a_record_of_the_reference_device_is_rated() -> None:
    rating = rated(a_record(18.0))
    assert rating == Rating(
        stars=4,
        could_be=(4, 4),
        index=rating.index,
        energy_per_unit_j=rating.energy_per_unit_j,
        unit="request",
        basis="measured",
        status="provisional",  # the class is firm, the scheme a draft
        scheme="2026.0-draft",
        class_="A",
        protocol="aes-2025-02",
        component="gpu",
    )
    assert rating.index is not None
    assert rating.index.value == pytest.approx(0.6)
    assert rating.index.sigma == pytest.approx(0.006)
    assert rating.energy_per_unit_j is not None
    assert rating.energy_per_unit_j.value == pytest.approx(18.0)
    assert next_star_j(rating, SCHEME) == pytest.approx(2**-1.5 * E_REF_J)


def test_a_rating_names_the_component_whose_energy_it_rates() -> None:
    assert rated(a_record(18.0)).component == "gpu"
    assert rated(replace(a_record(), measurements=())).component == "gpu", (
        "also where there is nothing to rate"
    )
    assert rate(a_record(), scheme=replace(SCHEME, component="wall"), profiles=PROFILES).component == "wall"


def test_a_star_that_doubt_could_change_says_so() -> None:
    rating = rated(a_record(2**0.5 * E_REF_J * 0.99, 0.05))
    assert (rating.stars, rating.could_be) == (3, (2, 3))


def test_under_a_published_scheme_a_class_is_as_firm_as_its_population() -> None:
    published = replace(SCHEME, draft=False)
    assert rate(a_record(), scheme=published, profiles=PROFILES).status == "firm"
    image = replace(
        with_measurement(work={"request": REQUESTS}),
        task=Task(name="image-classification", protocol="aes-2025-02", unit="request"),
        model=Model(id="org/name", dtype="float32"),
    )
    rating = rate(image, scheme=published, profiles=PROFILES)
    assert (rating.status, rating.class_) == ("provisional", None)


def test_several_devices_of_the_reference_kind_are_rated_together_where_the_protocol_has_several() -> None:
    eight = on(*(replace(H100, id=f"GPU-{number}") for number in range(8)))
    assert rated(served(310.0, eight)).stars == 3
    alone = rated(eight)
    assert [one.message for one in alone.why_not] == [
        "the number of devices must be 1 under aes-2025-02; got 8"
    ]


def test_a_format_that_stands_in_a_file_is_rated_like_the_value_it_holds() -> None:
    record = a_record(18.0, 0.05)
    measurement = record.measurements[0]
    record = replace(record, measurements=(replace(measurement, name="run", n=1), measurement))
    again = record_from_json(record_to_json(record))
    assert rating_to_json(rated(again)) == rating_to_json(rated(record))


def test_the_example_device_counts_as_the_reference_and_is_indicative() -> None:
    example = replace(H100, name="Example GPU", memory_gb=None)
    rating = rated(on(example))
    assert (rating.stars, rating.basis, rating.reasons) == (3, "indicative", ())
    assert is_example(on(example))
    assert not is_example(a_record())


def test_options_of_the_engines_own_leave_a_rating_indicative() -> None:
    record = on_its_data_set(a_record(18.0))
    assert record.load is not None
    changed = replace(record, load=replace(record.load, settings={"option.num_inference_steps": 1}))
    rating = rate(changed, scheme=NOW, profiles=PROFILES)
    assert (rating.stars, rating.status, rating.basis) == (4, "provisional", "indicative")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tasks/text-generation.toml": "1" * 64},
        {"tasks/text-generation.toml": "1" * 64, "items": "3" * 64},
        {"tasks/texts.jsonl": "2" * 64, "items": "3" * 64},
    ],
)
def test_anybodys_own_lines_are_never_the_protocols_items(files: dict[str, str]) -> None:
    rating = rated(replace(a_record(), provenance=provenance(**files)))
    assert (rating.stars, rating.basis) == (3, "indicative")


def test_items_of_the_hash_that_a_scheme_states_are_the_protocols() -> None:
    classes = tuple(replace(item, items_sha256="3" * 64) for item in SCHEME.classes)
    stated = replace(SCHEME, classes=classes)

    def basis(**files: str) -> str | None:
        record = replace(a_record(), provenance=provenance(**files))
        return rate(record, scheme=stated, profiles=PROFILES).basis

    assert basis(items="3" * 64) == "measured"
    assert basis(**{"tasks/texts.jsonl": "3" * 64}) == "measured"
    assert basis(items="4" * 64) == basis(**{"tasks/texts.jsonl": "4" * 64}) == basis() == "indicative"
    assert basis(**{"items": "4" * 64, "tasks/texts.jsonl": "3" * 64}) == "indicative"


def test_five_stars_have_no_next() -> None:
    assert next_star_j(rated(a_record(1.0)), SCHEME) is None
    assert next_star_j(rated(with_measurement(n=1)), SCHEME) is None


def test_the_json_is_the_contract() -> None:
    entry = rating_to_json(rated(a_record(18.0)))
    assert list(entry) == [
        *("stars", "could_be", "index", "energy_per_unit_j", "unit", "basis", "status", "scheme", "class"),
        *("protocol", "reasons", "reason_codes"),
    ]
    assert entry["could_be"] == [4, 4]
    assert entry["class"] == "A"
    assert list(entry["index"]) == ["value", "random", "systematic"]
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    nothing = rating_to_json(rated(replace(a_record(), measurements=(), task=None, load=None, model=None)))
    assert nothing["stars"] is nothing["could_be"] is nothing["index"] is nothing["energy_per_unit_j"] is None
    assert nothing["reasons"]
    assert nothing["reason_codes"] == ["not-benchmarked", "no-task"]


def test_a_scheme_may_be_named_or_left_out() -> None:
    assert rate(a_record()).scheme == "2026.2"
    assert rate(a_record(), scheme="2026.0-draft").scheme == "2026.0-draft"
    with pytest.raises(BadInput, match=r"2026\.0-draft"):
        rate(a_record(), scheme="1999.1")


def test_the_classes_of_the_other_suite_are_rated_per_request_at_their_operating_point() -> None:
    record = served(155.0)
    assert rated(record).stars == 4  # half of 310 J
    off = rated(replace(record, load=Load(items=1024, concurrency=256, max_new_tokens=4096)))
    assert [one.message for one in off.why_not] == [
        "the number of requests at once (batch × concurrency) must be 32 under mlenergy-v3; got 256"
    ]


def test_images_are_rated_by_the_image() -> None:
    record = replace(
        with_measurement(work={"request": REQUESTS, "image": 2 * REQUESTS}),
        task=Task(name="text-to-image", protocol="aes-2025-02", unit="image"),
        load=Load(items=1000, batch_size=1),
        model=Model(id="org/name", dtype="float32"),
    )
    rating = rated(record)
    assert rating.stars == 5
    assert rating.unit == "image"
    assert rating.energy_per_unit_j is not None
    assert rating.energy_per_unit_j.value == pytest.approx(E_REF_J / 2)


# ------------------------------------------------------------------------------------------- the class of a model


@pytest.mark.parametrize(
    ("billions", "dtype", "name"),
    [
        (0.135, "q4_1", "A"),
        (8.0, None, "A"),
        (14.7, "bfloat16", "A"),  # 35 GB, and yet in the leaderboard's class A
        (32.0, "q4_k_m", "A"),  # 19 GB
        (34.0, "float16", "B"),
        (46.7, None, None),  # A in four bits, B in sixteen
        (46.7, "float16", "B"),
        (70.0, "int8", "C"),  # 84 GB
        (70.0, "nf4", "B"),
        (70.0, "torch.bfloat16", "C"),
        (70.0, "mystery", None),
        (None, "float16", None),
    ],
)
def test_text_generation_is_divided_by_the_memory_that_a_model_needs(
    billions: float | None, dtype: str | None, name: str | None
) -> None:
    parameters = None if billions is None else round(billions * 1e9)
    rating = rated(replace(a_record(), model=Model(id="org/name", parameters=parameters, dtype=dtype)))
    assert rating.class_ == name
    assert (rating.stars is not None) == (name == "A")
    if name is None:
        assert codes(rating.why_not)[0] == "class-unknown"
    elif name != "A":
        assert f"class {name} of text generation" in rating.reasons[0]


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("float32", 32),
        ("bfloat16", 16),
        ("torch.float16", 16),
        ("fp8_e4m3", 8),
        ("q4_1", 4),
        ("iq2_xxs", 2),
        ("mxfp4", 4),
        ("w4a16", 4),
        ("awq", None),
        ("tf19", None),
        ("", None),
        (None, None),
    ],
)
def test_the_bits_of_a_weight_are_told_by_the_name_of_its_format(dtype: str | None, bits: int | None) -> None:
    assert weight_bits(dtype) == bits


# ---------------------------------------------------------------------------------------------- every reason why not


def without_gpu() -> Record:
    record = with_measurement(
        energy_j={"cpu": Estimate(value=1.0)},
        energy_by_channel_j={"cpu": Estimate(value=1.0)},
        coverage={"cpu": 1.0},
    )
    return replace(record, channels=(replace(record.channels[0], id="cpu", component="cpu"),))


def found(severity: Any, measurement: str | None = "measured") -> Record:
    finding = Finding(code="counter-reset", message="…", severity=severity, measurement=measurement)
    return replace(a_record(), findings=(finding,))


def task(name: str = "text-generation", protocol: str | None = "aes-2025-02") -> Record:
    return replace(a_record(), task=Task(name=name, protocol=protocol, unit="request"))


L4 = Device(id="GPU-1", name="NVIDIA L4", memory_gb=24.15)
FULL = Load(items=1000, batch_size=1, concurrency=1, max_new_tokens=10)

REASONS: dict[str, tuple[Callable[[], Record], str, str]] = {
    "nothing of the component": (
        without_gpu,
        "component-not-measured",
        "the energy of the GPU must be measured for 2026.0-draft; measured was: cpu",
    ),
    "estimated": (
        lambda: with_channel(method="model"),
        "estimated",
        "the energy of the GPU is only an estimate: a model's, not a measurement's",
    ),
    "energy from nowhere": (
        lambda: with_measurement(energy_by_channel_j={}),
        "component-not-measured",
        "the energy of the GPU must be measured for 2026.0-draft; measured was: nothing",
    ),
    "no energy": (
        lambda: a_record(0.0),
        "no-energy",
        "the energy of the GPU must be above 0 J; its sensor told 0 J",
    ),
    "invalid": (lambda: found("disqualifies"), "invalid", "the measurement is invalid (counter-reset): …"),
    "degraded": (lambda: found("degrades"), "degraded", "the measurement is degraded (counter-reset): …"),
    "degraded as a whole": (
        lambda: found("degrades", None),
        "degraded",
        "the measurement is degraded (counter-reset): …",
    ),
    "marked without a finding": (
        lambda: with_measurement(validity="invalid"),
        "marked-without-a-finding",
        "the measurement is marked invalid, and no finding says why",
    ),
    "partly seen": (
        lambda: with_measurement(coverage={"gpu": 0.9896}),
        "partly-measured",
        "the sensors saw 98.9 % of the time; 99 % are needed",
    ),
    "coverage unknown": (
        lambda: with_measurement(coverage={}),
        "hardly-measured",
        "the sensors saw 0 % of the time; 99 % are needed",
    ),
    "too short": (
        lambda: with_measurement(duration_s=59.9),
        "too-brief",
        "59.90 s were measured; 60 s are needed",
    ),
    "too few samples": (
        lambda: with_channel(period_s=10.0),
        "too-few-samples",
        "gpu0.energy: about 30 samples; 60 are needed",
    ),
    "a sensor of unknown period": (
        lambda: with_channel(period_s=None),
        "period-unknown",
        "gpu0.energy: the readings came too late or too seldom to tell how often the sensor refreshes",
    ),
    "too few repeats": (
        lambda: with_measurement(n=4, work={"request": 4000, "token": 40_000}),
        "too-few-repeats",
        "4 repeats were measured; 5 are needed",
    ),
    "more counted than was done": (
        lambda: with_measurement(work={"request": 7500, "token": 75_000}),
        "not-all-items",
        "each repeat must take all 1,000 items under aes-2025-02; 7,500 requests were counted in 5 repeats",
    ),
    "less counted than was done": (
        lambda: with_measurement(work={"request": 2500, "token": 25_000}),
        "not-all-items",
        "each repeat must take all 1,000 items under aes-2025-02; 2,500 requests were counted in 5 repeats",
    ),
    "a part of a request": (
        lambda: with_measurement(work={"request": 5000.5, "token": 50_005}),
        "not-all-items",
        "each repeat must take all 1,000 items under aes-2025-02; 5,000.5 requests were counted in 5 repeats",
    ),
    "shorter answers": (
        lambda: with_measurement(work={"request": REQUESTS, "token": REQUESTS}),
        "answer-length",
        "an answer must have 10 tokens under aes-2025-02; got 1 on average",
    ),
    "answers that nobody counted": (
        lambda: with_measurement(work={"request": REQUESTS}),
        "answers-not-counted",
        "an answer must have 10 tokens under aes-2025-02; none were counted",
    ),
    "sensors that changed on the way": (
        lambda: replace(
            with_measurement(
                energy_by_channel_j=dict.fromkeys(["gpu0.energy", "gpu0.power"], Estimate(value=75_000.0))
            ),
            channels=(
                a_record().channels[0],
                replace(a_record().channels[0], id="gpu0.power", method="power"),
            ),
        ),
        "sensors-changed",
        "the energy of one device comes from several sensors: gpu0.energy, gpu0.power",
    ),
    "a class of few models": (
        lambda: replace(
            task("text-to-video", "mlenergy-v3"), load=Load(batch_size=4), model=Model(id="org/name")
        ),
        "never-rated",
        "videos are not rated yet: 4 models are too few for a reference energy",
    ),
    "no measurement": (
        lambda: with_measurement(name="run"),
        "not-benchmarked",
        "only a benchmark can be rated; this run was measured as a whole (needed is 'measured'; got 'run')",
    ),
    "no task": (
        lambda: replace(a_record(), task=None),
        "no-task",
        "the record names no task and no protocol, and only runs of one protocol can be compared",
    ),
    "no protocol": (
        lambda: task(protocol=None),
        "no-protocol",
        "the record names no protocol, and only runs of one protocol can be compared",
    ),
    "unknown protocol": (
        lambda: task(protocol="mine-1"),
        "protocol-unknown",
        "the protocol must be one that 2026.0-draft knows: aes-2025-02, mlenergy-v3; got 'mine-1'",
    ),
    "the demo's protocol": (
        lambda: task(protocol="demo-2026.1"),
        "never-rated",
        "the protocol demo-2026.1 shows how the tool works and is never rated: its few short prompts stand for nobody",
    ),
    "mixed task": (
        lambda: task("question-answering"),
        "never-rated",
        "the energies of question answering span 3,215× (14 models): the task mixes architectures and must be divided before it is rated",
    ),
    "unknown task": (
        lambda: task("juggling"),
        "task-not-rated",
        "2026.0-draft has no class for the task 'juggling' under aes-2025-02; it has: text-generation, summarization, s",
    ),
    "no parameters": (
        lambda: replace(a_record(), model=None),
        "class-unknown",
        "the class cannot be told: the record does not say how many parameters the model has",
    ),
    "two kinds of device": (
        lambda: on(H100, replace(L4, id="GPU-2")),
        "mixed-devices",
        "it was measured on devices of more than one kind: NVIDIA H100 80GB HBM3, NVIDIA L4",
    ),
    "another device": (
        lambda: on(L4),
        "other-device",
        "the device must be the reference of 2026.0-draft, NVIDIA H100 SXM 80 GB; got NVIDIA L4, and 2026.0-draft rates no converted figures",
    ),
    "a device that nobody knows": (
        lambda: on(replace(L4, name="Voodoo 2")),
        "other-device",
        "the device must be the reference of 2026.0-draft, NVIDIA H100 SXM 80 GB; got Voodoo 2, and 2026.0-draft rates no converted figures",
    ),
    "a slice of the reference": (
        lambda: on(replace(H100, memory_gb=10.2)),
        "other-memory",
        "the reference device of 2026.0-draft, NVIDIA H100 SXM 80 GB, has 80 GB of memory; got NVIDIA H100 80GB HBM3 with 10.2 GB",
    ),
    "a divided reference": (
        lambda: on(replace(H100, mig=True)),
        "device-divided",
        "NVIDIA H100 80GB HBM3 was divided (MIG), and a part of the reference device is not the whole",
    ),
    "a reference with a lower limit": (
        lambda: on(replace(H100, power_limit_w=400.0)),
        "power-limit",
        "the power limit of NVIDIA H100 80GB HBM3 must be that of the reference, 700 W; got 400 W",
    ),
    "a limit that was lowered for a resumed run": (
        lambda: replace(
            a_record(), environment=Environment(devices=(replace(H100, power_limit_w=400.0), H100))
        ),
        "power-limit",
        "the power limit of NVIDIA H100 80GB HBM3 must be that of the reference, 700 W; got 400 W",
    ),
    "perhaps a part of the reference": (
        lambda: on(replace(H100, memory_gb=None)),
        "perhaps-divided",
        "NVIDIA H100 80GB HBM3: the record does not say whether the whole device was used",
    ),
    "a device without a name": (
        lambda: replace(a_record(), environment=Environment()),
        "device-unknown",
        "the record does not say what device 'GPU-1' is",
    ),
    "no load": (
        lambda: replace(a_record(), load=None),
        "setting-unknown",
        "the number of items must be 1,000 under aes-2025-02; the record does not say it",
    ),
    "batched": (
        lambda: replace(a_record(), load=replace(FULL, batch_size=8)),
        "setting-outside",
        "the number of requests at once (batch × concurrency) must be 1 under aes-2025-02; got 8",
    ),
    "longer answers": (
        lambda: replace(a_record(), load=replace(FULL, max_new_tokens=64)),
        "setting-outside",
        "the limit of the answers (new tokens) must be 10 under aes-2025-02; got 64",
    ),
    "fewer items": (
        lambda: replace(a_record(), load=replace(FULL, items=50)),
        "setting-outside",
        "the number of items must be 1,000 under aes-2025-02; got 50",
    ),
    "another format": (
        lambda: replace(task("image-classification"), model=Model(id="org/name", dtype="float16")),
        "setting-outside",
        "the number of bits per weight must be 32 under aes-2025-02; got 16",
    ),
    "nothing counted": (
        lambda: with_measurement(work={"token": 5}),
        "nothing-counted",
        "the energy is rated per request, and no 'request' was counted in 'measured'",
    ),
    "zero counted": (
        lambda: with_measurement(work={"request": 0}),
        "nothing-counted",
        "the energy is rated per request, and no 'request' was counted in 'measured'",
    ),
    "too doubtful": (
        lambda: a_record(doubt=0.5),
        "too-uncertain",
        "the uncertainty is too large: it could be 2 to 5 stars, and at most 2 may be open",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_a_reason_why_not_is_told(case: str) -> None:
    make, code, said = REASONS[case]
    rating = rated(make())
    assert rating.stars is None
    assert [one for one in rating.why_not if one.code == code and one.message.startswith(said)], (
        rating.why_not
    )
    assert rating.reasons == tuple(str(one) for one in rating.why_not)
    if case not in ("no load", "a device without a name", "coverage unknown", "energy from nowhere"):
        expected = 3 if case == "two kinds of device" else 1  # the protocol has one device
        assert len(rating.reasons) == expected, rating.reasons


def a_crowd(count: int, *short: int, period_s: float = 5.5) -> Record:
    """A record of many GPUs, of which some are too slow for the rules."""
    channel = a_record().channels[0]
    ids = [f"gpu{n}.energy" for n in range(count)]
    each = {name: Estimate(value=75_000.0 / count) for name in ids}
    channels = tuple(
        replace(channel, id=name, device=f"GPU-{n}", period_s=period_s if n in short else 0.1)
        for n, name in enumerate(ids)
    )
    devices = tuple(replace(H100, id=f"GPU-{n}") for n in range(count))
    return replace(
        with_measurement(energy_by_channel_j=each),
        channels=channels,
        environment=Environment(devices=devices),
    )


@pytest.mark.parametrize(
    ("short", "said"),
    [
        (range(200), "all 200 GPUs: about 54 samples; 60 are needed"),
        ((7,), "gpu7.energy: about 54 samples; 60 are needed"),
        (
            (3, 5, 8, 9),
            "4 of 200 GPUs (gpu3.energy, gpu5.energy, gpu8.energy, …): about 54 samples; 60 are needed",
        ),
    ],
)
def test_a_reason_that_holds_for_many_devices_stands_once(short: Sequence[int], said: str) -> None:
    rating = rated(a_crowd(200, *short))
    assert [one.message for one in rating.why_not if one.code == "too-few-samples"] == [said]
    assert len(rating.reasons) == 2, "and the protocol has one device"


def test_a_reason_is_a_code_of_the_table_a_sentence_and_what_to_do() -> None:
    for make, _, _ in REASONS.values():
        for one in rated(make()).why_not:
            assert one.code in KNOWN
            assert not one.message.endswith("."), one
            assert one.remedy or not KNOWN[one.code].remedy, "where the table has a remedy there is one"
            assert str(one) == (f"{one.message}. {one.remedy}" if one.remedy else one.message)


def test_what_falls_just_short_is_never_said_to_be_what_was_asked_for() -> None:
    channel = replace(a_record().channels[0], period_s=59.999 / 59.9)
    record = replace(with_measurement(duration_s=59.999), channels=(channel,))
    said = "\n".join(rated(record).reasons)
    assert "59.99 s were measured; 60 s are needed" in said
    assert "about 59 samples; 60 are needed" in said


def test_every_reason_is_told_and_not_only_the_first() -> None:
    record = on(L4)
    record = replace(
        record,
        measurements=(replace(record.measurements[0], n=1, duration_s=3.0, coverage={"gpu": 0.5}),),
        task=Task(name="text-generation", protocol="demo-2026.1"),
        channels=(replace(record.channels[0], method="model"),),
    )
    said = "\n".join(rated(record).reasons)
    for part in ("only an estimate", "50 %", "3.00 s", "1 repeat was measured", "NVIDIA L4", "demo-2026.1"):
        assert part in said


@pytest.mark.parametrize("stage", ["pre-training", "fine-tuning"])
def test_training_is_not_rated_yet_and_its_run_is_what_would_be(stage: Any) -> None:
    record = replace(with_measurement(name="run", n=1), stage=stage, task=None)
    rating = rated(record)
    assert rating.stars is None
    assert rating.reasons == (f"{stage} is not rated yet: 2026.0-draft has no classes for training",)


def test_a_machine_without_gpu_is_told_that_what_it_has_is_estimated() -> None:
    record = without_gpu()
    record = replace(record, channels=(replace(record.channels[0], method="model"),))
    assert rated(record).why_not[0].message.endswith("measured was: cpu (only estimated)")


def test_a_note_stops_no_rating_and_a_finding_elsewhere_neither() -> None:
    assert rated(found("note")).stars == 3
    assert rated(found("disqualifies", "warm-up")).stars == 3


@pytest.mark.parametrize("severity", ["degrades", "disqualifies"])
def test_what_befell_the_sensor_of_another_component_stops_no_rating(severity: Any) -> None:
    cpu = replace(a_record().channels[0], id="cpu0.energy", component="cpu", device="package-0")
    reset = Finding(code="counter-reset", message="…", severity=severity, channel="cpu0.energy")
    stored = "degraded" if severity == "degrades" else "invalid"
    record = with_measurement(validity=stored)
    record = replace(record, channels=(*record.channels, cpu), findings=(reset,))
    assert rated(record).stars == 3
    # The same of the GPU's own sensor, or of one that nobody knows, does.
    for channel in ("gpu0.energy", "gpu9.energy", None):
        own = replace(record, findings=(replace(reset, channel=channel),))
        assert codes(rated(own).why_not) == (stored,)
        assert rated(own).why_not[0].message == f"the measurement is {stored} (counter-reset): …"


def test_a_finding_that_disqualifies_stops_a_rating_whatever_its_code() -> None:
    for code in ("estimated-only", "known-in-2030", "counter-reset"):
        finding = Finding(code=code, message="…", severity="disqualifies")
        assert codes(rated(replace(a_record(), findings=(finding,))).why_not) == ("invalid",)


def test_a_mark_that_no_finding_explains_stops_a_rating_whatever_befell_others() -> None:
    cpu = replace(a_record().channels[0], id="cpu0.energy", component="cpu", device="package-0")
    reset = Finding(code="counter-reset", message="…", severity="degrades", channel="cpu0.energy")
    record = with_measurement(validity="invalid")
    record = replace(record, channels=(*record.channels, cpu), findings=(reset,))
    assert codes(rated(record).why_not) == ("marked-without-a-finding",)


@pytest.mark.parametrize("limit_w", [665.0, 700.0, 735.0, None])
def test_a_limit_near_the_references_and_one_that_is_not_known_stop_no_rating(limit_w: float | None) -> None:
    assert rated(on(replace(H100, power_limit_w=limit_w))).stars == 3


def test_a_device_is_whole_if_its_memory_or_its_driver_says_so() -> None:
    assert rated(on(replace(H100, memory_gb=None, mig=False))).stars == 3
    assert rated(on(replace(H100, mig=None))).stars == 3


@pytest.mark.parametrize("rounds", [1, 2, 10])
def test_every_repeat_may_take_the_items_several_times(rounds: int) -> None:
    requests = rounds * REQUESTS
    assert rated(with_measurement(work={"request": requests, "token": 10 * requests})).stars is not None


def test_what_cannot_be_rated_keeps_its_measured_figure() -> None:
    rating = rated(on(L4))
    assert rating.energy_per_unit_j is not None
    assert math.isclose(rating.energy_per_unit_j.value, E_REF_J)
    assert rating.index is None


# ------------------------------------------------------------------------------------------------------------ 2026.1

NOW = load_scheme("2026.1")
TRAINED = 1_000_000_000  # parameters
A100 = Device(id="GPU-1", name="NVIDIA A100-SXM4-40GB", power_limit_w=400.0, memory_gb=42.95)
H200 = Device(id="GPU-1", name="NVIDIA H200", power_limit_w=700.0, memory_gb=151.0)


def on_its_data_set(record: Record) -> Record:
    return replace(
        record, provenance=provenance(**{f"datasets/{item.dataset}": "5" * 64 for item in NOW.classes})
    )


def now(record: Record, **options: Any) -> Rating:
    """The rating under 2026.1 of a record that ran on the data set of its class, unless it says what else it ran on."""
    if record.provenance == a_record().provenance:
        record = on_its_data_set(record)
    return rate(record, scheme=NOW, profiles=PROFILES, **options)


def answered(task_name: str, energy_per_request_j: float, tokens_each: int = 0) -> Record:
    """A record of another task of the leaderboard, whose model writes so many tokens a request."""
    record = a_record(energy_per_request_j)
    work: dict[str, int] = {"request": REQUESTS}
    if tokens_each:
        work["token"] = tokens_each * REQUESTS
    return replace(
        record,
        measurements=(replace(record.measurements[0], work=work),),
        task=Task(name=task_name, protocol="aes-2025-02", unit="request"),
        load=Load(items=1000, batch_size=1, concurrency=1),
        model=Model(id="org/name", dtype="float32"),
    )


def chats(energy_per_request_j: float, in_flight: int, **changes: Any) -> Record:
    record = served(energy_per_request_j, a_record(**changes))
    return replace(
        record,
        task=Task(name="text-generation", protocol="serving-2026.1", unit="request"),
        load=Load(items=1024, concurrency=in_flight, max_new_tokens=4096),
    )


def trained(
    j_per_flop: float, stage: Any = "pre-training", model: Model | None = None, **work: float
) -> Record:
    """A run of 400 s on one H100 that was counted as ``work`` and used so much per operation of 6 N T."""
    model = model or Model(id="org/name", parameters=TRAINED)
    tokens = 2e10 / 1e3
    joules = j_per_flop * 6 * TRAINED * tokens
    energy = Estimate(value=joules, random=0.001 * joules, systematic=0.04 * joules)
    run = measured(
        energy,
        name="run",
        n=1,
        start_s=0.0,
        duration_s=400.0,
        work=work or {"token": tokens},
    )
    return a_record(stage=stage, task=None, load=None, model=model, measurements=(run,))


@given(a=ENERGIES, b=ENERGIES, doubt=DOUBTS, task_name=st.sampled_from(["text-generation", "summarization"]))
def test_under_2026_1_too_less_energy_never_earns_fewer_stars(
    a: float, b: float, doubt: float, task_name: str
) -> None:
    def stars(energy: float) -> int | None:
        record = a_record(energy, doubt)
        if task_name != "text-generation":
            record = replace(
                record,
                task=Task(name=task_name, protocol="aes-2025-02", unit="request"),
                model=Model(id="org/name", dtype="float32"),
            )
        return now(record).stars

    less, more = (stars(energy) for energy in sorted((a, b)))
    if less is not None and more is not None:
        assert less >= more


@given(energy=ENERGIES, doubt=DOUBTS, other=ENERGIES)
def test_a_model_that_joins_the_population_changes_no_star(energy: float, doubt: float, other: float) -> None:
    joined = replace(
        NOW,
        classes=tuple(
            replace(
                item,
                n=item.n + 1,
                lowest_j=min(item.lowest_j, other),
                highest_j=max(item.highest_j, other),
                centre_j=statistics.geometric_mean(
                    [item.centre_j, min(max(other, item.lowest_j), item.highest_j)]
                ),
            )
            for item in NOW.classes
        ),
    )
    record = on_its_data_set(a_record(energy, doubt))
    assert rate(record, scheme=joined, profiles=PROFILES) == rate(record, scheme=NOW, profiles=PROFILES)


def test_the_newest_scheme_is_the_default_and_its_firm_class_is_firm() -> None:
    assert rate(a_record(18.0), profiles=PROFILES).scheme == "2026.2"
    rating = now(a_record(18.0))
    assert (rating.stars, rating.status, rating.basis) == (4, "firm", "measured")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tasks/text-generation.toml": "1" * 64, "tasks/texts.jsonl": "2" * 64},
        {"items": "3" * 64},
        {"datasets/somebody/texts": "4" * 64},
        {"datasets/EnergyStarAI/text_generation": "5" * 64, "items": "3" * 64},
    ],
)
def test_what_did_not_run_on_the_classs_data_set_is_indicative(files: dict[str, str]) -> None:
    record = replace(a_record(18.0), provenance=provenance(**files))
    rating = rate(record, scheme=NOW, profiles=PROFILES)
    assert (rating.stars, rating.status, rating.basis) == (4, "provisional", "indicative")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_input_tokens": 8}, "max input tokens must be left alone under aes-2025-02; got 8"),
        ({"prompt_cache": True}, "prompt cache must be left alone under aes-2025-02; got on"),
        ({"steps": 1, "min_new_tokens": 10}, "steps must be left alone under aes-2025-02; got 1"),
    ],
)
def test_a_setting_that_makes_other_work_of_it_is_outside_the_protocol(
    settings: dict[str, Any], said: str
) -> None:
    record = a_record(18.0)
    assert record.load is not None
    rating = now(on_its_data_set(replace(record, load=replace(record.load, settings=settings))))
    assert (rating.stars, [one.message for one in rating.why_not]) == (None, [said])


@pytest.mark.parametrize(
    "settings", [{}, {"min_new_tokens": 10}, {"prompt_cache": False, "attention": "sdpa"}]
)
def test_how_fast_the_same_work_is_done_is_the_users_affair(settings: dict[str, Any]) -> None:
    record = a_record(18.0)
    assert record.load is not None
    assert now(on_its_data_set(replace(record, load=replace(record.load, settings=settings)))).stars == 4


@pytest.mark.parametrize("asked", [None, False, True])
def test_a_model_that_was_not_asked_to_think_is_not_rated_among_those_that_were(asked: bool | None) -> None:
    record = chats(2500.0, 32)
    assert record.load is not None
    assert record.task is not None
    load = replace(record.load, items=198, max_new_tokens=32768, reasoning=asked)
    rating = now(on_its_data_set(replace(record, task=replace(record.task, name="reasoning"), load=load)))
    outside = [code for code in codes(rating.why_not) if code == "reasoning"]
    assert (rating.stars == 3) == (not outside) == (asked is True)


def test_a_profile_of_ones_own_never_moves_what_the_reference_device_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    mine = tmp_path / "energy-rating" / "hardware_profiles"
    mine.mkdir(parents=True)
    shipped = (hardware_profiles() / f"{NOW.reference_device}.toml").read_text(encoding="utf-8")
    own = shipped.replace("power_limit_w = { value = 700,", "power_limit_w = { value = 350,")
    assert own != shipped
    (mine / f"{NOW.reference_device}.toml").write_text(own, encoding="utf-8")
    rating = rate(on_its_data_set(on(replace(H100, power_limit_w=350.0))), scheme=NOW)
    assert (rating.stars, rating.basis) == (None, None)
    assert "must be that of the reference, 700 W; got 350 W" in rating.reasons[0]


@pytest.mark.parametrize("record", [chats(155.0, 32), on(L4)], ids=["the reference", "another device"])
def test_rating_in_one_process_parses_schemes_and_profiles_once_and_says_the_same(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rate(record)
    monkeypatch.setattr(tomllib, "loads", lambda text: pytest.fail("parsed again"))
    assert rate(record) == first == rate(record, profiles=PROFILES)


def test_a_steady_state_need_not_hold_whole_rounds() -> None:
    record = chats(155.0, 32)
    once = record.measurements[0]
    part = replace(once, work={"request": 4321.5, "token": 900_000})
    rating = now(replace(record, measurements=(part,)))
    assert "not-all-items" not in codes(rating.why_not)
    assert rating.stars is not None


def test_where_requests_come_by_themselves_nobody_keeps_their_number() -> None:
    record = chats(155.0, 32)
    assert record.load is not None
    rating = now(replace(record, load=replace(record.load, request_rate=4.0)))
    assert rating.stars is None


@pytest.mark.parametrize(
    ("name", "tokens", "class_", "e_ref_j"),
    [
        ("question-answering", 0, "single-pass", 3.0),
        ("text-classification", 0, "single-pass", 1.0),
        ("automatic-speech-recognition", 24, "generative", 62.0),
    ],
)
def test_a_mixed_task_is_divided_by_whether_the_model_wrote_tokens(
    name: str, tokens: int, class_: str, e_ref_j: float
) -> None:
    rating = now(answered(name, e_ref_j, tokens))
    assert (rating.class_, rating.stars, rating.reasons) == (class_, 3, ())
    assert rating.index is not None
    assert rating.index.value == pytest.approx(1)
    other = now(answered(name, e_ref_j, 0 if tokens else 24))
    assert other.stars is None
    assert other.class_ == ("single-pass" if tokens else "generative")
    assert "models are too few for a reference energy" in other.reasons[0]


@pytest.mark.parametrize(
    ("in_flight", "e_ref_j"), [(16, 450.0), (32, 310.0), (64, 200.0), (128, 180.0), (256, 140.0)]
)
def test_serving_is_rated_against_the_reference_at_the_same_number_of_requests(
    in_flight: int, e_ref_j: float
) -> None:
    rating = now(chats(e_ref_j / 2, in_flight))
    assert (rating.stars, rating.class_, rating.status) == (4, f"{in_flight} at once", "provisional")


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (Load(concurrency=48, max_new_tokens=4096), "under serving-2026.1; got 48"),
        (Load(max_new_tokens=4096), "under serving-2026.1; the record does not say it"),
        (None, "under serving-2026.1; the record does not say it"),
        (
            Load(concurrency=32, max_new_tokens=100),
            "the limit of the answers (new tokens) must be 4,096 under serving-2026.1; got 100",
        ),
    ],
)
def test_between_the_operating_points_nothing_is_rated(load: Load | None, said: str) -> None:
    rating = now(replace(chats(100.0, 32), load=load))
    assert rating.stars is None
    assert said in rating.reasons[0]


def test_a_device_that_others_used_too_is_not_rated_whatever_the_finding_weighs() -> None:
    for severity in ("note", "degrades", "disqualifies"):
        finding = Finding(code="shared-gpu", message="3 other processes", severity=severity)  # type: ignore[arg-type]
        rating = now(replace(a_record(), findings=(finding,)), provisional=True)
        assert rating.stars is None
        assert rating.would_be is None
        assert codes(rating.why_not) == ("shared",)


# ------------------------------------------------------------------------------------------------- what it would be


def short(**changes: Any) -> Record:
    """Three repeats in 30 s."""
    return with_measurement(
        **({"n": 3, "duration_s": 30.0, "work": {"request": 3000, "token": 30_000}} | changes)
    )


def test_what_is_only_too_short_says_what_it_would_be_when_asked_and_stays_not_rated() -> None:
    plain, asked = now(short()), now(short(), provisional=True)
    assert plain.would_be is None
    assert asked == replace(plain, would_be=asked.would_be)
    assert asked.stars is asked.could_be is asked.index is asked.basis is asked.status is None
    assert asked.would_be is not None
    assert asked.would_be.stars == 2  # 150 kJ over 3,000 requests: 50 J, 1.67 of the reference
    assert len(asked.reasons) == 2
    entry = rating_to_json(asked)
    assert entry["stars"] is None
    assert entry["would_be"]["stars"] == 2
    assert "would_be" not in rating_to_json(plain)


def test_what_it_would_be_by_normalising_is_said_and_what_was_measured_stays_the_figure() -> None:
    record = on(H200)
    few = replace(record.measurements[0], n=3, work={"request": 3000, "token": 30_000})
    record = on_its_data_set(replace(record, measurements=(few,)))
    plain, asked = now(record), now(record, provisional=True)
    assert asked == replace(plain, would_be=asked.would_be)
    assert asked.would_be is not None
    assert asked.would_be.basis == "normalised"
    assert asked.energy_per_unit_j is not None
    assert asked.energy_per_unit_j.value == pytest.approx(50.0)
    assert words.would_be(asked.would_be).endswith(", converted from another device")


def test_what_is_rated_would_not_be_anything_else() -> None:
    assert now(a_record(), provisional=True) == now(a_record())
    with pytest.raises(ValueError, match="what is rated"):
        replace(now(a_record()), would_be=now(short(), provisional=True).would_be)


@pytest.mark.parametrize(
    "case",
    [
        *(
            "nothing of the component",
            "estimated",
            "no energy",
            "invalid",
            "marked without a finding",
            "no task",
        ),
        *("unknown protocol", "batched", "another format", "longer answers", "a slice of the reference"),
        *("a divided reference", "sensors that changed on the way", "nothing counted", "no parameters"),
        *("a reference with a lower limit", "a device that nobody knows", "shorter answers"),
    ],
)
def test_what_no_better_measurement_would_mend_would_be_nothing(case: str) -> None:
    rating = now(REASONS[case][0](), provisional=True)
    assert rating.stars is None
    assert rating.would_be is None
    assert rating.reasons


@pytest.mark.parametrize(
    "case", ["degraded", "partly seen", "too short", "too few samples", "too few repeats", "too doubtful"]
)
def test_what_a_better_measurement_would_mend_would_be_something(case: str) -> None:
    rating = now(REASONS[case][0](), provisional=True)
    assert rating.stars is None
    assert rating.would_be is not None


# ---------------------------------------------------------------------------------------------------- other devices


def test_on_another_device_the_normalised_figure_is_rated_and_never_firm() -> None:
    record = on(A100)
    record = replace(chats(310.0, 32), environment=record.environment)
    # 120 W of 400 W on average would be 0.3 of the limit: inside what the factors were measured at.
    seconds = record.measurements[0].energy_j["gpu"].value / 200.0
    record = replace(record, measurements=(replace(record.measurements[0], duration_s=seconds),))
    rating = now(record)
    if rating.stars is None:  # a factor of two in doubt may touch three classes; it is told
        assert codes(rating.why_not) == ("too-uncertain",)
    else:
        assert rating.basis == "normalised"
        assert rating.status == "provisional"
    found = judge(on_its_data_set(record), scheme=NOW, profiles=PROFILES)
    assert found.normalised is not None
    assert found.normalised.tier == "1"
    assert found.measured_j is not None
    assert found.measured_j.value == pytest.approx(310.0)
    assert found.rating.index is not None
    assert found.normalised.energy_per_unit_j is not None
    assert found.rating.index.value == pytest.approx(found.normalised.energy_per_unit_j.value / 310.0)


def test_a_class_in_the_middle_of_its_stars_is_rated_by_its_normalised_figure() -> None:
    record = replace(chats(20.0, 32), environment=on(A100).environment)
    seconds = record.measurements[0].energy_j["gpu"].value / 200.0
    record = replace(record, measurements=(replace(record.measurements[0], duration_s=seconds),))
    rating = now(record)
    assert (rating.stars, rating.basis, rating.status) == (5, "normalised", "provisional")
    assert rating.index is not None
    assert rating.interval_95 is not None
    low, high = rating.interval_95
    assert rating.index.value**2 == pytest.approx(low * high)  # a factor up and down
    assert rating.could_be == (NOW.stars(high), NOW.stars(low))
    assert rating.energy_per_unit_j is not None
    assert rating.energy_per_unit_j.value != pytest.approx(20.0)
    assert rated(record).stars is None  # the draft normalises nothing
    own = now(replace(record, provenance=provenance(items="3" * 64)), provisional=True)
    assert own.stars is None
    assert codes(own.why_not) == ("own-items-elsewhere",)
    assert own.would_be is not None


def test_what_cannot_be_normalised_is_not_rated_and_says_why() -> None:
    rating = now(on(replace(L4, name="Voodoo 2")))
    assert rating.stars is None
    assert codes(rating.why_not) == ("no-profile",)
    assert rating.reasons[0].startswith(
        "it was measured on Voodoo 2, which cannot be converted to the reference device: no hardware"
    )
    assert rating.energy_per_unit_j is not None
    assert rating.energy_per_unit_j.value == pytest.approx(E_REF_J)


# -------------------------------------------------------------------------------------------------------- training


def test_training_is_rated_per_operation_of_six_n_t() -> None:
    rating = now(trained(1.7e-12))
    assert (rating.stars, rating.unit, rating.status, rating.basis) == (3, "flop", "provisional", "measured")
    assert rating.protocol == "model-flop-2026.1"
    assert rating.index is not None
    assert rating.index.value == pytest.approx(1.0)
    assert now(trained(1.2e-12)).stars == 4
    assert now(trained(3.0e-12)).stars == 2
    found = judge(trained(1.7e-12), scheme=NOW, profiles=PROFILES)
    assert "6 N T: N = 1,000,000,000 parameters, all trained" in found.work_method


def test_counted_operations_stand_before_those_that_follow_from_tokens() -> None:
    flop = 6 * TRAINED * 2e7
    counted = now(trained(1.7e-12, flop=flop / 2, token=2e7))
    assert counted.index is not None
    assert counted.index.value == pytest.approx(2.0)


@pytest.mark.parametrize("unit", ["token", "flop"])
def test_what_was_counted_in_epochs_that_cover_a_training_is_counted_of_the_training(unit: str) -> None:
    """The usual loop: windows around the epochs, and tokens counted into those."""
    whole = trained(1.7e-12, **{unit: 2e7})
    run = replace(whole["run"], work={})
    epochs = replace(whole["run"], name="epoch", n=3, start_s=1.0, duration_s=398.0)
    inside = replace(whole, measurements=(run, epochs))
    assert now(inside) == now(whole)
    assert now(inside).stars is not None
    found = judge(inside, scheme=NOW, profiles=PROFILES)
    assert "'epoch', which covers 99.5 % of the run" in found.work_method
    assert "Energy of the whole training" in label.svg(inside, now(inside))
    half = replace(whole, measurements=(run, replace(epochs, duration_s=200.0)))
    assert now(half).stars is None
    (reason,) = now(half).reasons
    assert f"{unit} in 'epoch' (50 % of the time) were counted" in reason


@pytest.mark.parametrize(
    ("model", "index"),
    [
        (Model(id="m", parameters=TRAINED, trainable_parameters=TRAINED), 1.0),
        (Model(id="m", parameters=TRAINED, trainable_parameters=1), 1.5),  # adapters: 4 N T
        (Model(id="m", parameters=TRAINED), 1.5),  # not said: the fewest operations
        (Model(id="m", parameters=2 * TRAINED, trainable_parameters=TRAINED), 0.6),
        (
            Model(
                id="m", parameters=8 * TRAINED, active_parameters=TRAINED, trainable_parameters=8 * TRAINED
            ),
            1.0,
        ),
    ],
)
def test_frozen_weights_need_fewer_operations(model: Model, index: float) -> None:
    rating = now(trained(1.7e-12, "fine-tuning", model))
    assert rating.index is not None, rating.reasons
    assert rating.index.value == pytest.approx(index, rel=1e-6)


@given(a=st.integers(1, TRAINED), b=st.integers(1, TRAINED))
def test_claiming_that_fewer_parameters_were_trained_never_earns_more_stars(a: int, b: int) -> None:
    few, many = sorted((a, b))
    stars = [
        now(trained(1.5e-12, "fine-tuning", Model(id="m", parameters=TRAINED, trainable_parameters=n))).stars
        for n in (few, many)
    ]
    assert None not in stars
    assert stars[0] <= stars[1]  # type: ignore[operator]


def test_training_on_any_device_is_rated_as_it_is() -> None:
    record = replace(trained(2.4e-12), environment=Environment(devices=(A100,)))
    rating = now(record)
    assert (rating.stars, rating.basis, rating.status) == (3, "measured", "provisional")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: trained(1.7e-12, model=Model(id="m")), "the record does not say how many parameters"),
        (lambda: trained(1.7e-12, step=10), "training is rated per floating-point operation, and neither"),
        (
            lambda: trained(1.7e-12, token=2e10),
            "the devices can do 1,979 TFLOP/s; what was counted would be 300,000",
        ),
        (
            lambda: replace(
                trained(1.7e-12), environment=Environment(devices=(replace(A100, name="Voodoo 2"),))
            ),
            "no hardware profile says how many operations Voodoo 2 can do",
        ),
        (
            lambda: replace(trained(1.7e-12), environment=Environment(devices=(replace(H100, mig=True),))),
            "NVIDIA H100 80GB HBM3 was divided (MIG)",
        ),
        (lambda: replace(trained(1.7e-12), environment=Environment()), "the record does not say what device"),
    ],
)
def test_a_training_that_cannot_be_rated_says_why(make: Callable[[], Record], said: str) -> None:
    rating = now(make())
    assert rating.stars is None
    assert any(reason.startswith(said) for reason in rating.reasons), rating.reasons
