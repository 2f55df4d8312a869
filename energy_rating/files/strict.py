"""JSON and TOML of strangers: bounded, without doubled keys, and checked against this package's values before anybody
else sees them. Knows no file of its own, and alone knows pydantic, which is loaded when needed.
"""

from __future__ import annotations

import difflib
import functools
import json
import math
import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from energy_rating.files.opening import read_whole
from energy_rating.files.values import value_of
from energy_rating.nouns import records
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.records import Record

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

MOST_VALUES = 1_000_000
LARGEST_TOML = 256 << 10  # bytes; the largest that ships has a tenth of it
MOST_DOTS = 2_000  # in one line of TOML: the time for a dotted key grows with the square of its length
T = TypeVar("T")


def json_schema(kind: Any, name: str) -> dict[str, Any]:
    """The JSON Schema of a class; ``name`` is what its files say that they are."""
    schema = {**adapter(kind).json_schema(), "$id": name}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


# ------------------------------------------------------------------------------------------- JSON to values, strictly


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file of plain values says.

    Raises:
        BadInput: it cannot be read, is not TOML, or holds what no JSON could (a bare date).
    """
    return toml_in(read_whole(path, LARGEST_TOML), path)


def toml_in(content: bytes, path: Path) -> dict[str, Any]:
    """What the content of a TOML file says.

    Raises:
        BadInput: as ``read_toml``; ``path`` is the file that is named.
    """
    try:
        # As text files are read: TOML knows no line end but a line feed, with or without a carriage return before it.
        text = content.decode().replace("\r\n", "\n").replace("\r", "\n")
        if any(line.count(".") > MOST_DOTS for line in text.split("\n")):
            raise BadInput(f"a line must have at most {MOST_DOTS} dots", place=path)
        entry = tomllib.loads(text)
        _refuse_dates(entry, path, "")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place=path) from error
    except BadInput:
        raise
    except (
        ValueError,
        RecursionError,
    ) as error:  # besides what is no TOML: a number of thousands of digits, deep nesting
        raise BadInput(f"is not TOML: {str(error)[:200]}", place=path) from None
    return entry


def _refuse_dates(value: object, path: Path, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_dates(item, path, f"{where}.{key}" if where else key)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _refuse_dates(item, path, f"{where}.{number}")
    elif not isinstance(value, str | int | float):
        raise BadInput("a date must be written as text, in quotes", place=f"{path}: {where}")


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def validated(kind: type[T], entry: object, place: str | Path) -> T:
    """A value of this package from what JSON or TOML held.

    Raises:
        BadInput: a key is unknown or missing, or a value is not what it should be; names the place.
    """
    if kind is Record and isinstance(entry, dict):
        _refuse_what_is_not_stored(entry, place)
    value = value_of(kind, entry)
    return validated_at_length(kind, entry, place) if value is None else value


def validated_at_length(kind: type[T], entry: object, place: str | Path) -> T:
    """The same, by the library that words what is wrong.

    Raises:
        BadInput: as ``validated``.
    """
    from pydantic import ValidationError

    try:
        text = json.dumps(entry, allow_nan=False)
    except ValueError:  # 1e999 is a number to JSON, and infinite to a float
        where = ".".join(_not_finite(entry))
        raise BadInput("a number is not finite", place=f"{place}: {where}"[:300]) from None
    except RecursionError:
        raise BadInput("is nested too deeply", place=place) from None
    try:
        return cast(T, adapter(cast(Any, kind)).validate_json(text, strict=True))
    except ValidationError as error:
        raise _bad_input(error, kind, place) from None


def _not_finite(value: object) -> tuple[str, ...]:
    """The way to the first number that is not finite; there is one."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if isinstance(inner, float) and not math.isfinite(inner):
            return (str(key),)
        if isinstance(inner, dict | list) and (found := _not_finite(inner)):
            return (str(key), *found)
    return ()


def _refuse_what_is_not_stored(entry: dict[str, Any], place: str | Path) -> None:
    if "checked" in entry:
        raise BadInput("'checked' is not a known key", place=place)
    measurements = entry.get("measurements")
    for measurement in measurements if isinstance(measurements, list) else ():
        if isinstance(measurement, dict) and "methods" in measurement:
            raise BadInput("'methods' is not a known key", place=f"{place}: measurements")


def _bad_input(error: ValidationError, kind: type, place: str | Path) -> BadInput:
    errors = error.errors(include_url=False, include_input=True)
    # A misspelt key is also a missing one; the misspelling is what the reader wants to see.
    first = min(errors, key=lambda item: item["type"] != "unexpected_keyword_argument")
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        message = unknown_key(str(first["loc"][-1]), _known_keys(kind))
    elif first["type"] in ("missing", "missing_argument"):
        message = "a key is missing"
    elif not isinstance(first["input"], dict | list):
        message = f"{message[0].lower()}{message[1:]}, not {str(first['input'])[:60]!r}"
    return BadInput(message, place=f"{place}: {where}"[:300] if where else place)


def _known_keys(kind: type) -> set[str]:
    """The keys of this value and of all values inside it."""
    keys: set[str] = set()
    todo: list[Any] = [kind]
    nouns = {name: noun for name, noun in vars(records).items() if is_dataclass(noun)}
    if kind is Record:
        todo += nouns.values()
    for noun in todo:
        if is_dataclass(noun):
            keys |= {item.name for item in fields(noun)}
    return keys - {"methods", "checked"} | {"value", "random", "systematic"}


def unknown_key(key: str, known: set[str]) -> str:
    # A key that is known, but not in this place, is not meant by itself.
    near = difflib.get_close_matches(key, sorted(known - {key}), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{key[:80]!r} is not a known key{' here' if key in known else ''}{hint}"


def optional(kind: type[T], entry: object, place: str) -> T | None:
    return None if entry is None else validated(kind, entry, place)


def json_object(
    text: str | bytes, place: str | Path, *, gaps: bool = False, most: int = MOST_VALUES
) -> dict[str, Any]:
    """A JSON object without doubled keys, NaN or infinities. ``gaps``: those are taken for what is missing, and are None.

    Raises:
        BadInput: it is none, or has more than ``most`` values.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise BadInput("is not UTF-8 text", place=place) from None
    if text.count(",") + text.count("[") + text.count("{") > most:
        raise BadInput(f"must hold at most {most:,} values; there are more", place=place)

    def no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        for key, value in pairs:
            if key in entry:
                raise BadInput(f"the key {key[:80]!r} must be there once; it stands twice", place=place)
            entry[key] = value
        return entry

    def no_constant(name: str) -> None:
        if gaps:
            return
        raise BadInput(f"{name} is not a number", place=place)

    try:
        entry = json.loads(text, object_pairs_hook=no_doubles, parse_constant=no_constant)
    except BadInput:
        raise
    except json.JSONDecodeError as error:
        raise BadInput(
            f"line {error.lineno}, column {error.colno} is not JSON: {error.msg}", place=place
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"is not JSON ({type(error).__name__})", place=place) from None
    if not isinstance(entry, dict):
        raise BadInput("is not a JSON object", place=place)
    return entry
