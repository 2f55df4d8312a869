"""What ends up in the wheel works where only the wheel is installed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    script = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_carries_profiles_schemes_tasks_and_its_types(unpacked):
    package = unpacked / "energy_rating"
    for path in TOP.glob("hardware_profiles/*.toml"):
        assert (package / "hardware_profiles" / path.name).read_bytes() == path.read_bytes()
    for path in [
        *TOP.glob("energy_rating/judging/schemes/*.toml"),
        *TOP.glob("energy_rating/benchmarking/tasks/*.*l"),
    ]:
        assert (package / path.relative_to(TOP / "energy_rating")).is_file()
    assert (package / "py.typed").is_file()


def test_an_installed_wheel_finds_its_data(unpacked, tmp_path):
    script = (
        "import energy_rating, pathlib\n"
        "from energy_rating.judging.profiles import profiles\n"
        "from energy_rating.judging.schemes import load_scheme\n"
        "from energy_rating.benchmarking.tasks import load_task, tasks\n"
        "assert 'site' in energy_rating.__file__, energy_rating.__file__\n"
        "assert energy_rating.hardware_profiles().is_dir()\n"
        "print(len(profiles()), load_scheme().name, *[load_task(name).name for name in tasks()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(unpacked)!r})\n{script}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "text-generation" in done.stdout


def test_the_hard_dependencies_are_those_that_were_agreed():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    names = {item.partition(">")[0].partition("=")[0] for item in project["dependencies"]}
    assert names == {
        *(
            "click",
            "nvidia-ml-py",
            "codecarbon",
            "pandas",
            "matplotlib",
            "pydantic",
            "PyYAML",
            "resvg-py",
            "Jinja2",
        ),
        *("numpy", "orjson"),
    }
    assert set(project["optional-dependencies"]) == {
        "llama-cpp",
        "transformers",
        "diffusers",
        "hub",
        "collection",
        "dev",
    }
