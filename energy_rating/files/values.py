"""This package's values from what JSON held, where nothing is in doubt. What is in doubt is left to ``strict``, whose library decides, and words it.

That library takes a tenth of a second to load and to get ready, and most files are as they should be. So a value is made here only where
each key is known, each type is the very one that is written in the class, and the class itself refuses nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeVar

from energy_rating.nouns.errors import STRICT, EnergyRatingError
from energy_rating.nouns.work import Work

Make = Callable[[object], Any]
T = TypeVar("T")

# The integers that each reader of JSON makes the same float of (2⁵³), and the same integer (2⁶³).
EXACT, LARGEST = 1 << 53, (1 << 63) - 1


class _Doubtful(Exception):
    """It is not for this module to say what this is."""


def value_of(kind: type[T], entry: object) -> T | None:
    """A value of a dataclass; None where it may be none, or where the class has types that are not known here."""
    try:
        return typing.cast(T, _maker(typing.cast(Any, kind))(entry))
    except (
        _Doubtful,
        EnergyRatingError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        RecursionError,
    ):
        return None


@functools.cache
def _maker(kind: Any) -> Make:
    """What makes a value of a type."""
    simple = _SIMPLE.get(kind)
    if simple is not None:
        return simple
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _of_class(kind)
    if kind is Work:
        return _maker(Mapping[str, int | float])
    if origin is Literal:
        return _one_of(inner)
    if origin in (typing.Union, types.UnionType):
        return _of_union(inner)
    if origin is tuple:
        return _of_tuple(inner)
    if origin is Mapping and inner[0] is str:
        return _mapping(_maker(inner[1]))
    raise _Doubtful


def _text(entry: object) -> str:
    if type(entry) is not str:
        raise _Doubtful
    if not entry.isascii():
        entry.encode()  # half of a pair that stands for one character is no text, and fails here
    return entry


def _number(entry: object) -> float:
    if type(entry) is float and math.isfinite(entry):
        return entry
    if type(entry) is int and -EXACT <= entry <= EXACT:
        return float(entry)
    raise _Doubtful


def _whole(entry: object) -> int:
    if type(entry) is int and -LARGEST <= entry <= LARGEST:
        return entry
    raise _Doubtful


def _truth(entry: object) -> bool:
    if type(entry) is bool:
        return entry
    raise _Doubtful


def _nothing(entry: object) -> None:
    if entry is not None:
        raise _Doubtful


_SIMPLE: Mapping[Any, Make] = {
    str: _text,
    float: _number,
    int: _whole,
    bool: _truth,
    types.NoneType: _nothing,
    None: _nothing,
}


def _one_of(words: Collection[object]) -> Make:
    known = {word: word for word in words}  # handed out as they stand here: of many records one text
    if not all(type(word) is str for word in known):
        raise _Doubtful

    def make(entry: object) -> Any:
        if type(entry) is str and entry in known:
            return known[entry]
        raise _Doubtful

    return make


def _of_union(kinds: Collection[Any]) -> Make:
    """By the type of what is there, so that no two of them may take the same one: ``int | float`` keeps each as it is."""
    makers: dict[type, Make] = {}
    for kind in kinds:
        key = _written_as(kind)
        if key in makers:
            raise _Doubtful
        makers[key] = functools.partial(_made_lazily, kind) if key is dict else _maker(kind)
    # A whole number is a float where no whole number is asked for.
    if float in makers:
        makers.setdefault(int, makers[float])

    def make(entry: object) -> Any:
        return makers[type(entry)](entry)

    return make


def _made_lazily(kind: Any, entry: object) -> Any:
    """Most of what may be there is not, and the class that it would be of is never looked at."""
    return _maker(kind)(entry)


def _written_as(kind: Any) -> type:
    """The type that JSON has for a type."""
    if kind in _SIMPLE:
        return types.NoneType if kind is None else typing.cast(type, kind)
    origin = typing.get_origin(kind)
    if origin is Literal:
        return str
    if origin is tuple:
        return list
    if origin is Mapping or kind is Work or dataclasses.is_dataclass(kind):
        return dict
    raise _Doubtful


def _of_tuple(inner: tuple[Any, ...]) -> Make:
    if len(inner) == 2 and inner[1] is Ellipsis:
        one = _maker(inner[0])

        def make(entry: object) -> Any:
            if type(entry) is not list:
                raise _Doubtful
            return tuple([one(item) for item in entry])

        return make
    makers = [_maker(kind) for kind in inner]

    def make_each(entry: object) -> Any:
        if type(entry) is not list or len(entry) != len(makers):
            raise _Doubtful
        return tuple([make(item) for make, item in zip(makers, entry, strict=True)])

    return make_each


def _mapping(make_value: Make) -> Make:
    def make(entry: object) -> Any:
        if type(entry) is not dict:
            raise _Doubtful
        return {_text(key): make_value(value) for key, value in entry.items()}

    return make


def _of_class(kind: type) -> Make:
    hints = typing.get_type_hints(kind, vars(sys.modules[kind.__module__]))
    fields = dataclasses.fields(kind)
    # Without the promise that unknown keys are refused, they would be taken; what is not set by its name is not known here.
    if getattr(kind, "__pydantic_config__", None) != STRICT or not all(one.init for one in fields):
        raise _Doubtful
    makers = {one.name: _maker(hints[one.name]) for one in fields}

    def make(entry: object) -> Any:
        if type(entry) is not dict:
            raise _Doubtful
        # A key that is unknown is not in the one, one that is missing is refused by the class.
        return kind(**{key: makers[key](value) for key, value in entry.items()})

    return make
