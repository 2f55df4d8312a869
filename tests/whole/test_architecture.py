"""The rules between the rooms, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "energy_rating"

HEAVY = [
    "pynvml",
    "amdsmi",
    "zeus_apple_silicon",
    "torch",
    "click",
    "pydantic",
    "codecarbon",
    "pandas",
    "matplotlib",
    "yaml",
    "resvg_py",
    "xllamacpp",
    "diffusers",
    "tokenizers",
    "huggingface_hub",
    "transformers",
    "sentence_transformers",
    "datasets",
]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text())


ALL = dict(modules())


@pytest.mark.parametrize(
    "statement", ["import energy_rating", "from energy_rating import measure", "import energy_rating.cli"]
)
def test_importing_loads_no_heavy_library(statement):
    heavy = sorted(set(HEAVY) - ({"click"} if "cli" in statement else set()))
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
