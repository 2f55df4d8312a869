"""NVIDIA GPUs through NVML: energy counters and power of every GPU that the process can see. Reads, and judges nothing.

Which GPUs CUDA shows is ``visible_devices``' matter; when to read, and what the readings are worth, the meter's and the
judging half's. What a GPU can tell is found by asking it, never from its architecture: a counter is missing on cards before
Volta, but on many virtual GPUs of later ones too. Energy is the GPU board's, or on Grace Hopper possibly the whole module's
(the scopes of field 191 would tell; not looked at yet).

Initialising NVML and asking a GPU may wake a laptop's GPU that sleeps (``power/runtime_status`` in sysfs says
``suspended``), which costs about half a second and 10 W; nothing is done about that yet.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from energy_rating.errors import SensorFailed, SensorLost, SensorUnavailable
from energy_rating.records import Channel, Device, Finding, Method
from energy_rating.sensors import Detection, Reading
from energy_rating.visible_devices import PresentGpu, VisibleGpus, visible_gpus

COMPONENTS = ("gpu",)

# Steady power of 15 cards (Pascal to Ada) against an external meter: 4.3 % rms. A gain, fixed for each card.
# Computed from Overall_Results.xlsx of github.com/JimZeyuYang/GPU_Power_Benchmark (Yang, Adamek, Armour,
# "Part-time Power Measurements", arXiv 2312.02741, SC24).
ACCURACY = 0.04

# Refresh of the instantaneous power: 100 ms on Turing to Hopper, 20 ms on Volta and Pascal (same source).
INSTANT_PERIOD_S = 0.1
# nvml.h, nvmlDeviceGetPowerUsage: "On Ampere (except GA100) or newer GPUs, the API returns power averaged over 1 sec
# interval." Older ones answer with the momentary power; they are taken for averaged too, which errs to the safe side.
AVERAGED_PERIOD_S = 1.0

# The largest boards draw some 1.5 kW. What is above this is a sentinel (4294967295 mW) or nonsense.
MAX_POWER_W = 10_000.0
# The same of a counter: 2⁶³ mJ are 300 000 years at 1 kW.
MAX_ENERGY_MJ = 2**63

# Fields of nvmlDeviceGetFieldValues as (id, scope), nvml.h: 83 counts mJ, 191 the same with a scope; 186 is the momentary
# power and 185 its average over 1 s, in mW. Scope 0 is the GPU.
_COUNTER = (83, 0)
_SCOPED_COUNTER = (191, 0)
_INSTANT = (186, 0)
_AVERAGED = (185, 0)
_PROBED = (_COUNTER, _SCOPED_COUNTER, _INSTANT, _AVERAGED)

# nvmlValueType_t: the member of the union that holds the value.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
_SM_CLOCK = 1  # NVML_CLOCK_SM
_NOT_SUPPORTED, _NO_PERMISSION, _FUNCTION_NOT_FOUND = 3, 4, 13  # nvmlReturn_t

_RESET = "Reset the GPU or reboot, and look for 'Xid' in the kernel log"
_NEW_DRIVER = "Update the NVIDIA driver"

_Field = tuple[int, int]
_Call = Callable[[Any], int]
_Source = _Field | _Call


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
    12: _Reason(
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
    environ: Mapping[str, str] = os.environ, load: Callable[[], ModuleType] = load_pynvml
) -> Detection:
    """One sensor for each physical GPU that CUDA shows to a process with this environment.

    Channels are ``gpu{n}.energy`` and ``gpu{n}.power``, n being the place among the visible GPUs. A GPU that tells neither
    gets a finding and no sensor.

    Raises:
        SensorUnavailable: no driver, no GPU, or none visible to this process.
    """
    driver = _Driver(load())
    try:
        present, unanswered, count = driver.present()
        visible = visible_gpus(environ, present)
        if not visible.uuids:
            raise _none_visible(environ, visible, unanswered, count)
        gpus = {gpu.uuid: gpu for gpu in present}
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
        devices=tuple(gpu.device for gpu in found),
        findings=(*_about_the_list(environ, visible, unanswered), *said),
    )


class NvmlGpu:
    """One physical GPU. ``read()`` is one call to the driver, or two where energy and power cannot be had together."""

    def __init__(
        self,
        driver: _Driver,
        handle: Any,
        label: str,
        channels: tuple[Channel, ...],
        sources: Mapping[str, _Source],
    ) -> None:
        self._driver = driver
        self._handle = handle
        self._label = label
        self._channels = channels
        self._methods: dict[str, Method] = {channel.id: channel.method for channel in channels}
        self._fields = {name: source for name, source in sources.items() if isinstance(source, tuple)}
        self._calls = {name: source for name, source in sources.items() if not isinstance(source, tuple)}
        self._closed = False
        driver.users += 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels

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
        nvml = self._driver.nvml
        readings: dict[str, float | SensorFailed] = {}
        if self._fields:
            try:
                values = nvml.nvmlDeviceGetFieldValues(self._handle, list(self._fields.values()))
            except nvml.NVMLError as error:
                readings.update(dict.fromkeys(self._fields, self._failure(error.value)))
            else:
                for channel, value in zip(self._fields, values, strict=True):
                    readings[channel] = (
                        self._number(channel, _milli(value))
                        if value.nvmlReturn == 0
                        else self._failure(value.nvmlReturn)
                    )
        for channel, call in self._calls.items():
            try:
                readings[channel] = self._number(channel, call(self._handle))
            except nvml.NVMLError as error:
                readings[channel] = self._failure(error.value)
        return readings

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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What became of one visible GPU."""

    sensor: NvmlGpu | None
    device: Device
    findings: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """Where a GPU's energy, its power, and its momentary power can be read, or why not."""

    counter: _Source | _Reason
    power: _Source | _Reason
    instant: _Source | _Reason


