"""Profiles: every number has a source, a device is what its driver calls it, and nothing is guessed."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import tomllib
from datetime import date
from pathlib import Path
from typing import get_args

import pytest

from energy_rating import hardware_profiles
from energy_rating.judging import profiles as room
from energy_rating.judging.profiles import (
    EXAMPLE_DEVICE,
    Kind,
    Profile,
    load_profile,
    nearest,
    profile_for,
    profile_schema,
    profiles,
    profiles_naming,
    read_profile,
    user_profiles,
)
from energy_rating.nouns.errors import BadInput
from energy_rating.publishing.terminal import catalogue

SHIPPED = profiles()
REFERENCE = "nvidia-h100-sxm-80gb"

EMBODIED = """[[embodied]]
kg_co2e = 164
kind = "study"
scope = "cradle to gate"
method = "weighed"
source = "here"
"""

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


def values(profile: Profile) -> dict[str, float]:
    return {name: figure.value for name, figure in profile.known_figures().items()}


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


def test_the_catalogue_reaches_from_the_data_centre_to_the_laptop() -> None:
    real = [profile for profile in SHIPPED if not profile.example]
    assert len(real) >= 40
    assert {profile.vendor for profile in real} >= {"NVIDIA", "AMD", "Intel", "Apple"}
    assert {profile.kind for profile in real} == set(get_args(Kind)) - {"example"}
    assert [profile.kind for profile in SHIPPED if profile.example] == ["example"]


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_every_number_has_a_source_that_can_be_found_again(profile: Profile) -> None:
    cited = [figure.source for figure in profile.known_figures().values()]
    cited += [factor.source for factor in profile.factors] + [account.source for account in profile.embodied]
    cited += [profile.driver.source] if profile.driver.source else []
    cited += [profile.dtypes.source] if profile.dtypes else []
    assert cited
    for name in cited:
        source = profile.sources[name]
        assert source.url is None or source.url.startswith("https://")
        assert source.url or profile.example
        assert "2026-11-01" <= date.fromisoformat(source.date).isoformat() <= "2027-12-31"
        said = f"{source.title} {source.url}"
        assert not re.search(r"recall|memory of|from memory|unknown|TODO", said, re.IGNORECASE)


def test_no_profile_holds_a_number_outside_the_sourced_places() -> None:
    for path in hardware_profiles().glob("*.toml"):
        entry = tomllib.loads(path.read_text(encoding="utf-8"))
        loose = [key for key, value in entry.items() if isinstance(value, int | float) and key != "example"]
        assert loose == []


# What a device can have, and what its figures can be to one another: a slip of a digit or of a unit falls out of it.
POSSIBLE = {
    "memory_gb": (4, 400),
    "bandwidth_gb_s": (50, 10_000),
    "fp32_tflops": (0.5, 200),
    "tf32_tflops": (10, 2_000),
    "bf16_tflops": (20, 5_000),
    "fp16_tflops": (15, 5_000),
    "fp8_tflops": (100, 10_000),
    "fp4_tflops": (200, 20_000),
    "int8_tops": (100, 10_000),
    "power_limit_w": (10, 1_500),
    "clock_mhz": (500, 3_500),
    "idle_w": (3, 150),
    "process_nm": (2, 20),
    "die_mm2": (100, 1_300),
    "year": (2016, 2026),
}
BANDWIDTH_GB_S = {"HBM": (600, 10_000), "GDDR": (150, 2_000), "LPDDR": (50, 1_000)}


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_the_numbers_are_those_of_such_a_device(profile: Profile) -> None:
    known = values(profile)
    for name, value in known.items():
        lowest, highest = POSSIBLE[name]
        assert lowest <= value <= highest, name
    kind = re.match("HBM|GDDR|LPDDR", profile.memory_kind)
    assert kind, "memory is HBM, GDDR or LPDDR: what is normalised depends on it"
    lowest, highest = BANDWIDTH_GB_S[kind[0]]
    assert lowest <= known["bandwidth_gb_s"] <= highest
    assert ("memory_gb" in known) == (profile.kind != "integrated")


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_narrower_numbers_are_never_slower(profile: Profile) -> None:
    known = values(profile)
    order = ["fp32_tflops", "tf32_tflops", "bf16_tflops", "fp8_tflops", "fp4_tflops"]
    peaks = [known[name] for name in order if name in known]
    for wide, narrow in itertools.pairwise(peaks):
        assert narrow >= 0.99 * wide  # TF32 of a GeForce is as fast as its FP32
    if "bf16_tflops" in known and "fp16_tflops" in known:
        assert known["bf16_tflops"] == pytest.approx(known["fp16_tflops"], rel=0.01)
    half = known.get("fp16_tflops", known.get("bf16_tflops"))
    if half is not None:
        assert half >= known.get("fp32_tflops", 0)
        # Dense: a peak with sparsity would be four times the one of half as many bits.
        assert known.get("fp8_tflops", half) <= 2.05 * half
        assert known.get("tf32_tflops", half) >= 0.45 * half or profile.vendor == "Intel"
    if "fp8_tflops" in known:
        assert known.get("fp4_tflops", 0) <= 3.2 * known["fp8_tflops"]  # Blackwell Ultra: three times


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_power_speed_and_bandwidth_belong_to_one_device(profile: Profile) -> None:
    known = values(profile)
    limit_w = known.get("power_limit_w")
    if limit_w is not None:
        assert known.get("idle_w", 1) < limit_w / 4
        assert 1 <= known["bandwidth_gb_s"] / limit_w <= 12
        half = known.get("fp16_tflops", known.get("bf16_tflops"))
        if half is not None:
            # 0.08 of a P100 without matrix units, 2.3 of an MI350X.
            assert 0.05 <= half / limit_w <= 3


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_a_device_has_a_peak_only_in_what_it_computes_natively(profile: Profile) -> None:
    if profile.dtypes is None:
        return
    peaks = {name.rpartition("_")[0] for name in values(profile) if name.endswith(("_tflops", "_tops"))}
    # Blackwell Ultra still multiplies INT8, at less than a tenth of the rate of BF16.
    slow = {"int8"} if profile.architecture == "Blackwell Ultra" else set()
    assert peaks - set(profile.dtypes.native) <= slow


@pytest.mark.parametrize(
    ("key", "dtype", "native"),
    [
        ("nvidia-v100-sxm2-32gb", "bf16", False),
        ("nvidia-v100-sxm2-32gb", "fp16", True),
        ("nvidia-t4-16gb", "bf16", False),
        ("nvidia-a100-sxm-80gb", "bf16", True),
        ("nvidia-a100-sxm-80gb", "fp8", False),
        ("nvidia-h100-sxm-80gb", "fp8", True),
        ("nvidia-h100-sxm-80gb", "fp4", False),
        ("nvidia-b200-sxm-180gb", "fp4", True),
        ("nvidia-l4-24gb", "fp8", True),
        ("apple-m4-max", "bf16", None),  # not known is not no
    ],
)
def test_what_a_device_emulates_is_told(key: str, dtype: str, native: bool | None) -> None:
    assert load_profile(key).is_native(dtype) is native


def test_stacked_memory_is_told_from_other_memory() -> None:
    assert load_profile("nvidia-a30-24gb").has_hbm
    assert not load_profile("nvidia-a40-48gb").has_hbm


def test_what_making_a_device_emits_is_a_range_with_every_account() -> None:
    h100 = load_profile(REFERENCE)
    assert h100.embodied_kg == (164, 575.2)
    assert [account.kind for account in h100.embodied] == ["manufacturer", "model"]
    assert load_profile("nvidia-b200-sxm-180gb").embodied_kg is None


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_the_forms_of_a_factor_agree_where_the_data_lie(profile: Profile) -> None:
    for factor in profile.factors:
        assert factor.reference in {other.key for other in SHIPPED} - {profile.key}
        assert 0.3 < factor.value < 3
        if factor.value_at_full_use and factor.use_exponent is not None and factor.median_use:
            finer = factor.value_at_full_use * factor.median_use**factor.use_exponent
            assert finer == pytest.approx(factor.value, rel=0.2)


# Read once more in a second, independent place than the one that the profile cites.
@pytest.mark.parametrize(
    ("key", "figure", "value"),
    [
        ("nvidia-h100-sxm-80gb", "fp8_tflops", 1978.9),  # G. Lockwood, after the white paper
        ("nvidia-l4-24gb", "fp8_tflops", 242),  # Yobitel
        ("nvidia-geforce-rtx-4090-24gb", "bf16_tflops", 165.15),  # WareDB
        ("nvidia-a100-sxm-40gb", "bandwidth_gb_s", 1555),  # NVIDIA, Ampere Architecture In-Depth
        ("nvidia-a100-pcie-80gb", "bandwidth_gb_s", 1940),  # Epoch AI
        ("nvidia-h200-nvl-141gb", "power_limit_w", 600),  # S. Bekman
        ("nvidia-h100-nvl-94gb", "power_limit_w", 400),  # nvidia-smi of such a card
        ("nvidia-gb300-288gb", "memory_gb", 287.5),
        ("nvidia-v100-sxm2-16gb", "fp16_tflops", 125),  # NVIDIA, Ampere Architecture In-Depth
        ("amd-instinct-mi100-32gb", "bandwidth_gb_s", 1230),  # AnandTech
        ("amd-instinct-mi300x-192gb", "bf16_tflops", 1300),  # torchtitan, after amd.com
        ("intel-gaudi3-128gb", "bf16_tflops", 1677),  # S. Bekman
        ("nvidia-geforce-rtx-5090-32gb", "bandwidth_gb_s", 1790),  # TechPowerUp
    ],
)
def test_a_figure_read_in_two_places_is_one_figure(key: str, figure: str, value: float) -> None:
    assert values(load_profile(key))[figure] == pytest.approx(value, rel=0.02)


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
        ("NVIDIA H200 NVL", 150.1, "nvidia-h200-nvl-141gb"),  # 139.8 GiB
        ("NVIDIA B300 SXM6 AC", 288.8, "nvidia-b300-sxm-270gb"),  # 269 GiB
        ("NVIDIA GB300", 298.5, "nvidia-gb300-288gb"),  # 278 GiB
        ("NVIDIA H100 NVL", 100.5, "nvidia-h100-nvl-94gb"),  # 95830 MiB
        ("NVIDIA GeForce RTX 5090", 34.19, "nvidia-geforce-rtx-5090-32gb"),  # 32607 MiB
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 102.64, "nvidia-rtx-pro-6000-server-96gb"),
        ("Tesla V100-SXM2-32GB", 34.06, "nvidia-v100-sxm2-32gb"),
        ("AMD Instinct MI300X", 206.1, "amd-instinct-mi300x-192gb"),
        ("Intel(R) Arc(TM) B580 Graphics", 12.8, "intel-arc-b580-12gb"),
        ("Apple M3 Ultra", 549.8, "apple-m3-ultra"),  # its memory is chosen with it
        ("Orin", 15.19, "nvidia-jetson-orin-nx-16gb"),
        ("Orin", 65.9, "nvidia-jetson-agx-orin-64gb"),
    ],
)
def test_a_device_is_found_by_what_its_driver_says(name: str, memory_gb: float | None, key: str) -> None:
    found = profile_for(name, memory_gb, among=SHIPPED)
    assert found is not None
    assert found.key == key


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA H100",
        "nvidia h100 80gb hbm3",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA H20-3e",
        "AMD Instinct MI250X / MI250",  # two devices
        "AMD Instinct MI300X OAM",  # an MI308X may say so
        "L4",
        "",
    ],
)
def test_a_name_that_is_only_similar_is_no_device(name: str) -> None:
    assert profile_for(name, among=SHIPPED) is None


def test_a_name_that_several_devices_bear_says_nothing_without_their_memory() -> None:
    assert profile_for("Orin", among=SHIPPED) is None
    assert profile_for("Orin", 65.9, among=SHIPPED) is not None
    assert profile_for("Orin", 24, among=SHIPPED) is None


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_a_device_is_recognised_by_its_names_or_says_why_not(profile: Profile) -> None:
    memory = profile.figures.memory_gb
    for name in profile.driver.names:
        assert profile_for(name, memory.value if memory else None, among=SHIPPED) == profile
    assert profile.driver.names or profile.driver.note


def test_a_slice_of_a_device_is_not_the_device() -> None:
    assert profile_for("NVIDIA H100 80GB HBM3", 10.2) is None


def test_the_nearest_names_are_help_and_never_the_example() -> None:
    assert "NVIDIA H100 80GB HBM3" in nearest("NVIDIA H100")
    assert "NVIDIA A100-SXM4-80GB" in nearest("NVIDIA A100-SXM4-64GB")
    assert nearest("Example GPU 2") == ()
    assert nearest("Voodoo 3") == ()


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="nvidia-h100-sxm-80gb"):
        load_profile("nvidia-h100")
    with pytest.raises(BadInput, match="See all with"):
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
        (
            'source = "here" }',
            'source = "there" }',
            "every source that is cited must be listed; not listed: there",
        ),
        ("value = 80", "value = 0", "above zero"),
        ("value = 80", "value = nan", "figures.memory_gb"),
        ("value = 80", 'value = "80"', "figures.memory_gb.value"),
        ("value = 80, ", "", "missing"),
        ('date = "2026-11-21"', "date = 2026-11-21", "sources.here.date"),
        ('date = "2026-11-21"', 'date = "lately"', "must be a day"),
        ('title = "this test"', 'title = " "', "a source must have a title"),
        ('names = ["A GPU"]', "names = []", "a source names"),
        ('names = ["A GPU"]\nsource = "here"', "", "needs a note"),
        ('names = ["A GPU"]', 'names = [" "]', "a name must not be empty"),
        ("value = 80", "value = 80, lowest = 90", "got 80"),
        ("value = 80", "value = 80, highest = inf", "figures.memory_gb"),
        ('memory_kind = "HBM3"', 'memory_kind = "HBM3"\nkind = "toaster"', "kind"),
        ("[sources.here]", '[dtypes]\nnative = []\nsource = "here"\n[sources.here]', "at least one"),
        ("[sources.here]", '[dtypes]\nnative = ["fp8", "fp8"]\nsource = "here"\n[sources.here]', "each once"),
        ("[sources.here]", '[dtypes]\nnative = ["fp12"]\nsource = "here"\n[sources.here]', "dtypes.native"),
        ("[sources.here]", f"{EMBODIED.replace('164', '-1')}[sources.here]", "above zero"),
        ("[sources.here]", f"{EMBODIED.replace('cradle to gate', ' ')}[sources.here]", "scope and method"),
        ("profile/1", "profile/2", "schema must be"),
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
    with pytest.raises(BadInput, match="every source that is listed must be cited; not cited: other"):
        read_profile(path)


def test_two_profiles_cannot_claim_one_name(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, name="b-gpu")
    with pytest.raises(BadInput, match="claimed by a-gpu"):
        profiles(tmp_path)


def test_names_are_told_apart_by_memory_only_where_memory_differs_enough(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, MINIMAL.replace("value = 80", "value = 40"), name="b-gpu")
    assert len(profiles(tmp_path)) == 2
    written(tmp_path, MINIMAL.replace("value = 80", "value = 90"), name="c-gpu")
    with pytest.raises(BadInput, match="does not tell them apart"):
        profiles(tmp_path)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own profiles."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    user_profiles().mkdir(parents=True)
    return user_profiles()


def test_those_that_bear_a_name_are_the_same_as_among_all() -> None:
    named = {name for profile in SHIPPED for name in profile.driver.names}
    for name in (*sorted(named), "A GPU", "", 'a "quoted" name'):
        assert profiles_naming({name}) == tuple(one for one in SHIPPED if name in one.driver.names)
    assert profiles_naming(named) == tuple(one for one in SHIPPED if one.driver.names)


def test_a_profile_of_ones_own_is_found_by_its_name_and_claims_none_of_another(own: Path) -> None:
    written(own)
    assert [one.key for one in profiles_naming({"A GPU"})] == ["a-gpu"]
    shipped = profiles_naming({"NVIDIA L4"})
    assert "nvidia-l4-24gb" in [one.key for one in shipped]
    written(own, MINIMAL.replace('"A GPU"]', '"NVIDIA L4"]').replace("value = 80", "value = 24"))
    for ask in (profiles, lambda: profiles_naming({"NVIDIA L4"}), lambda: profiles_naming({"another"})):
        with pytest.raises(BadInput, match="claimed by a-gpu too"):
            ask()
    # Under the name of the one that ships it stands in its place.
    (own / "a-gpu.toml").rename(own / "nvidia-l4-24gb.toml")
    assert [one.name for one in profiles_naming({"NVIDIA L4"})] == ["A GPU"]


def test_a_broken_profile_of_ones_own_is_told_whatever_was_asked_for(own: Path) -> None:
    written(own, "schema = 1")
    for ask in (profiles, lambda: profiles_naming({"NVIDIA L4"})):
        with pytest.raises(BadInput, match=r"a-gpu\.toml"):
            ask()


def test_a_profile_that_changed_is_read_again_though_its_time_and_size_did_not(own: Path) -> None:
    path = written(own)
    before = path.stat()
    assert [one.figures.memory_gb.value for one in profiles_naming({"A GPU"}) if one.figures.memory_gb] == [
        80
    ]
    written(own, MINIMAL.replace("value = 80", "value = 96"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    found = (
        *profiles_naming({"A GPU"}),
        *(one for one in profiles() if one.key == "a-gpu"),
        load_profile("a-gpu"),
    )
    assert [one.figures.memory_gb.value for one in found if one.figures.memory_gb] == [96, 96, 96]
    path.unlink()
    assert profiles_naming({"A GPU"}) == ()
    assert profiles() == SHIPPED


def test_of_those_that_ship_none_is_parsed_twice_and_one_that_is_exchanged_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped"
    shutil.copytree(hardware_profiles(), shipped)
    monkeypatch.setattr(room, "hardware_profiles", lambda: shipped)
    first = profiles()
    with monkeypatch.context() as patch:
        patch.setattr(tomllib, "loads", lambda text: pytest.fail("parsed again"))
        assert all(one is other for one, other in zip(first, profiles(), strict=True))
    path = shipped / "nvidia-l4-24gb.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("NVIDIA L4 24 GB", "Another L4 24 GB"), "utf-8")
    assert "Another L4 24 GB" in [one.name for one in profiles()]
    (shipped / "nvidia-l4-24gb.toml").unlink()
    assert len(profiles()) == len(first) - 1


def test_a_device_without_a_name_is_chosen_by_key(tmp_path: Path) -> None:
    written(tmp_path, MINIMAL.replace('names = ["A GPU"]\nsource = "here"', 'note = "not known"'))
    assert load_profile("a-gpu", tmp_path).driver.names == ()
    assert profile_for("A GPU", among=profiles(tmp_path)) is None


def test_a_device_whose_memory_is_chosen_has_any_memory(tmp_path: Path) -> None:
    text = MINIMAL.replace("memory_gb", "bandwidth_gb_s")
    profile = read_profile(written(tmp_path, text))
    assert profile_for("A GPU", 17.2, among=[profile]) == profile
    assert profile_for("A GPU", among=[profile]) == profile


def test_the_list_fits_a_terminal_and_holds_every_device() -> None:
    lines = catalogue.profiles(SHIPPED).splitlines()
    assert max(map(len, lines)) <= 80
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert sorted(listed) == sorted(profile.key for profile in SHIPPED)
    assert listed[-1] == "example-gpu"
    assert listed.index("nvidia-a2-16gb") < listed.index("nvidia-a10-24gb")
    marked = {line.split()[0] for line in lines if line.endswith("  *")}
    assert marked == {profile.key for profile in SHIPPED if not profile.driver.names}


@pytest.mark.parametrize("profile", SHIPPED, ids=lambda profile: profile.key)
def test_a_device_in_full_shows_every_figure_with_its_source(profile: Profile) -> None:
    shown = " ".join(catalogue.profile(profile).split())
    for figure in profile.known_figures().values():
        assert f"[{figure.source}]" in shown
        assert figure.note is None or figure.note in shown
    for account in profile.embodied:
        assert f"{account.kg_co2e:g} kg CO₂e ({account.kind}" in shown
    for source in profile.sources.values():
        assert source.url is None or source.url in shown
    missing = set(POSSIBLE) - set(values(profile))
    assert ("not known" in shown) == bool(missing or not profile.embodied or not profile.dtypes)


@pytest.mark.usefixtures("pydantic_of_the_schemas")
def test_the_published_schema_is_the_one_in_force() -> None:
    published = Path(__file__).parents[2] / "docs" / "schemas" / "profile.schema.json"
    assert json.loads(published.read_text()) == profile_schema(), "run: python docs/schemas/write.py"


def test_the_schema_names_what_a_file_may_hold() -> None:
    schema = profile_schema()
    held = {
        key for path in hardware_profiles().glob("*.toml") for key in tomllib.loads(path.read_text("utf-8"))
    }
    assert held == set(schema["properties"])
    assert "key" not in schema["properties"]
    assert {"schema", "name", "driver", "figures", "sources"} <= set(schema["required"])
    assert set(schema["$defs"]["Figures"]["properties"]) == set(POSSIBLE)
