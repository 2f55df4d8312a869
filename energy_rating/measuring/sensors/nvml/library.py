"""NVML initialised once, and the GPUs that it knows. What of a GPU can be read is left to ``probing``."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from energy_rating.measuring.sensors import device_appeared
from energy_rating.measuring.sensors.nvml.binding import (
    COUNTER,
    FUNCTION_NOT_FOUND,
    MODULE_COUNTER,
    NOT_SUPPORTED,
    SCOPED_COUNTER,
    Call,
    Field,
    NoAnswer,
    Nvml,
    explain,
    implausible,
    in_thousandths,
)
from energy_rating.measuring.sensors.nvml.driver import POWER_PROFILES_V1, AdaptiveLimit, PowerProfiles
from energy_rating.measuring.visible_devices import PresentGpu, visible_gpus
from energy_rating.nouns.entries import Device, Finding, Method
from energy_rating.nouns.errors import SensorUnavailable

_COUNTERS = (COUNTER, SCOPED_COUNTER, MODULE_COUNTER)
# NVML_POWER_PROFILE_… (nvml.h, driver 610), in their order.
POWER_PROFILES = (
    *("max-p", "max-q", "compute", "memory-bound", "network", "balanced", "llm-inference", "llm-training"),
    *("rbm", "dcpcie", "hmma-sparse", "hmma-dense", "sync-balanced", "hpc", "mig", "max-q-1"),
    *("network-bound", "high-throughput-inference", "medium-throughput-inference", "low-latency-inference"),
    *("training", "inference", "max-q-2", "max-q-3", "low-priority-background"),
)
LONGEST_PROFILES = 200

SM_CLOCK = 1  # NVML_CLOCK_SM
ASLEEP = "asleep at "  # in place of the UUID of a GPU that must not be asked for it


def held_by_driver(pci: Path) -> dict[str, str]:
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


class Library:
    """NVML, initialised once for all sensors of one detection and shut down once, after the last of them.

    NVML counts initialisations itself, so that other users in the process keep theirs.
    """

    def __init__(self, nvml: Nvml, *, environ: Mapping[str, str], pci: Path, proc: Path) -> None:
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
            raise SensorUnavailable(*explain(error.value)) from None

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

    def appeared(self) -> list[Finding]:
        """The GPUs that this process sees now and did not see in the beginning."""
        known, self._known = self._known, None
        if known is None:
            return []
        if self._addresses:
            present, _, _ = self.present_at(held_by_driver(self._pci))
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
            raise SensorUnavailable(*explain(error.value)) from None
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
                gpus.append(PresentGpu(uuid=ASLEEP + address, name="NVIDIA GPU"))
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

    def _ask(self, method: Method, call: Call, handle: Any) -> float | NoAnswer:
        """The number, in thousandths, or why there is none."""
        try:
            milli = call(handle)
        except self.nvml.NVMLError as error:
            return explain(error.value)
        fault = implausible(method, milli)
        return NoAnswer(fault) if fault else float(milli)

    def _ask_fields(self, handle: Any, wanted: Sequence[Field]) -> dict[Field, float | NoAnswer]:
        try:
            values: Sequence[Any] = self.nvml.nvmlDeviceGetFieldValues(handle, list(wanted))
        except self.nvml.NVMLError as error:
            return dict.fromkeys(wanted, explain(error.value))
        answers: dict[Field, float | NoAnswer] = {}
        for one, value in zip(wanted, values, strict=True):
            method: Method = "counter" if one in _COUNTERS else "power"
            if value.nvmlReturn != 0:
                answers[one] = explain(value.nvmlReturn)
            elif fault := implausible(method, in_thousandths(value)):
                answers[one] = NoAnswer(fault)
            else:
                answers[one] = float(in_thousandths(value))
        return answers

    def _device(self, handle: Any, gpu: PresentGpu) -> Device:
        nvml = self.nvml
        limit_mw = self.or_none(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        clock_mhz = self.or_none(nvml.nvmlDeviceGetMaxClockInfo, handle, SM_CLOCK)
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
            power_profile=self._power_profile(handle),
            adaptive_limit=self._adaptive_limit(handle),
        )

    def _power_profile(self, handle: Any) -> str | None:
        """The workload power profiles in force, which move clocks and limits as a whole; ``none``; None where the driver has none."""
        profiles = PowerProfiles(version=POWER_PROFILES_V1)
        if not self._asked("nvmlDeviceWorkloadPowerProfileGetCurrentProfiles", handle, profiles):
            return None
        in_force = [
            32 * place + bit
            for place, word in enumerate(profiles.enforcedProfilesMask.mask)
            for bit in range(32)
            if word >> bit & 1
        ]
        names = [POWER_PROFILES[one] if one < len(POWER_PROFILES) else f"profile-{one}" for one in in_force]
        return ", ".join(names)[:LONGEST_PROFILES] or "none"

    def _adaptive_limit(self, handle: Any) -> bool | None:
        """Whether the driver moves the power limit by itself (adaptive TGP, driver 610); None where it cannot."""
        info = AdaptiveLimit()
        if not self._asked("nvmlDeviceGetAdaptiveTgpModeInfo_v1", handle, info):
            return None
        return bool(info.enablementStatus)

    def _asked(self, name: str, handle: Any, answer: Any) -> bool:
        """Whether a call that older drivers, and older bindings, do not have has filled in its answer."""
        call = getattr(self.nvml, name, None)
        if call is None:
            return False
        try:
            call(handle, ctypes.byref(answer))
        except self.nvml.NVMLError:
            return False
        return True

    def _mig(self, handle: Any) -> bool | None:
        """Whether the GPU is divided by MIG; None where the driver does not say."""
        try:
            current, _pending = self.nvml.nvmlDeviceGetMigMode(handle)
        except self.nvml.NVMLError as error:
            # Not supported, or a driver from before MIG.
            return False if error.value in (NOT_SUPPORTED, FUNCTION_NOT_FOUND) else None
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
