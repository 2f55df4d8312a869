"""The rules between the rooms, read from the folders and the imports themselves; ``docs/architecture.md`` tells them in words."""

from __future__ import annotations

import ast
import builtins
import graphlib
import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from energy_rating.nouns import errors

TOP = Path(__file__).parents[2]
PACKAGE = TOP / "energy_rating"

# The wings, and the few files beside them, in the order of the floors: whoever stands on one may use what stands below it.
FLOORS = (
    ("version",),
    ("nouns",),
    ("files",),
    ("measuring", "judging"),
    ("storage",),
    ("publishing",),
    ("meter",),
    ("integrations",),
    ("benchmarking",),
    ("cli", "__init__", "__main__"),
)
WINGS = (
    "nouns",
    "files",
    "measuring",
    "judging",
    "storage",
    "publishing",
    "integrations",
    "benchmarking",
    "cli",
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# They never meet, also through others, also where an import stands in a function or is for types only.
APART = {
    "judging": {"measuring", "meter", "benchmarking", "integrations"},
    "measuring": {"judging", "publishing", "meter", "benchmarking", "integrations"},
    "publishing": {"measuring", "meter", "benchmarking", "integrations"},
}

# Only a door may load a room by a name that is made up while it runs: the one that it was asked for, out of its own folder.
DOORS = {
    "__init__",
    "measuring.sensors",
    "publishing.exports",
    "files.imports",
    "benchmarking.workloads",
    "benchmarking.child",
    "cli",
}

# A third-party library is known in one place only.
KNOWN_IN = {
    "pynvml": ("measuring.sensors.nvml",),
    "amdsmi": ("measuring.sensors.amdsmi",),
    "zeus_apple_silicon": ("measuring.sensors.apple",),
    "torch": ("benchmarking.workloads", "integrations"),
    "click": ("cli",),
    "pydantic": ("files.strict",),
    "codecarbon": ("measuring.sensors.codecarbon", "judging.footprint", "integrations.codecarbon"),
    "pandas": ("publishing", "meter"),  # meter: for types only
    "matplotlib": ("publishing", "benchmarking.tables"),
    "orjson": ("files.rows",),
    "yaml": ("files.imports.dia", "publishing.splice", "publishing.card"),
    "pyarrow": ("storage.parquet",),
    "resvg_py": ("publishing.label.picture",),
    "jinja2": ("publishing",),
    "xllamacpp": ("benchmarking.workloads",),
    "diffusers": ("benchmarking.workloads",),
    "tokenizers": ("benchmarking.workloads",),
    "huggingface_hub": ("benchmarking.workloads", "benchmarking.hub", "publishing.hub"),
    "transformers": ("benchmarking.workloads", "integrations"),
    "sentence_transformers": ("benchmarking.workloads", "integrations"),
    "jax": ("integrations",),
    "peft": ("integrations",),
    "trl": ("integrations",),
    "datasets": ("benchmarking.tasks",),
    "lightning": ("integrations.lightning",),
    "pytorch_lightning": ("integrations.lightning",),
    "accelerate": ("integrations.accelerate",),
    "keras": ("integrations.keras",),
    "mlflow": ("integrations.mlflow",),
    "wandb": ("integrations.wandb",),
}

LONGEST_FILE, LONGEST_MEDIAN = 900, 200


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name if name == "__init__" else name.removesuffix(".__init__"), ast.parse(path.read_text())


ALL = dict(modules())


def wing(name: str) -> str:
    return name.split(".")[0]


def imported(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported anywhere in a file, in full: at its top, in a function, for types only, by a constant name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are written in full"
            assert node.module
            # A name may be a module of that package, or something in it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and "import_module" in ast.unparse(node.func)
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def room(dotted: str) -> str | None:
    """The file of ours that an imported name stands in."""
    package, _, inner = dotted.partition(".")
    if package != "energy_rating":
        return None
    if inner in ALL:
        return inner
    inner = inner.rpartition(".")[0]
    return inner if inner in ALL else "__init__"


USES = {
    name: {found for dotted in imported(tree) if (found := room(dotted))} - {name}
    for name, tree in ALL.items()
}


def reached(name: str) -> set[str]:
    """All files that a file uses, also through others."""
    found: set[str] = set()
    todo = {name}
    while todo:
        found |= todo
        todo = {other for one in todo for other in USES[one]} - found
    return found - {name}


def test_every_file_stands_in_a_wing():
    """A new wing is a decision: it gets its floor here, and its line in docs/architecture.md."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"hardware_profiles"} <= set(WINGS)  # a wheel holds the profiles inside the package
    assert {wing(name) for name in ALL} <= set(FLOOR)


@pytest.mark.parametrize("name", sorted(set(ALL) - {"__init__"}))
def test_no_import_runs_back_up(name):
    for used in USES[name]:
        if wing(used) != wing(name) and name != "__main__":
            assert FLOOR[wing(used)] < FLOOR[wing(name)], f"{name} uses {used}, which does not stand below it"


@pytest.mark.parametrize("name", sorted(set(ALL) - {"__init__"}))
def test_both_halves_never_meet(name):
    met = {other for other in reached(name) if wing(other) in APART.get(wing(name), ())}
    assert not met, f"{name} reaches {sorted(met)}"


@pytest.mark.parametrize("name", sorted(one for one in ALL if wing(one) == "integrations"))
def test_an_integration_measures_through_the_face_alone(name):
    """Other people's loops use what any user may: a run, its record, what is published of it."""
    assert {wing(used) for used in USES[name]} <= {"integrations", "meter", "publishing", "nouns", "version"}


def test_there_are_no_circles():
    """The public names are loaded when they are asked for, so that what they climb to is no part of any circle."""
    graph = {name: used for name, used in USES.items() if name != "__init__"}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" uses ".join(reversed(error.args[1])))


@pytest.mark.parametrize("name", ALL)
def test_only_doors_load_what_no_reader_sees(name):
    for node in ast.walk(ALL[name]):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            assert isinstance(node.args[0], ast.Constant) or name in DOORS, f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", ALL)
def test_a_library_is_known_in_one_place_only(name):
    for dotted in imported(ALL[name]):
        library = dotted.split(".")[0]
        if library in KNOWN_IN:
            allowed = KNOWN_IN[library]
            assert any(f"{name}.".startswith(f"{place}.") for place in allowed), f"{name} imports {library}"


# urllib.parse only takes addresses apart.
NETWORK = ("http", "socket", "ssl", "urllib.request", "requests", "httpx", "ftplib", "smtplib", "asyncio")


@pytest.mark.parametrize("name", sorted(one for one in ALL if wing(one) in ("nouns", "judging", "storage")))
def test_what_judges_asks_nobody(name):
    """The same figures on any machine: what comes from a network is asked for by a command, and handed over."""
    for dotted in imported(ALL[name]):
        assert not any(f"{dotted}.".startswith(f"{one}.") for one in NETWORK), f"{name} imports {dotted}"


def ran(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def every(*wings: str) -> str:
    """Code that imports every file of these wings."""
    names = [f"energy_rating.{name}" for name in ALL if wing(name) in wings]
    return f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"


def test_judging_and_publishing_at_work_load_nothing_of_what_measures():
    """Not only what they import: what they load while they rate, verify and write a card."""
    report = TOP / "reports" / "example-gpu"
    code = f"""
from energy_rating.files.record import load
from energy_rating.judging.rating import rate
from energy_rating.publishing.card import section
from energy_rating.publishing.verification import verify
record = load({str(report)!r})
rating = rate(record)
assert rating.stars
assert section([(record, rating)])
assert verify({str(report)!r}).agrees
print(sorted(name for name in sys.modules if name.startswith(
    ("energy_rating.measuring", "energy_rating.meter", "energy_rating.benchmarking", "energy_rating.integrations"))))
"""
    assert ran(every("judging", "publishing") + code) == "[]"


def test_measuring_loads_the_standard_library_and_pynvml_only():
    before = "import sys\nbefore = set(sys.modules)\n"
    after = """
loaded = {name.split(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded - set(sys.stdlib_module_names) - {"energy_rating", "pynvml"}))
print(sorted(name for name in sys.modules if name.startswith(("energy_rating.judging", "energy_rating.publishing"))))
"""
    assert ran(before + every("nouns", "measuring") + after).splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(
    "statement", ["import energy_rating", "from energy_rating import measure", "import energy_rating.cli"]
)
def test_importing_loads_no_heavy_library(statement):
    heavy = sorted(set(KNOWN_IN) - ({"click"} if "cli" in statement else set()))
    code = f"{statement}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    assert ran(code) == "[]"


def test_no_file_is_longer_than_a_reader_has_patience_for():
    lines = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert {str(path): length for path, length in lines.items() if length >= LONGEST_FILE} == {}
    assert statistics.median(lines.values()) < LONGEST_MEDIAN


def test_every_public_name_is_there_and_documented():
    import energy_rating

    for name in energy_rating.__all__:
        assert getattr(energy_rating, name).__doc__, name
    assert set(energy_rating.__all__) <= set(dir(energy_rating))
    with pytest.raises(AttributeError):
        energy_rating.no_such_name  # noqa: B018


def test_a_public_name_is_the_same_whatever_was_imported_before():
    """A module of the name of a public function would take its place, once somebody has imported it."""
    import energy_rating

    assert not set(energy_rating.__all__) & {name for name in ALL if "." not in name}


def test_modules_say_what_they_are_and_none_is_called_by_an_empty_word():
    for name, tree in ALL.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"
        assert not {"utils", "common", "base", "manager", "handler", "helper", "helpers"} & set(
            name.split(".")
        )


def exceptions(tree: ast.Module) -> Iterator[str]:
    """The classes of a file that are exceptions, as far as its own text says so."""
    known = {name for name in vars(builtins) if isinstance(getattr(builtins, name), type)}
    known = {name for name in known if issubclass(getattr(builtins, name), BaseException)}
    known |= {name for name in vars(errors) if isinstance(getattr(errors, name), type)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if bases & known or any(base.endswith(("Error", "Exception")) for base in bases):
                known.add(node.name)
                yield node.name


@pytest.mark.parametrize("name", sorted(set(ALL) - {"nouns.errors"}))
def test_an_error_that_leaves_a_room_stands_in_the_tree_of_errors(name):
    """What only ends a file's own loops may be born there: it has a name of its own and is caught in the same file."""
    caught = {
        ast.unparse(kind).rpartition(".")[2]
        for node in ast.walk(ALL[name])
        if isinstance(node, ast.ExceptHandler) and node.type is not None
        for kind in (node.type.elts if isinstance(node.type, ast.Tuple) else [node.type])
    }
    for born in exceptions(ALL[name]):
        assert born.startswith("_"), f"{born} of {name} belongs into nouns/errors.py"
        assert born in caught, f"{name} raises {born} and lets it out"


def test_a_class_is_called_by_a_name_that_no_other_has():
    """One word, one thing: whoever finds a name in one file need not ask which of several it is.

    What 0.1.0 published is made again by what 0.1.0 was, its names included.
    """
    born: dict[str, str] = {}
    for name, tree in ALL.items():
        if name.startswith("publishing.first_release."):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                word = node.name.lstrip("_")
                if (
                    word == "Facts" and wing(name) == "publishing"
                ):  # the label's go into the one that all forms read
                    continue
                if word == "EnergyCallback" and wing(name) == "integrations":  # as each framework calls it
                    continue
                assert word not in born, f"{node.name} of {name} is also a class of {born[word]}"
                born[word] = name


def test_the_hardware_profiles_are_found():
    import energy_rating

    assert energy_rating.hardware_profiles().is_dir()


def programme(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_picture_of_the_house_is_what_the_imports_say():
    house = programme(TOP / "docs" / "draw_house.py")
    assert house.PICTURE.read_text(encoding="utf-8") == house.drawn(), "run: python docs/draw_house.py"
