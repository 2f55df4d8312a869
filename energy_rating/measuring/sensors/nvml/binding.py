"""NVML as its binding tells it: fields, errors, one call for many fields. Knows no GPU."""

from __future__ import annotations

import contextlib
import ctypes
import re
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from energy_rating.measuring.sensors.nvml.driver import NvmlDriver
from energy_rating.nouns.entries import Method
from energy_rating.nouns.errors import SensorUnavailable

# What answers to the names that NVIDIA's binding gives the calls of its library: our own binding, or that one.
Nvml = NvmlDriver | ModuleType

# Steady power of 15 cards (Pascal to Ada) against an external meter: 4.3 % rms. A gain, fixed for each card.
# Computed from Overall_Results.xlsx of github.com/JimZeyuYang/GPU_Power_Benchmark (Yang, Adamek, Armour,
# "Part-time Power Measurements", arXiv 2312.02741, SC24).
ACCURACY = 0.04

# The largest boards draw some 1.5 kW. What is above this is a sentinel (4294967295 mW) or nonsense.
MAX_POWER_W = 10_000.0

# The same of a counter: 2⁶³ mJ are 300 000 years at 1 kW.
MAX_ENERGY_MJ = 2**63
Field = tuple[int, int]
Call = Callable[[Any], int]
Query = Field | Call

# Fields of nvmlDeviceGetFieldValues as (id, scope), nvml.h: 83 counts mJ, 191 the same with a scope; 186 is the momentary
# power and 185 its average over 1 s, in mW. Scope 0 is the GPU, scope 1 the module that it is on.
COUNTER = (83, 0)
SCOPED_COUNTER = (191, 0)
INSTANT = (186, 0)
AVERAGED = (185, 0)
MODULE_COUNTER = (191, 1)
MODULE_INSTANT = (186, 1)
MODULE_AVERAGED = (185, 1)

# What these are called where people read them.
_NAMES: Mapping[Field, str] = {
    COUNTER: "energy (field 83)",
    SCOPED_COUNTER: "energy with scope GPU (field 191)",
    INSTANT: "momentary power (field 186)",
    AVERAGED: "power averaged over 1 s (field 185)",
    MODULE_COUNTER: "energy of the module (field 191)",
    MODULE_INSTANT: "momentary power of the module (field 186)",
    MODULE_AVERAGED: "averaged power of the module (field 185)",
}

# nvmlValueType_t: the member of the union that holds the value.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")

# nvmlFieldValue_t (nvml.h): field, scope, time stamp, latency, type, return code, value; 40 bytes on every 64-bit system.
# Type and return code are taken as one number of 64 bits, of which the type is the lower half: where all is well it is the type.
_FIELD_VALUE, _FIELD_VALUE_SIZE = "24xQQ", 40
_UNKNOWN_ERROR = 999  # nvmlReturn_t
LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_NOT_FOUND = 12
NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND = 3, 4, 13  # nvmlReturn_t
_RESET = "Reset the GPU or reboot, and look for 'Xid' in the kernel log"
NEW_DRIVER = "Update the NVIDIA driver"


_BINDING = "nvidia-ml-py"
_NEEDED = (
    *("_nvmlGetFunctionPointer", "nvmlDeviceGetFieldValues", "nvmlDeviceGetMigMode"),
    *("nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetTotalEnergyConsumption"),
)


class NoAnswer(NamedTuple):
    """Why something cannot be had, and what to do about it."""

    message: str
    remedy: str = ""


