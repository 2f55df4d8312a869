"""What a GGUF file says of the model in it: name, parameters, type of its weights. Reads the header only, and strictly.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3; 2 differs in nothing that is read here).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Model

MAGIC = b"GGUF"
MOST_ENTRIES = 1 << 20
LONGEST_STRING = 1 << 24
# Vocabularies of 256,000 tokens with their merges come to some 15 MB. What is longer would only keep the reader busy.
LARGEST_HEADER = 128 << 20
MOST_STRINGS = 2_000_000
LARGEST_SIZE = 1 << 48  # of a tensor's dimension, and of all parameters: 500 times the largest model there is

# gguf_metadata_value_type; 8 is a string, 9 an array.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9

# general.file_type (enum llama_ftype in llama.h): the type of most of the weights.
_FILE_TYPES = {
    0: "f32",
    1: "f16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    32: "bf16",
}


def described(path: Path, *, most_strings: int = MOST_STRINGS) -> Model:
    """The model in a GGUF file: its id is the file's name, its parameters are those of all tensors.

    A header of more than ``most_strings`` strings is none.

    Raises:
        BadInput: the file cannot be opened, or is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != MAGIC:
                raise BadInput(
                    "this is not a GGUF file", "Convert the model, or download its GGUF", place=path
                )
            return _read(_Header(file, most_strings), path)
    except OSError as error:
        raise BadInput(
            f"cannot be opened ({error.strerror or error})", "Name a GGUF file", place=path
        ) from error
    except (struct.error, UnicodeDecodeError, _Impossible) as error:
        raise BadInput("the GGUF file's header is damaged", "Download it again", place=path) from error


@dataclass(slots=True)
class _Header:
    """The beginning of a file, and how many strings have been read from it."""

    file: IO[bytes]
    most_strings: int
    strings: int = 0

    def read(self, count: int) -> bytes:
        if self.file.tell() + count > LARGEST_HEADER:
            raise _Impossible
        return self.file.read(count)


class _Impossible(Exception):
    """A size that no honest header has."""


def _read(file: _Header, path: Path) -> Model:
    _version, tensors, entries = struct.unpack("<IQQ", _take(file, 20))
    if tensors > MOST_ENTRIES or entries > MOST_ENTRIES:
        raise _Impossible
    said: dict[str, object] = {}
    for _ in range(entries):
        key = _string(file)
        said[key] = _value(file, _number(file, "<I"))
    parameters = 0
    for _ in range(tensors):
        _string(file)
        sizes = [_number(file, "<Q") for _ in range(min(_number(file, "<I"), 8))]
        parameters += math.prod(sizes)
        if max(sizes, default=0) > LARGEST_SIZE or parameters > LARGEST_SIZE:
            raise _Impossible
        _take(file, 12)  # type and offset
    kind = said.get("general.file_type")
    return Model(
        id=path.stem.encode("utf-8", "replace").decode(),
        parameters=parameters or None,
        dtype=_FILE_TYPES.get(kind) if isinstance(kind, int) else None,
    )


def _take(file: _Header, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise _Impossible
    return data


def _number(file: _Header, form: str) -> int:
    (value,) = struct.unpack(form, _take(file, struct.calcsize(form)))
    return int(value)


def _string(file: _Header) -> str:
    file.strings += 1
    length = _number(file, "<Q")
    if length > LONGEST_STRING or file.strings > file.most_strings:
        raise _Impossible
    return _take(file, length).decode("utf-8", "replace")


def _value(file: _Header, kind: int) -> object:
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        inner, length = _number(file, "<I"), _number(file, "<Q")
        if length > LONGEST_STRING or inner == _ARRAY:
            raise _Impossible
        if inner in _SCALARS:
            _take(file, struct.calcsize(_SCALARS[inner]) * length)
        else:
            for _ in range(length):
                _value(file, inner)
        return None  # no array is of interest
    if kind not in _SCALARS:
        raise _Impossible
    (value,) = struct.unpack(_SCALARS[kind], _take(file, struct.calcsize(_SCALARS[kind])))
    found: object = value
    return found
