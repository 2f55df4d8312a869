"""What is known of an option, beside its name, its type and its default, which a dataclass's field has by itself.

An option of ``benchmark`` is declared once: as a field of ``Settings`` (what a workload is asked for) or of ``Conduct`` (how
it is measured), in ``settings``. The command's option and its help, the keys of a batch, the keyword of ``energy_rating.benchmark``, the refusal by
a workload that does not understand it, the way into another process and the record follow from the declaration.
"""

from __future__ import annotations

import contextlib
import functools
import math
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar, get_args, get_origin, get_type_hints

from energy_rating.nouns.errors import BadInput

_KEY = "option"

# At the end of a field's name, the unit; an option of the command line has it in its help.
SECONDS = "_s"


class Declared(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


D = TypeVar("D", bound=Declared)
P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """What is declared beside a field's name, type and default.

    ``help`` is what ``--help`` says; without it there is no option of this name, and the field is set in another way. ``at_least``,
    ``above`` and ``at_most`` are the bounds of a number. ``metavar`` stands for the value in the help. ``recorded``: the record tells it,
    in ``load``. ``by_all``: it has no effect where nothing is asked of it, or the benchmark sees to it, so that every workload
    understands it. ``of_function``: whoever measures a Python function of his own may say that the function was run so.
    """

    help: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    metavar: str | None = None
    recorded: bool = True
    by_all: bool = False
    of_function: bool = True


def _as_metadata(kind: Callable[P, Option]) -> Callable[P, Mapping[str, Option]]:
    def metadata(*args: P.args, **kwargs: P.kwargs) -> Mapping[str, Option]:
        return {_KEY: kind(*args, **kwargs)}

    return metadata


# What makes a field an option: ``field(default=None, metadata=option(help="…", at_least=1))``.
option = _as_metadata(Option)


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """An option with all that is known of it. ``kind`` is its type; ``optional``: it may be None, which asks for nothing."""

    name: str
    kind: type
    optional: bool
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """What it is called on the command line."""
        return f"--{self.name.removesuffix(SECONDS).replace('_', '-')}"

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return self.name.removesuffix(SECONDS).replace("_", " ")

    @property
    def is_switch(self) -> bool:
        """Whether it can be asked for and asked not to be: ``--name`` and ``--no-name``."""
        return self.kind is bool and self.default is not False

    @property
    def values(self) -> str:
        """What its value must be, in words."""
        option = self.option
        if self.kind not in (int, float):
            return _WORDS.get(self.kind, "a value")
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("of at least", option.at_least),
                ("above", option.above),
                ("and at most" if option.at_least is not None else "of at most", option.at_most),
            )
            if bound is not None
        ]
        return " ".join((_WORDS[self.kind], *bounds))

    def checked(self, value: object, place: str) -> Any:
        """The value, if it can be one of this option.

        Raises:
            BadInput: it cannot; says at ``place`` what it must be.
        """
        if (value is None and self.optional) or self._holds(value):
            return value
        raise BadInput(f"{self.words} must be {self.values}; got {value!r:.80}", place=place)

    def check_written(self, written: object, place: str) -> None:
        """The same for a value as a table holds it, where numbers may be texts; a text that is to be one is not looked at.

        Raises:
            BadInput: it cannot be read as one.
        """
        value = written
        if self.kind in (int, float) and isinstance(written, str):
            with contextlib.suppress(ValueError):
                value = self.kind(written)
        if self.kind in (int, float, bool):
            self.checked(value, place)

    def _holds(self, value: object) -> bool:
        if self.kind not in (int, float):
            return isinstance(value, self.kind)
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            return False
        low, above, high = self.option.at_least, self.option.above, self.option.at_most
        return (
            -math.inf < value < math.inf
            and (low is None or value >= low)
            and (above is None or value > above)
            and (high is None or value <= high)
        )


_WORDS: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Path: "a path",
    tuple: "a list of texts",
}


def known(kind: type[Declared]) -> Mapping[str, Known]:
    """The options that a class declares, by name, in the order in which they stand there."""
    return _known(kind)


@functools.cache
def _known(kind: Any) -> Mapping[str, Known]:
    types_of = get_type_hints(kind)
    found = {}
    for one in fields(kind):
        declared = one.metadata.get(_KEY)
        if declared is None:
            continue
        kinds = _kinds(types_of[one.name])
        found[one.name] = Known(
            name=one.name,
            kind=next(kind for kind in kinds if kind is not types.NoneType),
            optional=types.NoneType in kinds,
            default=one.default if one.default_factory is MISSING else one.default_factory(),
            option=declared,
        )
    return found


def _kinds(hint: Any) -> tuple[type, ...]:
    inner = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
    return tuple(get_origin(kind) or kind for kind in inner)


def asked_for(base: D, asked: Mapping[str, object], *, python: bool = False) -> D:
    """``base`` with what is asked for in place of what it holds. What is None, or no option of its class, asks for nothing of it.

    Args:
        base: what holds where nothing is asked for.
        asked: values by the names of the options.
        python: an error names the argument of a function, not the option of the command.

    Raises:
        BadInput: a value cannot be one of its option.
    """
    changes = {
        name: one.checked(asked[name], name if python else one.flag)
        for name, one in known(type(base)).items()
        if asked.get(name) is not None
    }
    return replace(base, **changes)


def refuse_unknown(
    asked: Iterable[str],
    among: Iterable[str],
    place: str,
    *,
    see: str = "See: energy-rating benchmark --help",
) -> None:
    """Refuses names that are none of these.

    Raises:
        BadInput: one is not; names the nearest.
    """
    names = list(among)
    for name in asked:
        if name not in names:
            import difflib  # here, where something went wrong

            near = difflib.get_close_matches(name, names, n=1)
            raise BadInput(
                f"there is no option {name[:80]!r}",
                f"Did you mean {near[0]}?" if near else see,
                place=place,
            )


def not_default(value: Declared) -> Iterator[tuple[Known, Any]]:
    """The options that were asked for, and their values: those that are not at their default."""
    for name, one in known(type(value)).items():
        if (found := getattr(value, name)) != one.default:
            yield one, found


def to_entry(value: Declared) -> dict[str, object]:
    """The options as JSON can write them, for another process on this machine."""
    return {name: _plain(getattr(value, name)) for name in known(type(value))}


def from_entry(kind: type[D], entry: Mapping[str, Any]) -> D:
    """The same again."""
    made = {
        name: one.kind(entry[name]) if one.kind in (Path, tuple) and entry[name] is not None else entry[name]
        for name, one in known(kind).items()
    }
    return kind(**made)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)  # the working directory is the same there
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