# nvmlReturn_t (nvml.h): what it means to the person who measures, and what to do.
_ERRORS: Mapping[int, NoAnswer] = {
    1: NoAnswer("NVML was shut down", "Measure again"),
    2: NoAnswer("the driver does not know this query", NEW_DRIVER),
    NOT_SUPPORTED: NoAnswer("the driver does not support this on this GPU"),
    NO_PERMISSION: NoAnswer(
        "the driver denies permission",
        "Run outside the container or the MIG slice, or have the administrator grant access to the whole GPU",
    ),
    6: NoAnswer("the driver does not find this GPU", "Measure again"),
    8: NoAnswer("the GPU's power cables are not attached", "Check the power connectors"),
    9: NoAnswer("the NVIDIA kernel driver is not loaded", "Run: sudo modprobe nvidia"),
    10: NoAnswer("the driver did not answer in time"),
    11: NoAnswer("the driver has an interrupt problem with the GPU", _RESET),
    _LIBRARY_NOT_FOUND: NoAnswer(
        "no NVIDIA driver library (libnvidia-ml.so.1) was found",
        "Install the NVIDIA driver, or run on the GPU machine (in a container: start it with --gpus all)",
    ),
    FUNCTION_NOT_FOUND: NoAnswer("the driver library lacks this function", NEW_DRIVER),
    14: NoAnswer("the GPU's infoROM is corrupted"),
    15: NoAnswer("the GPU is lost: it has fallen off the bus", _RESET),
    16: NoAnswer("the GPU needs a reset", _RESET),
    17: NoAnswer(
        "the operating system blocks the driver",
        "Check the control groups and the container's access to devices",
    ),
    18: NoAnswer(
        "the NVIDIA driver was updated and its library no longer matches the loaded kernel module",
        "Reboot, or reload the driver",
    ),
    19: NoAnswer("the GPU is in use"),
    20: NoAnswer("the driver is out of memory"),
    21: NoAnswer("the driver has no data yet"),
    27: NoAnswer("the driver is not ready"),
    28: NoAnswer("the GPU is gone", _RESET),
    999: NoAnswer("the driver reports an unknown error"),
}


def load_driver() -> Nvml:
    """The driver's library.

    Raises:
        SensorUnavailable: there is none.
    """
    if sys.platform != "linux":
        return load_pynvml()  # which knows where else it may lie
    try:
        return NvmlDriver(ctypes.CDLL(LIBRARY))
    except OSError:
        raise SensorUnavailable(*_ERRORS[_LIBRARY_NOT_FOUND]) from None


def load_pynvml() -> ModuleType:
    """NVIDIA's binding, nvidia-ml-py, for systems other than Linux.

    Raises:
        SensorUnavailable: it is not installed, or another package took its module name.
    """
    try:
        import pynvml
    except ImportError:
        raise SensorUnavailable("nvidia-ml-py is not installed", "Run: pip install nvidia-ml-py") from None
    # The packages pynvml (before 12) and nvidia-ml-py3 claim the same module name, and stopped years before these functions came.
    if not all(hasattr(pynvml, name) for name in _NEEDED):
        raise SensorUnavailable(*_stood_in(getattr(pynvml, "__file__", None)))
    module: ModuleType = pynvml
    return module


def _stood_in(file: str | None) -> tuple[str, str]:
    """What has taken the place of the binding, and the one command that mends it."""
    from importlib import metadata  # here, since it takes 20 ms

    owners = []
    for name in metadata.packages_distributions().get("pynvml", ()) if file else ():
        with contextlib.suppress(metadata.PackageNotFoundError):
            if any(str(one.locate()) == file for one in metadata.files(name) or ()):
                owners.append(name)
    others = sorted({name for name in owners if re.sub(r"[-_.]+", "-", name).lower() != _BINDING})
    if owners and not others:
        return f"{_BINDING} is too old for what is asked of it", f"Run: pip install --upgrade {_BINDING}"
    what = f"the package {others[0][:80]}" if others else "another package"
    return (
        f"{what} stands in the place of {_BINDING}",
        f"Run: pip uninstall -y {' '.join(others) or 'pynvml'} && pip install --force-reinstall {_BINDING}",
    )


