"""What is read from a GGUF file's header, and that nothing else than one clear error comes of a damaged one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from energy_rating import BadInput
from energy_rating.benchmarking import gguf


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
