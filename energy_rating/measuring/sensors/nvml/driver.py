"""The calls to NVIDIA's driver that are made here, bound to its library, and no others. What the answers mean is left to who asks.

NVIDIA's own binding (nvidia-ml-py) has some 400, and takes 20 ms to load, for which the first ``with`` of a program would wait. The calls
have its names and give what it gives, so that either can stand in the other's place; that constants, structures and answers are the
same is tested against it. Signatures are those of nvml.h (docs.nvidia.com/deploy/nvml-api).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import byref, c_char, c_char_p, c_int, c_int32, c_int64, c_uint, c_uint32, c_ulonglong, c_void_p
from typing import Any

from energy_rating.nouns.errors import DriverRefused

SUCCESS, FUNCTION_NOT_FOUND, INSUFFICIENT_SIZE = 0, 13, 7  # nvmlReturn_t
NAME_SIZE, UUID_SIZE, DRIVER_VERSION_SIZE = 96, 96, 80  # NVML_DEVICE_NAME_V2_BUFFER_SIZE and so on


class Value(ctypes.Union):
    """nvmlValue_t."""

    _fields_ = (
        ("dVal", ctypes.c_double),
        ("uiVal", c_uint),
        ("ulVal", ctypes.c_ulong),
        ("ullVal", c_ulonglong),
        ("sllVal", ctypes.c_longlong),
        ("siVal", c_int),
        ("usVal", ctypes.c_ushort),
    )


class FieldValue(ctypes.Structure):
    """nvmlFieldValue_t."""

    _fields_ = (
        ("fieldId", c_uint32),
        ("scopeId", c_uint32),
        ("timestamp", c_int64),
        ("latencyUsec", c_int64),
        ("valueType", c_uint),
        ("nvmlReturn", c_uint),
        ("value", Value),
    )


class Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = (("total", c_ulonglong), ("free", c_ulonglong), ("used", c_ulonglong))


class PciInfo(ctypes.Structure):
    """nvmlPciInfo_t."""

    _fields_ = (
        ("busIdLegacy", c_char * 16),
        ("domain", c_uint),
        ("bus", c_uint),
        ("device", c_uint),
        ("pciDeviceId", c_uint),
        ("pciSubSystemId", c_uint),
        ("busId", c_char * 32),
    )


class ProcessInfo(ctypes.Structure):
    """nvmlProcessInfo_t, of the third version of the calls that give it."""

    _fields_ = (
        ("pid", c_uint),
        ("usedGpuMemory", c_ulonglong),
        ("gpuInstanceId", c_uint),
        ("computeInstanceId", c_uint),
    )


class ProfileMask(ctypes.Structure):
    """nvmlMask255_t: a bit a profile."""

    _fields_ = (("mask", c_uint * 8),)


class PowerProfiles(ctypes.Structure):
    """nvmlWorkloadPowerProfileCurrentProfiles_v1_t."""

    _fields_ = (
        ("version", c_uint),
        ("perfProfilesMask", ProfileMask),
        ("requestedProfilesMask", ProfileMask),
        ("enforcedProfilesMask", ProfileMask),
    )


class AdaptiveLimit(ctypes.Structure):
    """nvmlAdaptiveTgpModeInfo_v1_t."""

    _fields_ = (
        ("inBandEnableRequest", c_uint),
        ("featureAllowedByAdmin", c_uint),
        ("adminOverrideEnabled", c_uint),
        ("enablementStatus", c_uint),
        ("adjustedLimitMw", c_uint),
    )


# nvmlWorkloadPowerProfileCurrentProfiles_v1: the size of the structure, and its version in the topmost byte.
POWER_PROFILES_V1 = ctypes.sizeof(PowerProfiles) | 1 << 24


class NvmlDriver:
    """NVML by its library. A call raises ``NVMLError``, with what the driver returned as ``value``, where that is not success."""

    NVMLError = DriverRefused
    c_nvmlFieldValue_t = FieldValue

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def _nvmlGetFunctionPointer(self, name: str) -> Any:
        try:
            return getattr(self._library, name)  # which keeps what it once found
        except AttributeError:
            raise DriverRefused(FUNCTION_NOT_FOUND) from None

    def _call(self, name: str, *arguments: Any) -> None:
        returned: int = self._nvmlGetFunctionPointer(name)(*arguments)
        if returned != SUCCESS:
            raise DriverRefused(returned)

    def _number(self, name: str, *arguments: Any, kind: Any = c_uint) -> int:
        answer = kind()
        self._call(name, *arguments, byref(answer))
        number: int = answer.value
        return number

    def _text(self, name: str, size: int, *arguments: Any) -> str:
        """What the driver says, which is UTF-8.

        Raises:
            UnicodeDecodeError: it is not.
        """
        letters = ctypes.create_string_buffer(size)
        self._call(name, *arguments, letters, c_uint(size))
        return letters.value.decode()

    def _handle(self, name: str, *arguments: Any) -> c_void_p:
        handle = c_void_p()
        self._call(name, *arguments, byref(handle))
        return handle

    # -- the library

    def nvmlInit(self) -> None:
        self._call("nvmlInitWithFlags", c_uint(0))

    def nvmlShutdown(self) -> None:
        self._call("nvmlShutdown")

    def nvmlSystemGetDriverVersion(self) -> str:
        return self._text("nvmlSystemGetDriverVersion", DRIVER_VERSION_SIZE)

    # -- which devices there are

    def nvmlDeviceGetCount(self) -> int:
        return self._number("nvmlDeviceGetCount_v2")

    def nvmlDeviceGetHandleByIndex(self, index: int) -> c_void_p:
        return self._handle("nvmlDeviceGetHandleByIndex_v2", c_uint(index))

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> c_void_p:
        return self._handle("nvmlDeviceGetHandleByUUID", c_char_p(uuid.encode()))

    def nvmlDeviceGetHandleByPciBusId(self, address: str) -> c_void_p:
        return self._handle("nvmlDeviceGetHandleByPciBusId_v2", c_char_p(address.encode()))

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        return self._text("nvmlDeviceGetUUID", UUID_SIZE, handle)

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return self._text("nvmlDeviceGetName", NAME_SIZE, handle)

    def nvmlDeviceGetPciInfo(self, handle: Any) -> PciInfo:
        info = PciInfo()
        self._call("nvmlDeviceGetPciInfo_v3", handle, byref(info))
        return info

    def nvmlDeviceGetMigMode(self, handle: Any) -> list[int]:
        current, pending = c_uint(), c_uint()
        self._call("nvmlDeviceGetMigMode", handle, byref(current), byref(pending))
        return [current.value, pending.value]

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetMaxMigDeviceCount", handle)

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int) -> c_void_p:
        return self._handle("nvmlDeviceGetMigDeviceHandleByIndex", handle, c_uint(index))

    # -- what a device is like

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> Memory:
        memory = Memory()
        self._call("nvmlDeviceGetMemoryInfo", handle, byref(memory))
        return memory

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetEnforcedPowerLimit", handle)

    def nvmlDeviceWorkloadPowerProfileGetCurrentProfiles(self, handle: Any, profiles: Any) -> None:
        self._call("nvmlDeviceWorkloadPowerProfileGetCurrentProfiles", handle, profiles)

    def nvmlDeviceGetAdaptiveTgpModeInfo_v1(self, handle: Any, info: Any) -> None:
        self._call("nvmlDeviceGetAdaptiveTgpModeInfo_v1", handle, info)

    def nvmlDeviceGetPersistenceMode(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetPersistenceMode", handle)

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:
        return self._number("nvmlDeviceGetTemperature", handle, c_uint(sensor))

    def nvmlDeviceGetClockInfo(self, handle: Any, clock: int) -> int:
        return self._number("nvmlDeviceGetClockInfo", handle, c_uint(clock))

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, clock: int) -> int:
        return self._number("nvmlDeviceGetMaxClockInfo", handle, c_uint(clock))

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetCurrentClocksEventReasons", handle, kind=c_ulonglong)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetCurrentClocksThrottleReasons", handle, kind=c_ulonglong)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> Sequence[ProcessInfo]:
        name, count = "nvmlDeviceGetComputeRunningProcesses_v3", c_uint(0)
        try:
            self._call(name, handle, byref(count), None)
        except DriverRefused as error:
            if error.value != INSUFFICIENT_SIZE:
                raise
        else:
            return ()  # it had room for all of them, which are none
        # More may have come by the time that it is asked again.
        count.value = 2 * count.value + 5
        found = (ProcessInfo * count.value)()
        self._call(name, handle, byref(count), found)
        return found[: count.value]

    # -- what it uses

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetTotalEnergyConsumption", handle, kind=c_ulonglong)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:
        return self._number("nvmlDeviceGetPowerUsage", handle)

    def nvmlDeviceGetFieldValues(self, handle: Any, fields: Sequence[tuple[int, int]]) -> Any:
        values = (FieldValue * len(fields))()
        for value, (number, scope) in zip(values, fields, strict=True):
            value.fieldId, value.scopeId = number, scope
        self._call("nvmlDeviceGetFieldValues", handle, c_int32(len(fields)), byref(values))
        return values