class Batch:
    """Several fields of one GPU in one call to the driver, with a buffer and a function that are fetched once.

    The binding's own function makes a new array at every call and fills it item by item, which takes several times as long as the
    call itself. One thread at a time may use it.

    Raises:
        LookupError: the binding, its structure or this machine is not as expected; its own function has to do.
    """

    def __init__(self, nvml: Nvml, handle: Any, fields: Sequence[Field]) -> None:
        kind = getattr(nvml, "c_nvmlFieldValue_t", None)
        expected = {"valueType": 24, "nvmlReturn": 28, "value": 32}
        if (
            sys.byteorder != "little"
            or kind is None
            or ctypes.sizeof(kind) != _FIELD_VALUE_SIZE
            or any(getattr(getattr(kind, name, None), "offset", None) != at for name, at in expected.items())
        ):
            raise LookupError("another version of the binding")
        try:
            self._function = nvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
        except nvml.NVMLError:
            raise LookupError("an old driver") from None
        if not hasattr(self._function, "argtypes"):  # every function of a loaded library has them
            raise LookupError("another version of the binding")
        self._buffer = bytearray(len(fields) * _FIELD_VALUE_SIZE)
        values = (kind * len(fields)).from_buffer(self._buffer)
        for value, (number, scope) in zip(values, fields, strict=True):
            value.fieldId, value.scopeId, value.nvmlReturn = number, scope, _UNKNOWN_ERROR
        # Before each call everything is as in the beginning: what the driver leaves out is an error and never an old value.
        self._blank = bytes(self._buffer)
        self._values = values
        self._arguments = (handle, ctypes.c_int32(len(fields)), ctypes.byref(values))
        self._unpack = struct.Struct("<" + _FIELD_VALUE * len(fields)).unpack

    def ask(self) -> tuple[int, Sequence[int]]:
        """Calls the driver: what it returns, and of each field return code and type in one (see _FIELD_VALUE), and the value's bytes."""
        self._buffer[:] = self._blank
        return self._function(*self._arguments), self._unpack(self._buffer)

    def refusal(self, place: int) -> int:
        """The return code of the field at that place."""
        return int(self._values[place].nvmlReturn)

    def number(self, place: int) -> float:
        """The value of the field at that place, in thousandths, whatever its type."""
        return in_thousandths(self._values[place])


def lies_between(before: float | NoAnswer, answer: float | NoAnswer, after: float | NoAnswer) -> bool:
    """Whether an answer is one of the number that was read before and after it."""
    if isinstance(before, NoAnswer) or isinstance(answer, NoAnswer) or isinstance(after, NoAnswer):
        return False
    return min(before, after) <= answer <= max(before, after)


def described(source: Query) -> str:
    """What a channel is read from, in words."""
    return _NAMES[source] if isinstance(source, tuple) else "a call of its own"


def those_answering(answers: Mapping[Field, float | NoAnswer]) -> dict[str, str]:
    """Which fields answer, and why the others do not."""
    return {
        _NAMES[one]: "answers" if isinstance(answer, float) else answer.message
        for one, answer in answers.items()
    }


def in_thousandths(value: Any) -> float:
    """The value of a field, in thousandths; not a number where its type is unknown."""
    kind = value.valueType
    return getattr(value.value, _MEMBERS[kind]) if 0 <= kind < len(_MEMBERS) else float("nan")


def implausible(method: Method, milli: float) -> str | None:
    """Why this cannot be what the sensor means, or None. Finer judgement is left to those who see the whole trace."""
    if method == "counter":
        # A counter may stand at 0: it starts there when the driver is loaded.
        return None if 0 <= milli < MAX_ENERGY_MJ else "the driver reports an impossible energy"
    if milli == 0:
        # A GPU that answers draws something; 0 comes of asking too often (seen by ml-energy/zeus, power.py).
        return "the driver reports 0 W"
    return None if 0 < milli <= MAX_POWER_W * 1000 else "the driver reports an impossible power"


def explain(code: int) -> NoAnswer:
    return _ERRORS.get(code) or NoAnswer(f"the driver reports error {code}")
