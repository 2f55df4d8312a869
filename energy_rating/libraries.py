"""Others' libraries that are loaded beside a program: not where there is no room for them, and without what they would print.

Both halves load some (CodeCarbon's models here, its factors there), and a program that is measured must notice neither.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Where AMD's binding looks for its library (amdsmi_wrapper.py, find_smi_library), and where ROCm installs it.
AMD_LIBRARIES = ("libamd_smi.so", "/opt/rocm/lib/libamd_smi.so", "/opt/rocm/lib64/libamd_smi.so")


def has_amd_library(libraries: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the library behind AMD's binding can be loaded; the binding prints to the terminal where it cannot."""
    import ctypes

    roots = [environ[name] for name in ("ROCM_HOME", "ROCM_PATH") if environ.get(name)]
    for library in (*(f"{root}/lib/libamd_smi.so" for root in roots), *libraries):
        with contextlib.suppress(OSError):
            ctypes.CDLL(library)
            return True
    return False


class _Absent:
    """For one thread a package is not there. The others, which may be the program's own, find it as ever."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread = threading.get_ident()

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.partition(".")[0] == self._name and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


@contextlib.contextmanager
def without_stray_prints(
    libraries: Sequence[str] = AMD_LIBRARIES, environ: Mapping[str, str] = os.environ
) -> Iterator[None]:
    """What is loaded meanwhile in this thread prints nothing: AMD's binding, which would, is not loaded where it could not work.

    CodeCarbon loads that binding whenever it is installed. Standard output is the program's, so that it cannot be put aside for that.
    """
    if "amdsmi" in sys.modules or _amd_works(libraries, environ):
        yield
        return
    absent = _Absent("amdsmi")
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # somebody has put another list there
            sys.meta_path.remove(absent)


def _amd_works(libraries: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the binding is not installed, or finds its library: also in its own folder."""
    import importlib.util  # here, since few get as far as this

    try:
        found = importlib.util.find_spec("amdsmi")
    except (ImportError, ValueError):
        found = None
    if found is None:
        return True
    beside = [str(Path(folder) / "libamd_smi.so") for folder in found.submodule_search_locations or ()]
    return has_amd_library((*libraries, *beside), environ)
