"""Work: what was done, by unit. One type that cannot be made wrong; what it may be is said here, and nowhere else.

An amount is 0, or a finite number from ``LEAST_WORK`` to ``MOST_WORK``. **Zero is an amount**: it was looked for, and none was done, which
is another thing than a unit that nobody counted. Nothing is divided by it: ``divisor`` gives None for it, as for what was not counted.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from energy_rating.nouns.errors import BadInput

Number = int | float

# What a window can count of one unit: 26,000 times the training of Llama 3.1 405B, which took 3.8e25 FLOP (arXiv 2407.21783). In 0.1.0
# it was 2⁶³ = 9.2e18, and the 8e22 FLOP of training 7 billion parameters on 2 trillion tokens (6 · 7e9 · 2e12) were left out.
MOST_COUNTED = 1e30

# What windows come to together: a journal of 1e15 windows would take 1e17 bytes, so that no sum of what was counted reaches this, and
# none fails in the program that is measured. Its square is far from the largest float, 1.8e308, so that any doubt can be reckoned with.
# All that 0.1.0 wrote is below: its windows went to 2⁶³.
MOST_WORK = MOST_COUNTED * 1e15

LEAST_WORK = 1e-9  # less, but more than 0, is none: nothing can be divided by it
LONGEST_UNIT = 60

REMEDY = "Count what was done, such as token=512"


class Work(dict[str, Number]):
    """Amounts by unit, such as ``Work({"request": 8, "token": 1024})``. Cannot be changed; is equal to a dict of the same amounts.

    A dict, and not only a mapping, since ``json`` and others write no mapping of another kind.

    Raises:
        BadInput: a unit is empty, unprintable or too long; an amount is no number, negative, not finite, too small or too large.
    """

    __slots__ = ()

    def __init__(self, amounts: Mapping[str, Number] | Iterable[tuple[str, Number]] = (), /) -> None:
        if self:
            self._fixed()  # who makes it once more would change it
        dict.__init__(self, amounts)
        if type(amounts) is not Work:
            for unit, amount in self.items():
                if not (is_unit(unit) and is_amount(amount)):
                    raise BadInput(why_not(unit, amount), REMEDY, place="work")

    @classmethod
    def again(cls, amounts: Mapping[str, Number]) -> Work:
        """Of amounts that were work before, such as those of a column that was filled from it: they are not looked at again."""
        work = cls.__new__(cls)
        dict.update(work, amounts)
        return work

    def divisor(self, unit: str | None) -> Number | None:
        """The amount of a unit that something can be divided by; None where none was counted, or none was done."""
        return self.get(unit or "") or None

    def __add__(self, other: Mapping[str, Number]) -> Work:
        """Both together, unit by unit."""
        return Work.total((self, other))

    __radd__ = __add__

    def __mul__(self, factor: Number) -> Work:
        """So many times as much of each unit; what would be less than the least is none. Whole numbers stay whole where the factor is one."""
        times = {unit: amount * factor for unit, amount in self.items()}
        return Work({unit: 0 if 0 < amount < LEAST_WORK else amount for unit, amount in times.items()})

    __rmul__ = __mul__

    @classmethod
    def total(cls, works: Iterable[Mapping[str, Number]]) -> Work:
        """All of them together, unit by unit; what is no work is refused."""
        found: dict[str, Number] = {}
        for work in works:
            for unit, amount in (work if type(work) is Work else Work(work)).items():
                found[unit] = found.get(unit, 0) + amount
        return cls(found)

    def _fixed(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "work cannot be changed; make another: work + {'token': 512}, or Work({**work, 'token': 512})"
        )

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = _fixed

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        return NotImplemented  # ``|=`` gives a plain dict, as ``|`` does, and leaves this one alone

    def __reduce__(self) -> tuple[type[Work], tuple[dict[str, Number]]]:
        """Copies and pickles are made anew, since their amounts cannot be put in one by one."""
        return Work, (dict(self),)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: Any) -> Any:
        """It is read as a mapping; the noun that holds it makes it one of these."""
        return handler(Mapping[str, Number])


@functools.lru_cache(maxsize=256)  # a program counts in a few units, many times
def is_unit(unit: object) -> bool:
    """Whether a unit can be called so."""
    return isinstance(unit, str) and 0 < len(unit) <= LONGEST_UNIT and unit.isprintable()


def is_amount(amount: object, most: float = MOST_WORK) -> bool:
    """Whether so much can be done, and is no more than the most; NaN and truth values cannot."""
    kind = type(amount)
    if (kind is not int and kind is not float) and (kind is bool or not isinstance(amount, int | float)):
        return False
    number: Number = amount  # type: ignore[assignment]
    return LEAST_WORK <= number <= most or number == 0


def as_plain(amount: Any) -> Number:
    """An amount as a number of Python's own: those that are made of one, such as NumPy's, may add, compare and write themselves otherwise."""
    kind = type(amount)
    if kind is int or kind is float:
        return amount  # type: ignore[no-any-return]
    # By the type itself and not by the value, which may answer as it likes.
    return int.__add__(amount, 0) if isinstance(amount, int) else float.__add__(amount, 0.0)


def why_not(unit: object, amount: object) -> str:
    """Why this is no work, of what is none."""
    if not is_unit(unit):
        return f"a unit must be a printable word of 1 to {LONGEST_UNIT} letters; got {str(unit)!r:.40}"
    # Of an integer of thousands of digits Python refuses to write any.
    got = (
        "a number of thousands of digits"
        if isinstance(amount, int) and amount.bit_length() > 10_000
        else f"{amount!r:.40}"
    )
    return f"{unit} must be 0, or a number from {LEAST_WORK:g} to {MOST_WORK:g}; got {got}"
