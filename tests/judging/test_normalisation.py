"""Normalisation: each tier by hand, each refusal with its remedy, and the laws that hold for any figure."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import energy_rating
from energy_rating.cli import main
from energy_rating.files.record import write_record
from energy_rating.judging.normalisation import (
    LEAST_USE,
    MOST_USE,
    Normalised,
    normalise,
    version,
)
from energy_rating.judging.profiles import Driver, Factor, Profile, Source, load_profile, profiles
from energy_rating.judging.roads import emulates, hardware_interval
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.quantities import Estimate
from energy_rating.nouns.reasons import REASONS
from energy_rating.nouns.records import (
    Channel,
    Device,
    Environment,
    Load,
    Measurement,
    Model,
    Provenance,
    Record,
    Task,
)

TOP = Path(__file__).parents[2]
BENCHMARK = TOP / "benchmarks" / "normalisation.py"
DATA = Path(os.environ.get("ENERGY_RATING_REFERENCE_DATA", TOP.parent / "shared" / "reference-data"))

H100, A100, B200 = (
    load_profile(key) for key in ("nvidia-h100-sxm-80gb", "nvidia-a100-sxm-40gb", "nvidia-b200-sxm-180gb")
)
H200, L4 = load_profile("nvidia-h200-sxm-141gb"), load_profile("nvidia-l4-24gb")
Z = 1.6448536269514722  # of 90 %, any table of the normal law


HERE = "here"


def like(profile: Profile, key: str, **changes: Any) -> Profile:
    """A profile that differs from another in a few things, by another name; this test says so of all its figures."""
    figures = {name: replace(figure, source=HERE) for name, figure in profile.known_figures().items()}
    plain: dict[str, Any] = {
        "key": key,
        "driver": Driver(names=(key,), source=HERE),
        "figures": replace(profile.figures, **figures),
        "sources": {HERE: Source(title="this test", date="2026-11-22")},
        "dtypes": None,
        "embodied": (),
        "factors": (),
    }
    return replace(profile, **(plain | changes))


SMALL_BATCH = replace(
    A100.factors[0],
    workload_class="llm-small-batch",
    reference=A100.key,
    value=0.9,
    value_at_full_use=0.7,
    value_at_full_reference_use=0.6,
    use_exponent=-0.5,
    interval=1.25,
    source=HERE,
)
VOLTA = like(A100, "volta", architecture="Volta", factors=(SMALL_BATCH,))
KNOWN = (*profiles(), VOLTA)


def a_record(
    profile: Profile,
    energy_per_unit_j: float = 2.0,
    *,
    use: float = 0.5,
    doubt: tuple[float, float] = (0.0, 0.0),
    unit: str = "token",
    work: float = 1000,
    cards: int = 1,
    **changes: Any,
) -> Record:
    """A record with this energy per unit at this use of the power limit; ``doubt``: relative, random and systematic, 1 σ."""
    limit = profile.figures.power_limit_w
    assert limit is not None
    total_j = energy_per_unit_j * work
    share_j = total_j / cards
    random, systematic = doubt

    def energy(joules: float) -> Estimate:
        return Estimate(value=joules, random=random * joules, systematic=systematic * joules)

    measured = Measurement(
        name="measured",
        n=5,
        start_s=0.0,
        duration_s=max(total_j / (use * limit.value * cards), 1e-6),
        work={unit: work},
        energy_by_channel_j={f"gpu{card}.energy": energy(share_j) for card in range(cards)},
        energy_j={"gpu": energy(total_j)},
        coverage={"gpu": 1.0},
        validity="valid",
    )
    plain: dict[str, Any] = {
        "run_id": "20261121T091403Z-6f1c",
        "created": "2026-11-21T09:14:03Z",
        "stage": "inference",
        "environment": Environment(
            devices=tuple(
                Device(id=f"GPU-{card}", name=profile.driver.names[0], power_limit_w=limit.value)
                for card in range(cards)
            )
        ),
        "channels": tuple(
            Channel(
                id=f"gpu{card}.energy",
                component="gpu",
                device=f"GPU-{card}",
                method="counter",
                accuracy=systematic,
                period_s=0.1,
            )
            for card in range(cards)
        ),
        "measurements": (replace(measured, name="run", n=1), measured),
        "findings": (),
        "provenance": Provenance(version="0.1.0", journal_sha256="0" * 64),
        "model": Model(id="org/name", dtype="float16"),
        "task": Task(name="text-generation", unit=unit),
        "load": Load(concurrency=32),
    }
    return Record(**(plain | changes))


def images(profile: Profile, energy_j: float = 1000.0, **changes: Any) -> Record:
    return a_record(
        profile, energy_j, unit="image", work=100, task=Task(name="text-to-image", unit="image"), **changes
    )


def with_device(record: Record, **changes: Any) -> Record:
    devices = tuple(replace(device, **changes) for device in record.environment.devices)
    return replace(record, environment=Environment(devices=devices))


def with_measurement(record: Record, **changes: Any) -> Record:
    return replace(record, measurements=(record.measurements[0], replace(record["measured"], **changes)))


def to(record: Record, target: Profile = H100, **options: Any) -> Normalised:
    """By the rules of the first vintage, which never move; what the next one does is in test_vintages."""
    return normalise(record, target.key, profiles=KNOWN, **({"vintage": "2026.1"} | options))


def value(found: Normalised) -> float:
    assert found.energy_per_unit_j is not None, found.reasons
    return found.energy_per_unit_j.value


def factor_of(profile: Profile, workload_class: str) -> Factor:
    return next(item for item in profile.factors if item.workload_class == workload_class)


# ------------------------------------------------------------------------------------------------ the tiers, by hand


def test_on_the_reference_device_the_measurement_stays_what_it_is() -> None:
    found = to(a_record(H100, 2.0, doubt=(0.03, 0.04)))
    assert (found.tier, found.factor, found.reasons) == ("M", 1.0, ())
    assert found.energy_per_unit_j == Estimate(value=2.0, random=0.06, systematic=0.08)
    assert found.interval_90 == pytest.approx((2 - Z * 0.1, 2 + Z * 0.1))


def test_tier_1_an_under_used_small_gpu_would_be_more_under_used_on_a_big_one() -> None:
    factor = factor_of(A100, "llm-serving")
    assert (factor.value_at_full_use, factor.use_exponent, factor.interval) == (0.756, -0.5, 1.4)
    found = to(a_record(A100, 2.0, use=0.25))
    assert found.tier == "1"
    assert found.factor == pytest.approx(0.756 / math.sqrt(0.25))
    assert value(found) == pytest.approx(3.024)
    assert found.interval_90 == pytest.approx((3.024 / 1.4, 3.024 * 1.4))
    assert found.use == pytest.approx(0.25)


def test_tier_1_a_larger_gpu_that_is_under_used_gains_on_a_smaller_one() -> None:
    found = to(images(B200, 1000.0, use=0.81))
    assert found.factor == pytest.approx(1.117 * 0.81**0.25)
    assert value(found) == pytest.approx(1059.68, rel=1e-5)
    assert found.interval_90 == pytest.approx((1059.68 / 1.2, 1059.68 * 1.2), rel=1e-5)


def test_the_measurements_doubt_joins_in_logarithms_and_acts_on_the_use_too() -> None:
    # Energy stands in E and, to the power of −1/2, in u: half its doubt is left.
    found = to(a_record(A100, 2.0, use=0.25, doubt=(0.06, 0.08)))
    energy = found.energy_per_unit_j
    assert energy is not None
    sigma = math.log(1.4) / Z
    assert energy.random == pytest.approx(0.03 * 3.024)
    assert energy.systematic == pytest.approx(math.hypot(0.04, sigma) * 3.024)
    times = math.exp(Z * math.hypot(0.03, 0.04, sigma))
    assert found.interval_90 == pytest.approx((3.024 / times, 3.024 * times))


CALIBRATION = Factor(
    workload_class="llm-serving",
    reference=H100.key,
    value=0.8,
    interval=1.5,
    models=2,
    rows=2,
    tier="2",
    evidence="two models measured here",
    source="here",
)


def test_tier_2_a_calibration_is_its_median_ratio_without_the_use() -> None:
    found = to(a_record(L4, 2.0, use=0.9), calibration=[CALIBRATION])
    assert (found.tier, found.factor) == ("2", 0.8)
    assert found.interval_90 == pytest.approx((1.6 / 1.5, 1.6 * 1.5))
    other = replace(CALIBRATION, workload_class="diffusion", interval=1.3)
    assert to(images(L4), calibration=[other]).interval_90 == pytest.approx((800 / 1.3, 800 * 1.3))


def test_a_shipped_factor_of_five_models_goes_before_a_calibration() -> None:
    assert to(a_record(A100), calibration=[CALIBRATION]).tier == "1"


@pytest.mark.parametrize(("record", "times"), [(a_record(H200), 1.5), (images(H200), 1.25)])
def test_tier_3_recent_cards_with_hbm_are_taken_for_alike(record: Record, times: float) -> None:
    found = to(record)
    assert (found.tier, found.factor) == ("3", 1.0)
    energy = value(found)
    assert found.interval_90 == pytest.approx((energy / times, energy * times))


def test_tier_4_bandwidth_per_watt_is_told_and_never_rated() -> None:
    found = to(images(L4, 1000.0))
    assert found.tier == "4"
    assert found.factor == pytest.approx((300.1 / 72) / (3350 / 700))
    assert value(found) == pytest.approx(870.94, rel=1e-4)
    assert found.interval_90 == pytest.approx((870.94 / 1.5, 870.94 * 1.5), rel=1e-4)


def test_each_road_ends_in_its_tier() -> None:
    assert to(a_record(H100)).tier == "M"
    assert to(a_record(A100)).tier in ("1", "2")
    assert to(a_record(L4), calibration=[CALIBRATION]).tier in ("1", "2")
    assert to(a_record(H200)).tier == "3"
    assert to(with_device(a_record(A100), mig=True)).tier is None


def test_a_factor_to_a_third_device_goes_on_from_there_and_both_doubts_count() -> None:
    small = Load(batch_size=1, concurrency=1)
    found = to(a_record(VOLTA, 2.0, use=0.49, load=small))
    # 0.7 × 0.49^−½ = 1 to the A100, of which nothing is known at small batch: tier 3, the worse of both.
    assert (found.tier, found.factor) == ("3", pytest.approx(1.0))
    times = math.exp(math.hypot(math.log(1.25), math.log(1.25)))
    assert hardware_interval(found.steps) == pytest.approx(times)
    assert found.interval_90 == pytest.approx((2 / times, 2 * times))
    direct = to(a_record(VOLTA, 2.0, use=0.49, load=small), A100)
    assert (direct.tier, direct.factor) == ("1", pytest.approx(1.0))
    assert hardware_interval(direct.steps) == pytest.approx(1.25)


def test_to_another_device_both_factors_are_used() -> None:
    found = to(images(B200, 1000.0, use=0.81), A100)
    there = 1.117 * 0.81**0.25
    back = factor_of(A100, "diffusion").value
    assert found.factor == pytest.approx(there / back)
    assert found.tier == "1"
    assert hardware_interval(found.steps) == pytest.approx(math.exp(math.sqrt(2) * math.log(1.2)))
    assert [step.target for step in found.steps] == [H100.key, A100.key]


def test_from_the_reference_its_own_use_decides() -> None:
    factor = factor_of(A100, "llm-serving")
    found = to(a_record(H100, 3.0, use=0.36), A100)
    assert factor.value_at_full_reference_use is not None
    assert found.factor == pytest.approx(1 / (factor.value_at_full_reference_use / math.sqrt(0.36)))


def test_several_cards_of_one_kind_are_used_as_one() -> None:
    one, four = to(a_record(A100, use=0.4)), to(a_record(A100, use=0.4, cards=4))
    assert value(one) == pytest.approx(value(four))


def test_another_power_limit_is_another_device() -> None:
    record = with_device(images(A100, use=0.6), power_limit_w=250.0)
    assert to(record).tier == "3"
    same = to(record, A100)
    assert (same.tier, same.factor) == ("3", 1.0)
    assert to(with_device(images(H100, use=0.4), power_limit_w=350.0)).tier == "3"
    assert to(with_device(images(H100), power_limit_w=690.0)).tier == "M"


def test_without_a_target_it_is_the_schemes_reference_device() -> None:
    found = energy_rating.normalise(a_record(A100))
    assert found.reference == H100.key
    assert found == normalise(a_record(A100), H100)


def test_a_target_that_is_no_profile_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="nvidia-h100-sxm-80gb"):
        normalise(a_record(A100), "nvidia-h100")


@pytest.mark.parametrize(
    ("task", "load", "unit", "workload_class"),
    [
        ("text-generation", Load(concurrency=8), "token", "llm-serving"),
        ("text-generation", Load(batch_size=8), "token", "llm-serving"),
        ("gpqa", Load(batch_size=2, concurrency=4), "request", "llm-serving"),
        ("summarization", Load(batch_size=1, concurrency=7), "request", "llm-small-batch"),
        ("a task of one's own", Load(batch_size=1), "token", "llm-small-batch"),
        ("text-to-video", Load(), "video", "diffusion"),
        ("image-classification", Load(batch_size=64), "request", "vision"),
        ("automatic-speech-recognition", None, "request", "speech"),
        ("sentence-similarity", None, "request", "embedding"),
    ],
)
def test_the_class_of_workloads_follows_from_task_and_load(
    task: str, load: Load | None, unit: str, workload_class: str
) -> None:
    record = a_record(H200, unit=unit, task=Task(name=task, unit=unit), load=load)
    assert to(record).workload_class == workload_class


def test_without_a_task_the_only_unit_that_was_counted_is_taken() -> None:
    found = to(a_record(A100, task=None))
    assert (found.unit, found.workload_class, found.tier) == ("token", "llm-serving", "1")
    assert to(a_record(A100), unit="token").unit == "token"


# --------------------------------------------------------------------------------------------------------- refusals

WALL = {"energy_j": {"wall": Estimate(value=10.0)}, "energy_by_channel_j": {}}
MODULE = {"energy_j": {"module": Estimate(value=10.0)}, "energy_by_channel_j": {}}


def two_kinds() -> Record:
    record = a_record(A100, cards=2)
    first, second = record.environment.devices
    return replace(record, environment=Environment(devices=(first, replace(second, name="NVIDIA B200"))))


def estimated() -> Record:
    record = a_record(A100)
    return replace(record, channels=tuple(replace(item, method="model") for item in record.channels))


@pytest.mark.parametrize(
    ("record", "said", "remedy"),
    [
        (with_device(a_record(A100), name="NVIDIA A100-SXM4-41GB"), "no hardware profile", "Add one"),
        (with_device(a_record(A100), memory_gb=20.0), "20.0 GB is not the device", "whole one"),
        (with_device(a_record(A100), mig=True), "divided (MIG)", "Measure on a whole one"),
        (two_kinds(), "more than one kind: NVIDIA A100-SXM4-40GB, NVIDIA B200", "each kind alone"),
        (
            a_record(A100, model=Model(id="m", dtype="float8_e4m3fn")),
            "emulates it",
            "both devices compute in",
        ),
        (a_record(B200, model=Model(id="m", dtype="mxfp4")), "H100 SXM 80 GB has no matrix units", "both"),
        (
            a_record(VOLTA, model=Model(id="m", dtype="bfloat16"), load=Load(batch_size=1)),
            "emulates it",
            "both",
        ),
        (
            a_record(VOLTA, model=None, load=Load(batch_size=1)),
            "does not say the format of the weights",
            "Measure with",
        ),
        (a_record(A100, use=0.1), "got 10.0 %", "more to do at once"),
        (a_record(A100, use=1.02), "got 102 %", "Look at the limit"),
        (
            with_measurement(a_record(A100), **WALL),
            "a factor between GPUs does not hold",
            "sensor of the GPU",
        ),
        (with_measurement(a_record(A100), **MODULE), "measured was: module", "sensor of the GPU"),
        (estimated(), "only an estimate", "sensor of the GPU"),
        (with_device(a_record(A100), power_limit_w=None), "power limit of NVIDIA A100", "driver tells it"),
        (a_record(A100, stage="fine-tuning"), "fine-tuning is not converted", "runs of one device"),
        (with_measurement(a_record(A100, task=None), work={}), "the unit of work is not known", "--count"),
        (
            with_measurement(a_record(A100, task=None), work={"token": 1, "request": 1}),
            "these were counted: token, request",
            "--unit",
        ),
        (
            a_record(A100, task=Task(name="chat", unit="request")),
            "must be one that was counted in 'measured': token; got 'request'",
            "--unit",
        ),
        (a_record(A100, load=None), "how many requests ran at once", "benchmark"),
        (
            a_record(A100, unit="step", task=Task(name="folding", unit="step")),
            "'folding' belongs to no class",
            "--task",
        ),
        (a_record(A100, unit="step", task=None), "names no task", "--task"),
        (a_record(load_profile("example-gpu")), "does not exist", "an example"),
        (replace(a_record(A100), environment=Environment()), "does not say what device 'GPU-0'", "again"),
        (replace(a_record(A100), measurements=()), "must hold the measurement", "Summarise"),
        (a_record(A100, 1e-200), "say nothing", "Measure again"),
        (a_record(A100, 1e200, work=1), "say nothing", "Measure again"),
        (a_record(A100, doubt=(200.0, 0.0)), "say nothing", "Measure again"),
    ],
)
def test_what_cannot_be_told_is_refused_with_reason_and_remedy(
    record: Record, said: str, remedy: str
) -> None:
    found = to(record)
    assert found.factor is None
    assert found.energy_per_unit_j is None
    assert found.interval_90 is None
    assert found.tier is None
    assert any(said in one.message and remedy in str(one) for one in found.why_not), found.why_not
    assert found.reasons == tuple(str(one) for one in found.why_not)
    assert all(one.code in REASONS for one in found.why_not)


def test_what_is_like_no_device_with_data_is_refused() -> None:
    for changes in (
        {"architecture": "CDNA 3"},
        {"architecture": "Pascal"},
        {"memory_kind": "LPDDR5X"},
        {"memory_kind": "LPDDR4X", "architecture": "Volta"},
    ):
        odd = like(A100, "odd", **changes)
        found = normalise(a_record(odd), H100, profiles=(*KNOWN, odd))
        assert found.factor is None
        assert "Calibrate it" in found.reasons[0]
        calibrated = normalise(a_record(odd), H100, profiles=(*KNOWN, odd), calibration=[CALIBRATION])
        assert calibrated.tier == "2"


def test_every_device_that_ships_is_normalised_or_says_why() -> None:
    tiers: dict[str, set[str]] = {}
    for profile in profiles():
        if not profile.driver.names or profile.figures.power_limit_w is None:
            continue
        record = with_device(
            images(profile), memory_gb=profile.figures.memory_gb.value if profile.figures.memory_gb else None
        )
        found = to(record)
        assert (found.factor is None) == bool(found.reasons)
        tiers.setdefault(found.tier or "refused", set()).add(profile.vendor)
        if found.tier == "3":
            assert profile.has_hbm
    assert tiers["M"] == tiers["1"] == tiers["3"] == tiers["4"] == {"NVIDIA"}
    assert {"AMD", "nobody"} <= tiers["refused"]


def test_a_v100_goes_to_the_a100_by_what_was_measured_and_on_by_what_was_not() -> None:
    v100 = load_profile("nvidia-v100-sxm2-32gb")
    record = a_record(v100, 2.0, use=0.49, load=Load(batch_size=1), model=Model(id="m", dtype="float16"))
    near, far = to(record, A100), to(record)
    assert (near.tier, near.factor) == ("1", pytest.approx(0.710 / 0.7))
    assert hardware_interval(near.steps) == pytest.approx(1.25)
    assert (far.tier, far.factor) == ("3", pytest.approx(0.710 / 0.7))
    assert hardware_interval(far.steps) == pytest.approx(1.371, abs=0.001)


def test_all_reasons_are_told_at_once() -> None:
    record = with_device(a_record(A100, use=0.05, stage="pre-training", load=None), mig=True)
    assert len(to(record).reasons) == 4


@pytest.mark.parametrize(
    ("architecture", "dtype", "is_so"),
    [
        ("Volta", "bfloat16", True),
        ("Turing", "bf16", True),
        ("Turing", "float16", False),
        ("Ampere", "bfloat16", False),
        ("Ampere", "fp8", True),
        ("Ada Lovelace", "float8_e4m3fn", False),
        ("Hopper", "mxfp4", True),
        ("Blackwell Ultra", "fp8", False),
        ("Blackwell", "nvfp4", False),
        ("Volta", "float32", False),
        ("Volta", "q4_1", False),
        ("Volta", None, False),
        ("CDNA 3", "fp4", False),  # not known, and not said
    ],
)
def test_a_format_is_emulated_where_there_are_no_matrix_units_for_it(
    architecture: str, dtype: str | None, is_so: bool
) -> None:
    assert emulates(architecture, dtype) is is_so


# ------------------------------------------------------------------------------------------------------------- laws

in_any_time = settings(deadline=None)  # a loaded machine breaks no law

ENERGIES = st.floats(min_value=1e-3, max_value=1e6)
USES = st.floats(min_value=LEAST_USE * 1.01, max_value=MOST_USE * 0.99)
DOUBTS = st.tuples(*[st.floats(min_value=0.0, max_value=0.3)] * 2)
MEASURED_ON = st.sampled_from([A100, B200, H100, H200, L4])
MAKERS = st.sampled_from([a_record, images])


@in_any_time
@given(profile=MEASURED_ON, make=MAKERS, energy=ENERGIES, use=USES, doubt=DOUBTS)
def test_to_the_device_itself_is_the_identity(
    profile: Profile, make: Any, energy: float, use: float, doubt: tuple[float, float]
) -> None:
    found = to(make(profile, energy, use=use, doubt=doubt), profile)
    assert (found.tier, found.factor) == ("M", 1.0)
    assert found.energy_per_unit_j == found.measured_per_unit_j
    assert found.measured_per_unit_j is not None
    assert found.interval_90 == found.measured_per_unit_j.interval(0.90)


@in_any_time
@given(profile=st.sampled_from([A100, B200, H200, L4]), make=MAKERS, energy=ENERGIES, use=USES)
def test_there_and_back_stays_within_the_interval(
    profile: Profile, make: Any, energy: float, use: float
) -> None:
    there = to(make(profile, energy, use=use))
    assert there.energy_per_unit_j is not None
    # The same work takes as long there, at the power that follows.
    limits = [item.figures.power_limit_w for item in (profile, H100)]
    assert limits[0] is not None
    assert limits[1] is not None
    there_use = use * limits[0].value / limits[1].value * (there.factor or 0)
    assume(LEAST_USE < there_use < MOST_USE)
    sigma = there.energy_per_unit_j.sigma / there.energy_per_unit_j.value
    back = to(make(H100, value(there), use=there_use, doubt=(0.0, sigma)), profile)
    assert back.interval_90 is not None
    low, high = back.interval_90
    assert low <= energy <= high


@in_any_time
@given(profile=MEASURED_ON, energy=ENERGIES, use=USES, times=st.floats(min_value=1e-3, max_value=1e3))
def test_another_size_of_the_unit_changes_nothing(
    profile: Profile, energy: float, use: float, times: float
) -> None:
    once = to(a_record(profile, energy, use=use, doubt=(0.01, 0.02)))
    other = to(a_record(profile, energy / times, use=use, doubt=(0.01, 0.02), work=1000 * times))
    assert other.factor == pytest.approx(once.factor)
    assert value(other) * times == pytest.approx(value(once))
    assert once.interval_90 is not None
    assert other.interval_90 is not None
    assert [end * times for end in other.interval_90] == pytest.approx(list(once.interval_90))


@in_any_time
@given(profile=MEASURED_ON, make=MAKERS, a=DOUBTS, b=DOUBTS, use=USES)
def test_a_tighter_measurement_never_widens_the_interval(
    profile: Profile, make: Any, a: tuple[float, float], b: tuple[float, float], use: float
) -> None:
    tight = (min(a[0], b[0]), min(a[1], b[1]))
    wide = (max(a[0], b[0]), max(a[1], b[1]))
    inner, outer = (to(make(profile, use=use, doubt=doubt)).interval_90 for doubt in (tight, wide))
    assert inner is not None
    assert outer is not None
    assert outer[0] <= inner[0] * (1 + 1e-12)
    assert inner[1] <= outer[1] * (1 + 1e-12)


@in_any_time
@given(profile=MEASURED_ON, make=MAKERS, energy=ENERGIES, use=USES, share=st.floats(0.2, 0.999))
def test_less_energy_in_the_same_time_is_less_energy_there(
    profile: Profile, make: Any, energy: float, use: float, share: float
) -> None:
    assume(use * share > LEAST_USE)
    more, less = to(make(profile, energy, use=use)), to(make(profile, energy * share, use=use * share))
    assert value(less) < value(more)


@in_any_time
@given(profile=MEASURED_ON, make=MAKERS, energy=ENERGIES, use=USES, doubt=DOUBTS)
def test_the_interval_holds_the_figure_and_is_never_narrower_than_the_tiers(
    profile: Profile, make: Any, energy: float, use: float, doubt: tuple[float, float]
) -> None:
    found = to(make(profile, energy, use=use, doubt=doubt))
    assert found.interval_90 is not None
    low, high = found.interval_90
    assert low <= value(found) <= high
    if found.tier != "M":
        assert high / value(found) >= hardware_interval(found.steps) * (1 - 1e-12)
        assert found.interval(0.95)[1] >= high


def test_a_profile_that_says_something_else_has_another_version() -> None:
    assert version(A100) == version(load_profile(A100.key))
    assert len(version(A100)) == 8
    assert version(A100) != version(replace(A100, name="another"))


# -------------------------------------------------------------------------------------------------- the command line


FIRST = ("--vintage", "2026.1")


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_the_command_prints_the_contract_for_programs(run_cli: Any, tmp_path: Path) -> None:
    write_record(a_record(A100, 2.0, use=0.25), tmp_path / "record.json")
    code, out, _ = run_cli("normalise", tmp_path, *FIRST, "--json")
    assert code == 0
    told = json.loads(out)
    assert list(told) == [
        *("energy_per_unit_j", "unit", "factor", "interval_90", "tier", "workload_class", "reference"),
        *("reasons", "reason_codes"),
        "checked",
    ]
    assert told["energy_per_unit_j"]["value"] == pytest.approx(3.024)
    assert set(told["energy_per_unit_j"]) == {"value", "random", "systematic"}
    assert told["interval_90"] == pytest.approx([2.16, 4.2336])
    assert (told["unit"], told["tier"], told["workload_class"]) == ("token", "1", "llm-serving")
    assert (told["reference"], told["reasons"]) == (H100.key, [])


def test_the_command_shows_what_was_measured_first(run_cli: Any, tmp_path: Path) -> None:
    write_record(a_record(A100, 2.0, use=0.25, doubt=(0.01, 0.0)), tmp_path / "record.json")
    code, out, _ = run_cli("normalise", tmp_path / "record.json", *FIRST, "--to", H100.key)
    assert code == 0
    first, second, *rest = out.splitlines()
    assert first.startswith("measured       2.000 ± 0.039 J per token")
    assert second.startswith("normalised     to nvidia-h100-sxm-80gb: 3.02 J per token")
    text = " ".join(" ".join(rest).split())
    assert "tier 1 · factor 1.51 · 95 % within ×/÷ 1.49 for the hardware" in text
    assert f"profiles {A100.key}@{version(A100)}, {H100.key}@{version(H100)}" in text
    assert all(len(line) <= 80 for line in out.splitlines())


def test_a_refusal_is_an_answer_and_no_error(run_cli: Any, tmp_path: Path) -> None:
    write_record(a_record(A100, use=0.1), tmp_path / "record.json")
    code, out, _ = run_cli("normalise", tmp_path, *FIRST)
    assert code == 0
    assert out.splitlines()[0].startswith("measured ")
    assert "not normalised to nvidia-h100-sxm-80gb" in out
    assert "the host sets the pace" in " ".join(out.split())
    code, out, _ = run_cli("normalise", tmp_path, *FIRST, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["factor"], told["energy_per_unit_j"], told["interval_90"]) == (None, None, None)
    assert told["reasons"]


def test_a_wrong_profile_is_an_error_in_one_line(run_cli: Any, tmp_path: Path) -> None:
    write_record(a_record(A100), tmp_path / "record.json")
    code, out, err = run_cli("normalise", tmp_path, *FIRST, "--to", "nvidia-h101")
    assert (code, out) == (1, "")
    assert "there is no hardware profile 'nvidia-h101'. The nearest are" in err
    assert len(err.splitlines()) == 1


# ---------------------------------------------------------------------------------------- the evidence, and its data


@pytest.fixture(scope="module")
def evidence() -> ModuleType:
    spec = importlib.util.spec_from_file_location("normalisation_evidence", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


needs_data = pytest.mark.skipif(
    not (DATA / "mlenergy_runs.csv").is_file(),
    reason="the public measurements are not part of this repository",
)


@needs_data
def test_the_shipped_factors_are_those_of_the_data(evidence: ModuleType) -> None:
    shipped = {
        (profile.key, factor.workload_class): factor for profile in profiles() for factor in profile.factors
    }
    computed = {
        (key, entry["workload_class"]): entry for key, entry in evidence.factors(evidence.read_sets(DATA))
    }
    assert shipped
    for key, factor in shipped.items():
        told = {name: getattr(factor, name) for name in computed[key]}
        assert told == pytest.approx(computed[key]), key


@needs_data
def test_models_that_were_in_no_fit_are_predicted_as_well_as_is_said(evidence: ModuleType) -> None:
    sets = evidence.read_sets(DATA)
    errors = [error for group in sets for error in evidence.left_out(group.pairs, group.with_use)]
    assert evidence.quantile(errors, 0.5) <= 0.07
    assert evidence.quantile(errors, 0.9) <= 0.20
    for group in sets:
        inside = evidence.covered(evidence.left_out(group.pairs, group.with_use), group.interval)
        assert inside >= 0.88, group.title


@needs_data
def test_the_page_shows_what_the_data_give(evidence: ModuleType) -> None:
    page = (TOP / "docs" / "normalisation.md").read_text(encoding="utf-8")
    told = page.split(evidence.START)[1].split(evidence.END)[0].strip()
    assert told == evidence.whole_report(DATA).strip()


def test_without_the_data_the_benchmark_says_so_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--data", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "ENERGY_RATING_REFERENCE_DATA" in done.stderr


def test_a_fit_from_made_up_pairs_finds_the_factor_that_was_put_in(
    evidence: ModuleType, tmp_path: Path
) -> None:
    """A100 uses 1 / (0.8 × u^−½) of what the H100 uses, for every model at its own use."""
    columns = [*evidence.SAME, "gpu", "energy_per_unit_j", "avg_power_w", "active_params_b"]
    rows = []
    for number in range(6):
        use = 0.2 + 0.1 * number
        same = {"suite": "mlenergy-v2", "model": f"m{number}", "unit": "token", "num_gpus": 1, "batch": 64}
        rows.append(same | {"gpu": "A100-40GB-SXM", "energy_per_unit_j": 1.0, "avg_power_w": 400 * use})
        rows.append(same | {"gpu": "H100", "energy_per_unit_j": 0.8 / use**0.5, "avg_power_w": 300})
    with (tmp_path / "mlenergy_runs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    sheets = {"B200": 1000, "H100-SXM": 700, "A100-SXM4-40GB": 400, "V100-SXM2": 300, "A40": 300}
    with (tmp_path / "gpus.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["key", "tdp_w", "fp16_tflops", "mem_bw_gbs"])
        writer.writeheader()
        writer.writerows(
            {"key": key, "tdp_w": watts, "fp16_tflops": 100, "mem_bw_gbs": 1000}
            for key, watts in sheets.items()
        )
    (group,) = evidence.read_sets(tmp_path)
    assert group.exponent == -0.5
    ((_, entry),) = evidence.factors([group])
    assert entry["value_at_full_use"] == pytest.approx(0.8)
    assert evidence.quantile(evidence.left_out(group.pairs, group.with_use), 0.9) == pytest.approx(
        0, abs=1e-9
    )
