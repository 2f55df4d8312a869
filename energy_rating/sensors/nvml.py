"""NVIDIA GPUs through NVML: energy counters and power of every GPU that the process can see. Reads, and judges nothing.

Which GPUs CUDA shows is ``visible_devices``' matter; when to read, and what the readings are worth, the meter's and the
judging half's. What a GPU can tell is found by asking it, never from its architecture: a counter is missing on cards before
Volta, but on many virtual GPUs of later ones too.

Energy is the GPU board's. Superchips (Grace Hopper, Grace Blackwell) tell the whole module's beside it, as a component of its own
that is never added to its parts; there the plain counter may be the module's too, and is compared before it is called a GPU's.

A laptop's GPU that sleeps is never woken to be looked at, which would cost half a second and 10 W: what sysfs calls
``suspended`` is left alone, and where all GPUs sleep NVML is not even initialised.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from energy_rating import probe, processes
from energy_rating.nouns.entries import Channel, Component, Device, Finding, Method
from energy_rating.nouns.errors import SensorFailed, SensorLost, SensorUnavailable
from energy_rating.sensors import Detection, Reading, device_appeared
from energy_rating.visible_devices import PresentGpu, VisibleGpus, visible_gpus

COMPONENTS = ("gpu",)

# Steady power of 15 cards (Pascal to Ada) against an external meter: 4.3 % rms. A gain, fixed for each card.
# Computed from Overall_Results.xlsx of github.com/JimZeyuYang/GPU_Power_Benchmark (Yang, Adamek, Armour,
# "Part-time Power Measurements", arXiv 2312.02741, SC24).
ACCURACY = 0.04

# A gain is not all: NVIDIA's manuals give ±5 W for boards of Fermi (nvidia-smi and NVML of those years), taken as limits of a uniform law; for
# later ones they give nothing. On a consumer card of 2022 the register is within 2 % of a meter under load, and at idle 25 % low: some 18 W,
# 4 % of its limit, which is taken for two standard deviations. No such trace is known of a card for data centres.
OFFSET_W = 5 / 3**0.5
CONSUMER, CONSUMER_OFFSET = "GeForce", 0.02

# Refresh of the instantaneous power: 100 ms on Turing to Hopper, 20 ms on Volta and Pascal (same source).
INSTANT_PERIOD_S = 0.1
# nvml.h, nvmlDeviceGetPowerUsage: "On Ampere (except GA100) or newer GPUs, the API returns power averaged over 1 sec
# interval." Older ones answer with the momentary power; they are taken for averaged too, which errs to the safe side.
AVERAGED_PERIOD_S = 1.0

# The largest boards draw some 1.5 kW. What is above this is a sentinel (4294967295 mW) or nonsense.
MAX_POWER_W = 10_000.0
# The same of a counter: 2⁶³ mJ are 300 000 years at 1 kW.
MAX_ENERGY_MJ = 2**63

_Field = tuple[int, int]
_Call = Callable[[Any], int]
_Source = _Field | _Call

# Fields of nvmlDeviceGetFieldValues as (id, scope), nvml.h: 83 counts mJ, 191 the same with a scope; 186 is the momentary
# power and 185 its average over 1 s, in mW. Scope 0 is the GPU, scope 1 the module that it is on.
_COUNTER = (83, 0)
_SCOPED_COUNTER = (191, 0)
_INSTANT = (186, 0)
_AVERAGED = (185, 0)
_PROBED = (_COUNTER, _SCOPED_COUNTER, _INSTANT, _AVERAGED)
_MODULE_COUNTER = (191, 1)
_MODULE_INSTANT = (186, 1)
_MODULE_AVERAGED = (185, 1)
_MODULE_PROBED = (_MODULE_COUNTER, _MODULE_INSTANT, _MODULE_AVERAGED)
_PAIRS = ((_SCOPED_COUNTER, _MODULE_COUNTER), (_INSTANT, _MODULE_INSTANT), (_AVERAGED, _MODULE_AVERAGED))
_COUNTERS = (_COUNTER, _SCOPED_COUNTER, _MODULE_COUNTER)
# What these are called where people read them.
_NAMES: Mapping[_Field, str] = {
    _COUNTER: "energy (field 83)",
    _SCOPED_COUNTER: "energy with scope GPU (field 191)",
    _INSTANT: "momentary power (field 186)",
    _AVERAGED: "power averaged over 1 s (field 185)",
    _MODULE_COUNTER: "energy of the module (field 191)",
    _MODULE_INSTANT: "momentary power of the module (field 186)",
    _MODULE_AVERAGED: "averaged power of the module (field 185)",
}
_WHOSE = "whose energy the counter counts"  # what is remembered of a GPU on a module

# Whose energy a counter counts is told by comparing its rate with the powers: for so long or so many ticks, whichever comes
# first (a counter ticks every 20 to 100 ms), and within this share. The whole opening of a run has a second.
COMPARED_S, COMPARED_TICKS, COMPARED_STEP_S = 0.6, 4, 0.005
COMPARED_WITHIN = 0.2
# A power that is this close to the module's is the module's.
ALMOST_MODULE = 0.95

# nvmlValueType_t: the member of the union that holds the value.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_SM_CLOCK = 1  # NVML_CLOCK_SM
_GPU_TEMPERATURE = 0  # NVML_TEMPERATURE_GPU

# nvmlFieldValue_t (nvml.h): field, scope, time stamp, latency, type, return code, value; 40 bytes on every 64-bit system.
# Type and return code are taken as one number of 64 bits, of which the type is the lower half: where all is well it is the type.
_FIELD_VALUE, _FIELD_VALUE_SIZE = "24xQQ", 40
_OF_UNSIGNED, _OF_UNSIGNED_64 = 1, 3  # nvmlValueType_t, with NVML_SUCCESS
_UNKNOWN_ERROR = 999  # nvmlReturn_t

# nvmlClocksEventReasons (nvml.h): why the clocks are not higher.
_IDLE = 0x1
_REASONS = (
    (0x2, "applications-clocks"),
    (0x4, "sw-power-cap"),
    (0x8, "hw-slowdown"),
    (0x10, "sync-boost"),
    (0x20, "sw-thermal"),
    (0x40, "hw-thermal"),
    (0x80, "hw-power-brake"),
    (0x100, "display-clock"),
)

# Where the kernel tells of PCI devices and of the drivers that hold them (Documentation/ABI/testing/sysfs-bus-pci).
PCI = Path("/sys/bus/pci")
LIBRARY = "libnvidia-ml.so.1"
_LIBRARY_NOT_FOUND = 12
_NOT_SUPPORTED, _NO_PERMISSION, _FUNCTION_NOT_FOUND = 3, 4, 13  # nvmlReturn_t

_ASLEEP = "asleep at "  # in place of the UUID of a GPU that must not be asked for it

_RESET = "Reset the GPU or reboot, and look for 'Xid' in the kernel log"
_NEW_DRIVER = "Update the NVIDIA driver"


class _Reason(NamedTuple):
    """Why something cannot be had, and what to do about it."""

    message: str
    remedy: str = ""


# nvmlReturn_t (nvml.h): what it means to the person who measures, and what to do.
_ERRORS: Mapping[int, _Reason] = {
    1: _Reason("NVML was shut down", "Measure again"),
    2: _Reason("the driver does not know this query", _NEW_DRIVER),
    _NOT_SUPPORTED: _Reason("the driver does not support this on this GPU"),
    _NO_PERMISSION: _Reason(
        "the driver denies permission",
        "Run outside the container or the MIG slice, or have the administrator grant access to the whole GPU",
    ),
    6: _Reason("the driver does not find this GPU", "Measure again"),
    8: _Reason("the GPU's power cables are not attached", "Check the power connectors"),
    9: _Reason("the NVIDIA kernel driver is not loaded", "Run: sudo modprobe nvidia"),
    10: _Reason("the driver did not answer in time"),
    11: _Reason("the driver has an interrupt problem with the GPU", _RESET),
    _LIBRARY_NOT_FOUND: _Reason(
        "no NVIDIA driver library (libnvidia-ml.so.1) was found",
        "Install the NVIDIA driver, or run on the GPU machine (in a container: start it with --gpus all)",
    ),
    _FUNCTION_NOT_FOUND: _Reason("the driver library lacks this function", _NEW_DRIVER),
    14: _Reason("the GPU's infoROM is corrupted"),
    15: _Reason("the GPU is lost: it has fallen off the bus", _RESET),
    16: _Reason("the GPU needs a reset", _RESET),
    17: _Reason(
        "the operating system blocks the driver",
        "Check the control groups and the container's access to devices",
    ),
    18: _Reason(
        "the NVIDIA driver was updated and its library no longer matches the loaded kernel module",
        "Reboot, or reload the driver",
    ),
    19: _Reason("the GPU is in use"),
    20: _Reason("the driver is out of memory"),
    21: _Reason("the driver has no data yet"),
    27: _Reason("the driver is not ready"),
    28: _Reason("the GPU is gone", _RESET),
    999: _Reason("the driver reports an unknown error"),
}
# After these the handle does not answer again in this process.
_LOST = frozenset({1, 9, 15, 16, 18, 28})


def load_pynvml() -> ModuleType:
    """NVIDIA's binding, nvidia-ml-py.

    Raises:
        SensorUnavailable: it is not installed, or another package took its module name.
    """
    if sys.platform == "linux":
        # Without the driver's library there is nothing to ask, and the binding takes 30 ms to load.
        import ctypes

        try:
            ctypes.CDLL(LIBRARY)
        except OSError:
            raise SensorUnavailable(*_ERRORS[_LIBRARY_NOT_FOUND]) from None
    try:
        import pynvml
    except ImportError:
        raise SensorUnavailable("nvidia-ml-py is not installed", "Run: pip install nvidia-ml-py") from None
    # The package "pynvml" claims the same module name; only NVIDIA's own has this function.
    if not hasattr(pynvml, "_nvmlGetFunctionPointer"):
        raise SensorUnavailable(
            "another package stands in the place of nvidia-ml-py",
            "Run: pip uninstall -y pynvml && pip install --force-reinstall nvidia-ml-py",
        )
    module: ModuleType = pynvml
    return module


def detect(
    environ: Mapping[str, str] = os.environ,
    load: Callable[[], ModuleType] = load_pynvml,
    *,
    pci: Path = PCI,
    proc: Path = processes.PROC,
) -> Detection:
    """One sensor for each physical GPU that CUDA shows to a process with this environment.

    Channels are ``gpu{n}.energy`` and ``gpu{n}.power``, n being the place among the visible GPUs; on a superchip also
    ``module{n}.energy`` and ``module{n}.power``, once for each module. A GPU that tells nothing gets a finding and no sensor.

    Raises:
        SensorUnavailable: no driver, no GPU, none visible to this process, or all of them sleep.
    """
    held = _held_by_driver(pci)
    asleep = {address for address, status in held.items() if status == "suspended"}
    if asleep and len(asleep) == len(held):
        raise SensorUnavailable(
            "the GPU sleeps, and is not woken to be measured" if len(held) == 1 else "all GPUs sleep",
            "Start the GPU's work before the measurement, or keep it awake meanwhile: "
            f"echo on | sudo tee /sys/bus/pci/devices/{min(asleep)}/power/control",
        )
    driver = _Driver(load(), environ=environ, pci=pci, proc=proc)
    try:
        if asleep:
            present, unanswered, count = driver.present_at(held)
        else:
            present, unanswered, count = driver.present()
        visible = visible_gpus(environ, present)
        if not visible.uuids:
            raise _none_visible(environ, visible, unanswered, count)
        gpus = {gpu.uuid: gpu for gpu in present}
        driver.know(present)
        found = [driver.open(number, gpus[uuid]) for number, uuid in enumerate(visible.uuids)]
    except BaseException:
        driver.shut_down()
        raise
    sensors = tuple(gpu.sensor for gpu in found if gpu.sensor is not None)
    if not sensors:
        driver.shut_down()
    said = [finding for gpu in found for finding in gpu.findings]
    return Detection(
        sensors=sensors,
        devices=tuple(device for gpu in found for device in gpu.devices),
        findings=(*_about_the_list(environ, visible, unanswered), *said),
    )


def _held_by_driver(pci: Path) -> dict[str, str]:
    """The display devices that NVIDIA's driver holds, by PCI address in order, and whether they are awake.

    Reading these files wakes nothing. Devices that were given to a virtual machine have another driver.
    """
    held = {}
    with contextlib.suppress(OSError):
        for device in sorted((pci / "drivers" / "nvidia").iterdir()):
            # Beside the devices stand the driver's own files (bind, module, …), which have no class.
            with contextlib.suppress(OSError):
                if (device / "class").read_text().startswith("0x03"):
                    held[device.name] = (device / "power" / "runtime_status").read_text().strip()
    return held


class _Batch:
    """Several fields of one GPU in one call to the driver, with a buffer and a function that are fetched once.

    The binding's own function makes a new array at every call and fills it item by item, which takes several times as long as the
    call itself. One thread at a time may use it.

    Raises:
        LookupError: the binding, its structure or this machine is not as expected; its own function has to do.
    """

    def __init__(self, nvml: ModuleType, handle: Any, fields: Sequence[_Field]) -> None:
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
        return _milli(self._values[place])


class NvmlGpu:
    """One physical GPU. ``read()`` is one call to the driver, or two where energy and power cannot be had together."""

    def __init__(
        self,
        driver: _Driver,
        handle: Any,
        label: str,
        uuid: str,
        channels: tuple[Channel, ...],
        sources: Mapping[str, _Source],
        answering: Mapping[str, str],
    ) -> None:
        self._driver = driver
        self._handle = handle
        self._label = label
        self._uuid = uuid
        self._channels = channels
        self._answering = answering
        self._methods: dict[str, Method] = {channel.id: channel.method for channel in channels}
        self._fields = {name: source for name, source in sources.items() if isinstance(source, tuple)}
        self._calls = {name: source for name, source in sources.items() if not isinstance(source, tuple)}
        self._batch: _Batch | None = None
        if self._fields:
            with contextlib.suppress(LookupError):
                self._batch = _Batch(driver.nvml, handle, tuple(self._fields.values()))
        # Of each field the channel, and what its number may be (in thousandths): see _implausible.
        self._bounds = [
            (name, *((0, MAX_ENERGY_MJ - 1) if self._methods[name] == "counter" else (1, MAX_POWER_W * 1000)))
            for name in self._fields
        ]
        self._closed = False
        driver.users += 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

    @property
    def sources(self) -> Mapping[str, str]:
        """What each channel is read from, and what else of this GPU answers."""
        return self._answering

    def read(self) -> Reading:
        """Joules and watts by channel, or the SensorFailed that says why one did not answer.

        Raises:
            SensorLost: the GPU, or this process's access to it, is gone.
        """
        if self._closed:
            raise SensorLost(f"{self._label} was closed")
        # NVML must be initialised by the process that uses it; after a fork the child's handles are its parent's.
        if os.getpid() != self._driver.pid:
            raise SensorLost(
                f"{self._label} belongs to the parent process", "Measure in the process that started"
            )
        readings: dict[str, float | SensorFailed] = {}
        batch = self._batch
        if batch is not None:
            code, answers = batch.ask()
            if code:
                readings = dict.fromkeys(self._fields, self._failure(code))
            else:
                place = 0
                for channel, low, high in self._bounds:
                    of, number = answers[place], answers[place + 1]
                    if of == _OF_UNSIGNED_64 and low <= number <= high:
                        readings[channel] = number / 1000
                    elif of == _OF_UNSIGNED and low <= number & 0xFFFFFFFF <= high:
                        readings[channel] = (number & 0xFFFFFFFF) / 1000
                    elif refusal := batch.refusal(place // 2):
                        readings[channel] = self._failure(refusal)
                    else:  # of another type, or no number that can be
                        readings[channel] = self._number(channel, batch.number(place // 2))
                    place += 2
        elif self._fields:
            self._read_plainly(readings)
        if self._calls:
            self._read_calls(readings)
        return readings

    def _read_plainly(self, readings: dict[str, float | SensorFailed]) -> None:
        """The fields, through the binding's own function."""
        nvml = self._driver.nvml
        try:
            values = nvml.nvmlDeviceGetFieldValues(self._handle, list(self._fields.values()))
        except nvml.NVMLError as error:
            readings.update(dict.fromkeys(self._fields, self._failure(error.value)))
            return
        for channel, value in zip(self._fields, values, strict=True):
            readings[channel] = (
                self._number(channel, _milli(value))
                if value.nvmlReturn == 0
                else self._failure(value.nvmlReturn)
            )

    def _read_calls(self, readings: dict[str, float | SensorFailed]) -> None:
        """What no field tells has a call of its own."""
        for channel, call in self._calls.items():
            try:
                readings[channel] = self._number(channel, call(self._handle))
            except self._driver.nvml.NVMLError as error:
                readings[channel] = self._failure(error.value)

    def condition(self) -> Mapping[str, object]:
        """What the GPU is like now: °C, MHz, W, and what holds its clocks down. What it does not tell is absent."""
        if self._closed or os.getpid() != self._driver.pid:
            return {}
        ask, nvml, handle = self._driver.or_none, self._driver.nvml, self._handle
        limit_mw = ask(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        persistence = ask(nvml.nvmlDeviceGetPersistenceMode, handle)
        # Drivers before 535 know the reasons by their older name.
        reasons = ask(nvml.nvmlDeviceGetCurrentClocksEventReasons, handle)
        if reasons is None:
            reasons = ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        told = {
            "temperature_c": ask(nvml.nvmlDeviceGetTemperature, handle, _GPU_TEMPERATURE),
            "sm_clock_mhz": ask(nvml.nvmlDeviceGetClockInfo, handle, _SM_CLOCK),
            "power_limit_w": limit_mw / 1000 if limit_mw else None,
            "throttled_by": None if reasons is None else [name for bit, name in _REASONS if reasons & bit],
            "idle": None if reasons is None else bool(reasons & _IDLE),
            "persistence": None if persistence is None else bool(persistence),
        }
        return {key: value for key, value in told.items() if value is not None}

    def users(self) -> Mapping[str, object]:
        """How many processes compute on the GPU that are not this run's; nothing where that cannot be told.

        Takes milliseconds (4.5 ms on a laptop's RTX 4090, flightlessmango/MangoHud#2104), so it is not to be asked often.
        """
        if self._closed or os.getpid() != self._driver.pid:
            return {}
        running = self._driver.or_none(self._driver.nvml.nvmlDeviceGetComputeRunningProcesses, self._handle)
        if running is None:
            return {}
        pids = [one.pid for one in running]
        count = processes.foreign(pids, proc=self._driver.proc, environ=self._driver.environ)
        return {} if count is None else {"foreign_processes": count}

    def appeared(self) -> Sequence[Finding]:
        """The GPUs that were not there when this one was found, told once for all GPUs of a detection."""
        if self._closed or os.getpid() != self._driver.pid:
            return ()
        return self._driver.appeared()

    def close(self) -> None:
        """Lets go of the GPU; the last one of a detection shuts NVML down. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._driver.release()

    def _number(self, channel: str, milli: float) -> float | SensorFailed:
        if fault := _implausible(self._methods[channel], milli):
            return SensorFailed(f"{self._label}: {fault}")
        return milli / 1000

    def _failure(self, code: int) -> SensorFailed:
        message, remedy = _explain(code)
        if code in _LOST:
            raise SensorLost(f"{self._label}: {message}", remedy)
        return SensorFailed(f"{self._label}: {message}", remedy)


class _Found(NamedTuple):
    """What became of one visible GPU. ``devices`` are itself, where something is known of it, and the module that it stands for."""

    sensor: NvmlGpu | None
    devices: tuple[Device, ...]
    findings: tuple[Finding, ...]


class _Probe(NamedTuple):
    """Where a GPU's energy, its power, and its momentary power can be read, or why not."""

    counter: _Source | _Reason
    power: _Source | _Reason
    instant: _Source | _Reason
    module: _Module | None = None
    answering: Mapping[str, str] = MappingProxyType({})


class _Module(NamedTuple):
    """Where the energy and the power of the module that a GPU is on can be read, and what is to be said of the plain counter.

    ``took_counter``: the GPU's plain counter is the module's (None: it may be, and counts as such).
    """

    counter: _Source | _Reason
    power: _Source | _Reason
    power_period_s: float
    took_counter: bool | None


class _Driver:
    """NVML, initialised once for all sensors of one detection and shut down once, after the last of them.

    NVML counts initialisations itself, so that other users in the process keep theirs.
    """

    def __init__(self, nvml: ModuleType, *, environ: Mapping[str, str], pci: Path, proc: Path) -> None:
        self.nvml = nvml
        self.environ = environ
        self.proc = proc
        self.pid = os.getpid()
        self.users = 0
        self._pci = pci
        self._addresses: dict[
            str, str
        ] = {}  # of GPUs that must not be looked for by UUID, since that wakes others
        self._modules: set[str] = set()  # those that have their channels
        self._known: set[str] | None = (
            None  # the GPUs that were there when it began; None once they were counted again
        )
        self._handles: dict[str, Any] = {}  # of GPUs that the driver would not find by UUID
        self._unreadable: dict[str, list[str]] = {}  # by UUID what the driver tells in letters that are none
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            raise SensorUnavailable(*_explain(error.value)) from None

    def release(self) -> None:
        self.users -= 1
        if self.users == 0:
            self.shut_down()

    def shut_down(self) -> None:
        if os.getpid() != self.pid:
            return
        # The driver may be gone by now, and then there is nothing left to let go of.
        with contextlib.suppress(self.nvml.NVMLError):
            self.nvml.nvmlShutdown()

    def know(self, present: Sequence[PresentGpu]) -> None:
        """These are there now; others that are seen later came later."""
        self._known = {gpu.uuid for gpu in present}

    def appeared(self) -> list[Finding]:
        """The GPUs that this process sees now and did not see in the beginning."""
        known, self._known = self._known, None
        if known is None:
            return []
        if self._addresses:
            present, _, _ = self.present_at(_held_by_driver(self._pci))
        else:
            present, _, _ = self.present()
        visible = set(visible_gpus(self.environ, present).uuids) - known
        return [device_appeared(f"a GPU ({gpu.name})") for gpu in present if gpu.uuid in visible]

    def present(self) -> tuple[list[PresentGpu], list[tuple[int, int]], int]:
        """The GPUs that answer, in NVML's (PCI) order; those that do not, as (place, error); and how many there are."""
        nvml = self.nvml
        try:
            count: int = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            raise SensorUnavailable(*_explain(error.value)) from None
        gpus, unanswered = [], []
        for place in range(count):
            try:
                gpus.append(self._present(nvml.nvmlDeviceGetHandleByIndex(place)))
            except nvml.NVMLError as error:
                unanswered.append((place, error.value))
        return gpus, unanswered, count

    def present_at(self, held: Mapping[str, str]) -> tuple[list[PresentGpu], list[tuple[int, int]], int]:
        """The same where some of the devices sleep: the others are taken by their PCI addresses, which wakes nothing else.

        A GPU that sleeps has its address in place of a UUID.
        """
        gpus, unanswered = [], []
        for place, (address, status) in enumerate(held.items()):
            if status == "suspended":
                gpus.append(PresentGpu(uuid=_ASLEEP + address, name="NVIDIA GPU"))
                continue
            try:
                gpu = self._present(self.nvml.nvmlDeviceGetHandleByPciBusId(address))
            except self.nvml.NVMLError as error:
                unanswered.append((place, error.value))
                continue
            gpus.append(gpu)
            self._addresses[gpu.uuid] = address
        return gpus, unanswered, len(held)

    def _present(self, handle: Any) -> PresentGpu:
        uuid, readable = self._text(self.nvml.nvmlDeviceGetUUID, handle)
        if not readable:
            # The driver finds no GPU by what stands in for its UUID, and two may have the same.
            uuid = f"{uuid}#{len(self._handles)}"
            self._handles[uuid] = handle
            self._unreadable.setdefault(uuid, []).append("UUID")
        mig = self._mig(handle)
        name = ""
        with contextlib.suppress(self.nvml.NVMLError):
            name, readable = self._text(self.nvml.nvmlDeviceGetName, handle)
            if not readable:
                name = ""
                self._unreadable.setdefault(uuid, []).append("name")
        return PresentGpu(
            uuid=uuid,
            name=name or "NVIDIA GPU",
            mig=mig,
            slices=self._slices(handle) if mig else (),
        )

    def open(self, number: int, gpu: PresentGpu) -> _Found:
        """The sensor of that GPU, what it is, and what has to be said about it."""
        label = f"GPU {number} ({gpu.name})"
        if gpu.uuid.startswith(_ASLEEP):
            asleep = Finding(
                code="gpu-asleep",
                message=f"GPU {number} sleeps and was not woken; should it wake later, it is not measured",
                remedy="Start its work before the measurement",
            )
            return _Found(sensor=None, devices=(), findings=(asleep,))
        try:
            # From here on by UUID: places may change while we look.
            if gpu.uuid in self._handles:
                handle = self._handles[gpu.uuid]
            elif gpu.uuid in self._addresses:
                handle = self.nvml.nvmlDeviceGetHandleByPciBusId(self._addresses[gpu.uuid])
            else:
                handle = self.nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        except self.nvml.NVMLError as error:
            device = Device(id=gpu.uuid, name=gpu.name, mig=gpu.mig)
            return _Found(
                sensor=None, devices=(device,), findings=(_not_measured(label, _explain(error.value)),)
            )
        device = self._device(handle, gpu)
        unreadable = self._unreadable.get(gpu.uuid, [])
        findings: list[Finding] = []
        if unreadable:
            findings.append(
                Finding(
                    code="gpu-described-unreadably",
                    message=f"the {' and the '.join(unreadable)} of GPU {number}, as the driver tells, is not UTF-8; "
                    "something else stands in the record",
                    remedy=_NEW_DRIVER,
                )
            )
        found = self._probe(handle, device)
        energy_id, power_id = f"gpu{number}.energy", f"gpu{number}.power"
        momentary = not isinstance(found.instant, _Reason)
        channels: list[Channel] = []
        sources: dict[str, _Source] = {}
        if not isinstance(found.counter, _Reason):
            # How often a counter is refreshed stands nowhere (20 to 100 ms); it is learned from the trace.
            channels.append(_channel(energy_id, gpu, "counter", None, limit_w=device.power_limit_w))
            sources[energy_id] = found.counter
        if not isinstance(found.power, _Reason):
            period_s = INSTANT_PERIOD_S if momentary else AVERAGED_PERIOD_S
            channels.append(_channel(power_id, gpu, "power", period_s, limit_w=device.power_limit_w))
            sources[power_id] = found.power
        own = tuple(channels)
        if found.module is not None and self._is_new_module(handle):
            findings += self._module_channels(number, gpu, found.module, channels, sources, alone=not own)
        if not channels:
            assert isinstance(found.power, _Reason)
            return _Found(
                sensor=None, devices=(device,), findings=(*findings, _not_measured(label, found.power))
            )
        if not own:
            pass  # the module's finding says it
        elif isinstance(found.counter, _Reason):
            kind = "momentary power" if momentary else "power averaged over 1 s"
            findings.append(
                Finding(
                    code="no-energy-counter",
                    message=f"{label} has no energy counter ({found.counter.message}); its {kind} is summed up",
                    remedy=found.counter.remedy,
                    channel=power_id,
                )
            )
        if not own:
            pass
        elif isinstance(found.power, _Reason):
            findings.append(
                Finding(
                    code="no-power-reading",
                    message=f"{label} tells no power ({found.power.message}), so that its counter goes unchecked",
                    remedy=found.power.remedy,
                    channel=energy_id,
                )
            )
        elif isinstance(found.instant, _Reason):
            findings.append(
                Finding(
                    code="averaged-power",
                    message=f"{label} tells only its power averaged over 1 s ({found.instant.message})",
                    remedy=_NEW_DRIVER,
                    # With a counter the power serves the edges of windows and the cross-check only.
                    severity="degrades" if isinstance(found.counter, _Reason) else "note",
                    channel=power_id,
                )
            )
        if gpu.mig:
            # NVML knows energy and power of the whole GPU only; splitting it among slices would be a model.
            findings.append(
                Finding(
                    code="mig-shared",
                    message=f"{label} is divided by MIG; the energy is the whole GPU's, shared with other slices",
                    remedy="Measure on a GPU that is not divided",
                    severity="disqualifies",
                    channel=channels[0].id,
                )
            )
        elif gpu.mig is None:
            findings.append(
                Finding(
                    code="mig-unknown",
                    message=f"the driver does not say whether {label} is divided by MIG",
                    severity="degrades",
                    channel=channels[0].id,
                )
            )
        answering = {
            **{name: _described(source) for name, source in sources.items()},
            **found.answering,
        }
        sensor = NvmlGpu(self, handle, f"gpu{number}", gpu.uuid, tuple(channels), sources, answering)
        devices = [device]
        if len(own) < len(channels):
            devices.append(Device(id=channels[-1].device, name=f"{gpu.name} module", driver=device.driver))
        return _Found(sensor=sensor, devices=tuple(devices), findings=tuple(findings))

    def _module_channels(
        self,
        number: int,
        gpu: PresentGpu,
        module: _Module,
        channels: list[Channel],
        sources: dict[str, _Source],
        *,
        alone: bool,
    ) -> Iterator[Finding]:
        """Adds the module's channels to those of its GPU, and says what they are."""
        names: list[str] = []
        both: tuple[tuple[Method, _Source | _Reason, float | None], ...] = (
            ("counter", module.counter, None),
            ("power", module.power, module.power_period_s),
        )
        for method, source, period_s in both:
            if not isinstance(source, _Reason):
                names.append(f"module{number}.{'energy' if method == 'counter' else 'power'}")
                channels.append(_channel(names[-1], gpu, method, period_s, "module"))
                sources[names[-1]] = source
        about = "its energy and power are the whole module's: GPU, CPU and memory together"
        if alone:
            message = f"GPU {number} ({gpu.name}) tells nothing of its own; {about}"
        elif module.took_counter:
            message = (
                f"the energy counter of GPU {number} ({gpu.name}) is the whole module's, and counts as such"
            )
        elif module.took_counter is None:
            message = (
                f"whether the energy counter of GPU {number} ({gpu.name}) is its own or the whole module's could not "
                "be told; it counts as the module's"
            )
        else:
            return
        yield Finding(
            code="module-scope",
            message=message,
            remedy="Take the module's figure as what it is",
            channel=names[0],
        )

    def _is_new_module(self, handle: Any) -> bool:
        """Whether no other GPU of this module has its channels yet.

        Every GPU on a superchip reports the same module (two Blackwells share a Grace); PCI devices of one NUMA node are on one.
        Where the kernel does not say which, one module is taken to be all there is: too little is the smaller harm.
        """
        node = ""
        with contextlib.suppress(self.nvml.NVMLError, OSError):
            info = self.nvml.nvmlDeviceGetPciInfo(handle)
            # sysfs writes addresses in lower case, with four digits for the domain.
            address = f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"
            node = (self._pci / "devices" / address / "numa_node").read_text().strip()
        if node in self._modules:
            return False
        self._modules.add(node)
        return True

    def _probe(self, handle: Any, device: Device) -> _Probe:
        nvml = self.nvml
        read_counter: _Call = nvml.nvmlDeviceGetTotalEnergyConsumption
        before = self._ask("counter", read_counter, handle)
        fields = self._ask_fields(handle, _PROBED)
        after = self._ask("counter", read_counter, handle)
        plain = fields[_COUNTER]
        counter: _Source | _Reason
        if isinstance(before, _Reason) or isinstance(after, _Reason):
            refusal = next(answer for answer in (before, after) if isinstance(answer, _Reason))
            answering = (one for one in (_COUNTER, _SCOPED_COUNTER) if isinstance(fields[one], float))
            counter = next(answering, refusal)
        else:
            # As a field the counter comes in one call with the power; taken only if it is seen to be the same counter.
            same = isinstance(plain, float) and before <= plain <= after
            counter = _COUNTER if same else read_counter

        power: _Source | _Reason
        read_power: _Call = nvml.nvmlDeviceGetPowerUsage
        instant = fields[_INSTANT]
        if isinstance(instant, float):
            power = _INSTANT
        elif isinstance(usage := self._ask("power", read_power, handle), float):
            power = read_power
        else:
            power = _AVERAGED if isinstance(fields[_AVERAGED], float) else usage
        found = _Probe(
            counter=counter,
            power=power,
            instant=_INSTANT if isinstance(instant, float) else instant,
            answering=_answering(fields),
        )
        # Asked apart from the others: an older driver may refuse the whole call for a scope that it does not know.
        scoped = self._ask_fields(handle, _MODULE_PROBED)
        if not any(isinstance(answer, float) for answer in scoped.values()):
            return found
        return self._with_module(handle, device, found, fields, scoped)

    def _with_module(
        self,
        handle: Any,
        device: Device,
        found: _Probe,
        fields: Mapping[_Field, float | _Reason],
        scoped: Mapping[_Field, float | _Reason],
    ) -> _Probe:
        """A GPU on a module: what is its own, and what the module's."""
        # A driver that passes over the scope answers the same to all; a module draws more than its GPU.
        again = self._ask_fields(handle, _PROBED)
        if all(
            _between(fields[own], scoped[whole], again[own])
            for own, whole in _PAIRS
            if isinstance(scoped[whole], float)
        ):
            return found
        instant, averaged = scoped[_MODULE_INSTANT], scoped[_MODULE_AVERAGED]
        whole_power: _Source | _Reason = instant if isinstance(instant, _Reason) else _MODULE_INSTANT
        if isinstance(instant, _Reason) and not isinstance(averaged, _Reason):
            whole_power = _MODULE_AVERAGED
        power = found.power
        if not isinstance(power, tuple | _Reason) and isinstance(whole_power, tuple):
            # nvmlDeviceGetPowerUsage does not say whose power it tells.
            usage = self._ask("power", power, handle)
            whole = self._now(handle, whole_power)
            if isinstance(usage, float) and whole is not None and usage > ALMOST_MODULE * whole:
                power = _Reason("its power reading is the whole module's")
        counter: _Source | _Reason = found.counter
        whole_counter: _Source | _Reason = (
            _MODULE_COUNTER if isinstance(scoped[_MODULE_COUNTER], float) else _Reason("it has none")
        )
        took: bool | None = False
        if not isinstance(counter, _Reason):
            took = self._counts_module(handle, device, counter, power, whole_power)
            if took is not False:
                if isinstance(whole_counter, _Reason):
                    whole_counter = counter
                counter = _Reason("its counter is the whole module's")
                # The same with a scope is its own where it tells another number.
                if found.counter != _SCOPED_COUNTER and self._apart(handle, found.counter, _SCOPED_COUNTER):
                    counter = _SCOPED_COUNTER
        module = _Module(
            counter=whole_counter,
            power=whole_power,
            power_period_s=INSTANT_PERIOD_S if whole_power == _MODULE_INSTANT else AVERAGED_PERIOD_S,
            took_counter=took,
        )
        return _Probe(
            counter=counter,
            power=power,
            instant=found.instant,
            module=module,
            answering={**found.answering, **_answering(scoped)},
        )

    def _apart(self, handle: Any, one: _Source | _Reason, other: _Field) -> bool | None:
        """Whether two counters show different numbers; None where one of them does not answer."""
        before, between, after = (self._now(handle, source) for source in (one, other, one))
        if before is None or between is None or after is None:
            return None
        return not before <= between <= after

    def _now(self, handle: Any, source: _Source | _Reason) -> float | None:
        """What a source says at this moment, in thousandths; None if nothing."""
        if isinstance(source, _Reason):
            return None
        if not isinstance(source, tuple):
            answer = self._ask("power", source, handle)
        else:
            answer = self._ask_fields(handle, (source,))[source]
        return answer if isinstance(answer, float) else None

    def _counts_module(
        self,
        handle: Any,
        device: Device,
        counter: _Source,
        power: _Source | _Reason,
        whole_power: _Source | _Reason,
    ) -> bool | None:
        """Whether a counter is the whole module's (as on GH200, ml-energy/zeus#172); None where that cannot be told."""
        of_module, of_gpu = (self._apart(handle, counter, one) for one in (_MODULE_COUNTER, _SCOPED_COUNTER))
        if of_module is False and of_gpu is True:
            return True
        if of_module is True and (of_gpu is False or counter == _SCOPED_COUNTER):
            return False
        if isinstance(power, _Reason):
            return True  # only the module tells anything
        known = probe.recall(device.id, device.driver, environ=self.environ)
        if known is not None and known.sources.get(_WHOSE) in ("gpu", "module"):
            return known.sources[_WHOSE] == "module"
        told = self._compared(handle, counter, power, whole_power)
        if told is not None:
            whose = {_WHOSE: "module" if told else "gpu"}
            probe.remember(device.id, device.driver, sources=whose, environ=self.environ)
        return told

    def _compared(
        self, handle: Any, counter: _Source, power: _Source, whole_power: _Source | _Reason
    ) -> bool | None:
        """Whether a counter grows as the module's power says, and not as the GPU's. Takes up to COMPARED_S."""
        ticks: list[tuple[float, float]] = []
        powers: list[tuple[float, float]] = []
        last: float | None = None
        until = time.monotonic() + COMPARED_S
        while time.monotonic() < until and len(ticks) <= COMPARED_TICKS:
            now_s, milli = time.monotonic(), self._now(handle, counter)
            own, whole = self._now(handle, power), self._now(handle, whole_power)
            if own is not None and whole is not None:
                powers.append((own, whole))
            if milli is not None and last is not None and milli != last:
                ticks.append((now_s, milli))
            last = milli if milli is not None else last
            time.sleep(COMPARED_STEP_S)
        if len(ticks) < 3 or not powers:
            return None
        rate = (ticks[-1][1] - ticks[0][1]) / (ticks[-1][0] - ticks[0][0])
        own, whole = (sum(values) / len(powers) for values in zip(*powers, strict=True))
        like_own, like_whole = (abs(rate / one - 1) < COMPARED_WITHIN for one in (own, whole))
        return like_whole if like_own != like_whole else None

    def _ask(self, method: Method, call: _Call, handle: Any) -> float | _Reason:
        """The number, in thousandths, or why there is none."""
        try:
            milli = call(handle)
        except self.nvml.NVMLError as error:
            return _explain(error.value)
        fault = _implausible(method, milli)
        return _Reason(fault) if fault else float(milli)

    def _ask_fields(self, handle: Any, wanted: Sequence[_Field]) -> dict[_Field, float | _Reason]:
        try:
            values: Sequence[Any] = self.nvml.nvmlDeviceGetFieldValues(handle, list(wanted))
        except self.nvml.NVMLError as error:
            return dict.fromkeys(wanted, _explain(error.value))
        answers: dict[_Field, float | _Reason] = {}
        for one, value in zip(wanted, values, strict=True):
            method: Method = "counter" if one in _COUNTERS else "power"
            if value.nvmlReturn != 0:
                answers[one] = _explain(value.nvmlReturn)
            elif fault := _implausible(method, _milli(value)):
                answers[one] = _Reason(fault)
            else:
                answers[one] = float(_milli(value))
        return answers

    def _device(self, handle: Any, gpu: PresentGpu) -> Device:
        nvml = self.nvml
        limit_mw = self.or_none(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        clock_mhz = self.or_none(nvml.nvmlDeviceGetMaxClockInfo, handle, _SM_CLOCK)
        memory = self.or_none(nvml.nvmlDeviceGetMemoryInfo, handle)
        driver: str | None = None
        with contextlib.suppress(nvml.NVMLError):
            driver, readable = self._text(nvml.nvmlSystemGetDriverVersion)
            if not readable:
                driver = None
                self._unreadable.setdefault(gpu.uuid, []).append("driver's version")
        return Device(
            id=gpu.uuid,
            name=gpu.name,
            driver=driver,
            power_limit_w=limit_mw / 1000 if limit_mw else None,
            clock_mhz=float(clock_mhz) if clock_mhz else None,
            memory_gb=memory.total / 1e9 if memory is not None and memory.total else None,
            mig=gpu.mig,
        )

    def _mig(self, handle: Any) -> bool | None:
        """Whether the GPU is divided by MIG; None where the driver does not say."""
        try:
            current, _pending = self.nvml.nvmlDeviceGetMigMode(handle)
        except self.nvml.NVMLError as error:
            # Not supported, or a driver from before MIG.
            return False if error.value in (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND) else None
        return bool(current)

    def _slices(self, handle: Any) -> tuple[str, ...]:
        nvml = self.nvml
        names = []
        for place in range(self.or_none(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            # Places may be empty, and inside a container other people's slices are hidden.
            with contextlib.suppress(nvml.NVMLError):
                slice_ = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
                names.append(self._text(nvml.nvmlDeviceGetUUID, slice_)[0])
        return tuple(names)

    def _text(self, call: Callable[..., str], *arguments: Any) -> tuple[str, bool]:
        """What the driver says, and whether it is UTF-8; where it is not, with marks in place of what cannot be read.

        Raises:
            NVMLError: the driver refuses.
        """
        try:
            return call(*arguments), True
        except UnicodeDecodeError as error:  # the binding takes nothing else
            return error.object.decode("utf-8", "replace"), False

    def or_none(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What the driver answers; None where it refuses, whatever for."""
        try:
            return call(*arguments)
        except self.nvml.NVMLError:
            return None


def _channel(
    name: str,
    gpu: PresentGpu,
    method: Method,
    period_s: float | None,
    component: Component = "gpu",
    *,
    limit_w: float | None = None,
) -> Channel:
    share = CONSUMER_OFFSET if CONSUMER in gpu.name else 0.0
    return Channel(
        id=name,
        component=component,
        device=gpu.uuid if component == "gpu" else f"{gpu.uuid}:{component}",
        method=method,
        accuracy=ACCURACY,
        period_s=period_s,
        accuracy_w=round(max(OFFSET_W, share * (limit_w or 0.0)), 2),
    )


def _between(before: float | _Reason, answer: float | _Reason, after: float | _Reason) -> bool:
    """Whether an answer is one of the number that was read before and after it."""
    if isinstance(before, _Reason) or isinstance(answer, _Reason) or isinstance(after, _Reason):
        return False
    return min(before, after) <= answer <= max(before, after)


def _described(source: _Source) -> str:
    """What a channel is read from, in words."""
    return _NAMES[source] if isinstance(source, tuple) else "a call of its own"


def _answering(answers: Mapping[_Field, float | _Reason]) -> dict[str, str]:
    """Which fields answer, and why the others do not."""
    return {
        _NAMES[one]: "answers" if isinstance(answer, float) else answer.message
        for one, answer in answers.items()
    }


def _milli(value: Any) -> float:
    """The value of a field, in thousandths; not a number where its type is unknown."""
    kind = value.valueType
    return getattr(value.value, _MEMBERS[kind]) if 0 <= kind < len(_MEMBERS) else float("nan")


def _implausible(method: Method, milli: float) -> str | None:
    """Why this cannot be what the sensor means, or None. Finer judgement is left to those who see the whole trace."""
    if method == "counter":
        # A counter may stand at 0: it starts there when the driver is loaded.
        return None if 0 <= milli < MAX_ENERGY_MJ else "the driver reports an impossible energy"
    if milli == 0:
        # A GPU that answers draws something; 0 comes of asking too often (seen by ml-energy/zeus, power.py).
        return "the driver reports 0 W"
    return None if 0 < milli <= MAX_POWER_W * 1000 else "the driver reports an impossible power"


def _explain(code: int) -> _Reason:
    return _ERRORS.get(code) or _Reason(f"the driver reports error {code}")


def _not_measured(label: str, reason: _Reason) -> Finding:
    return Finding(
        code="gpu-not-measured",
        message=f"{label} is not measured: {reason.message}",
        remedy=reason.remedy or "Measure on a GPU that tells its energy or power",
        severity="degrades",
    )


def _none_visible(
    environ: Mapping[str, str], visible: VisibleGpus, unanswered: Sequence[tuple[int, int]], count: int
) -> SensorUnavailable:
    if count == 0:
        return SensorUnavailable(
            "the NVIDIA driver finds no GPU",
            "Run on the GPU machine (in a container: start it with --gpus all)",
        )
    present = f"({count} {'is' if count == 1 else 'are'} present)"
    if len(unanswered) == count:
        message, remedy = _explain(unanswered[0][1])
        return SensorUnavailable(f"no GPU is visible to this process {present}: {message}", remedy)
    if visible.repeated:
        return SensorUnavailable(
            f"no GPU is visible to this process {present}: CUDA_VISIBLE_DEVICES names one twice",
            "Name each GPU once",
        )
    set_to = "is empty" if not environ.get("CUDA_VISIBLE_DEVICES", "").strip() else "names none of them"
    return SensorUnavailable(
        f"no GPU is visible to this process {present}: CUDA_VISIBLE_DEVICES {set_to}",
        "Unset CUDA_VISIBLE_DEVICES, or set it to the GPUs to use",
    )


def _about_the_list(
    environ: Mapping[str, str], visible: VisibleGpus, unanswered: Sequence[tuple[int, int]]
) -> list[Finding]:
    findings = []
    if visible.order_uncertain:
        findings.append(
            Finding(
                code="gpu-order-uncertain",
                message="the GPUs differ and CUDA_VISIBLE_DEVICES counts them in CUDA's order; PCI order was assumed",
                remedy="Set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name the GPUs by UUID",
                severity="degrades",
            )
        )
    if visible.invalid_entry is not None:
        findings.append(
            Finding(
                code="gpu-list-cut-short",
                message=f"entry {visible.invalid_entry} of CUDA_VISIBLE_DEVICES names no GPU here; CUDA stops there",
                remedy="Correct the entry",
            )
        )
    chosen = "CUDA_VISIBLE_DEVICES" in environ
    for place, code in unanswered:
        # A GPU that is not this process's to use is not visible to it.
        if code != _NO_PERMISSION:
            message, remedy = _explain(code)
            findings.append(
                Finding(
                    code="gpu-not-measured",
                    message=f"the GPU at place {place} of the driver's list is not measured: {message}",
                    remedy=remedy,
                    # Whether it is among the chosen ones cannot be told without its UUID.
                    severity="note" if chosen else "degrades",
                )
            )
    return findings
