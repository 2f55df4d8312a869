"""Records in forms for other programs and other people's processes: one file each, with one function ``export`` from facts to text.

The folder is the registry: a new form is a new file with ``VARIANTS`` (the first is the default), ``MANY`` (whether it takes several
records) and ``export(subjects, variant) -> Exported``. ``csv`` is older, and has a table of its own. Writing to a disk is the command's.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from energy_rating.nouns.records import Record
    from energy_rating.publishing.subject import Exported, Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportForm:
    """One form: its variants, whether it takes several records, and its function."""

    name: str
    variants: tuple[str, ...]
    many: bool
    export: Callable[[Sequence[Subject], str], Exported]


def names() -> tuple[str, ...]:
    """The names of all forms, as they are asked for. Loads none of them."""
    return tuple(sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__)))


def module_of(name: str) -> Any:
    """The file of that form."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}")


def form(name: str) -> Callable[[Record], str | bytes]:
    """From one record to that form, in its first variant."""
    module = module_of(name)
    if not hasattr(module, "VARIANTS"):
        export: Callable[[Record], str] = module.export
        return export

    def exported(record: Record) -> str | bytes:
        from energy_rating.publishing.subject import subject_of

        content: str | bytes = module.export([subject_of(record)], module.VARIANTS[0]).content
        return content

    return exported


def export_form(name: str) -> ExportForm:
    """A form that is made of subjects."""
    module = module_of(name)
    return ExportForm(name=name, variants=module.VARIANTS, many=module.MANY, export=module.export)
