"""The rules between the rooms, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "energy_rating"

# Imports point upwards in this list only: a room may use rooms of lower floors, and the rooms named beside it.
FLOORS = [
    ["errors", "quantities", "columns", "withheld", "libraries", "interruptions", "errands", "descriptors"],
    [
        "entries",
        "nesting",
        "reaching",
        "records",
        "journal",
        "visible_devices",
        "gguf",
        "counts",
        "probe",
        "processes",
        "addresses",
        "exchanges",
    ],
    ["formats"],
    ["integration", "quality", "profiles", "environment", "hwmon", "sensors", "workloads", "child", "tasks"],
    ["limits", "agreement"],
    ["checks", "work", "rating", "comparison", "impact", "normalisation", "sampler", "survey"],
    ["plausibility"],
    ["summary", "evidence", "meter", "batches"],
    ["publishers", "command"],
    ["benchmarking", "calibration", "integrations", "verification"],
    ["cli", "__init__", "__main__"],
]

MEASURING = {
    "hwmon",
    "nesting",
    "reaching",
    "meter",
    "sampler",
    "survey",
    "probe",
    "processes",
    "addresses",
    "exchanges",
    "sensors",
    "workloads",
    "child",
    "command",
    "environment",
    "benchmarking",
    "calibration",
    "integrations",
}
JUDGING = {
    "integration",
    "limits",
    "agreement",
    "summary",
    "evidence",
    "plausibility",
    "verification",
    "checks",
    "normalisation",
    "impact",
    "rating",
    "comparison",
    "work",
    "profiles",
    "formats",
    "entries",
    "records",
    "quantities",
}

# A third-party library is known in one place only.
KNOWN_IN = {
    "pynvml": {"sensors.nvml"},
    "amdsmi": {"sensors.amdsmi"},
    "zeus_apple_silicon": {"sensors.apple"},
    "torch": {"workloads", "integrations"},
    "click": {"cli"},
    "pydantic": {"formats"},
    "codecarbon": {"sensors.codecarbon", "impact"},
    "pandas": {"publishers", "meter"},  # meter: for types only
    "matplotlib": {"publishers"},
    "yaml": {"publishers.splice", "publishers.card"},
    "resvg_py": {"publishers.label"},
    "xllamacpp": {"workloads"},
    "diffusers": {"workloads"},
    "tokenizers": {"workloads"},
    "huggingface_hub": {"workloads", "publishers"},
    "transformers": {"workloads", "integrations"},
    "sentence_transformers": {"workloads"},
    "datasets": {"tasks"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text())


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Every imported module in full, and whether it is imported when the module itself is."""
    top = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)}
    for inner in ast.walk(tree):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(inner, ast.If) and getattr(inner.test, "id", "") == "TYPE_CHECKING"
        ):
            top -= {id(node) for node in ast.walk(inner)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "energy_rating":
                for alias in node.names:
                    yield f"energy_rating.{alias.name}", id(node) in top
            else:
                yield node.module, id(node) in top


def floor(name: str) -> int:
    room = name.split(".")[0]
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"{room} has no place in FLOORS: give it one")


ALL = dict(modules())


@pytest.mark.parametrize("name", ALL)
def test_imports_point_one_way(name):
    for imported, at_import in imports(ALL[name]):
        package, _, inner = imported.partition(".")
        if package != "energy_rating" or not at_import or not inner or inner.startswith("__"):
            continue
        room = inner.split(".")[0]
        if room == name.split(".")[0] or room not in {module.split(".")[0] for module in ALL}:
            continue
        assert floor(inner) <= floor(name), f"{name} imports {inner}, which is above it"


@pytest.mark.parametrize("name", ALL)
def test_the_judging_half_never_imports_the_measuring_half(name):
    if name.split(".")[0] not in JUDGING:
        return
    for imported, _ in imports(ALL[name]):
        room = imported.removeprefix("energy_rating.").split(".")[0]
        assert not (imported.startswith("energy_rating.") and room in MEASURING), f"{name} imports {imported}"


@pytest.mark.parametrize("name", ALL)
def test_a_library_is_known_in_one_place_only(name):
    for imported, _ in imports(ALL[name]):
        library = imported.split(".")[0]
        if library in KNOWN_IN:
            allowed = KNOWN_IN[library]
            assert name in allowed or name.split(".")[0] in allowed, f"{name} imports {library}"


@pytest.mark.parametrize(
    "statement", ["import energy_rating", "from energy_rating import measure", "import energy_rating.cli"]
)
def test_importing_loads_no_heavy_library(statement):
    heavy = sorted(set(KNOWN_IN) - ({"click"} if "cli" in statement else set()))
    code = f"{statement}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    import energy_rating

    for name in energy_rating.__all__:
        assert getattr(energy_rating, name).__doc__, name
    assert set(energy_rating.__all__) <= set(dir(energy_rating))
    with pytest.raises(AttributeError):
        energy_rating.no_such_name  # noqa: B018


def test_modules_say_what_they_are_and_none_is_called_by_an_empty_word():
    for name, tree in ALL.items():
        assert ast.get_docstring(tree), f"{name} has no docstring"
        assert not {"utils", "common", "base", "manager", "handler", "helper", "helpers"} & set(
            name.split(".")
        )


def test_the_hardware_profiles_are_found():
    import energy_rating

    assert energy_rating.hardware_profiles().is_dir()
