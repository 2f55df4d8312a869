"""Records in forms for other programs: one file each, with a function ``export`` from a record to text.

The folder is the registry: a new form is a new file. Writing it to a disk is left to the command.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from energy_rating.nouns.records import Record


def names() -> tuple[str, ...]:
    """The names of all forms. Loads none of them."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def form(name: str) -> Callable[[Record], str]:
    """The function of that form."""
    export: Callable[[Record], str] = importlib.import_module(f"{__name__}.{name}").export
    return export
