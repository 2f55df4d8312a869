"""What is read from a GGUF file's header, and that nothing else than one clear error comes of a damaged one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating import BadInput
from energy_rating.benchmarking import gguf
from energy_rating.judging.operating_point import weight_bits


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def a_file() -> bytes:
    entries = [
        string("general.name") + struct.pack("<I", 8) + string("A model"),
        string("general.file_type") + struct.pack("<II", 4, 3),
        string("tokenizer.tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b"),
        string("scores") + struct.pack("<IIQ", 9, 6, 3) + bytes(12),
    ]
    tensors = [string(f"w{n}") + struct.pack("<IQQIQ", 2, 10, n, 0, 0) for n in (1, 2, 3)]
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries + tensors)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "Some-Model.Q4_1.gguf"


def test_name_parameters_and_type_are_read(path):
    path.write_bytes(a_file())
    model = gguf.described(path)
    assert (model.id, model.parameters, model.dtype) == ("Some-Model.Q4_1", 60, "q4_1")


@given(cut=st.integers(0, len(a_file()) - 1), flip=st.integers(0, 255))
def test_a_damaged_header_is_one_clear_error(tmp_path_factory, cut, flip):
    data = bytearray(a_file())
    data[cut] ^= flip
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    for content in (bytes(data), a_file()[:cut]):
        path.write_bytes(content)
        try:
            gguf.described(path)
        except BadInput as error:
            assert "\n" not in str(error)


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(BadInput, match="cannot be opened"):
        gguf.described(tmp_path / "missing.gguf")
    with pytest.raises(BadInput, match="cannot be opened"):
        gguf.described(tmp_path)


# --------------------------------------------------------------------------------------- a file is not a model


def header(entries: dict[str, str | int | list[str]], sizes: tuple[int, ...] = (), kind: int = 3) -> bytes:
    """A header with these entries, and tensors of so many weights, all of one type."""
    written = []
    for key, value in entries.items():
        if isinstance(value, str):
            written.append(string(key) + struct.pack("<I", 8) + string(value))
        elif isinstance(value, list):
            texts = b"".join(map(string, value))
            written.append(string(key) + struct.pack("<IIQ", 9, 8, len(value)) + texts)
        else:
            written.append(string(key) + struct.pack("<II", 4, value))
    tensors = [string(f"w{n}") + struct.pack("<IQIQ", 1, size, kind, 0) for n, size in enumerate(sizes)]
    return b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(written)) + b"".join(written + tensors)


def a_set(folder, count=3, name="Big-Model-Q4_K_M", leave_out=(), tensors=None):
    """A model in so many files, the first of which has the entries and no weights, as gguf-split can be told to do."""
    for number in range(count):
        entries = {
            "split.no": number,
            "split.count": count,
            "split.tensors.count": tensors or 2 * (count - 1),
        }
        if number == 0:
            entries |= {"general.architecture": "llama", "general.type": "model", "general.file_type": 15}
        path = folder / f"{name}-{number + 1:05}-of-{count:05}.gguf"
        if number + 1 not in leave_out:
            path.write_bytes(header(entries, (1000, 100) if number else ()))
    return folder / f"{name}-00001-of-{count:05}.gguf"


def test_a_model_in_parts_has_the_weights_of_all_of_them_and_its_own_name(tmp_path):
    first = a_set(tmp_path)
    model = gguf.described(first)
    assert (model.id, model.parameters, model.dtype) == ("Big-Model-Q4_K_M", 2200, "q4_k_m")
    assert gguf.parts_of(first) == 3
    first.rename(whole := tmp_path / "renamed.gguf")
    with pytest.raises(BadInput, match=r"is one of 3 parts.*such as renamed-00001-of-00003\.gguf"):
        gguf.described(whole)


@pytest.mark.parametrize(
    ("options", "named", "says"),
    [
        ({"leave_out": (3,)}, 1, r"of its 3 parts Big-Model-Q4_K_M-00003-of-00003\.gguf is not there"),
        ({"leave_out": (2, 3)}, 1, r"00002-of-00003\.gguf and 1 more are not there"),
        ({}, 2, r"is part 2 of 3 of a model\. Name the first: Big-Model-Q4_K_M-00001-of-00003\.gguf"),
        ({"tensors": 7}, 1, r"its 3 parts have 4 tensors together, and should have 7"),
    ],
)
def test_a_part_does_not_pass_for_the_model(tmp_path, options, named, says):
    a_set(tmp_path, **options)
    with pytest.raises(BadInput, match=says):
        gguf.described(tmp_path / f"Big-Model-Q4_K_M-{named:05}-of-00003.gguf")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"general.type": "adapter", "general.architecture": "llama"}, "an adapter of a model"),
        ({"adapter.type": "lora", "general.architecture": "llama"}, "an adapter of a model"),
        ({"general.type": "mmproj", "general.architecture": "clip"}, "a projector"),
        ({"general.architecture": "clip"}, "a projector"),
        ({"general.type": "imatrix"}, "an importance matrix"),
        ({"imatrix.chunk_count": 100}, "an importance matrix"),
        ({"general.architecture": "controlvector"}, "a control vector"),
    ],
)
def test_what_comes_in_the_same_format_and_is_no_model_is_refused(path, entries, says):
    path.write_bytes(header(entries, (1000,)))
    with pytest.raises(BadInput, match=rf"is {says}.* and no model\. Name the model's own file"):
        gguf.described(path)


def test_a_vocabulary_is_no_model(path):
    path.write_bytes(header({"general.architecture": "llama", "tokenizer.ggml.tokens": ["a", "b"]}))
    with pytest.raises(BadInput, match="is a vocabulary, and no model"):
        gguf.described(path)


@pytest.mark.parametrize(
    ("entries", "kind", "dtype", "bits"),
    [
        ({"general.file_type": 19}, 16, "iq2_xxs", 2),
        ({"general.file_type": 30}, 23, "iq4_xs", 4),
        ({"general.file_type": 38}, 39, "mxfp4_moe", 4),
        ({"general.file_type": 39}, 40, "nvfp4", 4),
        ({"general.file_type": 1024 + 18}, 14, "q6_k", 6),  # guessed
        ({"general.file_type": 999}, 39, "mxfp4", 4),  # newer than we are: the weights say it
        ({}, 8, "q8_0", 8),
        ({}, 777, None, None),
    ],
)
def test_the_type_of_newer_files_is_known_and_else_that_of_most_of_the_weights(
    path, entries, kind, dtype, bits
):
    path.write_bytes(header(entries, (1000,), kind))
    assert gguf.described(path).dtype == dtype
    assert weight_bits(dtype) == bits
