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

from energy_rating.nouns.interruptions import pass_on

# Where AMD's binding looks for its library (amdsmi_wrapper.py, find_smi_library), and where ROCm installs it.
AMD_LIBRARIES = ("libamd_smi.so", "/opt/rocm/lib/libamd_smi.so", "/opt/rocm/lib64/libamd_smi.so")


# What is loaded where next to no address space is left ends the process: the C library gives up where it finds no room for the data of a
# thread. So nothing is loaded where less is left than this. CodeCarbon 3.3 takes 140 MiB at its peak, the judging half 90 (measured
# on x86-64, 2026-11-30, a thread's stack and heap among it).
ROOM = 256 << 20
# A thread's stack is 8 MiB, and its heap may take 64 more: several at once are begun only where that is nothing.
ROOM_FOR_THREADS = 2 << 30


def has_room(needed: int = ROOM, *, statm: Path = Path("/proc/self/statm")) -> bool:
    """Whether a limit of address space (``ulimit -v``) leaves so many bytes; True where there is no limit or it cannot be told."""
    try:
        import resource
    except ImportError:  # not on this platform
        return True
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return True
    try:
        pages = int(statm.read_text().split()[0])
    except (OSError, ValueError, IndexError) as error:
        pass_on(error)
        return True
    return limit - pages * resource.getpagesize() >= needed


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
