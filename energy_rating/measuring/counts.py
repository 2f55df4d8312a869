"""Work as people and programs write it: ``token=512``, or ``{"token": 512}``. Text to numbers, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from energy_rating.files.opening import read_beginning
from energy_rating.nouns.errors import BadInput
from energy_rating.nouns.work import Number, is_amount, is_unit, why_not

SUCH_AS = "Such as token=512"
LARGEST_COUNTS = 1 << 20  # bytes of a file of counts


def read_counts(path: Path) -> dict[str, Number]:
    """Counts from a file: ``{"token": 512}`` or lines of ``token=512``.

    Raises:
        BadInput: the file cannot be read, is not a regular file, or holds something else.
    """
    try:
        text = read_beginning(path, LARGEST_COUNTS).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput("is not UTF-8 text", place="the file of counts") from error
    except BadInput as error:  # its path is not to be in a record
        raise BadInput(error.message, error.remedy, place="the file of counts") from error
    if text.lstrip().startswith("{"):
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadInput("is not JSON", place="the file of counts") from error
        return dict(
            check_count(str(unit), amount, place="the file of counts") for unit, amount in entry.items()
        )
    lines = [line.strip() for line in text.splitlines()]
    return dict(
        parse_count(line, place="the file of counts") for line in lines if line and not line.startswith("#")
    )


def parse_counts(line: str, *, place: str) -> dict[str, Number]:
    """Counts from one line: a JSON object of numbers, or words ``unit=number``. Empty if the line is neither.

    Raises:
        BadInput: it has that form, but something in it is no count.
    """
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise BadInput("is not JSON", 'Such as {"token": 512}', place=place) from None
        return dict(check_count(unit, amount, place=place) for unit, amount in entry.items())
    words = line.split()
    if not line.strip("= ") or not all("=" in word for word in words):  # a ruler, or prose
        return {}
    return dict(parse_count(word, place=place) for word in words)


def _quoted(unit: str, number: str) -> str:
    """What stands for a number; of a line that is none, such as an address with its token, it may be a secret."""
    from energy_rating.files.withheld import HIDDEN, is_secret

    return HIDDEN if is_secret(unit) and unit != "token" else number[:40]


def parse_count(text: str, *, place: str) -> tuple[str, Number]:
    """``token=512`` as unit and number.

    Raises:
        BadInput: it is not of that form.
    """
    unit, mark, number = text.partition("=")
    if not mark:
        raise BadInput(f"must be of the form unit=number; got {text[:40]!r}", SUCH_AS, place=place)
    try:
        amount: Number = int(number)
    except ValueError:
        try:
            amount = float(number)
        except ValueError:
            raise BadInput(
                f"{unit.strip()[:40]} must be a number; got {_quoted(unit, number)!r}", SUCH_AS, place=place
            ) from None
    return check_count(unit.strip(), amount, place=place)


def check_count(unit: str, amount: object, *, place: str) -> tuple[str, Number]:
    """The unit and the number, which are a word and finite and not below zero.

    Raises:
        BadInput: they are not.
    """
    if not unit.isidentifier():
        raise BadInput(
            f"a unit must be a word such as token or image; got {unit[:40]!r}", SUCH_AS, place=place
        )
    if (
        not is_unit(unit)
        or isinstance(amount, str)
        or not isinstance(amount, int | float)
        or not is_amount(amount)
    ):
        raise BadInput(why_not(unit, amount), SUCH_AS, place=place)
    return unit, amount
