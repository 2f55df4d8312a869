"""What CUDA shows to a process, rule by rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating.measuring.visible_devices import PresentGpu, VisibleGpus, visible_gpus

A = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
B = "GPU-8932f938-0000-4106-c12f-20bd9faed9f6"
C = "GPU-11111111-d72c-4106-c12f-20bd9faed9f6"
FOUR = tuple(PresentGpu(uuid=f"GPU-{n}{n}{n}{n}0000", name="H100") for n in range(4))
THREE = tuple(PresentGpu(uuid=uuid, name="H100") for uuid in (A, B, C))
SLICES = ("MIG-aaaa1111-0000", "MIG-aaaa2222-0000", "MIG-bbbb3333-0000")
SLICED = (
    PresentGpu(uuid=A, name="A100", mig=True, slices=SLICES[:2]),
    PresentGpu(uuid=B, name="A100", mig=True, slices=SLICES[2:]),
    PresentGpu(uuid=C, name="A100"),
)


def shown(value: str | None, present: tuple[PresentGpu, ...], order: str | None = None) -> VisibleGpus:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    if order is not None:
        environ["CUDA_DEVICE_ORDER"] = order
    return visible_gpus(environ, present)


def indices(value: str | None) -> list[int]:
    uuids = [gpu.uuid for gpu in FOUR]
    return [uuids.index(uuid) for uuid in shown(value, FOUR).uuids]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [0, 1, 2, 3]),
        ("", []),
        (" ", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", [2]),
        ("2,1", [2, 1]),
        (" 3 , 0 ", [3, 0]),
        ("0,1,", [0, 1]),
        (",0", []),
        # The guide's own example.
        ("0,2,-1,1", [0, 2]),
        ("0,4,1", [0]),
        ("9,0", []),
        # From PyTorch's test of what driver 525 does.
        ("1gpu2,2ampere", [1, 2]),
        ("2, +3, -0, 1", [2, 3, 0, 1]),
        ("0, 1, 2, 1", []),
        ("one,two,3,2", []),
        ("3,2,two,one", [3, 2]),
        # An index among UUIDs, a UUID among indices.
        ("GPU-1111, 2", [1]),
        ("2,GPU-1111", [2]),
        ("9" * 5000, []),
        ("000001", [1]),
    ],
)
def test_an_environment_shows_what_cuda_shows(value: str | None, expected: list[int]) -> None:
    assert indices(value) == expected


def test_a_uuid_may_be_cut_short_while_it_is_unique() -> None:
    assert shown(A, THREE).uuids == (A,)
    assert shown("GPU-8932f937", THREE).uuids == (A,)
    assert shown("GPU-1,GPU-8932f938", THREE).uuids == (C, B)


def test_a_uuid_that_several_gpus_begin_with_ends_the_list() -> None:
    assert shown(f"{C},GPU-8932f93,{A}", THREE) == VisibleGpus(uuids=(C,), invalid_entry=2)


def test_a_gpu_named_twice_leaves_none_visible() -> None:
    assert shown(f"{A},GPU-8932f937", THREE) == VisibleGpus(uuids=(), repeated=True)
    assert shown("0,0", THREE).repeated


def test_the_entry_that_ends_the_list_is_told_unless_it_was_meant_to() -> None:
    assert shown("0,7,1", THREE).invalid_entry == 2
    assert shown("0,-1,1", THREE).invalid_entry is None
    assert shown("0,1,", THREE).invalid_entry is None


def test_a_slice_stands_for_the_gpu_it_is_cut_from() -> None:
    assert shown(SLICES[2], SLICED).uuids == (B,)
    assert shown("MIG-bbbb", SLICED).uuids == (B,)
    assert shown(f"MIG-{A}/1/0", SLICED).uuids == (A,)


def test_slices_of_one_gpu_show_it_once() -> None:
    assert shown(f"{SLICES[0]},{SLICES[1]},{SLICES[2]}", SLICED).uuids == (A, B)
    assert shown(f"MIG-{A}/1/0,MIG-{A}/2/0", SLICED).uuids == (A,)


def test_a_slice_named_twice_leaves_none_visible() -> None:
    assert shown(f"{SLICES[0]},{SLICES[0]}", SLICED).repeated


@pytest.mark.parametrize(
    "value", ["MIG-aaaa", "MIG-ffff", f"MIG-{C}/1/0", f"MIG-{A}", "MIG-", "MIG-GPU-/1/0"]
)
def test_what_names_no_slice_shows_nothing(value: str) -> None:
    # Ambiguous, unknown, of a GPU that is not sliced, without instance, and the bare prefixes.
    assert shown(value, SLICED).uuids == ()


def test_the_old_name_of_a_slice_is_found_where_the_driver_gives_old_names() -> None:
    old = PresentGpu(uuid=A, name="A100", mig=True, slices=(f"MIG-{A}/1/1", f"MIG-{A}/1/10"))
    assert shown(f"MIG-{A}/1/1", (old,)).uuids == (A,)


MIXED = (
    PresentGpu(uuid=A, name="GT 1030"),
    PresentGpu(uuid=B, name="RTX 4090"),
    PresentGpu(uuid=C, name="RTX 4090"),
)


def test_an_index_is_ambiguous_only_among_unlike_gpus_in_cudas_own_order() -> None:
    assert shown("0", MIXED).order_uncertain
    assert shown("0", MIXED, "FASTEST_FIRST").order_uncertain
    assert shown("0", MIXED).uuids == (A,)
    assert not shown("0", MIXED, "PCI_BUS_ID").order_uncertain
    assert not shown(A, MIXED).order_uncertain
    assert not shown(None, MIXED).order_uncertain
    assert not shown("2,1,0", MIXED).order_uncertain
    assert not shown("0", THREE).order_uncertain


def test_the_container_runtimes_variable_is_not_cudas() -> None:
    assert visible_gpus({"NVIDIA_VISIBLE_DEVICES": "none"}, THREE).uuids == (A, B, C)


UUIDS = st.lists(st.uuids(version=4).map(lambda uuid: f"GPU-{uuid}"), min_size=1, max_size=6, unique=True)
ENTRIES = st.one_of(
    st.text(max_size=12),
    st.integers(-3, 9).map(str),
    st.sampled_from(["GPU-", "MIG-", "MIG-GPU-/1/0", "-1", ""]),
)


@given(uuids=UUIDS, entries=st.lists(ENTRIES, max_size=6), order=st.sampled_from([None, "PCI_BUS_ID", "x"]))
def test_any_environment_shows_known_gpus_each_once(
    uuids: list[str], entries: list[str], order: str | None
) -> None:
    present = tuple(PresentGpu(uuid=uuid, name=uuid[-1]) for uuid in uuids)
    seen = shown(",".join(entries), present, order)
    assert set(seen.uuids) <= set(uuids)
    assert len(set(seen.uuids)) == len(seen.uuids)


@given(uuids=UUIDS, pick=st.randoms(use_true_random=False))
def test_any_unique_start_of_a_uuid_names_that_gpu(uuids: list[str], pick) -> None:
    uuid = pick.choice(uuids)
    start = uuid[: pick.randint(5, len(uuid))]
    others = [other for other in uuids if other != uuid and other.startswith(start)]
    present = tuple(PresentGpu(uuid=name, name="H100") for name in uuids)
    assert shown(start, present).uuids == (() if others else (uuid,))


@given(uuids=UUIDS, order=st.permutations(range(6)), cut=st.integers(0, 6))
def test_entries_before_an_invalid_one_count_and_those_after_it_do_not(
    uuids: list[str], order: list[int], cut: int
) -> None:
    present = tuple(PresentGpu(uuid=name, name="H100") for name in uuids)
    chosen = [index for index in order if index < len(uuids)]
    entries = [*map(str, chosen[:cut]), "no-gpu", *map(str, chosen[cut:])]
    assert shown(",".join(entries), present).uuids == tuple(uuids[index] for index in chosen[:cut])
