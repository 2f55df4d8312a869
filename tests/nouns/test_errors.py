"""One tree of errors, as it is drawn; each in one line; found again by its name."""

from __future__ import annotations

import pytest

from energy_rating.nouns import errors
from energy_rating.nouns.errors import (
    BadInput,
    EnergyRatingError,
    EngineFailed,
    ModelFailed,
    first_line,
    kind_of,
    of_kind,
)

BRANCH = "│├└─ "


def test_the_tree_is_the_one_that_is_drawn():
    lines = [
        line
        for line in (errors.__doc__ or "").splitlines()
        if line.startswith(("EnergyRatingError", "├", "└", "│"))
    ]
    above: list[str] = []
    names = []
    for line in lines:
        rest = line.lstrip(BRANCH)
        name = rest.split()[0]
        del above[(len(line) - len(rest)) // 4 :]
        bases = [base for base in getattr(errors, name).__bases__ if issubclass(base, EnergyRatingError)]
        assert [base.__name__ for base in bases] == above[-1:], name
        above.append(name)
        names.append(name)
    there = [
        kind.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    ]
    assert sorted(names) == sorted(there)


def test_each_is_found_again_by_its_name_with_its_place():
    for name in ("NotMeasured", "ServerFailed", "SensorLost", "NoRoom"):
        error = of_kind(name, "it broke", "Mend it")
        assert kind_of(error) == name
        assert str(error) == "it broke. Mend it"
    refused = of_kind("BadInput", "must be above 0; got -1", place="--items")
    assert str(refused) == "--items: must be above 0; got -1"
    assert type(of_kind("OfAnotherVersion", "it broke")) is EnergyRatingError


def test_a_strangers_error_is_known_by_what_it_was_derived_from():
    class Mine(EngineFailed):
        pass

    assert kind_of(Mine("x")) == "EngineFailed"
    assert type(of_kind("Mine", "x")) is EnergyRatingError


def test_who_catches_a_model_that_failed_misses_none():
    for name in ("ModelFailed", "PipelineFailed", "EngineFailed", "ServerFailed"):
        with pytest.raises(ModelFailed):
            raise of_kind(name, "it broke off")
    assert issubclass(BadInput, ValueError)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("a tensor is odd\nand more", "a tensor is odd"),
        ("\n\n  late \n", "late"),
        ("", "RuntimeError"),
        ("x" * 900, "x" * 200),
    ],
)
def test_a_librarys_error_is_quoted_by_its_first_line(said, line):
    assert first_line(RuntimeError(said)) == line
    assert first_line(RuntimeError("  "), "nothing") == "nothing"
