"""What is read without its library is what that library would have read; whatever it would refuse is refused by it, in its words."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from energy_rating.benchmarking.tasks import TASKS, TaskFile
from energy_rating.files import strict
from energy_rating.files.reading import _HeaderExtras
from energy_rating.files.values import value_of
from energy_rating.judging.profiles import Profile, profile_files
from energy_rating.judging.schemes import SCHEMES, Scheme
from energy_rating.nouns.errors import STRICT, BadInput
from energy_rating.nouns.records import Record

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "reports" / "example-gpu"
DEVICE = {"id": "GPU-1", "name": "Ünïcode 卡", "power_limit_w": 700, "memory_gb": 85.5}


def entries() -> Iterator[tuple[type, dict[str, Any]]]:
    """What files of each kind hold, with as much in it as there is."""
    for path in sorted((EXAMPLE / "record.json", *TOP.glob("tests/data/0.1.0*/**/record.json"))):
        yield Record, json.loads(path.read_text(encoding="utf-8"))
    for key, path in profile_files().items():
        yield Profile, {"key": key, **strict.read_toml(path)}
    for path in sorted(SCHEMES.glob("*.toml")):
        yield Scheme, strict.read_toml(path)
    for path in sorted(TASKS.glob("*.toml")):
        yield TaskFile, strict.read_toml(path)
    yield (
        _HeaderExtras,
        {
            "place": {"zone": "FRA"},
            "role": "training",
            "ranks": 8,
            "operating_point": {"a": 1, "b": 1.0, "c": True, "d": "e"},
        },
    )


def outcome(read: Any, kind: type, entry: object) -> str:
    try:
        return repr(read(kind, entry, "here"))
    except BadInput as error:
        return f"refused: {error}"


def test_what_files_hold_needs_no_library_and_is_what_that_would_have_made() -> None:
    kinds = set()
    for kind, entry in entries():
        made, at_length = value_of(kind, entry), strict.validated_at_length(kind, entry, "here")
        assert made == at_length
        assert repr(made) == repr(at_length)  # 1 and 1.0 are equal, and not the same
        kinds.add(kind)
    assert kinds == {Record, Profile, Scheme, TaskFile, _HeaderExtras}


ODD: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 7, 1 << 53, (1 << 53) + 1, 1 << 63, 1 << 70, 10**400, 0.0, -0.0, 1.0, 0.5, 1e300, 5e-324),
    *(float("nan"), float("inf"), "", "x", " ", "1", "true", "\ud800", "\x00", "é", "a" * 500, "run", "measured", "gpu"),
    *([], {}, [1], [[]], ["x"], [1, 2], [1.0, 2.0, 3.0], {"x": 1}, {"value": 1.0, "random": 0.0, "systematic": 0}, [{}], DEVICE),
)  # fmt: skip


def places(entry: object) -> Iterator[tuple[Any, Any]]:
    """Every container in it, and every key or index there."""
    pairs = entry.items() if isinstance(entry, dict) else enumerate(entry) if isinstance(entry, list) else ()
    for key, value in pairs:
        yield entry, key
        yield from places(value)


def spoilt(entry: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The same with one to three things exchanged, left out or added."""
    found = copy.deepcopy(entry)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if not (all_places := list(places(found))):
            break
        where, key = chance.choice(all_places)
        match chance.randrange(6):
            case 0:
                del where[key]
            case 1 if isinstance(where, dict):
                where[chance.choice(("schema", "value", "nmae", str(key)[:-1], "", "checked"))] = (
                    chance.choice(ODD)
                )
            case 2:
                where[key] = copy.deepcopy(chance.choice([one[k] for one, k in all_places]))
            case _:
                where[key] = copy.deepcopy(chance.choice(ODD))
    return found


def test_whatever_is_done_to_a_file_both_ways_of_reading_it_say_the_same() -> None:
    chance = random.Random(15)
    of_kind: dict[type, list[dict[str, Any]]] = {}
    for kind, entry in entries():
        of_kind.setdefault(kind, []).append(entry)
    said = {True: 0, False: 0}
    for kind, known in of_kind.items():
        for _ in range(600):
            entry = spoilt(chance.choice(known), chance)
            new = outcome(strict.validated, kind, entry)
            if kind is Record and ("checked" in entry or "'methods'" in new):
                continue  # refused before either of them is asked
            assert new == outcome(strict.validated_at_length, kind, entry)
            said[new.startswith("refused")] += 1
    assert min(said.values()) > 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Loose:
    """Nobody said that keys it does not know are refused."""

    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsure:
    """Two that are written alike: which of them is meant is for the library to say."""

    __pydantic_config__ = STRICT

    value: tuple[int, ...] | tuple[str, ...] = ()


@pytest.mark.parametrize("kind", [Loose, Unsure])
def test_a_class_of_which_not_all_is_known_is_left_to_the_library(kind: type) -> None:
    assert value_of(kind, {}) is None
    assert strict.validated(kind, {}, "here") == kind()


def test_reading_rating_and_drawing_a_record_load_no_library_for_what_is_as_it_should_be() -> None:
    script = (
        "import sys\n"
        "from energy_rating import footprint, load, rate\n"
        "from energy_rating.publishing.label import svg\n"
        f"record = load({str(EXAMPLE)!r})\n"
        "svg(record, rate(record)), footprint(record, zone='FRA')\n"
        "print(*{name.partition('.')[0] for name in sys.modules}\n"
        "      & {'pydantic', 'pydantic_core', 'pandas', 'matplotlib', 'codecarbon', 'http', 'email'})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")
