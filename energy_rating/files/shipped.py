"""Where the data lie that come with the package. Reads none of them."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]

# The folder of the tasks and of what they ask.
TASKS = PACKAGE / "benchmarking" / "tasks"


def hardware_profiles() -> Path:
    """The folder of the hardware profiles: inside an installed package, at the top of a checkout."""
    installed = PACKAGE / "hardware_profiles"
    return installed if installed.is_dir() else PACKAGE.parent / "hardware_profiles"
