"""Profiles: every number has a source, a device is what its driver calls it, and nothing is guessed."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from energy_rating import hardware_profiles
from energy_rating.errors import BadInput
from energy_rating.profiles import (
    EXAMPLE_DEVICE,
    Figure,
    Figures,
    Profile,
    load_profile,
    nearest,
    profile_for,
    profiles,
    read_profile,
)

SHIPPED = profiles()
REFERENCE = "nvidia-h100-sxm-80gb"

MINIMAL = """
schema = "energy-rating/profile/1"
name = "A GPU"
vendor = "nobody"
architecture = "none"
memory_kind = "HBM3"
[driver]
names = ["A GPU"]
source = "here"
[figures]
memory_gb = { value = 80, source = "here" }
[sources.here]
title = "this test"
date = "2026-11-21"
"""


def written(folder: Path, text: str = MINIMAL, name: str = "a-gpu") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def figures(profile: Profile) -> dict[str, Figure]:
    values = {item.name: getattr(profile.figures, item.name) for item in dataclasses.fields(Figures)}
    return {name: value for name, value in values.items() if value is not None}


def test_the_first_devices_are_there() -> None:
    assert {profile.key for profile in SHIPPED} >= {
        REFERENCE,
        "nvidia-h200-sxm-141gb",
        "nvidia-a100-sxm-40gb",
        "nvidia-a100-sxm-80gb",
        "nvidia-b200-sxm-180gb",
        "nvidia-l4-24gb",
        "nvidia-geforce-rtx-4090-24gb",
        "example-gpu",
    }


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_every_number_has_a_source_that_can_be_found_again(profile: Profile) -> None:
    for cited in [figure.source for figure in figures(profile).values()] + [
        f.source for f in profile.factors
    ]:
        source = profile.sources[cited]
        assert source.url is None or source.url.startswith("https://")
        assert source.url or profile.example
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", source.date)
        assert not re.search(r"recall|memory of|from memory|unknown|TODO", source.title, re.IGNORECASE)


def test_no_profile_holds_a_number_outside_the_sourced_places() -> None:
    for path in hardware_profiles().glob("*.toml"):
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
        loose = [key for key, value in entry.items() if isinstance(value, int | float) and key != "example"]
        assert loose == []


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_the_numbers_are_those_of_a_gpu(profile: Profile) -> None:
    known = {name: figure.value for name, figure in figures(profile).items()}
    assert 4 <= known["memory_gb"] <= 400
    assert 100 <= known["bandwidth_gb_s"] <= 10_000
    assert 50 <= known["power_limit_w"] <= 1500
    assert known.get("idle_w", 1) < known["power_limit_w"] / 2
    assert known["bf16_tflops"] == pytest.approx(known["fp16_tflops"], rel=0.01)
    if "fp8_tflops" in known:
        assert known["fp8_tflops"] == pytest.approx(2 * known["fp16_tflops"], rel=0.01)
    for factor in profile.factors:
        assert factor.reference == REFERENCE
        assert 0.5 < factor.value < 2
        assert factor.models >= 5  # what tier 1 asks for
        # Both forms of the factor agree where the data lie.
        finer = factor.value_at_full_use * factor.median_use**factor.use_exponent
        assert finer == pytest.approx(factor.value, rel=0.2)


@pytest.mark.parametrize(
    ("name", "memory_gb", "key"),
    [
        ("NVIDIA H100 80GB HBM3", None, REFERENCE),
        ("NVIDIA H100 80GB HBM3", 85.52, REFERENCE),  # 81559 MiB
        ("NVIDIA H200", 150.75, "nvidia-h200-sxm-141gb"),  # 143771 MiB
        ("NVIDIA B200", 192.26, "nvidia-b200-sxm-180gb"),  # 183359 MiB
        ("NVIDIA A100-SXM4-40GB", 42.95, "nvidia-a100-sxm-40gb"),
        ("NVIDIA A100-SXM4-80GB", 85.9, "nvidia-a100-sxm-80gb"),
        ("NVIDIA L4", 24.15, "nvidia-l4-24gb"),  # 23034 MiB with ECC
        ("NVIDIA GeForce RTX 4090", 25.76, "nvidia-geforce-rtx-4090-24gb"),
        ("Example GPU", None, "example-gpu"),
    ],
)
def test_a_device_is_found_by_what_its_driver_says(name: str, memory_gb: float | None, key: str) -> None:
    found = profile_for(name, memory_gb)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize(
    "name",
    ["NVIDIA H100 PCIe", "NVIDIA H100", "nvidia h100 80gb hbm3", "NVIDIA GeForce RTX 4090 D", "L4", ""],
)
def test_a_name_that_is_only_similar_is_no_device(name: str) -> None:
    assert profile_for(name) is None


def test_a_slice_of_a_device_is_not_the_device() -> None:
    assert profile_for("NVIDIA H100 80GB HBM3", 10.2) is None


def test_the_nearest_names_are_help_and_never_the_example() -> None:
    assert nearest("NVIDIA H100")[0] == "NVIDIA H100 80GB HBM3"
    assert "NVIDIA A100-SXM4-80GB" in nearest("NVIDIA A100-SXM4-64GB")
    assert nearest("Example GPU 2") == ()
    assert nearest("Radeon") == ()


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="nvidia-h100-sxm-80gb"):
        load_profile("nvidia-h100")
    with pytest.raises(BadInput, match="There are"):
        load_profile("../../etc/passwd")
    assert load_profile(REFERENCE).name == "NVIDIA H100 SXM 80 GB"


def test_only_the_invented_device_is_an_example() -> None:
    assert [profile.name for profile in SHIPPED if profile.example] == [EXAMPLE_DEVICE]


def test_a_profile_may_say_little(tmp_path: Path) -> None:
    profile = read_profile(written(tmp_path))
    assert (profile.key, profile.figures.power_limit_w, profile.factors) == ("a-gpu", None, ())
    assert profiles(tmp_path) == (profile,)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('vendor = "nobody"', 'vendro = "nobody"', "vendro"),
        ("memory_gb = { value", "memory_gb = { valeu", "figures.memory_gb.valeu"),
        ('source = "here" }', 'source = "there" }', "no source is called there"),
        ("value = 80", "value = 0", "above zero"),
        ("value = 80", "value = nan", "figures.memory_gb"),
        ("value = 80", 'value = "80"', "figures.memory_gb.value"),
        ("value = 80, ", "", "missing"),
        ('date = "2026-11-21"', "date = 2026-11-21", "sources.here.date"),
        ('date = "2026-11-21"', 'date = "lately"', "not a day"),
        ('title = "this test"', 'title = " "', "needs a title"),
        ('names = ["A GPU"]', "names = []", "at least one name"),
        ("profile/1", "profile/2", "is not"),
        ("[figures]", "[figures", "not TOML"),
        ('name = "A GPU"', 'name = "A GPU"\nkey = "b"', "called like its file"),
    ],
)
def test_what_is_wrong_in_a_profile_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = written(tmp_path, MINIMAL.replace(old, new, 1))
    with pytest.raises(BadInput) as caught:
        read_profile(path)
    assert said in str(caught.value)
    assert "a-gpu.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_source_that_nothing_cites_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL + '[sources.other]\ntitle = "x"\ndate = "2026-11-21"\n')
    with pytest.raises(BadInput, match="nothing cites the source other"):
        read_profile(path)


def test_two_profiles_cannot_claim_one_name(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, name="b-gpu")
    with pytest.raises(BadInput, match="claimed by a-gpu"):
        profiles(tmp_path)
