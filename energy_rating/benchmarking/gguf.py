"""What a GGUF file says of the model in it: name, parameters, type of its weights. Reads headers only, and strictly.

A file is not a model: large models come in parts (NAME-00001-of-00003.gguf, each with a header of its own), and adapters, projectors, vocabularies and
importance matrices come in the same format. Whoever takes a part for the whole has the wrong size of the model.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 3; 2 differs in nothing that is read here; names and keys of
parts: there, "Naming convention", and ``split.*`` in llama.cpp's tools/gguf-split).
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from energy_rating.files.opening import opened
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

# general.file_type (enum llama_ftype in llama.h, read 2026-11-30): the type of most of the weights.
_FILE_TYPES = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1",
    10: "q2_k", 11: "q3_k_s", 12: "q3_k_m", 13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m",
    16: "q5_k_s", 17: "q5_k_m", 18: "q6_k", 21: "q2_k_s",
    19: "iq2_xxs", 20: "iq2_xs", 22: "iq3_xs", 23: "iq3_xxs", 24: "iq1_s", 25: "iq4_nl",
    26: "iq3_s", 27: "iq3_m", 28: "iq2_s", 29: "iq2_m", 30: "iq4_xs", 31: "iq1_m",
    32: "bf16", 36: "tq1_0", 37: "tq2_0", 38: "mxfp4_moe", 39: "nvfp4", 40: "q1_0",
}  # fmt: skip
_GUESSED = 1024  # LLAMA_FTYPE_GUESSED: a flag beside the type

# ggml_type (ggml.h), of each tensor; for a file whose own type is not told, or newer than this list.
_TENSOR_TYPES = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0", 9: "q8_1",
    10: "q2_k", 11: "q3_k", 12: "q4_k", 13: "q5_k", 14: "q6_k", 15: "q8_k",
    16: "iq2_xxs", 17: "iq2_xs", 18: "iq3_xxs", 19: "iq1_s", 20: "iq4_nl", 21: "iq3_s",
    22: "iq2_s", 23: "iq4_xs", 24: "i8", 28: "f64", 29: "iq1_m", 30: "bf16",
    34: "tq1_0", 35: "tq2_0", 39: "mxfp4", 40: "nvfp4", 41: "q1_0",
}  # fmt: skip

# general.type, and an adapter's own key of the time before there was one.
_NO_MODELS = {
    "adapter": "an adapter of a model",
    "mmproj": "a projector, which turns pictures or sounds into tokens for a model",
    "imatrix": "an importance matrix, made to quantise a model",
    "vocab": "a vocabulary",
}
_PROJECTOR, _STEERS = "clip", "controlvector"  # general.architecture

# NAME-00001-of-00003: llama.cpp finds the others by it, and takes no other name.
PART = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})", re.ASCII)
MOST_PARTS = 10_000


def described(path: Path, *, most_strings: int = MOST_STRINGS) -> Model:
    """The model in a GGUF file, or in the set of files that it is the first of.

    Its id is the file's name, without what marks a part; its parameters are those of all tensors. A header of more than ``most_strings``
    strings is none.

    Raises:
        BadInput: a file cannot be opened or is no GGUF file, it holds no model, or a part of the set is missing.
    """
    first = _header(path, most_strings)
    _refuse_what_is_no_model(first, path)
    parts = [first, *(_header(other, most_strings) for other in _others(first, path))]
    tensors = sum(part.tensors for part in parts)
    told = first.said.get("split.tensors.count")
    if len(parts) > 1 and isinstance(told, int) and told != tensors:
        raise BadInput(
            f"its {len(parts)} parts have {tensors:,} tensors together, and should have {told:,}",
            "Download them again, all from one place",
            place=path,
        )
    parameters = sum(part.parameters for part in parts)
    if tensors == 0 and any(key.startswith("tokenizer.") for key in first.said):
        raise _no_model(_NO_MODELS["vocab"], path)
    kind = first.said.get("general.file_type")
    by_type: Counter[str] = Counter()
    for part in parts:
        by_type.update(part.by_type)
    dtype = _FILE_TYPES.get(kind & ~_GUESSED) if isinstance(kind, int) else None
    found = PART.fullmatch(path.stem) if len(parts) > 1 else None
    name = found["name"] if found else path.stem
    return Model(
        id=name.encode("utf-8", "replace").decode(),
        parameters=parameters or None,
        dtype=dtype or next((name for name, _ in by_type.most_common(1)), None),
    )


def parts_of(path: Path) -> int:
    """How many files the model is in, by the header of one of them.

    Raises:
        BadInput: it cannot be opened, or is no GGUF file.
    """
    return _count(_header(path))


def _others(first: _Contents, path: Path) -> Iterator[Path]:
    """The other files of the set, which are all there.

    Raises:
        BadInput: this is not the first of them, or one is missing.
    """
    count = _count(first)
    if count == 1:
        return
    found = PART.fullmatch(path.stem)
    if found is None or int(found["count"]) != count or count > MOST_PARTS:
        raise BadInput(
            f"is one of {count} parts of a model, and its name does not say which",
            f"Name the parts as they were published, such as {path.stem[:80]}-00001-of-{min(count, 99999):05}.gguf",
            place=path,
        )
    files = [
        path.with_name(f"{found['name']}-{n:05}-of-{count:05}{path.suffix}") for n in range(1, count + 1)
    ]
    if path != files[0]:
        raise BadInput(
            f"is part {int(found['number'])} of {count} of a model",
            f"Name the first: {files[0].name}",
            place=path,
        )
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(
            f"of its {count} parts {missing[0]}{more} {'are' if more else 'is'} not there",
            "Download all parts into one folder",
            place=path,
        )
    yield from files[1:]


def _count(content: _Contents) -> int:
    told = content.said.get("split.count")
    return told if isinstance(told, int) and told > 1 else 1


def _refuse_what_is_no_model(content: _Contents, path: Path) -> None:
    said = content.said
    kind = str(said.get("general.type", "model"))
    architecture = said.get("general.architecture")
    if kind not in _NO_MODELS:
        kind = "adapter" if "adapter.type" in said else "mmproj" if architecture == _PROJECTOR else kind
    if kind in _NO_MODELS:
        raise _no_model(_NO_MODELS[kind], path)
    if architecture == _STEERS:
        raise _no_model("a control vector, which steers a model", path)
    if any(key.startswith("imatrix.") for key in said):
        raise _no_model(_NO_MODELS["imatrix"], path)


def _no_model(what: str, path: Path) -> BadInput:
    return BadInput(f"is {what}, and no model", "Name the model's own file", place=path)


def _header(path: Path, most_strings: int = MOST_STRINGS) -> _Contents:
    try:
        file = opened(path)
    except BadInput as error:
        raise BadInput(f"cannot be opened ({error.message})", "Name a GGUF file", place=path) from error
    try:
        with file:
            if file.read(4) != MAGIC:
                raise BadInput(
                    "this is not a GGUF file", "Convert the model, or download its GGUF", place=path
                )
            return _read(_Header(file, most_strings))
    except OSError as error:
        raise BadInput(
            f"cannot be opened ({error.strerror or error})", "Name a GGUF file", place=path
        ) from error
    except (struct.error, UnicodeDecodeError, _Impossible) as error:
        raise BadInput("the GGUF file's header is damaged", "Download it again", place=path) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class _Contents:
    """What a header says. ``by_type``: how many parameters have which type."""

    said: Mapping[str, object]
    tensors: int
    parameters: int
    by_type: Counter[str]


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


def _read(file: _Header) -> _Contents:
    _version, tensors, entries = struct.unpack("<IQQ", _take(file, 20))
    if tensors > MOST_ENTRIES or entries > MOST_ENTRIES:
        raise _Impossible
    said: dict[str, object] = {}
    for _ in range(entries):
        key = _string(file)
        said[key] = _value(file, _number(file, "<I"))
    parameters = 0
    by_type: Counter[str] = Counter()
    for _ in range(tensors):
        _string(file)
        sizes = [_number(file, "<Q") for _ in range(min(_number(file, "<I"), 8))]
        parameters += math.prod(sizes)
        if max(sizes, default=0) > LARGEST_SIZE or parameters > LARGEST_SIZE:
            raise _Impossible
        kind = _number(file, "<I")
        if kind in _TENSOR_TYPES:
            by_type[_TENSOR_TYPES[kind]] += math.prod(sizes)
        _take(file, 8)  # where its numbers begin
    return _Contents(said=said, tensors=tensors, parameters=parameters, by_type=by_type)


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