class _Driver:
    """NVML, initialised once for all sensors of one detection and shut down once, after the last of them.

    NVML counts initialisations itself, so that other users in the process keep theirs.
    """

    def __init__(self, nvml: ModuleType) -> None:
        self.nvml = nvml
        self.pid = os.getpid()
        self.users = 0
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
                handle = nvml.nvmlDeviceGetHandleByIndex(place)
                uuid = nvml.nvmlDeviceGetUUID(handle)
            except nvml.NVMLError as error:
                unanswered.append((place, error.value))
                continue
            mig = self._mig(handle)
            gpus.append(
                PresentGpu(
                    uuid=uuid,
                    name=self._or_none(nvml.nvmlDeviceGetName, handle) or "NVIDIA GPU",
                    mig=mig,
                    slices=self._slices(handle) if mig else (),
                )
            )
        return gpus, unanswered, count

    def open(self, number: int, gpu: PresentGpu) -> _Found:
        """The sensor of that GPU, what it is, and what has to be said about it."""
        label = f"GPU {number} ({gpu.name})"
        try:
            # From here on by UUID: places may change while we look.
            handle = self.nvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        except self.nvml.NVMLError as error:
            device = Device(id=gpu.uuid, name=gpu.name, mig=gpu.mig)
            return _Found(sensor=None, device=device, findings=(_not_measured(label, _explain(error.value)),))
        device = self._device(handle, gpu)
        probe = self._probe(handle)
        energy_id, power_id = f"gpu{number}.energy", f"gpu{number}.power"
        momentary = not isinstance(probe.instant, _Reason)
        channels: list[Channel] = []
        sources: dict[str, _Source] = {}
        findings: list[Finding] = []
        if not isinstance(probe.counter, _Reason):
            # How often a counter is refreshed stands nowhere (20 to 100 ms); it is learned from the trace.
            channels.append(_channel(energy_id, gpu, "counter", None))
            sources[energy_id] = probe.counter
        if not isinstance(probe.power, _Reason):
            period_s = INSTANT_PERIOD_S if momentary else AVERAGED_PERIOD_S
            channels.append(_channel(power_id, gpu, "power", period_s))
            sources[power_id] = probe.power
        elif not channels:
            return _Found(sensor=None, device=device, findings=(_not_measured(label, probe.power),))
        if isinstance(probe.counter, _Reason):
            kind = "momentary power" if momentary else "power averaged over 1 s"
            findings.append(
                Finding(
                    code="no-energy-counter",
                    message=f"{label} has no energy counter ({probe.counter.message}); its {kind} is summed up",
                    remedy=probe.counter.remedy,
                    channel=power_id,
                )
            )
        if isinstance(probe.power, _Reason):
            findings.append(
                Finding(
                    code="no-power-reading",
                    message=f"{label} tells no power ({probe.power.message}), so that its counter goes unchecked",
                    remedy=probe.power.remedy,
                    channel=energy_id,
                )
            )
        elif isinstance(probe.instant, _Reason):
            findings.append(
                Finding(
                    code="averaged-power",
                    message=f"{label} tells only its power averaged over 1 s ({probe.instant.message})",
                    remedy=_NEW_DRIVER,
                    # With a counter the power serves the edges of windows and the cross-check only.
                    severity="degrades" if isinstance(probe.counter, _Reason) else "note",
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
        sensor = NvmlGpu(self, handle, f"gpu{number}", tuple(channels), sources)
        return _Found(sensor=sensor, device=device, findings=tuple(findings))

    def _probe(self, handle: Any) -> _Probe:
        nvml = self.nvml
        read_counter: _Call = nvml.nvmlDeviceGetTotalEnergyConsumption
        before = self._ask("counter", read_counter, handle)
        fields = self._ask_fields(handle)
        after = self._ask("counter", read_counter, handle)
        field = fields[_COUNTER]
        counter: _Source | _Reason
        if isinstance(before, _Reason) or isinstance(after, _Reason):
            refusal = next(answer for answer in (before, after) if isinstance(answer, _Reason))
            answering = (one for one in (_COUNTER, _SCOPED_COUNTER) if isinstance(fields[one], float))
            counter = next(answering, refusal)
        else:
            # As a field the counter comes in one call with the power; taken only if it is seen to be the same counter.
            same = isinstance(field, float) and before <= field <= after
            counter = _COUNTER if same else read_counter

        instant = fields[_INSTANT]
        if isinstance(instant, float):
            return _Probe(counter=counter, power=_INSTANT, instant=_INSTANT)
        read_power: _Call = nvml.nvmlDeviceGetPowerUsage
        usage = self._ask("power", read_power, handle)
        if isinstance(usage, float):
            return _Probe(counter=counter, power=read_power, instant=instant)
        averaged = _AVERAGED if isinstance(fields[_AVERAGED], float) else usage
        return _Probe(counter=counter, power=averaged, instant=instant)

    def _ask(self, method: Method, call: _Call, handle: Any) -> float | _Reason:
        """The number, in thousandths, or why there is none."""
        try:
            milli = call(handle)
        except self.nvml.NVMLError as error:
            return _explain(error.value)
        fault = _implausible(method, milli)
        return _Reason(fault) if fault else float(milli)

    def _ask_fields(self, handle: Any) -> dict[_Field, float | _Reason]:
        try:
            values: Sequence[Any] = self.nvml.nvmlDeviceGetFieldValues(handle, list(_PROBED))
        except self.nvml.NVMLError as error:
            return dict.fromkeys(_PROBED, _explain(error.value))
        answers: dict[_Field, float | _Reason] = {}
        for field, value in zip(_PROBED, values, strict=True):
            method: Method = "counter" if field in (_COUNTER, _SCOPED_COUNTER) else "power"
            if value.nvmlReturn != 0:
                answers[field] = _explain(value.nvmlReturn)
            elif fault := _implausible(method, _milli(value)):
                answers[field] = _Reason(fault)
            else:
                answers[field] = float(_milli(value))
        return answers

    def _device(self, handle: Any, gpu: PresentGpu) -> Device:
        nvml = self.nvml
        limit_mw = self._or_none(nvml.nvmlDeviceGetEnforcedPowerLimit, handle)
        clock_mhz = self._or_none(nvml.nvmlDeviceGetMaxClockInfo, handle, _SM_CLOCK)
        memory = self._or_none(nvml.nvmlDeviceGetMemoryInfo, handle)
        return Device(
            id=gpu.uuid,
            name=gpu.name,
            driver=self._or_none(nvml.nvmlSystemGetDriverVersion),
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
        for place in range(self._or_none(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
            # Places may be empty, and inside a container other people's slices are hidden.
            with contextlib.suppress(nvml.NVMLError):
                names.append(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)))
        return tuple(names)

    def _or_none(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self.nvml.NVMLError:
            return None


def _channel(name: str, gpu: PresentGpu, method: Method, period_s: float | None) -> Channel:
    return Channel(
        id=name, component="gpu", device=gpu.uuid, method=method, accuracy=ACCURACY, period_s=period_s
    )


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
